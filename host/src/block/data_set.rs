//! Data sets that are computed once and read several times, by (node, batch, partition).

use super::{Rows, bytes_of, lock};
use crate::ids::NodeId;
use crate::memory::{MemoryBudget, NoRoom, Room};
use crate::time::Time;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The rows of a node in a batch, by partition.
type DataSet = BTreeMap<u32, Rows>;

/// Keeps data sets until their batch is forgotten.
#[derive(Clone)]
pub struct DataSetStore {
    shared: Arc<Shared>,
}

struct Shared {
    sets: Mutex<BTreeMap<(Time, NodeId), DataSet>>,
    room: Room,
}

impl DataSetStore {
    /// An empty store that takes from `budget`.
    pub fn new(budget: &MemoryBudget) -> Self {
        Self { shared: Arc::new(Shared { sets: Mutex::default(), room: budget.room("data sets") }) }
    }

    /// Stores one partition. A partition that is stored again replaces the old one.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn put(&self, node: NodeId, batch: Time, partition: u32, rows: Rows) -> Result<(), NoRoom> {
        self.shared.room.take(bytes_of(&rows))?;
        let replaced = lock(&self.shared.sets).entry((batch, node)).or_default().insert(partition, rows);
        if let Some(replaced) = replaced {
            self.shared.room.give_back(bytes_of(&replaced));
        }
        Ok(())
    }

    /// One partition, if it was stored.
    pub fn get(&self, node: NodeId, batch: Time, partition: u32) -> Option<Rows> {
        lock(&self.shared.sets).get(&(batch, node))?.get(&partition).cloned()
    }

    /// Forgets all data sets of a batch.
    pub fn forget(&self, batch: Time) {
        let mut sets = lock(&self.shared.sets);
        let nodes: Vec<_> = sets.keys().filter(|(time, _)| *time == batch).copied().collect();
        for node in nodes {
            for rows in sets.remove(&node).into_iter().flat_map(DataSet::into_values) {
                self.shared.room.give_back(bytes_of(&rows));
            }
        }
    }
}
