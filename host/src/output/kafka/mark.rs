//! The mark of a batch, which is committed in the same transaction as the messages of the batch.
//!
//! Owns the text of a mark, and which batches a mark covers. Batches are written in order, so a mark covers all earlier
//! batches of its job.

use crate::time::Time;
use std::fmt;

/// The beginning of the text, with the version of its form.
const FORM: &str = "millstream-1";

/// The mark of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The time before the first batch of the job. A job that is started anew has another one, and so its batches are not
    /// taken for those of the earlier job.
    pub(super) zero: Time,
    /// The time of the batch.
    pub(super) batch: Time,
}

impl Mark {
    /// The mark with this text; `None` if the text is no mark.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_prefix(FORM)?.strip_prefix(' ')?.split(' ');
        let mut time = || words.next()?.parse().ok().map(Time::from_ms);
        let mark = Self { zero: time()?, batch: time()? };
        words.next().is_none().then_some(mark)
    }

    /// Whether the batch of another mark was written when this mark was.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.zero == other.zero && other.batch <= self.batch
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORM} {} {}", self.zero.as_ms(), self.batch.as_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_mark_is_read_as_it_was_written(zero: u64, batch: u64, text in "(millstream-1)?[ 0-9x]{0,9}") {
            let mark = Mark { zero: Time::from_ms(zero), batch: Time::from_ms(batch) };
            prop_assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
            if let Some(mark) = Mark::parse(&text) {
                prop_assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
            }
        }
    }

    #[test]
    fn a_mark_covers_the_batches_of_its_job_through_its_own() {
        let mark = |zero, batch| Mark { zero: Time::from_ms(zero), batch: Time::from_ms(batch) };
        let last = mark(10, 50);
        assert!(last.covers(&mark(10, 50)) && last.covers(&mark(10, 20)));
        assert!(!last.covers(&mark(10, 60)) && !last.covers(&mark(11, 50)));
    }
}
