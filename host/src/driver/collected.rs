//! The rows of an action: they go from the tasks to the function that asked for them, as to an output.

use crate::error::Error;
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
}

impl Collected {
    pub(super) fn new(wanted: usize) -> Self {
        Self { wanted, partitions: Arc::default() }
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
        let writer: Box<dyn PartitionWriter> =
            Box::new(CollectedPartition { partition, left: self.wanted, rows: Vec::new(), partitions });
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
}

impl PartitionWriter for CollectedPartition {
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<(), Error>> {
        take_rows(rows, &mut self.left, &mut self.rows);
        ready(Ok(())).boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        partitions.insert(self.partition, self.rows);
        ready(Ok(())).boxed()
    }
}
