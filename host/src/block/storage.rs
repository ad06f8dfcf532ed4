//! Where rows are kept: in memory as long as there is room, then in files.
//!
//! Owns the one mechanism behind received blocks, shuffles and data sets. Whoever takes room last pushes out what was
//! not used for the longest time. What is read does not depend on where it was.

use super::lock;
use super::spill::{Segment, Spill, SpillError, SpillSettings};
use crate::env::Disk;
use crate::memory::{MemoryBudget, Room};
use arrow::array::{ArrayData, RecordBatch};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, Weak};

/// Keeps rows. Clones share it.
#[derive(Clone)]
pub struct Storage {
    shared: Arc<Shared>,
}

struct Shared {
    room: Room,
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

/// Rows in buckets, each in order.
struct Entry {
    shared: Arc<Shared>,
    rows: Vec<u64>,
    state: Mutex<State>,
}

struct State {
    buckets: Vec<Vec<Piece>>,
    /// What was taken for the pieces in memory.
    taken: usize,
    /// The key among the uses, while there is a piece in memory.
    last_use: Option<u64>,
}

/// Rows that are kept until the last clone is dropped.
#[derive(Clone)]
pub struct StoredRows {
    entry: Arc<Entry>,
}

impl Storage {
    /// Keeps rows in most of the memory that `budget` has left, and beyond that on `disk`.
    pub fn new(budget: &MemoryBudget, disk: Arc<dyn Disk>, settings: SpillSettings) -> Self {
        let shared = Shared { room: budget.most_of_room("rows"), spill: Spill::new(disk, settings), uses: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// A writer of rows in this many buckets.
    pub fn writer(&self, buckets: usize) -> RowsWriter {
        RowsWriter {
            shared: self.shared.clone(),
            rows: vec![0; buckets],
            buckets: (0..buckets).map(|_| Vec::new()).collect(),
            counted: HashSet::new(),
            taken: 0,
            only_files: false,
        }
    }

    /// How many bytes were written to files since the beginning.
    pub fn spilled_bytes(&self) -> u64 {
        self.shared.spill.written_bytes()
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
        for piece in state.buckets.iter().flatten() {
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
        let pieces = state.buckets.iter_mut().flatten().filter(|piece| matches!(piece, Piece::Memory(_)));
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
        let segment = match lock(&self.state).buckets.get(bucket)?.get(at)? {
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
    }
}

impl StoredRows {
    /// The number of rows in all buckets.
    pub fn row_count(&self) -> u64 {
        self.entry.rows.iter().sum()
    }

    /// The number of rows in a bucket.
    pub fn bucket_rows(&self, bucket: usize) -> u64 {
        self.entry.rows.get(bucket).copied().unwrap_or(0)
    }

    /// Reads the rows of a bucket, in order.
    pub fn read(&self, bucket: usize) -> RowsReader {
        self.entry.used();
        RowsReader { entry: self.entry.clone(), bucket, next: 0 }
    }
}

/// Reads a bucket, batch by batch. Only the batch at hand needs memory beyond what the storage has.
pub struct RowsReader {
    entry: Arc<Entry>,
    bucket: usize,
    next: usize,
}

impl Iterator for RowsReader {
    type Item = Result<RecordBatch, SpillError>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.entry.piece(self.bucket, self.next);
        self.next += 1;
        piece
    }
}

/// Takes in rows that are being computed. Dropping it forgets them.
pub struct RowsWriter {
    shared: Arc<Shared>,
    rows: Vec<u64>,
    buckets: Vec<Vec<Piece>>,
    /// The allocations of the pieces in memory: slices of one are counted once.
    counted: HashSet<usize>,
    taken: usize,
    only_files: bool,
}

impl RowsWriter {
    /// Writes everything to files, whether there is memory or not.
    #[must_use]
    pub fn only_files(mut self) -> Self {
        self.only_files = true;
        self
    }

    /// Adds rows to a bucket.
    ///
    /// # Errors
    /// When there is no room for them in memory, and none on the disk.
    pub fn append(&mut self, bucket: usize, batch: RecordBatch) -> Result<(), SpillError> {
        if self.only_files || !self.keep(bucket, &batch)? {
            self.push_out()?;
            let segment = self.shared.spill.write(&batch)?;
            self.add(bucket, batch.num_rows(), Piece::File(segment));
        }
        Ok(())
    }

    /// Adds rows to a bucket, in memory without taking room if there is none anywhere.
    pub fn append_anyway(&mut self, bucket: usize, batch: RecordBatch) {
        if let Err(error) = self.append(bucket, batch.clone()) {
            tracing::warn!("{error}; the rows stay in memory, beyond engine.memory");
            self.add(bucket, batch.num_rows(), Piece::Memory(batch));
        }
    }

    /// Keeps rows in memory. False if there is no room.
    fn keep(&mut self, bucket: usize, batch: &RecordBatch) -> Result<bool, SpillError> {
        let mut new = Vec::new();
        let bytes = allocations(batch, &mut |allocation, bytes| {
            let is_new = self.counted.insert(allocation);
            if is_new {
                new.push(allocation);
            }
            if is_new { bytes } else { 0 }
        });
        if self.shared.take(bytes)? {
            self.taken += bytes;
            self.add(bucket, batch.num_rows(), Piece::Memory(batch.clone()));
            return Ok(true);
        }
        new.iter().for_each(|allocation| drop(self.counted.remove(allocation)));
        Ok(false)
    }

    fn add(&mut self, bucket: usize, rows: usize, piece: Piece) {
        if let (Some(pieces), Some(count)) = (self.buckets.get_mut(bucket), self.rows.get_mut(bucket)) {
            pieces.push(piece);
            *count += rows as u64;
        }
    }

    /// Moves what is in memory to a file.
    fn push_out(&mut self) -> Result<(), SpillError> {
        for piece in self.buckets.iter_mut().flatten() {
            if let Piece::Memory(batch) = piece {
                *piece = Piece::File(self.shared.spill.write(batch)?);
            }
        }
        self.counted.clear();
        self.shared.room.give_back(std::mem::take(&mut self.taken));
        Ok(())
    }

    /// Keeps what was written.
    pub fn finish(mut self) -> StoredRows {
        let state = State {
            buckets: std::mem::take(&mut self.buckets),
            taken: std::mem::take(&mut self.taken),
            last_use: None,
        };
        let rows = std::mem::take(&mut self.rows);
        let entry = Arc::new(Entry { shared: self.shared.clone(), rows, state: Mutex::new(state) });
        entry.used();
        StoredRows { entry }
    }
}

impl Drop for RowsWriter {
    fn drop(&mut self) {
        self.shared.room.give_back(self.taken);
    }
}

/// The bytes that rows take in memory, each allocation counted once.
pub fn bytes_of(rows: &[RecordBatch]) -> usize {
    let mut counted = HashSet::new();
    let mut count = |allocation, bytes| if counted.insert(allocation) { bytes } else { 0 };
    rows.iter().map(|batch| allocations(batch, &mut count)).sum()
}

/// The sum of what `count` gives for the address and size of each allocation.
fn allocations(batch: &RecordBatch, count: &mut dyn FnMut(usize, usize) -> usize) -> usize {
    fn visit(data: &ArrayData, count: &mut dyn FnMut(usize, usize) -> usize) -> usize {
        let validity = data.nulls().map(|nulls| nulls.buffer());
        let buffers = data.buffers().iter().chain(validity);
        let own: usize = buffers.map(|buffer| count(buffer.data_ptr().addr().get(), buffer.capacity())).sum();
        own + data.child_data().iter().map(|child| visit(child, count)).sum::<usize>()
    }
    batch.columns().iter().map(|column| visit(&column.to_data(), count)).sum()
}
