//! The rows of an action: they go from the tasks to the function that asked for them, as to an output.

use super::call::no_room;
use crate::data::chunk;
use crate::error::Error;
use crate::memory::Room;
use crate::output::{BatchWrite, PartitionWriter};
use arrow::array::RecordBatch;
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The first rows of each partition.
type Partitions = Arc<Mutex<BTreeMap<u32, Vec<RecordBatch>>>>;

/// Takes the first rows of a data set.
pub(super) struct Collected {
    wanted: usize,
    partitions: Partitions,
    /// What the rows take, for as long as their batch is not done.
    record: Arc<Room>,
}

impl Collected {
    pub(super) fn new(wanted: usize, record: Arc<Room>) -> Self {
        Self { wanted, partitions: Arc::default(), record }
    }

    /// The first rows over all partitions, in order.
    pub(super) fn take(&self) -> Vec<RecordBatch> {
        let partitions = std::mem::take(&mut *self.partitions.lock().unwrap_or_else(PoisonError::into_inner));
        let mut left = self.wanted;
        let mut rows = Vec::new();
        for batch in partitions.into_values().flatten() {
            take_rows(batch, &mut left, &mut rows);
        }
        rows
    }
}

/// Takes what is still wanted of a batch.
fn take_rows(batch: RecordBatch, left: &mut usize, rows: &mut Vec<RecordBatch>) {
    let taken = batch.num_rows().min(*left);
    if taken > 0 {
        *left -= taken;
        rows.push(batch.slice(0, taken));
    }
}

impl BatchWrite for Collected {
    fn writer(&self, partition: u32, _: u32) -> BoxFuture<'_, Result<Box<dyn PartitionWriter>, Error>> {
        let partitions = self.partitions.clone();
        let taken = Taken { record: self.record.clone(), bytes: 0 };
        let writer: Box<dyn PartitionWriter> =
            Box::new(CollectedPartition { partition, left: self.wanted, rows: Vec::new(), partitions, taken });
        ready(Ok(writer)).boxed()
    }

    fn commit(&self, _: u32) -> BoxFuture<'_, Result<(), Error>> {
        ready(Ok(())).boxed()
    }

    fn abort(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}

/// An attempt at a partition.
struct CollectedPartition {
    partition: u32,
    left: usize,
    rows: Vec<RecordBatch>,
    partitions: Partitions,
    taken: Taken,
}

/// What the rows of an attempt take. Given back if it fails.
struct Taken {
    record: Arc<Room>,
    bytes: usize,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.record.give_back(self.bytes);
    }
}

impl PartitionWriter for CollectedPartition {
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<(), Error>> {
        let bytes = chunk::row_bytes(&rows, 0..rows.num_rows().min(self.left));
        let taken = self.taken.record.take(bytes).map_err(|error| no_room(&error));
        if taken.is_ok() {
            self.taken.bytes += bytes;
            take_rows(rows, &mut self.left, &mut self.rows);
        }
        ready(taken).boxed()
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        // From here on it is the batch's.
        self.taken.bytes = 0;
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        partitions.insert(self.partition, std::mem::take(&mut self.rows));
        ready(Ok(())).boxed()
    }
}
