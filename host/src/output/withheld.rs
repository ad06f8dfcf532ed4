//! A batch of an output whose rows are not shown, because another run of the job shows the results of the batch.
//!
//! Owns that the rows are discarded: they are computed, and written nowhere.

use super::{BatchWrite, PartitionWriter};
use crate::error::Error;
use arrow::array::RecordBatch;
use futures::future::BoxFuture;

/// Takes rows and discards them. The type is at once a batch of an output, and the writer of each partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Withheld;

impl BatchWrite for Withheld {
    fn writer(&self, _: u32, _: u32) -> BoxFuture<'_, Result<Box<dyn PartitionWriter>, Error>> {
        Box::pin(async { Ok(Box::new(Self) as Box<dyn PartitionWriter>) })
    }

    fn commit(&self, _: u32) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn abort(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

impl PartitionWriter for Withheld {
    fn write(&mut self, _: RecordBatch) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}
