//! Outputs that show nothing: those of a run that only computes, beside one that shows its results.
//!
//! Owns what becomes of the rows: nothing. They are computed, written to nobody and forgotten.

use super::{BatchWrite, Output, PartitionWriter};
use crate::error::Error;
use crate::time::Time;
use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use std::sync::Arc;

/// Takes rows and forgets them: an output, its batch, and the writer of each partition.
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
