//! The rows of a batch that an output keeps until all partitions are there.
//!
//! Owns that the rows of a partition are those of its last attempt. Never decides when the rows are written.

use crate::block::StoredRows;
use crate::lock::lock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The rows of each finished partition, by partition. A partition without rows has no entry. Clones share the rows.
#[derive(Clone, Default)]
pub(super) struct BatchRows(Arc<Mutex<BTreeMap<u32, StoredRows>>>);

impl BatchRows {
    /// Keeps the rows of a partition. They replace those of an earlier attempt.
    pub(super) fn put(&self, partition: u32, rows: StoredRows) {
        let mut partitions = lock(&self.0);
        let replaced = match rows.row_count() {
            0 => partitions.remove(&partition),
            _ => partitions.insert(partition, rows),
        };
        drop(partitions);
        drop(replaced);
    }

    /// The rows, which are kept.
    pub(super) fn all(&self) -> BTreeMap<u32, StoredRows> {
        lock(&self.0).clone()
    }

    /// The rows, which are no longer kept.
    pub(super) fn take(&self) -> BTreeMap<u32, StoredRows> {
        std::mem::take(&mut *lock(&self.0))
    }
}
