//! How long the data of batches is kept: as long as a restart from the oldest checkpoint that is kept can need it.
//!
//! Owns the rule, as a pure record of the checkpoints that are kept. The rule lets a run resume from each of these
//! checkpoints with the same results. Never removes data itself.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::runs::CHECKPOINTS_KEPT;
use crate::time::Time;
use std::collections::VecDeque;

/// The checkpoints of a run that are kept, the oldest first. For each, the batch up to which the checkpoint knows all
/// batches to be done, or `None` if the checkpoint knows of no batch that is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention(VecDeque<Option<Time>>);

impl Retention {
    /// Makes the record of the checkpoints that exist when a host starts, the oldest first.
    pub fn new(kept: impl IntoIterator<Item = Option<Time>>) -> Self {
        let mut retention = Self::default();
        kept.into_iter().for_each(|done| retention.add(done));
        retention
    }

    /// Adds a checkpoint that was written.
    pub fn add(&mut self, done: Option<Time>) {
        self.0.push_back(done);
        while self.0.len() > CHECKPOINTS_KEPT {
            self.0.pop_front();
        }
    }

    /// The last batch that all checkpoints know to be done, together with all batches before it. `None` if there is
    /// none.
    pub fn done_in_all(&self) -> Option<Time> {
        self.0.iter().min().copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_ten_counts() {
        let at = |second: u64| Some(Time::from_ms(second * 1000));
        assert_eq!(Retention::default().done_in_all(), None);
        let mut retention = Retention::new([None, at(1)]);
        assert_eq!(retention.done_in_all(), None, "the first knows of none");
        (2..=9).for_each(|second| retention.add(at(second)));
        assert_eq!(retention.done_in_all(), None, "these are ten");
        retention.add(at(10));
        assert_eq!(retention.done_in_all(), at(1));
        retention.add(at(11));
        assert_eq!(retention.done_in_all(), at(2));
        assert_eq!(Retention::new((1..=30).map(at)).done_in_all(), at(21));
    }
}
