//! Open blocks: the blocks that receivers are still filling.
//!
//! Owns how large an open block may become, which depends on the number of receivers, and the memory that it takes.
//! Never sees a record.

use super::spill::SpillError;
use super::storage::Scratch;
use super::store::{BlockStore, OPEN_SHARE};

/// A block that reaches this size is cut before its block interval ends, so that one partition never becomes too large
/// for a task.
const BLOCK_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A block below this size is not cut before its block interval ends, because each block becomes a task.
const BLOCK_BYTES_MIN: usize = 64 * 1024;
/// The size of the buffer into which a receiver reads.
const READ_BYTES: usize = 64 * 1024;

/// One receiver's share of the memory for open blocks. Dropping it gives the share back.
pub struct OpenBlock {
    store: BlockStore,
    scratch: Scratch,
    bytes: usize,
}

/// How large an open block may become if this many receivers share the memory of a store.
fn block_bytes(room: usize, receivers: usize) -> usize {
    (room / OPEN_SHARE / receivers.max(1)).clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX)
}

impl OpenBlock {
    pub(super) fn new(store: BlockStore, scratch: Scratch) -> Self {
        store.opened(1, 0, 0);
        Self { store, scratch, bytes: 0 }
    }

    /// How large the block may become before it is cut.
    pub fn bytes_max(&self) -> usize {
        block_bytes(self.store.room_bytes(), self.store.receivers())
    }

    /// Notes that the receiver holds this many bytes.
    ///
    /// # Errors
    /// If there is no memory for the bytes. They are noted all the same.
    pub fn hold(&mut self, bytes: usize) -> Result<(), SpillError> {
        self.store.opened(0, bytes, self.bytes);
        self.bytes = bytes;
        self.scratch.resize(READ_BYTES + bytes)
    }
}

impl OpenBlock {
    /// Notes that the block was cut: its bytes are in the store, or will be soon.
    pub fn cut(&mut self) {
        self.store.opened(0, 0, self.bytes);
        self.bytes = 0;
    }
}

impl Drop for OpenBlock {
    fn drop(&mut self) {
        self.store.opened(-1, 0, self.bytes);
    }
}

impl BlockStore {
    /// Makes the share of a new receiver.
    pub fn open(&self) -> OpenBlock {
        OpenBlock::new(self.clone(), self.storage().scratch())
    }

    /// Memory for records on their way into the store, of 0 bytes at first.
    pub fn scratch(&self) -> Scratch {
        self.storage().scratch()
    }

    /// The most memory that records on their way into the store should take together, in bytes.
    pub fn arriving_bytes_max(&self) -> usize {
        self.room_bytes() / OPEN_SHARE
    }
}

#[cfg(test)]
mod tests {
    use super::super::storage::tests::storage;
    use super::*;

    #[test]
    fn many_receivers_have_small_blocks() {
        const MIB: usize = 1 << 20;
        assert_eq!(block_bytes(512 * MIB, 0), BLOCK_BYTES_MAX);
        assert_eq!(block_bytes(512 * MIB, 1), BLOCK_BYTES_MAX);
        assert_eq!(block_bytes(512 * MIB, 60), 512 * MIB / 240);
        assert_eq!(block_bytes(MIB, 60), BLOCK_BYTES_MIN);
        assert_eq!(block_bytes(0, 1), BLOCK_BYTES_MIN);
    }

    #[test]
    fn what_receivers_hold_is_counted_and_given_back() {
        const UNCOUNTED: usize = 24 << 20;
        let storage = storage(1 << 20);
        let store = BlockStore::new(storage.clone(), 1 << 30);
        let (mut first, mut second) = (store.open(), store.open());
        assert_eq!(store.receivers(), 2);
        first.hold(UNCOUNTED).unwrap();
        assert!(second.hold(1_000_000).is_err());
        second.hold(500_000).unwrap();
        drop(first);
        assert_eq!(store.receivers(), 1);
        second.hold(UNCOUNTED + 500_000).unwrap();
        assert!(second.hold(UNCOUNTED + 1_000_000).is_err());
        drop(second);
        assert_eq!(store.receivers(), 0);
        store.open().hold(1_000_000).unwrap();
    }
}
