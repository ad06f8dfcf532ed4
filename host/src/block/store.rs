//! The store of received blocks, by their ids.

use super::row_bytes::bytes_of;
use super::storage::{RowStorage, StoredRows};
use super::{Rows, row_count};
use crate::ids::BlockId;
use crate::lock::lock;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Received rows. They become one partition of a batch.
#[derive(Clone, Debug)]
pub struct Block {
    /// The id of the block.
    pub id: BlockId,
    /// The rows of the block.
    pub rows: Rows,
}

impl Block {
    /// The number of rows of the block.
    pub fn row_count(&self) -> u64 {
        row_count(&self.rows)
    }
}

/// All open blocks together may take at most the limit of the store divided by this number.
pub(super) const OPEN_SHARE: usize = 4;

/// Stores blocks until they are removed, and counts the open blocks of receivers. If the store is full,
/// [`BlockStore::put`] waits: this slows receivers down.
#[derive(Clone)]
pub struct BlockStore {
    shared: Arc<Shared>,
}

struct Stored {
    rows: StoredRows,
    bytes: usize,
}

#[derive(Default)]
struct Blocks {
    stored: BTreeMap<BlockId, Stored>,
    /// The sum of the sizes of all blocks, in memory and in files.
    bytes: usize,
    /// The number of receivers, and the bytes that they hold in open blocks.
    receivers: usize,
    open_bytes: usize,
}

struct Shared {
    blocks: Mutex<Blocks>,
    storage: RowStorage,
    limit_bytes: usize,
    removed: Notify,
    closed: AtomicBool,
    /// Whether every block is taken even if the store is full. This is set at the end of a job: the last blocks were
    /// received before, and no more data comes.
    takes_all: AtomicBool,
}

impl BlockStore {
    /// Makes an empty store that keeps its blocks in `storage`. The store is full when its blocks have more than
    /// `limit_bytes` in all.
    pub fn new(storage: RowStorage, limit_bytes: u64) -> Self {
        let limit_bytes = usize::try_from(limit_bytes).unwrap_or(usize::MAX);
        let shared = Shared {
            blocks: Mutex::default(),
            storage,
            limit_bytes,
            removed: Notify::new(),
            closed: AtomicBool::new(false),
            takes_all: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Stores a block; waits while the store is full. An empty store takes every block.
    pub async fn put(&self, block: Block) {
        self.room(bytes_of(&block.rows)).await;
        if !self.shared.closed.load(Ordering::SeqCst) {
            self.put_at_once(block);
        }
    }

    /// Waits until the store would take a block of `bytes` without waiting. Returns at once if the store is closed.
    pub async fn room(&self, bytes: usize) {
        loop {
            let removed = self.shared.removed.notified();
            if self.shared.closed.load(Ordering::SeqCst) || self.has_room(bytes) {
                return;
            }
            removed.await;
        }
    }

    /// Whether the store would take a block of `bytes` without waiting.
    fn has_room(&self, bytes: usize) -> bool {
        let blocks = lock(&self.shared.blocks);
        // Open blocks count, but they never take all the room from complete blocks.
        let open = blocks.open_bytes.min(self.shared.limit_bytes / OPEN_SHARE);
        let takes_all = self.shared.takes_all.load(Ordering::SeqCst);
        takes_all
            || blocks.stored.is_empty()
            || blocks.bytes.saturating_add(bytes).saturating_add(open) <= self.shared.limit_bytes
    }

    /// Notes a change of the number of receivers, and that one receiver's open block has `now` bytes instead of
    /// `before`.
    pub(super) fn opened(&self, receivers: isize, now: usize, before: usize) {
        let mut blocks = lock(&self.shared.blocks);
        blocks.receivers = blocks.receivers.saturating_add_signed(receivers);
        blocks.open_bytes = blocks.open_bytes.saturating_add(now).saturating_sub(before);
        drop(blocks);
        if now < before {
            self.shared.removed.notify_waiters();
        }
    }

    /// The number of receivers.
    pub(super) fn receivers(&self) -> usize {
        lock(&self.shared.blocks).receivers
    }

    /// How many bytes the store may hold in memory.
    pub(super) fn room_bytes(&self) -> usize {
        self.shared.limit_bytes.min(self.shared.storage.for_data())
    }

    pub(super) fn storage(&self) -> &RowStorage {
        &self.shared.storage
    }

    /// Makes the store take every block, full or not. Called when the receivers are about to end, so that their last
    /// blocks are not lost.
    pub fn take_all(&self) {
        self.shared.takes_all.store(true, Ordering::SeqCst);
        self.shared.removed.notify_waiters();
    }

    /// Notes that no batch will read another block. Callers that wait for room continue, and their blocks are dropped.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.shared.removed.notify_waiters();
    }

    /// Stores a block that was received earlier, without waiting, even if the store is full.
    pub fn put_at_once(&self, block: Block) {
        let bytes = bytes_of(&block.rows);
        let mut writer = self.shared.storage.writer(1);
        for rows in block.rows.iter() {
            writer.append_anyway(0, rows.clone());
        }
        let mut blocks = lock(&self.shared.blocks);
        blocks.bytes += bytes;
        blocks.stored.insert(block.id, Stored { rows: writer.finish(), bytes });
    }

    /// The rows of a block; `None` if the store does not have the block.
    pub fn get(&self, id: &BlockId) -> Option<StoredRows> {
        lock(&self.shared.blocks).stored.get(id).map(|stored| stored.rows.clone())
    }

    /// Removes blocks, and wakes callers that wait for room.
    pub fn remove(&self, ids: &[BlockId]) {
        let mut removed = Vec::new();
        {
            let mut blocks = lock(&self.shared.blocks);
            for id in ids {
                if let Some(stored) = blocks.stored.remove(id) {
                    blocks.bytes -= stored.bytes;
                    removed.push(stored);
                }
            }
        }
        drop(removed);
        self.shared.removed.notify_waiters();
    }

    /// The number of blocks.
    pub fn len(&self) -> usize {
        lock(&self.shared.blocks).stored.len()
    }

    /// Whether there is no block.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::storage::tests::storage;
    use super::*;
    use arrow::array::{ArrayRef, RecordBatch, UInt8Array};
    use futures::FutureExt as _;

    fn block(sequence: u64) -> Block {
        let column: ArrayRef = Arc::new(UInt8Array::from(vec![0; 600]));
        let batch = RecordBatch::try_from_iter([("value", column)]).unwrap();
        Block { id: BlockId { source: "s".into(), sequence }, rows: vec![batch].into() }
    }

    fn store(limit_bytes: u64) -> BlockStore {
        BlockStore::new(storage(10_000), limit_bytes)
    }

    #[test]
    fn a_full_store_makes_the_next_block_wait_until_one_is_removed() {
        let store = store(1000);
        assert!(store.put(block(0)).now_or_never().is_some());
        let mut second = Box::pin(store.put(block(1)));
        assert!((&mut second).now_or_never().is_none());
        store.remove(&[block(0).id]);
        assert!(second.now_or_never().is_some());
        assert!(store.get(&block(1).id).is_some());
    }

    #[test]
    fn a_block_larger_than_the_limit_is_taken_while_the_store_is_empty() {
        let store = store(10);
        assert!(store.put(block(0)).now_or_never().is_some());
        assert!(store.put(block(1)).now_or_never().is_none());
    }

    #[test]
    fn a_store_whose_receivers_end_makes_nobody_wait() {
        let store = store(1000);
        assert!(store.put(block(0)).now_or_never().is_some());
        let mut second = Box::pin(store.put(block(1)));
        assert!((&mut second).now_or_never().is_none());
        store.take_all();
        assert!(second.now_or_never().is_some());
        assert!(store.put(block(2)).now_or_never().is_some());
        assert_eq!(store.len(), 3);
    }

    /// S9.05: memory first, the disk when memory is not enough.
    #[test]
    fn blocks_that_do_not_fit_into_memory_are_spilled() {
        let storage = storage(2000);
        let store = BlockStore::new(storage.clone(), u64::MAX);
        for sequence in 0..10 {
            assert!(store.put(block(sequence)).now_or_never().is_some());
        }
        assert!(storage.memory_bytes() <= 1500);
        assert!(storage.spilled_bytes() > 8 * 600);
        for sequence in 0..10 {
            let rows: Vec<_> = store.get(&block(sequence).id).unwrap().read(0).map(Result::unwrap).collect();
            assert_eq!(rows, block(sequence).rows.to_vec());
        }
    }
}
