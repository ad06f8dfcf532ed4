//! The shuffle: rows by key, from every map task to the reduce task of the key.
//!
//! Owns the buckets of a batch. Buckets are read in the order of the map partitions, and inside one in the order of its
//! rows, so that a reduce task sees the same rows in the same order whenever it runs.

use super::external;
use crate::block::{RowsWriter, Storage, StoredRows};
use crate::data::key::{KeyEncoder, group_of, partition_of};
use crate::data::schema::RecordType;
use crate::ids::StageId;
use crate::time::Time;
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use datafusion_common::Result;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Sorts the rows of one map task into buckets.
pub(super) struct ShuffleWriter {
    /// Absent if rows are dealt out in turn.
    keys: Option<KeyEncoder>,
    /// The bucket of the next row that is dealt out.
    turn: usize,
    buckets: RowsWriter,
    hashes: Vec<u64>,
    rows: Vec<Vec<u32>>,
}

impl ShuffleWriter {
    /// For keys of this type, or for rows that are dealt out in turn, beginning with the bucket that the map partition
    /// says, so that the first buckets do not get all the rows of small partitions.
    pub(super) fn new(storage: &Storage, key: Option<&RecordType>, map: u32, partitions: u32) -> Self {
        let partitions = partitions.max(1) as usize;
        Self {
            keys: key.map(KeyEncoder::new),
            turn: map as usize % partitions,
            buckets: storage.writer(partitions),
            hashes: Vec::new(),
            rows: vec![Vec::new(); partitions],
        }
    }

    /// Adds rows. The key is their first column.
    pub(super) fn write(&mut self, batch: RecordBatch) -> Result<()> {
        let partitions = self.rows.len();
        if partitions == 1 {
            return self.buckets.append(0, batch).map_err(external);
        }
        self.rows.iter_mut().for_each(Vec::clear);
        if let Some(keys) = &self.keys {
            let hashed = keys.hash_column(batch.column(0), &mut self.hashes);
            hashed.map_err(external)?;
            for (row, hash) in (0u32..).zip(&self.hashes) {
                self.rows[partition_of(group_of(*hash), partitions)].push(row);
            }
        } else {
            for row in (0u32..).take(batch.num_rows()) {
                self.rows[self.turn].push(row);
                self.turn = (self.turn + 1) % partitions;
            }
        }
        for (bucket, rows) in self.rows.iter().enumerate() {
            if !rows.is_empty() {
                let batch = take_record_batch(&batch, &UInt32Array::from(rows.clone()))?;
                self.buckets.append(bucket, batch).map_err(external)?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> StoredRows {
        self.buckets.finish()
    }
}

/// The buckets of one shuffle, by map partition.
type Shuffle = BTreeMap<u32, StoredRows>;

/// The shuffles of the batches that are not done.
#[derive(Default)]
pub(super) struct ShuffleStore {
    shuffles: Mutex<BTreeMap<(Time, StageId), Shuffle>>,
}

impl ShuffleStore {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Time, StageId), Shuffle>> {
        // No code runs between a panic and the next use that could leave the map half changed.
        self.shuffles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores what a map task wrote. Writing it again replaces it.
    pub(super) fn put(&self, batch: Time, stage: StageId, map: u32, buckets: StoredRows) {
        let replaced = self.lock().entry((batch, stage)).or_default().insert(map, buckets);
        // What it held is given back without the lock.
        drop(replaced);
    }

    /// The buckets of map partition `map`.
    pub(super) fn get(&self, batch: Time, stage: StageId, map: u32) -> Option<StoredRows> {
        self.lock().get(&(batch, stage))?.get(&map).cloned()
    }

    pub(super) fn forget(&self, batch: Time) {
        let forgotten: BTreeMap<_, _> = self.lock().extract_if(.., |(time, _), _| *time == batch).collect();
        drop(forgotten);
    }
}
