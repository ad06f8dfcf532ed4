//! Reads the write-ahead log when a job starts, and later the blocks that are read again.
//!
//! Owns which copy of a segment is read if there are several, and what is an error. Segments are read at the same time.
//! Never decides which blocks are needed: the caller says so.

use super::super::allocation_segments::{DocumentState, LogError, TornTail};
use super::keys::Keys;
use super::record;
use super::segment::{DIRECTORY, FoundBlock, Segment, SegmentNumber, name, read, sizes};
use crate::block::{Block, Rows};
use crate::data::chunk::ChunkError;
use crate::data::schema::{RecordType, schema_id};
use crate::env::{Call, Executor, Store};
use crate::ids::BlockId;
use crate::lock::lock;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

/// How many segments are read at the same time: each of them is in memory as a whole.
const READ_AT_ONCE: usize = 4;

/// Whether a block of the log is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing needs the block.
    None,
    /// The log must keep the block.
    Keep,
    /// The log must keep the block, and its rows are read now.
    Load,
}

/// Why the log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The storage failed, or a segment is damaged.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The rows of a block have another type than the source has now.
    #[error("the write-ahead log has records of source `{source_name}` of another type than the plugin reads now")]
    Type {
        /// The name of the source.
        source_name: String,
    },
    /// The rows of a block cannot be decoded.
    #[error("block {block} in {name} cannot be read: {error}")]
    Rows {
        /// The block.
        block: BlockId,
        /// The name of the segment.
        name: String,
        /// What is wrong with the rows.
        error: Box<ChunkError>,
    },
}

/// The content of a log when a job starts.
#[derive(Debug, Default)]
pub struct LogContent {
    /// The segments, the oldest first, each with the blocks in it that are needed.
    pub(super) segments: Vec<(SegmentNumber, Vec<BlockId>)>,
    /// The number of rows of each needed block.
    pub blocks: BTreeMap<BlockId, u64>,
    /// For each source, one more than the number of its last block in the log.
    pub next_blocks: BTreeMap<String, u64>,
    /// The keys of the blocks in the log, and of earlier ones.
    pub(super) keys: Keys,
    /// The unfinished ends that were left out.
    pub torn: Vec<TornTail>,
}

/// What is read, and for whom.
pub struct Recovery<'a> {
    /// The stores that hold the log. If one of them has lost a segment, the next one is read.
    pub stores: &'a [Arc<dyn Store>],
    /// The type of the rows of each source with blocks. Blocks of other sources are never read.
    pub types: &'a BTreeMap<String, RecordType>,
    /// Which blocks are needed.
    pub need: &'a (dyn Fn(&BlockId) -> Need + Sync),
    /// Takes the blocks whose rows are read, each block once, in any order.
    pub take: &'a (dyn Fn(Block) + Sync),
}

/// Reads the log.
///
/// # Errors
/// Returns an error if no store has a whole copy of a segment, or if the rows of a block that has to be read have another
/// type than the source.
pub fn recover(executor: &dyn Executor, recovery: &Recovery<'_>) -> Result<LogContent, RecoverError> {
    let sizes = segment_sizes(recovery.stores)?;
    let results: Mutex<BTreeMap<SegmentNumber, Result<Read, RecoverError>>> = Mutex::default();
    let taken: Mutex<BTreeSet<BlockId>> = Mutex::default();
    let mut calls = sizes.iter().map(|(number, bytes)| -> Call<'_> {
        let (results, taken) = (&results, &taken);
        Box::new(move || {
            let read = Read::of(recovery, (*number, *bytes), taken);
            lock(results).insert(*number, read);
        })
    });
    loop {
        let next: Vec<Call<'_>> = calls.by_ref().take(READ_AT_ONCE).collect();
        if next.is_empty() {
            break;
        }
        executor.call_all(next);
    }
    let mut content = LogContent::default();
    let results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    for (number, read) in results {
        content.add(number, read?);
    }
    Ok(content)
}

/// Reads blocks of segments again. Blocks that their segment does not have are left out.
///
/// # Errors
/// As [`recover`].
pub(super) fn load(
    stores: &[Arc<dyn Store>],
    segments: &[(SegmentNumber, Vec<BlockId>)],
    types: &BTreeMap<String, RecordType>,
    take: &mut dyn FnMut(Block),
) -> Result<(), RecoverError> {
    // With one store, there is nothing to compare.
    let sizes = if stores.len() > 1 { segment_sizes(stores)? } else { BTreeMap::new() };
    for (number, blocks) in segments {
        let name = format!("{DIRECTORY}/{}", name(*number));
        let (bytes, segment) = read_any(stores, &name, sizes.get(number).copied().unwrap_or(0))?;
        for found in segment.blocks.iter().filter(|found| blocks.contains(&found.id)) {
            if let Some(block) = rows_of(&name, &bytes, found, types)? {
                take(block);
            }
        }
    }
    Ok(())
}

/// What was found in one segment.
struct Read {
    blocks: Vec<(BlockId, u64, Option<String>, Need)>,
    torn: Option<TornTail>,
    /// See [`Segment::keys`].
    keys: Option<Keys>,
}

impl Read {
    fn of(
        recovery: &Recovery<'_>,
        (number, bytes): (SegmentNumber, u64),
        taken: &Mutex<BTreeSet<BlockId>>,
    ) -> Result<Self, RecoverError> {
        let name = format!("{DIRECTORY}/{}", name(number));
        let (bytes, segment) = read_any(recovery.stores, &name, bytes)?;
        let torn = segment.documents.iter().find(|document| document.state == DocumentState::Torn);
        let torn = torn.map(|torn| TornTail { name: name.clone(), at: torn.at, bytes: torn.bytes });
        let mut blocks = Vec::new();
        for found in &segment.blocks {
            let need = (recovery.need)(&found.id);
            // A block is in two segments if the first one could not be finished.
            if need == Need::Load
                && lock(taken).insert(found.id.clone())
                && let Some(block) = rows_of(&name, &bytes, found, recovery.types)?
            {
                (recovery.take)(block);
            }
            blocks.push((found.id.clone(), found.rows, found.key.clone(), need));
        }
        Ok(Self { blocks, torn, keys: segment.keys })
    }
}

impl LogContent {
    /// The keys of the blocks of a source, also of blocks that are not in the log any more. The oldest is first.
    pub fn keys_of(&self, source: &str) -> Vec<String> {
        self.keys.of(source)
    }

    /// Whether there is no segment.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    fn add(&mut self, number: SegmentNumber, read: Read) {
        let mut needed = Vec::new();
        // The keys at the beginning of a segment include those of all earlier segments.
        self.keys = read.keys.unwrap_or_else(|| std::mem::take(&mut self.keys));
        for (id, rows, key, need) in read.blocks {
            let next = self.next_blocks.entry(id.source.clone()).or_default();
            *next = id.sequence.saturating_add(1).max(*next);
            key.iter().for_each(|key| self.keys.add(&id.source, key));
            if need != Need::None {
                self.blocks.insert(id.clone(), rows);
                needed.push(id);
            }
        }
        self.segments.push((number, needed));
        self.torn.extend(read.torn);
    }
}

/// The segments that at least one store has, the oldest first, each with the size in bytes of its longest copy.
fn segment_sizes(stores: &[Arc<dyn Store>]) -> Result<BTreeMap<SegmentNumber, u64>, LogError> {
    let (mut all, mut failed) = (BTreeMap::new(), None);
    let mut has_read = false;
    for store in stores {
        match sizes(&**store) {
            Ok(sizes) => {
                for (number, bytes) in sizes {
                    let longest = all.entry(number).or_default();
                    *longest = bytes.max(*longest);
                }
                has_read = true;
            }
            Err(error) => failed = Some(error),
        }
    }
    // A store that cannot be reached is no error while another store has everything.
    match failed {
        Some(error) if !has_read => Err(error),
        _ => Ok(all),
    }
}

/// Reads a segment from the first store that has it whole, or else from the store whose copy has the most documents
/// before its end. A copy that is shorter than `longest_bytes`, the longest copy, may lack its end.
fn read_any(stores: &[Arc<dyn Store>], name: &str, longest_bytes: u64) -> Result<(Vec<u8>, Segment), LogError> {
    let (mut first_error, mut best): (_, Option<(Vec<u8>, Segment)>) = (None, None);
    for store in stores {
        let error = match read(&**store, name) {
            Ok((bytes, segment)) => match damage(name, &segment) {
                None => {
                    let whole = |segment: &Segment| {
                        segment.documents.iter().filter(|document| document.state == DocumentState::Whole).count()
                    };
                    if whole(&segment) == segment.documents.len() && bytes.len() as u64 >= longest_bytes {
                        return Ok((bytes, segment));
                    }
                    let has_more = best.as_ref().is_none_or(|(_, best)| whole(&segment) > whole(best));
                    best = if has_more { Some((bytes, segment)) } else { best };
                    continue;
                }
                Some(error) => error,
            },
            Err(error) => error,
        };
        first_error.get_or_insert(error);
    }
    let missing = || LogError::Store { name: name.to_owned(), error: io::ErrorKind::NotFound.into() };
    best.ok_or_else(|| first_error.unwrap_or_else(missing))
}

fn damage(name: &str, segment: &Segment) -> Option<LogError> {
    segment.documents.iter().find_map(|document| match &document.state {
        DocumentState::Damaged(error) => {
            Some(LogError::Damaged { name: name.to_owned(), at: document.at, error: error.clone() })
        }
        DocumentState::Whole | DocumentState::Torn => None,
    })
}

/// The rows of a block. `None` if the job has no such source.
fn rows_of(
    name: &str,
    bytes: &[u8],
    found: &FoundBlock,
    types: &BTreeMap<String, RecordType>,
) -> Result<Option<Block>, RecoverError> {
    let Some(ty) = types.get(&found.id.source) else { return Ok(None) };
    if found.schema_id != schema_id(ty.fields()) {
        return Err(RecoverError::Type { source_name: found.id.source.clone() });
    }
    let mut rows = Vec::new();
    for (piece, range) in &found.pieces {
        let of_piece = record::rows(piece, bytes.get(range.clone()).unwrap_or_default(), ty);
        let failed = |error: ChunkError| RecoverError::Rows {
            block: found.id.clone(),
            name: name.to_owned(),
            error: error.into(),
        };
        rows.extend(of_piece.map_err(failed)?);
    }
    Ok(Some(Block { id: found.id.clone(), rows: Rows::from(rows) }))
}
