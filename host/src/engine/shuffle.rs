//! The shuffle: rows by key, from every map task to the reduce task of the key.
//!
//! Owns the buckets of a batch. Buckets are read in the order of the map partitions, and inside one in the order of its
//! rows, so that a reduce task sees the same rows in the same order whenever it runs.

use crate::block::bytes_of;
use crate::data::key::{KeyEncoder, group_of, partition_of};
use crate::data::schema::RecordType;
use crate::ids::StageId;
use crate::memory::{MemoryBudget, NoRoom, Room};
use crate::time::Time;
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use datafusion_common::{DataFusionError, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The rows that one map task has for each reduce partition.
pub(super) type Buckets = Vec<Vec<RecordBatch>>;

/// Sorts the rows of one map task into buckets.
pub(super) struct ShuffleWriter {
    /// Absent if rows are dealt out in turn.
    keys: Option<KeyEncoder>,
    /// The bucket of the next row that is dealt out.
    turn: usize,
    buckets: Buckets,
    hashes: Vec<u64>,
    rows: Vec<Vec<u32>>,
}

impl ShuffleWriter {
    /// For keys of this type, or for rows that are dealt out in turn, beginning with the bucket that the map partition
    /// says, so that the first buckets do not get all the rows of small partitions.
    pub(super) fn new(key: Option<&RecordType>, map: u32, partitions: u32) -> Self {
        let partitions = partitions.max(1) as usize;
        Self {
            keys: key.map(KeyEncoder::new),
            turn: map as usize % partitions,
            buckets: vec![Vec::new(); partitions],
            hashes: Vec::new(),
            rows: vec![Vec::new(); partitions],
        }
    }

    /// Adds rows. The key is their first column.
    pub(super) fn write(&mut self, batch: RecordBatch) -> Result<()> {
        let partitions = self.buckets.len();
        if partitions == 1 {
            self.buckets[0].push(batch);
            return Ok(());
        }
        self.rows.iter_mut().for_each(Vec::clear);
        if let Some(keys) = &self.keys {
            let hashed = keys.hash_column(batch.column(0), &mut self.hashes);
            hashed.map_err(|error| DataFusionError::External(Box::new(error)))?;
            for (row, hash) in (0u32..).zip(&self.hashes) {
                self.rows[partition_of(group_of(*hash), partitions)].push(row);
            }
        } else {
            for row in (0u32..).take(batch.num_rows()) {
                self.rows[self.turn].push(row);
                self.turn = (self.turn + 1) % partitions;
            }
        }
        for (bucket, rows) in self.buckets.iter_mut().zip(&self.rows) {
            if !rows.is_empty() {
                bucket.push(take_record_batch(&batch, &UInt32Array::from(rows.clone()))?);
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Buckets {
        self.buckets
    }
}

/// The buckets of one shuffle: by map partition, then by reduce partition.
type Shuffle = BTreeMap<u32, Arc<Buckets>>;

/// The shuffles of the batches that are not done.
pub(super) struct ShuffleStore {
    shuffles: Mutex<BTreeMap<(Time, StageId), Shuffle>>,
    room: Room,
}

impl ShuffleStore {
    pub(super) fn new(budget: &MemoryBudget) -> Self {
        Self { shuffles: Mutex::default(), room: budget.room("shuffles") }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Time, StageId), Shuffle>> {
        // No code runs between a panic and the next use that could leave the map half changed.
        self.shuffles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores what a map task wrote. Writing it again replaces it.
    pub(super) fn put(&self, batch: Time, stage: StageId, map: u32, buckets: Buckets) -> Result<(), NoRoom> {
        self.room.take(bytes_of_buckets(&buckets))?;
        let replaced = self.lock().entry((batch, stage)).or_default().insert(map, Arc::new(buckets));
        if let Some(replaced) = replaced {
            self.room.give_back(bytes_of_buckets(&replaced));
        }
        Ok(())
    }

    /// What map partition `map` has for partition `reduce`.
    pub(super) fn get(&self, batch: Time, stage: StageId, map: u32, reduce: u32) -> Option<Vec<RecordBatch>> {
        self.lock().get(&(batch, stage))?.get(&map)?.get(reduce as usize).cloned()
    }

    pub(super) fn forget(&self, batch: Time) {
        let mut shuffles = self.lock();
        let stages: Vec<_> = shuffles.keys().filter(|(time, _)| *time == batch).copied().collect();
        for stage in stages {
            for buckets in shuffles.remove(&stage).into_iter().flat_map(Shuffle::into_values) {
                self.room.give_back(bytes_of_buckets(&buckets));
            }
        }
    }
}

fn bytes_of_buckets(buckets: &Buckets) -> usize {
    buckets.iter().map(|bucket| bytes_of(bucket)).sum()
}
