//! Received blocks, by id.

use super::{Rows, bytes_of, lock, row_count};
use crate::ids::BlockId;
use crate::memory::{MemoryBudget, Room};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Received rows that become one partition of a batch.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its name.
    pub id: BlockId,
    /// Its rows.
    pub rows: Rows,
}

impl Block {
    /// The number of its rows.
    pub fn row_count(&self) -> u64 {
        row_count(&self.rows)
    }
}

/// Keeps blocks until they are removed. A full store makes [`BlockStore::put`] wait: it is what slows a receiver down.
#[derive(Clone)]
pub struct BlockStore {
    shared: Arc<Shared>,
}

struct Stored {
    rows: Rows,
    /// What was taken from the budget for it; nothing if it was taken in without room.
    taken: usize,
}

struct Shared {
    blocks: Mutex<BTreeMap<BlockId, Stored>>,
    room: Room,
    removed: Notify,
    closed: AtomicBool,
}

impl BlockStore {
    /// An empty store that takes from `budget`, and leaves half of it for what batches compute.
    pub fn new(budget: &MemoryBudget) -> Self {
        let room = budget.half_room("received blocks");
        Self {
            shared: Arc::new(Shared {
                blocks: Mutex::default(),
                room,
                removed: Notify::new(),
                closed: AtomicBool::new(false),
            }),
        }
    }

    /// Stores a block, waiting until there is room. A block is taken in any case while the store is empty.
    pub async fn put(&self, block: Block) {
        let bytes = bytes_of(&block.rows);
        loop {
            let removed = self.shared.removed.notified();
            if self.shared.closed.load(Ordering::SeqCst) {
                return;
            }
            if self.shared.room.take(bytes).is_ok() {
                lock(&self.shared.blocks).insert(block.id, Stored { rows: block.rows, taken: bytes });
                return;
            }
            if lock(&self.shared.blocks).is_empty() {
                return self.put_at_once(block);
            }
            removed.await;
        }
    }

    /// No batch will read another block: whoever waits for room goes on, and its block is dropped.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.shared.removed.notify_waiters();
    }

    /// Stores a block whose rows are in memory already, whether there is room or not.
    pub fn put_at_once(&self, block: Block) {
        let bytes = bytes_of(&block.rows);
        let taken = self.shared.room.take(bytes).map_or(0, |()| bytes);
        lock(&self.shared.blocks).insert(block.id, Stored { rows: block.rows, taken });
    }

    /// The rows of a block.
    pub fn get(&self, id: &BlockId) -> Option<Rows> {
        lock(&self.shared.blocks).get(id).map(|stored| stored.rows.clone())
    }

    /// Forgets blocks and lets whoever waits for room go on.
    pub fn remove(&self, ids: &[BlockId]) {
        for id in ids {
            if let Some(stored) = lock(&self.shared.blocks).remove(id) {
                self.shared.room.give_back(stored.taken);
            }
        }
        self.shared.removed.notify_waiters();
    }

    /// The number of blocks.
    pub fn len(&self) -> usize {
        lock(&self.shared.blocks).len()
    }

    /// Whether there is no block.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, RecordBatch, UInt8Array};
    use futures::FutureExt as _;

    fn block(sequence: u64) -> Block {
        let column: ArrayRef = Arc::new(UInt8Array::from(vec![0; 600]));
        let batch = RecordBatch::try_from_iter([("value", column)]).unwrap();
        Block { id: BlockId { source: "s".into(), sequence }, rows: vec![batch].into() }
    }

    #[test]
    fn a_full_store_makes_the_next_block_wait_until_one_is_removed() {
        let store = BlockStore::new(&MemoryBudget::new(2000, 0).unwrap());
        assert!(store.put(block(0)).now_or_never().is_some());
        let mut second = Box::pin(store.put(block(1)));
        assert!((&mut second).now_or_never().is_none());
        store.remove(&[block(0).id]);
        assert!(second.now_or_never().is_some());
        assert!(store.get(&block(1).id).is_some());
    }

    #[test]
    fn a_block_larger_than_the_budget_is_taken_while_the_store_is_empty() {
        let store = BlockStore::new(&MemoryBudget::new(10, 0).unwrap());
        assert!(store.put(block(0)).now_or_never().is_some());
        assert!(store.put(block(1)).now_or_never().is_none());
    }
}
