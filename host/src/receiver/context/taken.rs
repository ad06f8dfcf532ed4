//! Blocks that a receiver gives as a whole, and for which it waits until the host does not lose them.
//!
//! Owns the two steps of that: the host takes a block, and then records it. Never decides when the host does not lose a
//! block any more.

use super::super::error::StoreError;
use super::{CutBlock, ReceiverContext, Waiting};
use crate::block::bytes_of;
use arrow::array::RecordBatch;
use futures::FutureExt as _;
use tokio::sync::oneshot;

impl ReceiverContext {
    /// Stores rows as a block of their own, which becomes one partition of one batch. Returns when the host guarantees
    /// that it does not lose the rows: then a reliable receiver acknowledges them. Waits while there is no room.
    /// Records that were stored earlier come before these rows. Spark's `store(iterator)`.
    ///
    /// # Errors
    /// As [`Self::store_rows`]. After an error, the receiver must not acknowledge anything.
    pub async fn store_block(&self, rows: Vec<RecordBatch>) -> Result<(), StoreError> {
        self.take_block(rows, None).await?.recorded().await
    }

    /// The first step of [`Self::store_block`]: waits for room, and takes the rows. If the future is dropped while it
    /// waits, the rows are not taken. `key` is kept with the block: see [`Self::known_keys`].
    ///
    /// # Errors
    /// As [`Self::store_rows`].
    pub async fn take_block(&self, rows: Vec<RecordBatch>, key: Option<String>) -> Result<TakenBlock, StoreError> {
        let rows = rows.into_iter().map(|rows| self.checked(rows)).collect::<Result<Vec<_>, _>>()?;
        let (bytes, records) = (bytes_of(&rows), rows.iter().map(|rows| rows.num_rows() as u64).sum());
        let _waiting = Waiting::begin(&self.shared.waiting);
        // What waits here in vain does not count for the rate.
        self.shared.store.room(bytes).await;
        let mut blocks = self.admit_whole(records).await?;
        blocks.cut();
        self.deliver(&mut blocks).await?;
        self.shared.store.room(bytes).await;
        let (recorded, answer) = oneshot::channel();
        if let Some(block) = blocks.generator.block(rows) {
            blocks.cut.push_back(CutBlock { block, key, is_stored: false, recorded: Some(recorded) });
        } else {
            // There is nothing to lose.
            let _ = recorded.send(());
        }
        // There is room. What could not be done at once is done later.
        self.deliver(&mut blocks).now_or_never().unwrap_or(Ok(()))?;
        drop(blocks);
        Ok(TakenBlock { context: self.clone(), answer })
    }

    /// Waits until the host has room for records, and the rate lets records in. A receiver that asks its source for records
    /// waits here first. So nothing comes for which there is no room.
    ///
    /// # Errors
    /// If the receiver was stopped.
    pub async fn room(&self) -> Result<(), StoreError> {
        self.shared.store.room(1).await;
        self.admit_whole(0).await.map(drop)
    }

    /// The keys of blocks that the host has found when the job continued after a crash, oldest first. Keys of blocks
    /// that were taken since are not among them.
    pub fn known_keys(&self) -> &[String] {
        &self.shared.settings.known_keys
    }
}

/// A block that the host has taken and may still lose. The host goes on to store it, even if the value is dropped.
pub struct TakenBlock {
    context: ReceiverContext,
    answer: oneshot::Receiver<()>,
}

impl TakenBlock {
    /// Waits until the host guarantees that it does not lose the rows: then a reliable receiver acknowledges them.
    ///
    /// # Errors
    /// If the receiver was stopped. After an error, the receiver must not acknowledge anything.
    pub async fn recorded(mut self) -> Result<(), StoreError> {
        let _waiting = Waiting::begin(&self.context.shared.waiting);
        let mut blocks = self.context.shared.blocks.lock().await;
        if self.context.is_closed() {
            return self.answer.try_recv().map_err(|_| StoreError::Stopped);
        }
        self.context.deliver(&mut blocks).await?;
        drop(blocks);
        self.answer.await.map_err(|_| StoreError::Stopped)
    }
}
