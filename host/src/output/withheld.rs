//! Outputs that show nothing. A run uses them if it only computes, beside another run that shows its results.
//!
//! Owns that the rows are discarded: they are computed, and written nowhere.

use super::{BatchWrite, Output, PartitionWriter};
use crate::error::Error;
use crate::time::Time;
use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use std::sync::Arc;

/// Takes rows and discards them. The type is at once an output, its batch, and the writer of each partition.
#[derive(Clone, Copy, Debug)]
pub struct Withheld;

impl Output for Withheld {
    fn begin(&self, _: Time) -> BoxFuture<'_, Result<Arc<dyn BatchWrite>, Error>> {
        Box::pin(async { Ok(Arc::new(Self) as Arc<dyn BatchWrite>) })
    }
}

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
