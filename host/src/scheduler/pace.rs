//! Decides whether a job keeps up with its batches: a pure decision from the delays of the last batches.
//!
//! Owns the rule. A job falls behind if several batches in a row wait longer than a batch interval, or if each of the
//! last batches waits longer than the one before. A job has caught up when several batches in a row wait only a short
//! time.

use crate::time::Duration;
use std::collections::VecDeque;

/// A job is behind if this many batches in a row waited longer than an interval.
const LONG_DELAYS: usize = 3;
/// A job is behind if the delay grew over this many batches in a row. Averages are taken of this many batches too.
const GROWING_DELAYS: usize = 5;
/// A job has caught up if this many batches in a row waited only a short time.
const SHORT_DELAYS: usize = 3;

/// The delays of a batch.
#[derive(Clone, Copy, Debug)]
struct Delays {
    scheduling: Duration,
    processing: Duration,
}

/// A change that a batch has caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The job has fallen behind.
    Behind,
    /// The job has caught up.
    CaughtUp,
}

/// The delays of the last batches, and whether the job is behind.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    last: VecDeque<Delays>,
    is_behind: bool,
}

impl Pace {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, last: VecDeque::new(), is_behind: false }
    }

    /// Adds the delays of a batch that is completed. Returns the change that follows. `None` if nothing has changed.
    pub(super) fn completed(&mut self, scheduling: Duration, processing: Duration) -> Option<Change> {
        self.last.push_front(Delays { scheduling, processing });
        self.last.truncate(GROWING_DELAYS);
        let change = if self.is_behind {
            (self.are_last(SHORT_DELAYS, |delay| delay <= self.interval / 4)).then_some(Change::CaughtUp)
        } else {
            let is_long = self.are_last(LONG_DELAYS, |delay| delay > self.interval);
            (is_long || self.is_growing()).then_some(Change::Behind)
        };
        self.is_behind ^= change.is_some();
        change
    }

    /// How much longer the last batch waited than the oldest one that is remembered.
    pub(super) fn growth(&self) -> Duration {
        let delay = |delays: Option<&Delays>| delays.map_or(Duration::ZERO, |delays| delays.scheduling);
        delay(self.last.front()).saturating_sub(delay(self.last.back()))
    }

    /// The average processing time of the last batches.
    pub(super) fn processing_average(&self) -> Duration {
        let count = u32::try_from(self.last.len()).unwrap_or(u32::MAX).max(1);
        self.last.iter().map(|delays| delays.processing).sum::<Duration>() / count
    }

    fn are_last(&self, count: usize, is: impl Fn(Duration) -> bool) -> bool {
        self.last.len() >= count && self.last.iter().take(count).all(|delays| is(delays.scheduling))
    }

    /// Whether each of the last batches waited longer than the one before, and the last one waited long enough to
    /// matter.
    fn is_growing(&self) -> bool {
        let delays = || self.last.iter().map(|delays| delays.scheduling);
        self.last.len() == GROWING_DELAYS
            && delays().zip(delays().skip(1)).all(|(later, earlier)| later > earlier)
            && delays().next().is_some_and(|last| last > self.interval / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INTERVAL: Duration = Duration::from_millis(1000);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// The changes of a job whose batches have these delays, each with the number of its batch.
    fn changes(delays_ms: &[u64]) -> Vec<(usize, Change)> {
        let mut pace = Pace::new(INTERVAL);
        let batches = delays_ms.iter().enumerate();
        batches.filter_map(|(at, delay)| Some((at, pace.completed(ms(*delay), ms(1))?))).collect()
    }

    /// S14.06
    #[test]
    fn delays_above_an_interval_are_told_once_until_the_job_has_caught_up() {
        assert_eq!(changes(&[0, 1500, 1500, 900, 1500, 1500]), []);
        let delays = [0, 1500, 1400, 1300, 1200, 3000, 4000, 800, 200, 100, 300, 0, 0, 0, 1100, 1100, 1100];
        assert_eq!(changes(&delays), [(3, Change::Behind), (13, Change::CaughtUp), (16, Change::Behind)]);
    }

    /// S14.06
    #[test]
    fn a_delay_that_grows_is_told_before_it_exceeds_an_interval() {
        assert_eq!(changes(&[0, 150, 300, 450, 600, 750]), [(4, Change::Behind)]);
        assert_eq!(changes(&[1, 2, 3, 4, 5, 6, 7]), [], "small delays grow by chance");
        assert_eq!(changes(&[400, 500, 600, 700, 650, 800, 900]), [], "it fell between");
    }

    #[test]
    fn it_says_by_how_much() {
        let mut pace = Pace::new(INTERVAL);
        assert_eq!((pace.growth(), pace.processing_average()), (ms(0), ms(0)));
        for (scheduling, processing) in [(9000, 9000), (0, 1000), (100, 1200), (200, 1400), (300, 1600), (400, 1800)] {
            pace.completed(ms(scheduling), ms(processing));
        }
        assert_eq!((pace.growth(), pace.processing_average()), (ms(400), ms(1400)));
        pace.completed(ms(0), ms(1000));
        assert_eq!(pace.growth(), ms(0));
    }

    proptest! {
        /// For any delays, falling behind and catching up alternate, and the batches just before each change give the
        /// reason. A job whose batches never wait for half an interval is never behind.
        #[test]
        fn changes_take_turns_and_have_reasons(
            delays in prop::collection::vec(prop_oneof![0u64..300, 0u64..1500, 900u64..5000], 0..60),
        ) {
            let changes = changes(&delays);
            for (turn, (at, change)) in changes.iter().enumerate() {
                let is_behind = turn % 2 == 0;
                prop_assert_eq!(*change, if is_behind { Change::Behind } else { Change::CaughtUp });
                if is_behind {
                    prop_assert!(delays[*at] > 500);
                    prop_assert!(*at >= LONG_DELAYS - 1);
                } else {
                    prop_assert!(delays[at + 1 - SHORT_DELAYS..=*at].iter().all(|delay| *delay <= 250));
                }
            }
            if delays.iter().all(|delay| *delay <= 500) {
                prop_assert!(changes.is_empty());
            }
        }

        /// A job whose batches take longer than the interval is found to be behind, even if they take only little
        /// longer.
        #[test]
        fn an_overloaded_job_is_found_out(extra in 1u64..2000) {
            let delays: Vec<u64> = (0..1200).map(|batch| batch * extra).take_while(|delay| *delay <= 20_000).collect();
            let changes = changes(&delays);
            prop_assert_eq!(changes.len(), 1);
            prop_assert!(delays[changes[0].0] <= 500 + 5 * extra);
        }
    }
}
