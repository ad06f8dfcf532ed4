//! Which blocks the write-ahead log holds, as the writer of the log and the tracker share it.
//!
//! Owns the lock around the record of needed blocks, and the wake-up of the writer when a segment may be removed. The
//! rule itself is in `retained.rs`.

use super::recover::{LogContent, RecoverError, load};
use super::retained::Retained;
use super::segment::SegmentNumber;
use crate::block::Block;
use crate::data::schema::RecordType;
use crate::env::Store;
use crate::ids::BlockId;
use crate::lock::lock;
use crate::time::Time;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// The record of the blocks that are in a log. Clones share the same record.
#[derive(Clone)]
pub struct LogIndex {
    shared: Arc<Shared>,
}

struct Shared {
    stores: Vec<Arc<dyn Store>>,
    types: BTreeMap<String, RecordType>,
    retained: Mutex<Retained<SegmentNumber>>,
    changed: Notify,
}

impl LogIndex {
    pub(super) fn new(stores: Vec<Arc<dyn Store>>, types: BTreeMap<String, RecordType>, content: &LogContent) -> Self {
        let mut retained = Retained::default();
        for (segment, blocks) in &content.segments {
            blocks.iter().for_each(|block| retained.added(*segment, block.clone()));
            retained.closed(*segment);
        }
        Self { shared: Arc::new(Shared { stores, types, retained: Mutex::new(retained), changed: Notify::new() }) }
    }

    pub(super) fn stores(&self) -> &[Arc<dyn Store>] {
        &self.shared.stores
    }

    pub(super) fn update<T>(&self, update: impl FnOnce(&mut Retained<SegmentNumber>) -> T) -> T {
        update(&mut lock(&self.shared.retained))
    }

    /// The type of the rows of a source. `None` if the job has no source of this name with blocks.
    pub fn type_of(&self, source: &str) -> Option<&RecordType> {
        self.shared.types.get(source)
    }

    /// Notes that a batch was given blocks. Blocks that the log does not hold are ignored.
    pub fn allocated(&self, batch: Time, blocks: impl IntoIterator<Item = BlockId>) {
        self.update(|retained| retained.allocated(batch, blocks));
    }

    /// Notes that the blocks of the batches before a time are not needed, so that segments can be removed.
    pub fn forget_before(&self, time: Time) {
        self.update(|retained| retained.forget_before(time));
        self.shared.changed.notify_one();
    }

    /// Resolves when a segment may have become unneeded since the last call.
    pub async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// Whether the log holds all these blocks.
    pub fn holds(&self, blocks: &[BlockId]) -> bool {
        self.update(|retained| blocks.iter().all(|block| retained.holds(block)))
    }

    /// Reads blocks of the log again. Waits for the storage. Blocks that the log does not hold are left out.
    ///
    /// # Errors
    /// Returns an error if a segment cannot be read.
    pub fn load(&self, blocks: &[BlockId], take: &mut dyn FnMut(Block)) -> Result<(), RecoverError> {
        let segments = self.update(|retained| retained.find(blocks));
        load(&self.shared.stores, &segments, &self.shared.types, take)
    }
}
