//! Data sets that are computed once and read several times, by (node, batch, partition).

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
    /// Stores one partition. A partition that is stored again replaces the old one.
    pub fn put(&self, node: NodeId, batch: Time, partition: u32, rows: StoredRows) {
        let replaced = lock(&self.sets).entry((batch, node)).or_default().insert(partition, rows);
        // What it held is given back without the lock.
        drop(replaced);
    }

    /// One partition, if it was stored.
    pub fn get(&self, node: NodeId, batch: Time, partition: u32) -> Option<StoredRows> {
        lock(&self.sets).get(&(batch, node))?.get(&partition).cloned()
    }

    /// Forgets all data sets but those that are needed.
    pub fn retain(&self, is_needed: impl Fn(NodeId, Time) -> bool) {
        let forgotten: BTreeMap<_, _> =
            lock(&self.sets).extract_if(.., |(time, node), _| !is_needed(*node, *time)).collect();
        drop(forgotten);
    }
}
