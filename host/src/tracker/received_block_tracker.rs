//! The record of blocks and batches: a pure state that events change, so that a log of the same events can rebuild it.

use crate::block::InputPartition;
use crate::ids::{BlockId, RunId};
use crate::time::{Duration, Time};
use std::collections::{BTreeMap, BTreeSet};

/// The partitions that a batch reads, by source. The partitions of a source are in the order in which they arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocation {
    /// The partitions.
    pub partitions: BTreeMap<String, Vec<InputPartition>>,
}

impl Allocation {
    /// The ids of all blocks.
    pub fn block_ids(&self) -> Vec<BlockId> {
        self.partitions.values().flatten().filter_map(InputPartition::block_id).cloned().collect()
    }

    /// The number of records of each source. Records of files and of logs are not counted, because their number is not
    /// known before they are read.
    pub fn records(&self) -> BTreeMap<String, u64> {
        let rows = |partition: &InputPartition| match partition {
            InputPartition::Block { rows, .. } => *rows,
            InputPartition::Split(_) | InputPartition::Range(_) => 0,
        };
        let sum = |partitions: &Vec<InputPartition>| partitions.iter().map(rows).sum();
        self.partitions.iter().map(|(source, partitions)| (source.clone(), sum(partitions))).collect()
    }
}

/// A batch that was given its data, and the runs that are not done with the batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Given {
    allocation: Allocation,
    readers: BTreeSet<RunId>,
}

/// The blocks that were stored and not given to a batch yet, the runs that read batches, and the batches that are still
/// in use. A batch is given to all runs that are attached when the batch is allocated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedBlockTracker {
    unallocated: Allocation,
    allocated: BTreeMap<Time, Given>,
    /// The allocations of batches that no run reads any more and whose inputs a restart may read again.
    past: BTreeMap<Time, Allocation>,
    last_batch: Option<Time>,
    attached: BTreeSet<RunId>,
}

/// Makes a record without blocks, in which the first run is the only run.
impl Default for ReceivedBlockTracker {
    fn default() -> Self {
        Self::resumed(BTreeMap::new(), None)
    }
}

impl ReceivedBlockTracker {
    /// Makes the record after a restart. `allocated` are the batches that the first run may ask for again, and
    /// `last_batch` is the last batch that was made.
    pub fn resumed(allocated: BTreeMap<Time, Allocation>, last_batch: Option<Time>) -> Self {
        let attached = BTreeSet::from([RunId::FIRST]);
        let given = |allocation| Given { allocation, readers: attached.clone() };
        let allocated = allocated.into_iter().map(|(batch, allocation)| (batch, given(allocation))).collect();
        Self { unallocated: Allocation::default(), allocated, past: BTreeMap::new(), last_batch, attached }
    }

    /// Attaches a run. It reads all batches that are allocated from now on.
    pub fn attach(&mut self, run: RunId) {
        self.attached.insert(run);
    }

    /// Detaches a run. It is not given the batches that are allocated from now on, and may still read earlier batches.
    pub fn detach(&mut self, run: RunId) {
        self.attached.remove(&run);
    }

    /// Records that a run has ended. Returns the blocks of the batches that no other run reads.
    pub fn run_ended(&mut self, run: RunId) -> Vec<BlockId> {
        self.detach(run);
        let read: Vec<Time> = self.allocated.keys().copied().collect();
        read.into_iter().filter_map(|batch| self.batch_done(run, batch)).flatten().collect()
    }

    /// Whether a batch was given its data, or will never be given any.
    pub fn is_allocated(&self, batch: Time) -> bool {
        self.last_batch.is_some_and(|last| batch <= last)
    }

    /// Records that the batches up to `through` are not given any more data.
    pub fn leave_out(&mut self, through: Time) {
        self.last_batch = self.last_batch.max(Some(through));
    }

    /// Adds a partition for a batch to read: a block that was stored, a part of a file, or a range of a log.
    pub fn partition_added(&mut self, source: &str, partition: InputPartition) {
        self.unallocated.partitions.entry(source.to_owned()).or_default().push(partition);
    }

    /// Gives all partitions that are not given yet to `batch`. A batch that is not after the last one keeps the
    /// partitions that it was given, because it must read the same data when it runs again.
    pub fn allocate(&mut self, batch: Time) -> Allocation {
        if self.last_batch.is_none_or(|last| batch > last) {
            self.last_batch = Some(batch);
            let (allocation, readers) = (std::mem::take(&mut self.unallocated), self.attached.clone());
            self.allocated.insert(batch, Given { allocation, readers });
        }
        self.allocated.get(&batch).map(|given| given.allocation.clone()).unwrap_or_default()
    }

    /// Records that a run is done with a batch. If no other run reads the batch, returns the blocks of the batch.
    /// `None` if another run still reads the batch, or if no run did.
    pub fn batch_done(&mut self, run: RunId, batch: Time) -> Option<Vec<BlockId>> {
        let given = self.allocated.get_mut(&batch)?;
        let was_reader = given.readers.remove(&run);
        if !was_reader || !given.readers.is_empty() {
            return None;
        }
        let given = self.allocated.remove(&batch)?;
        let blocks = given.allocation.block_ids();
        self.past.insert(batch, given.allocation);
        Some(blocks)
    }

    /// Forgets the allocations of the batches before a time.
    pub fn forget_past(&mut self, before: Time) {
        self.past = self.past.split_off(&before);
    }

    /// Lets a run read batches again that were made before the run was attached: the last batches without a gap, of
    /// those after `after`, whose allocation `can_be_read`. Returns them in order. The flag is true if other runs still
    /// read the batch, so that its blocks are stored.
    pub fn read_past(
        &mut self,
        run: RunId,
        after: Time,
        batch_interval: Duration,
        can_be_read: impl Fn(&Allocation) -> bool,
    ) -> Vec<(Time, Allocation, bool)> {
        let mut batches = Vec::new();
        let mut batch = self.last_batch.unwrap_or_default();
        while batch > after {
            if let Some(given) = self.allocated.get_mut(&batch) {
                if !can_be_read(&given.allocation) {
                    break;
                }
                given.readers.insert(run);
                batches.push((batch, given.allocation.clone(), true));
            } else {
                let Some(allocation) = self.past.get(&batch).filter(|allocation| can_be_read(allocation)) else {
                    break;
                };
                let given = Given { allocation: allocation.clone(), readers: BTreeSet::from([run]) };
                batches.push((batch, allocation.clone(), false));
                self.allocated.insert(batch, given);
            }
            batch = batch - batch_interval;
        }
        batches.reverse();
        batches
    }

    /// Whether there is a partition that was not given to a batch yet.
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
        /// For any order of events, each block is given to one batch, in order, and is released once.
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
                released.extend(tracker.batch_done(RunId::FIRST, Time::from_ms(batch)).unwrap());
            }
            prop_assert_eq!(&given, &released);
            given.sort_by_key(|id| id.sequence);
            prop_assert_eq!(given, added);
        }

        /// For any order in which runs are attached, are detached, end and are done with batches, a block is released
        /// once: when the last run that was given its batch is done with the batch or has ended.
        #[test]
        fn a_block_is_released_by_the_last_run_that_reads_it(
            events in prop::collection::vec((0u8..6, 0u32..4, 0u64..40), 0..200),
        ) {
            let mut tracker = ReceivedBlockTracker::default();
            let mut attached = BTreeSet::from([RunId::FIRST]);
            let mut readers: BTreeMap<u64, BTreeSet<RunId>> = BTreeMap::new();
            let (mut batches, mut released) = (0, Vec::new());
            for (event, run, batch) in events {
                let run = RunId(run);
                match event {
                    0 => {
                        tracker.attach(run);
                        attached.insert(run);
                    }
                    1 => {
                        tracker.detach(run);
                        attached.remove(&run);
                    }
                    2 => {
                        let ended: Vec<u64> = tracker.run_ended(run).into_iter().map(|id| id.sequence).collect();
                        attached.remove(&run);
                        readers.values_mut().for_each(|readers| { readers.remove(&run); });
                        let expected: Vec<u64> = readers.iter().filter(|(_, left)| left.is_empty()).map(|(batch, _)| *batch).collect();
                        prop_assert_eq!(&ended, &expected);
                        readers.retain(|_, left| !left.is_empty());
                        released.extend(ended);
                    }
                    3 | 4 if !attached.is_empty() => {
                        batches += 1;
                        let id = block(0, batches);
                        tracker.partition_added("0", InputPartition::Block { id, rows: 1, checksum: None });
                        tracker.allocate(Time::from_ms(batches));
                        readers.insert(batches, attached.clone());
                    }
                    _ => {
                        let left = readers.get_mut(&batch).map(|left| (left.remove(&run), left.is_empty()));
                        let done = tracker.batch_done(run, Time::from_ms(batch));
                        prop_assert_eq!(done.is_some(), left == Some((true, true)));
                        if done.is_some() {
                            readers.remove(&batch);
                            released.push(batch);
                        }
                    }
                }
            }
            prop_assert_eq!(tracker.allocated.keys().map(|batch| batch.as_ms()).collect::<Vec<_>>(), readers.keys().copied().collect::<Vec<_>>());
            let once: BTreeSet<u64> = released.iter().copied().collect();
            prop_assert_eq!(once.len(), released.len());
            prop_assert_eq!(once.len() + readers.len(), batches as usize);
        }
    }
}
