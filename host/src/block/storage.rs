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
        let shared =
            Shared { room: budget.most_of_room("rows"), spill: Spill::new(disk, settings), uses: Mutex::default() };
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
        self.counted.retain(|allocation| !new.contains(allocation));
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::env::Simulation;
    use crate::time::Time;
    use arrow::array::{Int64Array, StringArray};
    use proptest::prelude::*;

    /// A storage with so much memory beside instances, on a disk without limits.
    pub(crate) fn storage(budget: u64) -> Storage {
        on_disk(budget, &Simulation::new(0, Time::default()), u64::MAX, false)
    }

    fn on_disk(budget: u64, simulation: &Simulation, limit_bytes: u64, compressed: bool) -> Storage {
        let settings = SpillSettings { directory: None, limit_bytes, compressed };
        Storage::new(&MemoryBudget::new(budget, 0).unwrap(), simulation.env().disk, settings)
    }

    fn batch(from: i64, rows: usize) -> RecordBatch {
        let numbers: Int64Array = (from..).take(rows).map(Some).collect();
        let words: StringArray = (from..).take(rows).map(|n| (n % 3 > 0).then(|| format!("word {n}"))).collect();
        RecordBatch::try_from_iter([("n", Arc::new(numbers) as _), ("w", Arc::new(words) as _)]).unwrap()
    }

    fn stored(storage: &Storage, batches: &[RecordBatch]) -> StoredRows {
        let mut writer = storage.writer(1);
        batches.iter().for_each(|batch| writer.append(0, batch.clone()).unwrap());
        writer.finish()
    }

    fn read(rows: &StoredRows) -> Vec<RecordBatch> {
        rows.read(0).map(Result::unwrap).collect()
    }

    proptest! {
        /// Whatever is stored, read and dropped, and however little memory there is: what is read is what was written,
        /// the memory stays within its limit, and all of it is given back.
        #[test]
        fn memory_decides_only_where_rows_are(
            budget in 0u64..20_000,
            compressed: bool,
            steps in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(1usize..60, 0..6), any::<bool>()), 1..30),
        ) {
            let simulation = Simulation::new(0, Time::default());
            let storage = on_disk(budget, &simulation, u64::MAX, compressed);
            let mut kept: Vec<(StoredRows, Vec<RecordBatch>)> = Vec::new();
            for (at, sizes, drops) in steps {
                let batches: Vec<_> = sizes.iter().map(|rows| batch(*rows as i64, *rows)).collect();
                kept.push((stored(&storage, &batches), batches));
                prop_assert!(storage.memory_bytes() as u64 <= budget * 3 / 4);
                let at = at.index(kept.len());
                prop_assert_eq!(read(&kept[at].0), kept[at].1.clone());
                if drops {
                    kept.swap_remove(at);
                }
            }
            for (rows, batches) in kept {
                prop_assert_eq!(rows.row_count(), batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>());
                prop_assert_eq!(read(&rows), batches);
            }
            prop_assert_eq!(storage.memory_bytes(), 0);
            prop_assert_eq!(storage.shared.spill.bytes_in_files(), 0);
        }
    }

    #[test]
    fn what_was_not_used_for_the_longest_time_is_spilled_first() {
        let batches = [batch(0, 100)];
        let bytes = bytes_of(&batches) as u64;
        let storage = storage(bytes * 4 / 3 * 2 + 8);
        let (first, second) = (stored(&storage, &batches), stored(&storage, &batches));
        assert_eq!(storage.spilled_bytes(), 0);
        drop(first.read(0));
        let third = stored(&storage, &batches);
        let in_memory = |rows: &StoredRows| lock(&rows.entry.state).taken > 0;
        assert_eq!([&first, &second, &third].map(in_memory), [true, false, true]);
    }

    #[test]
    fn a_reader_goes_on_when_its_rows_are_spilled() {
        let batches = [batch(0, 10), batch(10, 10), batch(20, 10)];
        let storage = storage(100_000);
        let rows = stored(&storage, &batches);
        let mut reader = rows.read(0);
        assert_eq!(reader.next().unwrap().unwrap(), batches[0]);
        rows.entry.push_out().unwrap();
        assert_eq!(storage.memory_bytes(), 0);
        assert_eq!(reader.map(Result::unwrap).collect::<Vec<_>>(), batches[1..]);
    }

    #[test]
    fn without_room_anywhere_a_task_fails_and_a_received_block_stays() {
        let simulation = Simulation::new(0, Time::default());
        simulation.disk_space(10);
        let storage = on_disk(0, &simulation, u64::MAX, false);
        let error = storage.writer(1).append(0, batch(0, 9)).unwrap_err();
        assert!(error.to_string().starts_with("cannot write spilled data: "), "{error}");
        let mut writer = storage.writer(1);
        writer.append_anyway(0, batch(0, 9));
        assert_eq!(read(&writer.finish()), [batch(0, 9)]);
        let limited = on_disk(0, &Simulation::new(0, Time::default()), 100, false);
        let error = limited.writer(1).append(0, batch(0, 9)).unwrap_err();
        assert_eq!(error.to_string(), "spilled data would take more than engine.spill_limit = 100 bytes");
    }

    #[test]
    fn slices_of_one_allocation_are_counted_once() {
        let whole = batch(0, 1000);
        let halves = [whole.slice(0, 500), whole.slice(500, 500)];
        assert_eq!(bytes_of(&halves), bytes_of(&[whole.clone()]));
        let storage = storage(1_000_000);
        let rows = stored(&storage, &halves);
        assert_eq!(storage.memory_bytes(), bytes_of(&[whole]));
        drop(rows);
    }
}
