//! Segments of the write-ahead log: the files `ingest/received-EPOCH-NUMBER`, and how a segment is read.
//!
//! Owns the names of segments, and the order in which their documents must stand. The documents of a group are on stable
//! storage together, and a group is written only after the group before it is. So a broken document that is followed by a
//! document of a later group was damaged. A broken document that only documents of its own group may follow was torn by
//! a crash, and no receiver has acknowledged its group. Never writes a segment: see `write_ahead_log.rs`.

use super::super::allocation_segments::{DocumentState, LogError, SegmentDocument};
use super::super::codec::{self, CodecError, RECEIVED};
use super::keys::Keys;
use super::record::{self, Piece};
use crate::env::Store;
use crate::ids::BlockId;
use crate::shown::counted;
use std::ops::Range;

/// The directory of the log.
pub(super) const DIRECTORY: &str = "ingest";
/// The prefix of the names of segments.
const PREFIX: &str = "received-";
/// The largest segment that is read.
const SEGMENT_BYTES_MAX: u64 = 4 << 30;

/// Identifies a segment: the epoch of the owner that wrote it, and its number among the segments of that owner.
pub(super) type SegmentNumber = (u64, u64);

/// The name of a segment, without the directory.
pub(super) fn name((epoch, number): SegmentNumber) -> String {
    format!("{PREFIX}{epoch:08}-{number:08}")
}

fn number(name: &str) -> Option<SegmentNumber> {
    let (epoch, number) = name.strip_prefix(PREFIX)?.split_once('-')?;
    Some((epoch.parse().ok()?, number.parse().ok()?))
}

/// The numbers of all segments in a store, each with the size of the segment in bytes.
pub(super) fn sizes(store: &dyn Store) -> Result<Vec<(SegmentNumber, u64)>, LogError> {
    let failed = |error| LogError::Store { name: DIRECTORY.to_owned(), error };
    let pieces = store.list(DIRECTORY).map_err(failed)?.into_iter();
    Ok(pieces.filter_map(|piece| Some((number(&piece.name)?, piece.bytes))).collect())
}

/// A block in a segment.
pub(super) struct FoundBlock {
    pub(super) id: BlockId,
    pub(super) rows: u64,
    pub(super) schema_id: [u8; 32],
    pub(super) key: Option<String>,
    /// The pieces, and where the rows of each begin and end in the segment, in bytes.
    pub(super) pieces: Vec<(Piece, Range<usize>)>,
}

/// The content of a segment.
#[derive(Default)]
pub(super) struct Segment {
    /// The blocks that are whole, in order.
    pub(super) blocks: Vec<FoundBlock>,
    /// The documents, in order.
    pub(super) documents: Vec<SegmentDocument>,
    /// The keys at the beginning of the segment. `None` if the segment does not begin with keys.
    pub(super) keys: Option<Keys>,
    /// The group of the next document.
    group: u64,
    /// The block whose last piece did not come yet.
    open: Option<FoundBlock>,
}

impl Segment {
    /// Reads all documents, also those after a document that cannot be read.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut segment = Self::default();
        let mut at = 0usize;
        if let Ok((keys, length)) = Keys::decode(bytes) {
            let (what, state) = ("keys of blocks".to_owned(), DocumentState::Whole);
            segment.documents.push(SegmentDocument { at, bytes: length, what, state });
            segment.keys = Some(keys);
            at = length;
        }
        while at < bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            let (length, what, state) = match record::decode(rest) {
                Ok((piece, rows, length)) => {
                    let end = at.saturating_add(length);
                    let (what, state) = segment.take(piece, end.saturating_sub(rows.len())..end);
                    (length, what, state)
                }
                Err(error) => {
                    segment.open = None;
                    let next = codec::find(RECEIVED, bytes, at.saturating_add(1));
                    match next.filter(|next| segment.is_damaged(bytes, *next)) {
                        Some(next) => (next.saturating_sub(at), String::new(), DocumentState::Damaged(error)),
                        None if matches!(error, CodecError::Version(_) | CodecError::Payload(_)) => {
                            (rest.len(), String::new(), DocumentState::Damaged(error))
                        }
                        None => (rest.len(), String::new(), DocumentState::Torn),
                    }
                }
            };
            segment.documents.push(SegmentDocument { at, bytes: length, what, state });
            at = at.saturating_add(length);
        }
        segment
    }

    /// Whether a broken document was damaged: from `next` on, there is a document of a later group than its own.
    fn is_damaged(&mut self, bytes: &[u8], next: usize) -> bool {
        let mut at = Some(next);
        while let Some(place) = at {
            let Ok((piece, _, length)) = record::decode(bytes.get(place..).unwrap_or_default()) else { return false };
            if piece.group > self.group {
                // The documents after the broken one are read as far as they can be read.
                self.group = piece.group;
                return true;
            }
            let end = place.saturating_add(length);
            at = codec::find(RECEIVED, bytes, end);
        }
        false
    }

    fn take(&mut self, piece: Piece, range: Range<usize>) -> (String, DocumentState) {
        let what = format!("{} of block {}", counted(piece.rows.into(), "row"), piece.block());
        let goes_on = self.open.as_ref().is_some_and(|open| open.id == piece.block());
        let is_in_place = piece.group == self.group && goes_on != piece.begins_block;
        if piece.ends_group {
            self.group = piece.group.saturating_add(1);
        }
        if !is_in_place {
            self.open = None;
            return (what, DocumentState::Damaged(CodecError::Payload("it is not where it should be".to_owned())));
        }
        let (ends_block, rows) = (piece.ends_block, u64::from(piece.rows));
        let open = self.open.get_or_insert_with(|| FoundBlock {
            id: piece.block(),
            rows: 0,
            schema_id: piece.schema_id,
            key: piece.key.clone(),
            pieces: Vec::new(),
        });
        open.rows = open.rows.saturating_add(rows);
        open.pieces.push((piece, range));
        if ends_block {
            self.blocks.extend(self.open.take());
        }
        (what, DocumentState::Whole)
    }
}

/// Reads a segment, with its bytes.
pub(super) fn read(store: &dyn Store, name: &str) -> Result<(Vec<u8>, Segment), LogError> {
    let bytes =
        store.read(name, SEGMENT_BYTES_MAX).map_err(|error| LogError::Store { name: name.to_owned(), error })?;
    let segment = Segment::of(&bytes);
    Ok((bytes, segment))
}

/// The documents of each segment in a store, in order, with the name and the size in bytes of the segment. Segments that
/// are removed in the meantime are left out.
pub(in super::super) fn read_documents(
    store: &dyn Store,
) -> Result<Vec<(String, u64, Vec<SegmentDocument>)>, LogError> {
    let mut numbers = sizes(store)?;
    numbers.sort_unstable();
    let mut segments = Vec::new();
    for (number, _) in numbers {
        let name = format!("{DIRECTORY}/{}", name(number));
        match read(store, &name) {
            Ok((bytes, segment)) => segments.push((name, bytes.len() as u64, segment.documents)),
            Err(LogError::Store { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(segments)
}
