//! Rows are unchanged, wherever they were stored.

use super::super::row_bytes::{arrays, bytes_of};
use super::*;
use crate::env::Simulation;
use crate::time::Time;
use arrow::array::{Int64Array, StringArray};
use proptest::prelude::*;

/// Makes a storage with this much memory beside instances, on a disk without limits.
pub(crate) fn storage(budget: u64) -> RowStorage {
    on_disk(budget, &Simulation::new(0, Time::default()), u64::MAX, false)
}

fn on_disk(budget: u64, simulation: &Simulation, limit_bytes: u64, compressed: bool) -> RowStorage {
    let settings = SpillSettings { directory: None, limit_bytes, compressed };
    RowStorage::new(&MemoryBudget::new(budget, 0).unwrap(), simulation.env().disk, settings)
}

fn batch(from: i64, rows: usize) -> RecordBatch {
    let numbers: Int64Array = (from..).take(rows).map(Some).collect();
    let words: StringArray = (from..).take(rows).map(|n| (n % 3 > 0).then(|| format!("word {n}"))).collect();
    RecordBatch::try_from_iter([("n", Arc::new(numbers) as _), ("w", Arc::new(words) as _)]).unwrap()
}

/// The memory that these rows take.
fn bytes_in_memory(batches: &[RecordBatch]) -> usize {
    bytes_of(batches) + batches.iter().map(|batch| arrays(batch) * ARRAY_BYTES).sum::<usize>()
}

fn stored(storage: &RowStorage, batches: &[RecordBatch]) -> StoredRows {
    let mut writer = storage.writer(1);
    batches.iter().for_each(|batch| writer.append(0, batch.clone()).unwrap());
    writer.finish()
}

fn read(rows: &StoredRows) -> Vec<RecordBatch> {
    rows.read(0).map(Result::unwrap).collect()
}

proptest! {
    /// Whatever is stored, read and dropped, and however little memory there is: the rows that are read are the rows
    /// that were written, the memory stays within its limit, and all memory is given back.
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
    let bytes = bytes_in_memory(&batches) as u64;
    let storage = storage(bytes * 4 / 3 * 2 + 8);
    let (first, second) = (stored(&storage, &batches), stored(&storage, &batches));
    assert_eq!(storage.spilled_bytes(), 0);
    drop(first.read(0));
    let third = stored(&storage, &batches);
    let in_memory = |rows: &StoredRows| lock(&rows.entry.as_ref().unwrap().state).taken > 0;
    assert_eq!([&first, &second, &third].map(in_memory), [true, false, true]);
}

#[test]
fn a_reader_goes_on_when_its_rows_are_spilled() {
    let batches = [batch(0, 10), batch(10, 10), batch(20, 10)];
    let storage = storage(100_000);
    let rows = stored(&storage, &batches);
    let mut reader = rows.read(0);
    assert_eq!(reader.next().unwrap().unwrap(), batches[0]);
    rows.entry.as_ref().unwrap().push_out().unwrap();
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
    assert_eq!(bytes_of(&halves), bytes_of(std::slice::from_ref(&whole)));
    let storage = storage(1_000_000);
    let rows = stored(&storage, &halves);
    assert_eq!(storage.memory_bytes(), bytes_in_memory(std::slice::from_ref(&whole)) + 2 * ARRAY_BYTES);
    drop(rows);
}

/// Two shuffles of thousands of partitions over a few rows must not take memory for each pair of partitions.
#[test]
fn buckets_without_rows_take_nothing() {
    let storage = storage(1_000_000);
    let none: Vec<StoredRows> = (0..4096).map(|_| storage.writer(4096).finish()).collect();
    let mut writer = storage.writer(usize::MAX);
    writer.append(4095, batch(0, 1)).unwrap();
    let one = writer.finish();
    assert_eq!(storage.memory_bytes(), bytes_in_memory(&[batch(0, 1)]));
    assert_eq!(none.iter().map(StoredRows::row_count).sum::<u64>(), 0);
    assert_eq!(none[7].read(3).count(), 0);
    assert_eq!(one.buckets().map(|(bucket, size)| (bucket, size.rows)).collect::<Vec<_>>(), [(4095, 1)]);
    assert_eq!((one.read(4095).count(), one.read(0).count()), (1, 0));
}

/// A row in a file takes some memory as well.
#[test]
fn descriptions_of_rows_in_files_count() {
    let storage = storage(0);
    let described = storage.descriptions(UNCOUNTED_BYTES - PIECE_BYTES).unwrap();
    let error = storage.writer(1).only_files().append(0, batch(0, 1)).unwrap_err();
    assert!(error.to_string().contains("do not fit into engine.memory"), "{error}");
    drop(described);
    let rows = stored(&storage, &[batch(0, 1)]);
    assert!(storage.descriptions(UNCOUNTED_BYTES).is_err());
    drop(rows);
    assert!(storage.descriptions(UNCOUNTED_BYTES).is_ok());
}

#[test]
fn work_on_rows_pushes_stored_rows_out() {
    let storage = storage(10_000);
    let rows = stored(&storage, &[batch(0, 100)]);
    let mut scratch = storage.scratch();
    scratch.resize(WORK_UNCOUNTED_BYTES).unwrap();
    assert!(storage.memory_bytes() > 0);
    scratch.resize(WORK_UNCOUNTED_BYTES + 10_000).unwrap();
    assert_eq!(storage.memory_bytes(), 0);
    assert!(scratch.resize(WORK_UNCOUNTED_BYTES + 10_001).is_err());
    scratch.resize(500).unwrap();
    let again = stored(&storage, &[batch(0, 100)]);
    assert!(storage.memory_bytes() > 0);
    assert_eq!(read(&again), read(&rows));
}
