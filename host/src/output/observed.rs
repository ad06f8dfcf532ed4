//! One batch of an output whose rows somebody observes, beside the output itself.
//!
//! Owns that an observer gets the rows that the output gets, and that a failure of the observer never becomes a failure
//! of the output.

use super::{BatchWrite, PartitionWriter};
use crate::error::Error;
use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use std::sync::Arc;

/// A batch of an output, and the same batch of its observer.
pub(super) struct Observed {
    pub(super) output: Arc<dyn BatchWrite>,
    pub(super) observer: Arc<dyn BatchWrite>,
}

struct ObservedPartition {
    output: Box<dyn PartitionWriter>,
    /// `None` if the observer has failed.
    observer: Option<Box<dyn PartitionWriter>>,
}

impl BatchWrite for Observed {
    fn writer(&self, partition: u32, attempt: u32) -> BoxFuture<'_, Result<Box<dyn PartitionWriter>, Error>> {
        Box::pin(async move {
            let output = self.output.writer(partition, attempt).await?;
            let observer = self.observer.writer(partition, attempt).await.ok();
            Ok(Box::new(ObservedPartition { output, observer }) as Box<dyn PartitionWriter>)
        })
    }

    fn commit(&self, partitions: u32) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.output.commit(partitions).await?;
            // An observer deals with its failures itself.
            let _ = self.observer.commit(partitions).await;
            Ok(())
        })
    }

    fn can_commit_again(&self) -> bool {
        self.output.can_commit_again()
    }

    fn abort(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.output.abort().await;
            self.observer.abort().await;
        })
    }
}

impl PartitionWriter for ObservedPartition {
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            if let Some(observer) = &mut self.observer
                && observer.write(rows.clone()).await.is_err()
            {
                self.observer = None;
            }
            self.output.write(rows).await
        })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            self.output.finish().await?;
            if let Some(observer) = self.observer {
                // An observer deals with its failures itself.
                let _ = observer.finish().await;
            }
            Ok(())
        })
    }
}
