//! Where rows are kept: in memory as long as there is room, then in files.
//!
//! Owns the one mechanism behind received blocks, shuffles and data sets. Whoever takes room last pushes out what was
//! not used for the longest time. What is read does not depend on where it was.

use super::spill::{Segment, Spill, SpillError, SpillSettings};
use crate::env::Disk;
use crate::lock::lock;
use crate::memory::{MemoryBudget, NoRoom, Overhead, Room};
use arrow::array::{ArrayData, RecordBatch};
use arrow::datatypes::DataType;
use std::collections::{BTreeMap, HashSet};
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
        RowsWriter {
            shared: self.shared.clone(),
            count: buckets,
            sizes: BTreeMap::new(),
            buckets: Buckets::new(),
            counted: HashSet::new(),
            overhead: 0,
            taken: 0,
            only_files: false,
        }
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

/// Takes in rows that are being computed. Dropping it forgets them.
pub struct RowsWriter {
    shared: Arc<Shared>,
    /// How many buckets there may be.
    count: usize,
    sizes: BTreeMap<usize, BucketSize>,
    buckets: Buckets,
    /// The allocations of the pieces in memory: slices of one are counted once.
    counted: HashSet<usize>,
    /// What was taken for descriptions.
    overhead: usize,
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
        let bytes = PIECE_BYTES + if self.overhead == 0 { ENTRY_BYTES } else { 0 };
        self.shared.overhead.add(bytes)?;
        self.overhead += bytes;
        if self.only_files || !self.keep(bucket, &batch)? {
            self.push_out()?;
            let segment = self.shared.spill.write(&batch)?;
            self.add(bucket, &batch, Piece::File(segment));
        }
        Ok(())
    }

    /// Adds rows to a bucket, in memory without taking room if there is none anywhere.
    pub fn append_anyway(&mut self, bucket: usize, batch: RecordBatch) {
        if let Err(error) = self.append(bucket, batch.clone()) {
            tracing::warn!("{error}; the rows stay in memory, beyond engine.memory");
            self.add(bucket, &batch, Piece::Memory(batch.clone()));
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
        }) + arrays(batch) * ARRAY_BYTES;
        if self.shared.take(bytes)? {
            self.taken += bytes;
            self.add(bucket, batch, Piece::Memory(batch.clone()));
            return Ok(true);
        }
        self.counted.retain(|allocation| !new.contains(allocation));
        Ok(false)
    }

    fn add(&mut self, bucket: usize, batch: &RecordBatch, piece: Piece) {
        if bucket < self.count {
            self.buckets.entry(bucket).or_default().push(piece);
            let size = self.sizes.entry(bucket).or_default();
            size.rows += batch.num_rows() as u64;
            size.bytes += value_bytes(batch);
        }
    }

    /// Moves what is in memory to a file.
    fn push_out(&mut self) -> Result<(), SpillError> {
        for piece in self.buckets.values_mut().flatten() {
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
        if self.buckets.is_empty() {
            return StoredRows::default();
        }
        let state = State {
            buckets: std::mem::take(&mut self.buckets),
            taken: std::mem::take(&mut self.taken),
            last_use: None,
        };
        let sizes = std::mem::take(&mut self.sizes);
        let overhead = std::mem::take(&mut self.overhead);
        let entry = Arc::new(Entry { shared: self.shared.clone(), sizes, overhead, state: Mutex::new(state) });
        entry.used();
        StoredRows { entry: Some(entry) }
    }
}

impl Drop for RowsWriter {
    fn drop(&mut self) {
        self.shared.room.give_back(self.taken);
        self.shared.overhead.remove(self.overhead);
    }
}

/// Memory for descriptions. Given back when dropped.
pub struct Described {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Drop for Described {
    fn drop(&mut self) {
        self.shared.overhead.remove(self.bytes);
    }
}

/// Memory for work on rows. Given back when dropped.
pub struct Scratch {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Scratch {
    /// Makes it so many bytes. Rows that are stored go to files if that makes room.
    ///
    /// # Errors
    /// When there is no room for them in memory, or none on the disk for what has to go there.
    pub fn resize(&mut self, bytes: usize) -> Result<(), SpillError> {
        if bytes <= self.bytes {
            self.shared.work.remove(self.bytes - bytes);
            self.bytes = bytes;
            return Ok(());
        }
        while let Err(error) = self.shared.work.add(bytes - self.bytes) {
            let Some(entry) = self.shared.oldest() else { return Err(error.into()) };
            entry.push_out()?;
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.shared.work.remove(self.bytes);
    }
}

/// How many arrays rows consist of.
fn arrays(batch: &RecordBatch) -> usize {
    fn count(ty: &DataType) -> usize {
        match ty {
            DataType::Struct(members) => 1 + members.iter().map(|member| count(member.data_type())).sum::<usize>(),
            DataType::List(item) => 1 + count(item.data_type()),
            _ => 1,
        }
    }
    batch.schema_ref().fields().iter().map(|field| count(field.data_type())).sum()
}

/// The bytes of the values of rows, without the rest of the allocations that they share.
pub fn value_bytes(batch: &RecordBatch) -> u64 {
    let columns = batch.columns().iter();
    columns.map(|column| column.to_data().get_slice_memory_size().unwrap_or(0) as u64).sum()
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

#[cfg(test)]
pub(super) mod tests;
