//! Where a task stands: its batch, and its partition.

use crate::ids::NodeId;
use crate::time::Time;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// One partition of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    index: u32,
    batch: Time,
}

impl Partition {
    /// Its position in the data set, from 0. Spark: `TaskContext.getPartitionId`.
    pub const fn index(self) -> u32 {
        self.index
    }

    /// The batch.
    pub const fn batch(self) -> Time {
        self.batch
    }

    /// Names the partition among all batches: the same whenever the batch is computed again, so that a system outside
    /// can tell that it has seen this partition before. As in `1357008430000-3`.
    pub fn unique_id(self) -> String {
        format!("{}-{}", self.batch.as_ms(), self.index)
    }
}

/// Where a task stands: its batch, and which partition of its rows each node sees.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub batch: Time,
    pub partitions: BTreeMap<NodeId, u32>,
}

thread_local! {
    static PLACE: RefCell<Place> = RefCell::default();
}

/// Says where the task stands that begins.
pub(crate) fn set_place(place: Place) {
    PLACE.set(place);
}

/// The partition that an operator of the running task sees.
pub(crate) fn partition_of(node: NodeId) -> Partition {
    PLACE
        .with_borrow(|place| Partition { index: place.partitions.get(&node).copied().unwrap_or(0), batch: place.batch })
}
