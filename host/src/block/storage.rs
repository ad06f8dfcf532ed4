//! Storage of rows: in memory while there is room, then in files.
//!
//! Owns the one mechanism that received blocks, shuffles and data sets use. If new rows need memory, the rows that were
//! not used for the longest time are moved to files. Readers get the same rows from memory and from files.

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

/// Stores rows. Clones share the same storage.
#[derive(Clone)]
pub struct RowStorage {
    shared: Arc<Shared>,
}

/// The memory of an array besides its values. Columns have a cost of their own, which matters if there are few rows.
const ARRAY_BYTES: usize = 192;
/// The memory of the description of a piece, whether the piece is in memory or in a file.
const PIECE_BYTES: usize = 96;
/// The memory for the rows of one task, however few they are.
const ENTRY_BYTES: usize = 512;
/// Descriptions may always take this many bytes, so that a job can continue when instances take all the memory.
const UNCOUNTED_BYTES: usize = 8 * 1024 * 1024;
/// Work on rows may always take this many bytes, for the same reason. It is enough for two files of columns.
const WORK_UNCOUNTED_BYTES: usize = 24 * 1024 * 1024;

struct Shared {
    budget: MemoryBudget,
    room: Room,
    /// The memory of the descriptions of pieces and tasks.
    overhead: Overhead,
    /// The memory for work on rows.
    work: Overhead,
    spill: Spill,
    uses: Mutex<Uses>,
}

/// The entries in memory that can be moved to files, by their last use.
#[derive(Default)]
struct Uses {
    count: u64,
    entries: BTreeMap<u64, Weak<Entry>>,
}

/// A batch of a stored partition.
enum StoredBatch {
    Memory(RecordBatch),
    File(Segment),
}

/// How much data is in a bucket. The size depends only on the rows, not on where they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketSize {
    /// The number of rows.
    pub rows: u64,
    /// The bytes of the rows' values.
    pub bytes: u64,
}

/// The pieces of each bucket, in order. A bucket without rows has no pieces.
type Buckets = BTreeMap<usize, Vec<StoredBatch>>;

/// Rows in buckets. The rows of a bucket have an order.
struct Entry {
    shared: Arc<Shared>,
    /// The sizes of the buckets that have rows.
    sizes: BTreeMap<usize, BucketSize>,
    /// The memory that was taken for the entry's descriptions.
    overhead: usize,
    state: Mutex<State>,
}

struct State {
    buckets: Buckets,
    /// The memory that was taken for the pieces in memory.
    taken: usize,
    /// The key of the entry in the list of uses. `None` if no piece is in memory.
    last_use: Option<u64>,
}

/// Rows that stay stored until the last clone is dropped. A value without rows takes no memory.
#[derive(Clone, Default)]
pub struct StoredRows {
    entry: Option<Arc<Entry>>,
}

impl RowStorage {
    /// Makes a storage that uses most of the memory that `budget` has left, and `disk` for the rest.
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

    /// Makes a writer of rows in this many buckets.
    pub fn writer(&self, buckets: usize) -> RowsWriter {
        RowsWriter::new(self.shared.clone(), buckets)
    }

    /// Makes a share of memory for work on rows, which is empty at first. Stored rows are moved to files if the work
    /// needs their memory.
    pub fn scratch(&self) -> Scratch {
        Scratch { bytes: 0, shared: self.shared.clone() }
    }

    /// Takes memory for descriptions. The memory is given back when the result is dropped.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn descriptions(&self, bytes: usize) -> Result<Described, NoRoom> {
        self.shared.overhead.add(bytes)?;
        Ok(Described { shared: self.shared.clone(), bytes })
    }

    /// How many bytes were written to files since the run began.
    pub fn spilled_bytes(&self) -> u64 {
        self.shared.spill.written_bytes()
    }

    /// How much of the job's memory is not for plugin instances, in bytes.
    pub fn for_data(&self) -> usize {
        self.shared.budget.for_data()
    }

    /// How many bytes of the memory budget are taken.
    pub fn memory_bytes(&self) -> usize {
        self.shared.room.taken()
    }
}

impl Shared {
    /// Takes `bytes` of memory; moves other rows to files if necessary. Returns false if there is not enough memory
    /// even so.
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

    /// Removes the entry that was not used for the longest time from the list of uses, and returns it.
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
    /// Moves all pieces to a file. If that fails, the pieces stay in memory.
    fn push_out(self: &Arc<Self>) -> Result<(), SpillError> {
        let mut state = lock(&self.state);
        state.last_use = None;
        let mut written = Vec::new();
        for piece in state.buckets.values().flatten() {
            if let StoredBatch::Memory(batch) = piece {
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
        let pieces = state.buckets.values_mut().flatten().filter(|piece| matches!(piece, StoredBatch::Memory(_)));
        pieces.zip(written).for_each(|(piece, segment)| *piece = StoredBatch::File(segment));
        self.shared.room.give_back(std::mem::take(&mut state.taken));
        Ok(())
    }

    /// Notes that the entry is used now.
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
            StoredBatch::Memory(batch) => return Some(Ok(batch.clone())),
            StoredBatch::File(segment) => segment.clone(),
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
    /// The buckets that have rows, with their sizes.
    pub fn buckets(&self) -> impl Iterator<Item = (usize, BucketSize)> {
        self.entry.iter().flat_map(|entry| entry.sizes.iter().map(|(bucket, size)| (*bucket, *size)))
    }

    /// The number of rows in all buckets.
    pub fn row_count(&self) -> u64 {
        self.buckets().map(|(_, size)| size.rows).sum()
    }

    /// The size of a bucket.
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

/// Reads a bucket, batch by batch. Besides the memory of the storage, only the current batch takes memory.
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
