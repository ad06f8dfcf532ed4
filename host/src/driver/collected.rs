//! Collects the rows of an action. The rows go from the tasks to the function that asked for them, in the same way as
//! to an output.

use crate::block::{RowStorage, RowsWriter, StoredRows};
use crate::error::{Error, ErrorKind};
use crate::lock::lock;
use crate::output::{BatchWrite, PartitionWriter};
use arrow::array::RecordBatch;
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The first rows of each partition. A partition without rows is left out.
type Partitions = Arc<Mutex<BTreeMap<u32, StoredRows>>>;

/// Collects the first rows of a data set.
pub(super) struct Collected {
    wanted: usize,
    storage: RowStorage,
    partitions: Partitions,
}

impl Collected {
    pub(super) fn new(wanted: usize, storage: &RowStorage) -> Self {
        Self { wanted, storage: storage.clone(), partitions: Arc::default() }
    }

    /// Removes and returns the first rows of all partitions, in order.
    pub(super) fn take(&self) -> Arc<[StoredRows]> {
        let partitions = std::mem::take(&mut *lock(&self.partitions));
        partitions.into_values().collect()
    }
}

impl BatchWrite for Collected {
    fn writer(&self, partition: u32, _: u32) -> BoxFuture<'_, Result<Box<dyn PartitionWriter>, Error>> {
        let (partitions, rows) = (self.partitions.clone(), self.storage.writer(1));
        let writer: Box<dyn PartitionWriter> =
            Box::new(CollectedPartition { partition, left: self.wanted, rows, partitions });
        ready(Ok(writer)).boxed()
    }

    fn commit(&self, _: u32) -> BoxFuture<'_, Result<(), Error>> {
        ready(Ok(())).boxed()
    }

    fn abort(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}

/// Collects the rows of one attempt at a partition.
struct CollectedPartition {
    partition: u32,
    left: usize,
    rows: RowsWriter,
    partitions: Partitions,
}

impl PartitionWriter for CollectedPartition {
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<(), Error>> {
        let taken = rows.num_rows().min(self.left);
        self.left -= taken;
        let kept = if taken > 0 { self.rows.append(0, rows.slice(0, taken)) } else { Ok(()) };
        let kept = kept.map_err(|error| {
            let message = format!("cannot keep the rows of an action: {error}");
            Error::new(ErrorKind::Unavailable, message).help("raise engine.memory or engine.spill_limit")
        });
        ready(kept).boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        let rows = self.rows.finish();
        let mut partitions = lock(&self.partitions);
        // The rows of an earlier attempt are replaced.
        let replaced = match rows.row_count() {
            0 => partitions.remove(&self.partition),
            _ => partitions.insert(self.partition, rows),
        };
        drop(partitions);
        drop(replaced);
        ready(Ok(())).boxed()
    }
}
