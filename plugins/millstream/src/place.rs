//! The place of a task: its batch and its partition.

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
    /// The index of the partition in the data set, from 0. Spark: `TaskContext.getPartitionId`.
    #[doc(alias = "getPartitionId")]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// The batch that the partition belongs to.
    pub const fn batch(self) -> Time {
        self.batch
    }

    /// Identifies the partition among the partitions of all batches, as in `1357008430000-3`. The id is the same
    /// whenever the batch is computed again. So an external system can recognise a partition that it has already seen.
    pub fn unique_id(self) -> String {
        format!("{}-{}", self.batch.as_ms(), self.index)
    }
}

/// The place of a task: its batch, and the partition that each node sees.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub batch: Time,
    pub partitions: BTreeMap<NodeId, u32>,
}

thread_local! {
    static PLACE: RefCell<Place> = RefCell::default();
}

/// Sets the place of the task that begins.
pub(crate) fn set_place(place: Place) {
    PLACE.set(place);
}

/// The partition that an operator of the running task sees.
pub(crate) fn partition_of(node: NodeId) -> Partition {
    PLACE
        .with_borrow(|place| Partition { index: place.partitions.get(&node).copied().unwrap_or(0), batch: place.batch })
}
