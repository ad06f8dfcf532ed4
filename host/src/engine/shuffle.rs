//! The shuffle: brings rows from every map task to the reduce task of their key.
//!
//! Owns the buckets of a batch. Buckets are read in the order of the map partitions, and the rows of a bucket in the
//! order in which they were written. So a reduce task sees the same rows in the same order each time it runs.

use super::external;
use crate::block::{RowStorage, RowsWriter, Scratch, SpillError, StoredRows};
use crate::data::chunk;
use crate::data::key::{KeyEncoder, group_of, partition_of};
use crate::data::schema::RecordType;
use crate::ids::StageId;
use crate::lock::lock;
use crate::time::Time;
use arrow::array::{RecordBatch, UInt32Array};
use arrow::buffer::ScalarBuffer;
use arrow::compute::take_record_batch;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

/// Distributes the rows of one map task to buckets.
pub(super) struct ShuffleWriter {
    /// Encodes the keys. `None` if rows are distributed to the buckets in turn.
    keys: Option<KeyEncoder>,
    /// The bucket of the next row, if rows are distributed in turn.
    turn: usize,
    partitions: usize,
    buckets: RowsWriter,
    hashes: Vec<u64>,
    /// Memory for the encoding of long keys, while they are hashed.
    scratch: Scratch,
}

/// The most bytes of an encoded key for each byte of its values. A list of booleans is stored as bits and encoded as
/// bytes.
const ENCODED_KEY_BYTES: usize = 8;
/// If all keys of a batch together have fewer bytes than this, the length of each key is not checked.
const SHORT_KEYS_BYTES: usize = 128 * 1024;

impl ShuffleWriter {
    /// Makes a writer for keys of this type. Without a key type, rows are distributed to the buckets in turn. The first
    /// bucket then depends on the map partition, so that the first buckets do not get all rows of small partitions.
    pub(super) fn new(storage: &RowStorage, key: Option<&RecordType>, map: u32, partitions: u32) -> Self {
        let partitions = partitions.max(1) as usize;
        Self {
            keys: key.map(KeyEncoder::new),
            turn: map as usize % partitions,
            partitions,
            buckets: storage.writer(partitions),
            hashes: Vec::new(),
            scratch: storage.scratch(),
        }
    }

    /// Reserves the memory for encoding the longest key.
    fn make_room_for_keys(&mut self, batch: &RecordBatch) -> Result<(), SpillError> {
        // Keys of other types are hashed where they are stored, or are short.
        if !batch.column(0).data_type().is_nested() {
            return Ok(());
        }
        let keys = batch.project(&[0]).unwrap_or_else(|_| batch.clone());
        if chunk::row_bytes(&keys, 0..keys.num_rows()) <= SHORT_KEYS_BYTES {
            return self.scratch.resize(0);
        }
        let longest = (0..keys.num_rows()).map(|row| chunk::row_bytes(&keys, row..row + 1)).max().unwrap_or(0);
        self.scratch.resize(if longest > SHORT_KEYS_BYTES { ENCODED_KEY_BYTES * longest } else { 0 })
    }

    /// Adds rows. The key is their first column.
    pub(super) fn write(&mut self, batch: RecordBatch) -> datafusion_common::Result<()> {
        let partitions = self.partitions;
        if partitions == 1 {
            return self.buckets.append(0, batch).map_err(external);
        }
        if self.keys.is_some() {
            self.make_room_for_keys(&batch).map_err(external)?;
        }
        // The number of a partition fits into `u32`.
        let of_rows: Vec<u32> = if let Some(keys) = &self.keys {
            keys.hash_column(batch.column(0), &mut self.hashes).map_err(external)?;
            self.hashes.iter().map(|hash| partition_of(group_of(*hash), partitions) as u32).collect()
        } else {
            let first = self.turn;
            self.turn = (first + batch.num_rows()) % partitions;
            (first..).take(batch.num_rows()).map(|turn| (turn % partitions) as u32).collect()
        };
        for (bucket, rows) in by_bucket(&of_rows) {
            let batch = take_record_batch(&batch, &rows)?;
            self.buckets.append(bucket, batch).map_err(external)?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> StoredRows {
        self.buckets.finish()
    }
}

/// Groups rows by bucket, each group with its rows in order. A bucket without rows is left out.
fn by_bucket(of_rows: &[u32]) -> impl Iterator<Item = (usize, UInt32Array)> {
    // The rows are sorted by counting, within the range of buckets that occur.
    let first = of_rows.iter().min().copied().unwrap_or_default();
    let last = of_rows.iter().max().copied().unwrap_or_default();
    let mut ends = vec![0u32; (last - first) as usize + 2];
    of_rows.iter().for_each(|bucket| ends[(bucket - first) as usize + 1] += 1);
    let mut end = 0;
    ends.iter_mut().for_each(|count| {
        end += *count;
        *count = end;
    });
    let mut next = ends.clone();
    let mut rows = vec![0; of_rows.len()];
    for (row, bucket) in (0u32..).zip(of_rows) {
        let place = &mut next[(bucket - first) as usize];
        rows[*place as usize] = row;
        *place += 1;
    }
    let rows = ScalarBuffer::from(rows);
    (first as usize..).zip(0..ends.len() - 1).filter_map(move |(bucket, at)| {
        let (start, end) = (ends[at] as usize, ends[at + 1] as usize);
        (start < end).then(|| (bucket, UInt32Array::new(rows.slice(start, end - start), None)))
    })
}

/// The rows that the map tasks of one shuffle wrote.
#[derive(Default)]
struct Shuffle {
    /// The map partitions that have run, including those without rows.
    maps: BTreeSet<u32>,
    /// The buckets that have rows, by bucket number and then by map partition.
    buckets: BTreeMap<(usize, u32), StoredRows>,
}

/// The shuffles of the batches that are not done.
#[derive(Default)]
pub(super) struct ShuffleStore {
    shuffles: Mutex<BTreeMap<(Time, StageId), Shuffle>>,
}

impl ShuffleStore {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Time, StageId), Shuffle>> {
        lock(&self.shuffles)
    }

    /// Stores the rows that a map task wrote. Rows of an earlier attempt of the same task are replaced.
    pub(super) fn put(&self, batch: Time, stage: StageId, map: u32, buckets: StoredRows) {
        let mut shuffles = self.lock();
        let shuffle = shuffles.entry((batch, stage)).or_default();
        let mut replaced = Vec::new();
        if !shuffle.maps.insert(map) {
            replaced.extend(shuffle.buckets.extract_if(.., |(_, of), _| *of == map));
        }
        let stored = buckets.buckets().map(|(bucket, _)| ((bucket, map), buckets.clone()));
        shuffle.buckets.extend(stored);
        drop(shuffles);
        // The replaced rows are freed without holding the lock.
        drop(replaced);
    }

    /// The rows of the bucket `reduce` of `maps` map partitions, in the order of the map partitions. Map partitions
    /// without rows are left out.
    ///
    /// # Errors
    /// Returns the number of the first map partition that has not run.
    pub(super) fn bucket(&self, batch: Time, stage: StageId, maps: u32, reduce: u32) -> Result<Vec<StoredRows>, u32> {
        let shuffles = self.lock();
        let Some(shuffle) = shuffles.get(&(batch, stage)) else {
            return if maps == 0 { Ok(Vec::new()) } else { Err(0) };
        };
        if shuffle.maps.len() < maps as usize {
            return Err((0..maps).find(|map| !shuffle.maps.contains(map)).unwrap_or_default());
        }
        let of_bucket = shuffle.buckets.range((reduce as usize, 0)..(reduce as usize, maps));
        Ok(of_bucket.map(|(_, rows)| rows.clone()).collect())
    }

    pub(super) fn forget(&self, batch: Time) {
        let forgotten: BTreeMap<_, _> = self.lock().extract_if(.., |(time, _), _| *time == batch).collect();
        drop(forgotten);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Each row is in its bucket, in order, and no bucket is empty.
        #[test]
        fn rows_are_sorted_by_bucket(of_rows in prop_oneof![
            prop::collection::vec(0u32..4, 0..50),
            prop::collection::vec(4000u32..5000, 0..50),
        ]) {
            let mut expected: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
            for (row, bucket) in (0u32..).zip(&of_rows) {
                expected.entry(*bucket as usize).or_default().push(row);
            }
            let found: Vec<_> = by_bucket(&of_rows).map(|(bucket, rows)| (bucket, rows.values().to_vec())).collect();
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
