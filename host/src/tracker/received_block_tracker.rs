//! The record itself: pure, event-sourced, so that a log of the same events will rebuild it.

use crate::block::InputPartition;
use crate::ids::BlockId;
use crate::time::Time;
use std::collections::BTreeMap;

/// What a batch reads, by source, each source's partitions in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocation {
    /// The partitions.
    pub partitions: BTreeMap<String, Vec<InputPartition>>,
}

impl Allocation {
    /// The names of all blocks.
    pub fn block_ids(&self) -> Vec<BlockId> {
        let id = |partition: &InputPartition| match partition {
            InputPartition::Block { id, .. } => Some(id.clone()),
            InputPartition::Split(_) => None,
        };
        self.partitions.values().flatten().filter_map(id).collect()
    }

    /// Records by source. Those of files are not known before they are read.
    pub fn records(&self) -> BTreeMap<String, u64> {
        let rows = |partition: &InputPartition| match partition {
            InputPartition::Block { rows, .. } => *rows,
            InputPartition::Split(_) => 0,
        };
        let sum = |partitions: &Vec<InputPartition>| partitions.iter().map(rows).sum();
        self.partitions.iter().map(|(source, partitions)| (source.clone(), sum(partitions))).collect()
    }
}

/// Blocks that were stored and not given to a batch yet, and the batches that are not done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceivedBlockTracker {
    unallocated: Allocation,
    allocated: BTreeMap<Time, Allocation>,
    last_batch: Option<Time>,
}

impl ReceivedBlockTracker {
    /// Goes on after `last_batch`, with what batches were given before that may be asked for again.
    pub fn resumed(allocated: BTreeMap<Time, Allocation>, last_batch: Option<Time>) -> Self {
        Self { unallocated: Allocation::default(), allocated, last_batch }
    }

    /// Whether a batch has its data, or never will have any.
    pub fn is_allocated(&self, batch: Time) -> bool {
        self.last_batch.is_some_and(|last| batch <= last)
    }

    /// No batch up to this one is given anything any more.
    pub fn leave_out(&mut self, through: Time) {
        self.last_batch = self.last_batch.max(Some(through));
    }

    /// There is a new partition for a batch to read: a block was stored, or a file was found.
    pub fn partition_added(&mut self, source: &str, partition: InputPartition) {
        self.unallocated.partitions.entry(source.to_owned()).or_default().push(partition);
    }

    /// Gives all partitions that are not given yet to `batch`. A batch that is not after the last one keeps what it has:
    /// running it again must read the same.
    pub fn allocate(&mut self, batch: Time) -> Allocation {
        if self.last_batch.is_none_or(|last| batch > last) {
            self.last_batch = Some(batch);
            self.allocated.insert(batch, std::mem::take(&mut self.unallocated));
        }
        self.allocated.get(&batch).cloned().unwrap_or_default()
    }

    /// A batch is done with: the blocks it had, which nothing needs any more.
    pub fn batch_done(&mut self, batch: Time) -> Vec<BlockId> {
        self.allocated.remove(&batch).map(|allocation| allocation.block_ids()).unwrap_or_default()
    }

    /// Whether a partition waits for a batch.
    pub fn has_unallocated(&self) -> bool {
        !self.unallocated.partitions.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(source: u8, sequence: u64) -> BlockId {
        BlockId { source: source.to_string(), sequence }
    }

    proptest! {
        /// Whatever the order of events: each block is given to one batch, in order, and released once.
        #[test]
        fn each_block_is_given_once(events in prop::collection::vec(prop::option::of(0u8..3), 0..100)) {
            let mut tracker = ReceivedBlockTracker::default();
            let (mut added, mut given, mut released) = (Vec::new(), Vec::new(), Vec::new());
            let mut batches = 0;
            for event in events {
                match event {
                    Some(source) => {
                        let block = block(source, added.len() as u64);
                        added.push(block.clone());
                        tracker.partition_added(&source.to_string(), InputPartition::Block { id: block, rows: 1, checksum: None });
                    }
                    None => {
                        batches += 1;
                        let first = tracker.allocate(Time::from_ms(batches));
                        prop_assert_eq!(&tracker.allocate(Time::from_ms(batches)), &first);
                        given.extend(first.block_ids());
                        prop_assert!(!tracker.has_unallocated());
                    }
                }
            }
            batches += 1;
            given.extend(tracker.allocate(Time::from_ms(batches)).block_ids());
            for batch in 1..=batches {
                released.extend(tracker.batch_done(Time::from_ms(batch)));
            }
            prop_assert_eq!(&given, &released);
            given.sort_by_key(|id| id.sequence);
            prop_assert_eq!(given, added);
        }
    }
}
