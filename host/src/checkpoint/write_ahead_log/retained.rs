//! Which segments of the write-ahead log are still needed: a pure record.
//!
//! Owns the rule. A block is needed until its batch is forgotten. A block that no batch was given is needed. A segment is
//! needed while it is open, and while it holds a needed block. Never removes a file.

use crate::ids::BlockId;
use crate::time::Time;
use std::collections::{BTreeMap, BTreeSet};

/// The blocks of each segment that are needed. `S` identifies a segment; later segments are larger.
pub(super) struct Retained<S> {
    segments: BTreeMap<S, Segment>,
    /// The segment of each needed block.
    blocks: BTreeMap<BlockId, S>,
    /// The blocks that each batch was given.
    batches: BTreeMap<Time, Vec<BlockId>>,
}

#[derive(Default)]
struct Segment {
    needed: BTreeSet<BlockId>,
    is_closed: bool,
}

impl<S> Default for Retained<S> {
    fn default() -> Self {
        Self { segments: BTreeMap::new(), blocks: BTreeMap::new(), batches: BTreeMap::new() }
    }
}

impl<S: Copy + Ord> Retained<S> {
    /// Notes that a segment holds a block. If another segment held the block before, the later one counts.
    pub(super) fn added(&mut self, segment: S, block: BlockId) {
        self.segments.entry(segment).or_default().needed.insert(block.clone());
        if let Some(before) = self.blocks.insert(block.clone(), segment).filter(|before| *before != segment)
            && let Some(before) = self.segments.get_mut(&before)
        {
            before.needed.remove(&block);
        }
    }

    /// Notes that nothing is added to a segment any more.
    pub(super) fn closed(&mut self, segment: S) {
        self.segments.entry(segment).or_default().is_closed = true;
    }

    /// Notes that a batch was given blocks.
    pub(super) fn allocated(&mut self, batch: Time, blocks: impl IntoIterator<Item = BlockId>) {
        let mut blocks: Vec<BlockId> = blocks.into_iter().filter(|block| self.blocks.contains_key(block)).collect();
        if !blocks.is_empty() {
            self.batches.entry(batch).or_default().append(&mut blocks);
        }
    }

    /// Notes that the blocks of the batches before `time` are not needed.
    pub(super) fn forget_before(&mut self, time: Time) {
        let kept = self.batches.split_off(&time);
        for block in std::mem::replace(&mut self.batches, kept).into_values().flatten() {
            if let Some(segment) = self.blocks.remove(&block)
                && let Some(segment) = self.segments.get_mut(&segment)
            {
                segment.needed.remove(&block);
            }
        }
    }

    /// Whether a block is in a segment, and needed.
    pub(super) fn holds(&self, block: &BlockId) -> bool {
        self.blocks.contains_key(block)
    }

    /// Removes the segments from the record that are not needed, and returns them. With `keeps_newest`, the newest segment
    /// counts as needed.
    pub(super) fn take_unneeded(&mut self, keeps_newest: bool) -> Vec<S> {
        let newest = self.segments.last_key_value().map(|(number, _)| *number).filter(|_| keeps_newest);
        let is_unneeded = |(number, segment): &(&S, &Segment)| {
            segment.is_closed && segment.needed.is_empty() && Some(**number) != newest
        };
        let unneeded = self.segments.iter().filter(is_unneeded).map(|(number, _)| *number);
        let unneeded: Vec<S> = unneeded.collect();
        unneeded.iter().for_each(|number| drop(self.segments.remove(number)));
        unneeded
    }

    /// The segments that hold some of these blocks, in order, each with these blocks. Blocks that are not needed any more
    /// are left out.
    pub(super) fn find(&self, blocks: &[BlockId]) -> Vec<(S, Vec<BlockId>)> {
        let mut found: BTreeMap<S, Vec<BlockId>> = BTreeMap::new();
        for block in blocks {
            if let Some(segment) = self.blocks.get(block) {
                found.entry(*segment).or_default().push(block.clone());
            }
        }
        found.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(sequence: u64) -> BlockId {
        BlockId { source: "s".to_owned(), sequence }
    }

    proptest! {
        /// For any order of events, a segment is given up exactly when it is closed and the batches of all its blocks are
        /// forgotten, and each segment is given up once.
        #[test]
        fn a_segment_is_kept_as_long_as_a_block_of_it_is_needed(
            events in prop::collection::vec((0u8..4, 0u64..3), 0..120),
        ) {
            let mut retained = Retained::default();
            let (mut open, mut next, mut batch, mut forgotten) = (0u64, 0u64, 0u64, 0u64);
            // For each block: its segment and its batch.
            let mut blocks: Vec<(u64, Option<u64>)> = Vec::new();
            let (mut closed, mut removed) = (BTreeSet::new(), BTreeSet::new());
            for (event, by) in events {
                match event {
                    0 => {
                        retained.added(open, block(next));
                        blocks.push((open, None));
                        next += 1;
                    }
                    1 => {
                        retained.closed(open);
                        closed.insert(open);
                        open += 1;
                    }
                    2 => {
                        batch += 1;
                        let given = blocks.iter_mut().enumerate().filter(|(_, (_, batch))| batch.is_none());
                        let ids: Vec<BlockId> = given.map(|(at, of)| { of.1 = Some(batch); block(at as u64) }).collect();
                        retained.allocated(Time::from_ms(batch), ids);
                    }
                    _ => {
                        forgotten = (forgotten + by).min(batch);
                        retained.forget_before(Time::from_ms(forgotten));
                    }
                }
                removed.extend(retained.take_unneeded(false).into_iter().inspect(|segment| assert!(!removed.contains(segment))).collect::<Vec<_>>());
                let is_needed = |batch: &Option<u64>| batch.is_none_or(|batch| batch >= forgotten);
                let needed: BTreeSet<u64> =
                    blocks.iter().filter(|(_, batch)| is_needed(batch)).map(|(segment, _)| *segment).collect();
                prop_assert_eq!(&removed, &closed.difference(&needed).copied().collect::<BTreeSet<_>>());
                let all: Vec<BlockId> = (0..next).map(block).collect();
                let found: usize = retained.find(&all).iter().map(|(_, blocks)| blocks.len()).sum();
                prop_assert_eq!(found, blocks.iter().filter(|(_, batch)| is_needed(batch)).count());
            }
        }
    }

    #[test]
    fn a_block_that_was_written_again_is_in_the_later_segment() {
        let mut retained = Retained::default();
        retained.added(1, block(7));
        retained.closed(1);
        retained.added(2, block(7));
        assert_eq!(retained.take_unneeded(true), [1]);
        retained.closed(2);
        retained.allocated(Time::from_ms(1), [block(7)]);
        assert_eq!(retained.find(&[block(7)]), [(2, vec![block(7)])]);
        retained.forget_before(Time::from_ms(2));
        assert_eq!((retained.take_unneeded(true), retained.take_unneeded(false)), (vec![], vec![2]));
    }
}
