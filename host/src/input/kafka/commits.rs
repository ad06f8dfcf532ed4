//! Offsets of which driver functions want the consumer group to be told.
//!
//! Owns the offsets until their batch is done. Never tells the group: see `mod.rs`.

use crate::block::OffsetRange;
use crate::env::{Offsets, TopicPartition};
use crate::error::{Error, ErrorKind};
use crate::lock::lock;
use crate::time::Time;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// The offsets that driver functions have committed, by the batch in which they did.
pub(super) struct Commits {
    /// Whether the source tells the group of all offsets, so that functions need not.
    are_automatic: bool,
    waiting: Mutex<BTreeMap<Time, Offsets>>,
}

impl Commits {
    pub(super) fn new(are_automatic: bool) -> Self {
        Self { are_automatic, waiting: Mutex::default() }
    }

    /// Adds the ends of ranges. Of several ends of a partition, the furthest one counts.
    ///
    /// # Errors
    /// Returns an error if the source tells the group of all offsets itself.
    pub(super) fn add(&self, batch: Time, ranges: &[OffsetRange]) -> Result<(), Error> {
        if self.are_automatic {
            return Err(Error::new(ErrorKind::User, "the source tells its consumer group of all offsets itself")
                .help("set `commit_offsets = false` for the source, or leave the commit out"));
        }
        let mut waiting = lock(&self.waiting);
        let of_batch = waiting.entry(batch).or_default();
        for OffsetRange { topic, partition, end, .. } in ranges {
            let known = of_batch.entry(TopicPartition { topic: topic.clone(), number: *partition }).or_insert(*end);
            *known = (*known).max(*end);
        }
        Ok(())
    }

    /// Takes the offsets of a batch that is done, and of all batches before it.
    pub(super) fn take(&self, batch: Time) -> Offsets {
        let mut waiting = lock(&self.waiting);
        let mut taken = Offsets::new();
        while let Some(first) = waiting.first_entry().filter(|first| *first.key() <= batch) {
            taken.extend(first.remove());
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    fn range(partition: i32, end: i64) -> OffsetRange {
        OffsetRange { topic: "t".to_owned(), partition, first: 0, end }
    }

    #[test]
    fn offsets_wait_until_their_batch_is_done() {
        let commits = Commits::new(false);
        let at = |seconds| Time::default() + Duration::from_secs(seconds);
        commits.add(at(1), &[range(0, 5), range(1, 7), range(0, 3)]).unwrap();
        commits.add(at(2), &[range(0, 9)]).unwrap();
        let of = |number| TopicPartition { topic: "t".to_owned(), number };
        assert_eq!(commits.take(at(0)), Offsets::new());
        assert_eq!(commits.take(at(1)), Offsets::from([(of(0), 5), (of(1), 7)]));
        assert_eq!(commits.take(at(3)), Offsets::from([(of(0), 9)]));
        assert_eq!(commits.take(at(3)), Offsets::new());
    }

    #[test]
    fn a_source_that_tells_of_all_offsets_is_not_told() {
        let error = Commits::new(true).add(Time::default(), &[range(0, 1)]).unwrap_err();
        assert_eq!(error.message, "the source tells its consumer group of all offsets itself");
    }
}
