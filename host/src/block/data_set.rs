//! Data sets that are computed once and read several times, identified by node, batch and partition.

use super::storage::StoredRows;
use crate::ids::NodeId;
use crate::lock::lock;
use crate::time::Time;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The rows of a node in a batch, by partition.
type DataSet = BTreeMap<u32, StoredRows>;

/// Keeps data sets until they are forgotten.
#[derive(Clone, Default)]
pub struct DataSetStore {
    sets: Arc<Mutex<BTreeMap<(Time, NodeId), DataSet>>>,
}

impl DataSetStore {
    /// Stores one partition. A partition that is stored again replaces its older version.
    pub fn put(&self, node: NodeId, batch: Time, partition: u32, rows: StoredRows) {
        let replaced = lock(&self.sets).entry((batch, node)).or_default().insert(partition, rows);
        // The replaced rows give back their memory after the lock is released.
        drop(replaced);
    }

    /// The rows of one partition; `None` if the partition was not stored.
    pub fn get(&self, node: NodeId, batch: Time, partition: u32) -> Option<StoredRows> {
        lock(&self.sets).get(&(batch, node))?.get(&partition).cloned()
    }

    /// Removes all data sets for which `is_needed` is false.
    pub fn retain(&self, is_needed: impl Fn(NodeId, Time) -> bool) {
        let forgotten: BTreeMap<_, _> =
            lock(&self.sets).extract_if(.., |(time, node), _| !is_needed(*node, *time)).collect();
        drop(forgotten);
    }
}
