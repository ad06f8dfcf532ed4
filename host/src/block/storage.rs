//! Where rows are kept: in memory as long as there is room, then in files.
//!
//! Owns the one mechanism behind received blocks, shuffles and data sets. Whoever takes room last pushes out what was
//! not used for the longest time. What is read does not depend on where it was.

mod lent;
mod writer;

pub use lent::{Described, Scratch};
pub use writer::RowsWriter;

use super::spill::{Segment, Spill, SpillError, SpillSettings};
use crate::env::Disk;
use crate::lock::lock;
use crate::memory::{MemoryBudget, NoRoom, Overhead, Room};
use arrow::array::RecordBatch;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

/// Keeps rows. Clones share it.
#[derive(Clone)]
pub struct Storage {
    shared: Arc<Shared>,
}

/// What an array takes in memory beside its values: its columns are not free where rows are few.
const ARRAY_BYTES: usize = 192;
/// What the description of a piece takes, in memory or in a file.
const PIECE_BYTES: usize = 96;
/// What rows of one task take, however few they are.
const ENTRY_BYTES: usize = 512;
/// What all descriptions may take in any case, so that a job goes on where instances have all the memory.
const UNCOUNTED_BYTES: usize = 8 * 1024 * 1024;
/// What all work on rows may take in any case, for the same reason: enough for two files of columns.
const WORK_UNCOUNTED_BYTES: usize = 24 * 1024 * 1024;

struct Shared {
    budget: MemoryBudget,
    room: Room,
    /// What the descriptions of pieces and tasks take.
    overhead: Overhead,
    /// What work on rows takes.
    work: Overhead,
    spill: Spill,
    uses: Mutex<Uses>,
}

/// What is in memory and could be pushed out, by its last use.
#[derive(Default)]
struct Uses {
    count: u64,
    entries: BTreeMap<u64, Weak<Entry>>,
}

/// A batch of a stored partition.
enum Piece {
    Memory(RecordBatch),
    File(Segment),
}

/// How much is in a bucket. Follows from the rows alone, wherever they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketSize {
    /// Rows.
    pub rows: u64,
    /// The bytes of their values.
    pub bytes: u64,
}

/// The pieces of a bucket, in order. A bucket without rows has none.
type Buckets = BTreeMap<usize, Vec<Piece>>;

/// Rows in buckets, each in order.
struct Entry {
    shared: Arc<Shared>,
    /// Of the buckets with rows.
    sizes: BTreeMap<usize, BucketSize>,
    /// What was taken for its descriptions.
    overhead: usize,
    state: Mutex<State>,
}

struct State {
    buckets: Buckets,
    /// What was taken for the pieces in memory.
    taken: usize,
    /// The key among the uses, while there is a piece in memory.
    last_use: Option<u64>,
}

/// Rows that are kept until the last clone is dropped. No rows take no memory.
#[derive(Clone, Default)]
pub struct StoredRows {
    entry: Option<Arc<Entry>>,
}

impl Storage {
    /// Keeps rows in most of the memory that `budget` has left, and beyond that on `disk`.
    pub fn new(budget: &MemoryBudget, disk: Arc<dyn Disk>, settings: SpillSettings) -> Self {
        let shared = Shared {
            budget: budget.clone(),
            room: budget.most_of_room("rows"),
            overhead: budget.overhead("descriptions", UNCOUNTED_BYTES),
            work: budget.overhead("work on rows", WORK_UNCOUNTED_BYTES),
            spill: Spill::new(disk, settings),
            uses: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A writer of rows in this many buckets.
    pub fn writer(&self, buckets: usize) -> RowsWriter {
        RowsWriter::new(self.shared.clone(), buckets)
    }

    /// Memory for work on rows, none of it taken yet. Stored rows go to files to make room for it.
    pub fn scratch(&self) -> Scratch {
        Scratch { bytes: 0, shared: self.shared.clone() }
    }

    /// Memory for descriptions, until it is dropped.
    ///
    /// # Errors
    /// When it is not there.
    pub fn descriptions(&self, bytes: usize) -> Result<Described, NoRoom> {
        self.shared.overhead.add(bytes)?;
        Ok(Described { shared: self.shared.clone(), bytes })
    }

    /// How many bytes were written to files since the beginning.
    pub fn spilled_bytes(&self) -> u64 {
        self.shared.spill.written_bytes()
    }

    /// What the job's memory has beside plugin instances, in bytes.
    pub fn for_data(&self) -> usize {
        self.shared.budget.for_data()
    }

    /// What is taken of the memory budget, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.shared.room.taken()
    }
}

impl Shared {
    /// Takes room for `bytes`, pushing out others if need be. False if there is not enough of it.
    fn take(&self, bytes: usize) -> Result<bool, SpillError> {
        while self.room.take(bytes).is_err() {
            if !self.room.could_hold(bytes) {
                return Ok(false);
            }
            let Some(entry) = self.oldest() else { return Ok(false) };
            entry.push_out()?;
        }
        Ok(true)
    }

    /// Takes the entry that was not used for the longest time out of the list.
    fn oldest(&self) -> Option<Arc<Entry>> {
        let mut uses = lock(&self.uses);
        loop {
            let (_, entry) = uses.entries.pop_first()?;
            if let Some(entry) = entry.upgrade() {
                return Some(entry);
            }
        }
    }
}

impl Entry {
    /// Moves all pieces to a file. If that fails they stay where they are.
    fn push_out(self: &Arc<Self>) -> Result<(), SpillError> {
        let mut state = lock(&self.state);
        state.last_use = None;
        let mut written = Vec::new();
        for piece in state.buckets.values().flatten() {
            if let Piece::Memory(batch) = piece {
                match self.shared.spill.write(batch) {
                    Ok(segment) => written.push(segment),
                    Err(error) => {
                        drop(state);
                        self.used();
                        return Err(error);
                    }
                }
            }
        }
        let pieces = state.buckets.values_mut().flatten().filter(|piece| matches!(piece, Piece::Memory(_)));
        pieces.zip(written).for_each(|(piece, segment)| *piece = Piece::File(segment));
        self.shared.room.give_back(std::mem::take(&mut state.taken));
        Ok(())
    }

    /// Notes that it is used now.
    fn used(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        if state.taken == 0 {
            return;
        }
        let mut uses = lock(&self.shared.uses);
        if let Some(last) = state.last_use {
            uses.entries.remove(&last);
        }
        uses.count += 1;
        let now = uses.count;
        uses.entries.insert(now, Arc::downgrade(self));
        state.last_use = Some(now);
    }

    fn piece(&self, bucket: usize, at: usize) -> Option<Result<RecordBatch, SpillError>> {
        let segment = match lock(&self.state).buckets.get(&bucket)?.get(at)? {
            Piece::Memory(batch) => return Some(Ok(batch.clone())),
            Piece::File(segment) => segment.clone(),
        };
        Some(segment.read())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let state = lock(&self.state);
        if let Some(last) = state.last_use {
            lock(&self.shared.uses).entries.remove(&last);
        }
        self.shared.room.give_back(state.taken);
        self.shared.overhead.remove(self.overhead);
    }
}

impl StoredRows {
    /// The buckets that have rows, with how much is in them.
    pub fn buckets(&self) -> impl Iterator<Item = (usize, BucketSize)> {
        self.entry.iter().flat_map(|entry| entry.sizes.iter().map(|(bucket, size)| (*bucket, *size)))
    }

    /// The number of rows in all buckets.
    pub fn row_count(&self) -> u64 {
        self.buckets().map(|(_, size)| size.rows).sum()
    }

    /// How much is in a bucket.
    pub fn bucket_size(&self, bucket: usize) -> BucketSize {
        self.entry.as_ref().and_then(|entry| entry.sizes.get(&bucket)).copied().unwrap_or_default()
    }

    /// Reads the rows of a bucket, in order.
    pub fn read(&self, bucket: usize) -> RowsReader {
        if let Some(entry) = &self.entry {
            entry.used();
        }
        RowsReader { entry: self.entry.clone(), bucket, next: 0 }
    }
}

/// Reads a bucket, batch by batch. Only the batch at hand needs memory beyond what the storage has.
pub struct RowsReader {
    entry: Option<Arc<Entry>>,
    bucket: usize,
    next: usize,
}

impl Iterator for RowsReader {
    type Item = Result<RecordBatch, SpillError>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.entry.as_ref()?.piece(self.bucket, self.next);
        self.next += 1;
        piece
    }
}

#[cfg(test)]
pub(super) mod tests;
