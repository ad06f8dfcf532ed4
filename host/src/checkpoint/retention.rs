//! How long the data of batches is kept: as long as a restart from the oldest checkpoint that is kept can need it.
//!
//! Owns the rule, as a pure record of the checkpoints that are kept. The rule lets a run resume from each of these
//! checkpoints with the same results. Never removes data itself.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::metadata::SnapshotId;
use super::runs::CHECKPOINTS_KEPT;
use crate::time::Time;
use std::collections::VecDeque;

/// What a restart from a checkpoint needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The inputs of batches from this time on.
    pub inputs_from: Time,
    /// The snapshots of state that the checkpoint names.
    pub snapshots: Vec<SnapshotId>,
}

/// The needs of restarts from the kept checkpoints of a run, the oldest checkpoint first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention(VecDeque<Kept>);

impl Retention {
    /// Makes the record of the checkpoints that exist when a host starts, the oldest first.
    pub fn new(kept: impl IntoIterator<Item = Kept>) -> Self {
        let mut retention = Self::default();
        kept.into_iter().for_each(|kept| drop(retention.add(kept)));
        retention
    }

    /// Adds a checkpoint that was written. Returns the snapshots that no checkpoint names any more.
    pub fn add(&mut self, kept: Kept) -> Vec<SnapshotId> {
        self.0.push_back(kept);
        let mut dropped = Vec::new();
        while self.0.len() > CHECKPOINTS_KEPT {
            dropped.extend(self.0.pop_front().into_iter().flat_map(|kept| kept.snapshots));
        }
        dropped.retain(|snapshot| !self.names(snapshot.epoch, snapshot.time_ms));
        dropped
    }

    /// The first batch whose inputs a restart from one of the checkpoints needs.
    pub fn inputs_from(&self) -> Time {
        self.0.iter().map(|kept| kept.inputs_from).min().unwrap_or_default()
    }

    /// Whether a checkpoint names the snapshot of this epoch and time.
    pub fn names(&self, epoch: u64, time_ms: u64) -> bool {
        let names = |kept: &Kept| kept.snapshots.iter().any(|id| (id.epoch, id.time_ms) == (epoch, time_ms));
        self.0.iter().any(names)
    }
}

/// The snapshots from which state can be restored at `oldest` and at each later snapshot: the snapshots from the last
/// full one on that is not after `oldest`. Returns all snapshots if a restart needs older state.
pub fn needed_snapshots(snapshots: &[SnapshotId], oldest: Option<Time>) -> &[SnapshotId] {
    let begins = |snapshot: &SnapshotId| snapshot.is_full && oldest.is_some_and(|oldest| snapshot.time() <= oldest);
    let from = snapshots.iter().rposition(begins).unwrap_or(0);
    snapshots.get(from..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_ten_counts() {
        let at = |second: u64| Time::from_ms(second * 1000);
        let kept = |second: u64| Kept { inputs_from: at(second), snapshots: Vec::new() };
        assert_eq!(Retention::default().inputs_from(), at(0));
        let mut retention = Retention::new((0..=9).map(kept));
        assert_eq!(retention.inputs_from(), at(0), "these are ten");
        retention.add(kept(10));
        assert_eq!(retention.inputs_from(), at(1));
        assert_eq!(Retention::new((1..=30).map(kept)).inputs_from(), at(21));
    }

    #[test]
    fn a_snapshot_is_dropped_with_the_last_checkpoint_that_names_it() {
        let snapshot = SnapshotId { time_ms: 1000, epoch: 1, is_full: true };
        let kept = |snapshots: &[SnapshotId]| Kept { inputs_from: Time::default(), snapshots: snapshots.to_vec() };
        let mut retention = Retention::default();
        assert_eq!(retention.add(kept(&[snapshot])), []);
        assert_eq!(retention.add(kept(&[snapshot])), []);
        assert!((0..9).all(|_| retention.add(kept(&[])).is_empty()), "the second one names it");
        assert_eq!(retention.add(kept(&[])), [snapshot]);
    }

    #[test]
    fn snapshots_are_kept_from_the_last_full_one_on_that_is_old_enough() {
        let snapshot = |second: u64, is_full| SnapshotId { time_ms: second * 1000, epoch: 1, is_full };
        let all = [snapshot(1, true), snapshot(2, false), snapshot(3, true), snapshot(4, false)];
        let needed = |second: u64| needed_snapshots(&all, Some(Time::from_ms(second * 1000)));
        assert_eq!(needed_snapshots(&all, None), all);
        assert_eq!(needed(2), all);
        assert_eq!(needed(3), &all[2..]);
        assert_eq!(needed(4), &all[2..]);
    }
}
