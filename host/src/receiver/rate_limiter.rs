//! How many records a receiver may take now.
//!
//! Owns the credit of a receiver, as a pure core over the time that is passed in. The credit grows evenly, at the rate
//! of the receiver, up to the records of [`BURST`]. All arithmetic is exact. Never waits: the caller does.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::time::Duration;

/// A receiver that has been idle may take at once what its rate allows in this time, and one record more.
const BURST: Duration = Duration::from_millis(100);

/// A receiver that waits does so for what its rate allows in this time, and at least for one record.
const PAUSE: Duration = Duration::from_millis(10);

/// The parts of a record in which the credit is counted: a rate in records a second, times nanoseconds.
const PARTS: i128 = 1_000_000_000;

const NANOS_IN_MS: i128 = 1_000_000;

/// Limits the records of one receiver.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateLimiter {
    /// Records a second; `None` if there is no limit.
    rate: Option<u64>,
    /// The records that may be taken at the time `at`, in billionths. Below zero if more was taken, as records that
    /// cannot be separated are.
    credit: i128,
    at: Duration,
}

impl RateLimiter {
    /// Makes a limiter with the credit of one record. `now` is a time of any clock that never goes back.
    pub(super) const fn new(rate: Option<u64>, now: Duration) -> Self {
        Self { rate, credit: PARTS, at: now }
    }

    /// Sets the rate, in records a second. A rate of 0 counts as 1. The credit stays as it is.
    pub(super) fn set_rate(&mut self, rate: Option<u64>, now: Duration) {
        if self.rate != rate {
            self.earn(now);
            self.rate = rate;
            self.credit = self.credit.min(self.burst());
        }
    }

    /// Whether there is no limit.
    pub(super) const fn is_open(&self) -> bool {
        self.rate.is_none()
    }

    /// How many records may be taken now.
    pub(super) fn available(&mut self, now: Duration) -> u64 {
        self.earn(now);
        if self.rate.is_none() {
            return u64::MAX;
        }
        u64::try_from(self.credit.div_euclid(PARTS).max(0)).unwrap_or(u64::MAX)
    }

    /// Takes records, whether they are available or not. Records that are not available are owed.
    pub(super) fn take(&mut self, records: u64) {
        if self.rate.is_some() {
            self.credit = self.credit.saturating_sub(i128::from(records).saturating_mul(PARTS));
        }
    }

    /// How long to wait until some records can be taken, in whole milliseconds. Zero if there are some now.
    pub(super) fn wait(&mut self, now: Duration) -> Duration {
        self.earn(now);
        let Some(rate) = self.rate else { return Duration::ZERO };
        if self.credit >= PARTS {
            return Duration::ZERO;
        }
        let missing = self.in_span(PAUSE).max(PARTS).saturating_sub(self.credit).max(0);
        let nanos = missing.checked_div(i128::from(rate.max(1))).unwrap_or(i128::MAX);
        let ms = nanos.checked_div(NANOS_IN_MS).unwrap_or(0).saturating_add(1);
        Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))
    }

    /// Adds the credit for the time that has passed.
    fn earn(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        if self.rate.is_some() {
            self.credit = self.credit.saturating_add(self.in_span(passed)).min(self.burst());
        }
    }

    /// The largest credit.
    fn burst(&self) -> i128 {
        self.in_span(BURST).saturating_add(PARTS)
    }

    /// What the rate allows in a span, in billionths of a record.
    fn in_span(&self, span: Duration) -> i128 {
        let nanos = i128::try_from(span.as_nanos()).unwrap_or(i128::MAX);
        i128::from(self.rate.unwrap_or(1).max(1)).saturating_mul(nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        /// Time passes, in microseconds.
        Pass(u64),
        /// Takes at most this many records, as far as they are available.
        Take(u64),
        /// Takes records that cannot be separated.
        Owe(u64),
        Rate(Option<u64>),
    }

    fn rate() -> impl Strategy<Value = u64> {
        prop_oneof![0..10_u64, 1..1_000_000_u64, Just(u64::MAX)]
    }

    fn step() -> impl Strategy<Value = Step> {
        let number = || prop_oneof![0..10_u64, 0..100_000_u64, Just(u64::MAX)];
        prop_oneof![
            number().prop_map(Step::Pass),
            number().prop_map(Step::Take),
            number().prop_map(Step::Owe),
            prop::option::of(rate()).prop_map(Step::Rate),
        ]
    }

    proptest! {
        /// Whatever happens, nothing panics, and whoever waits as long as the limiter says gets at least a record.
        #[test]
        fn a_wait_is_followed_by_a_record(steps in prop::collection::vec(step(), 0..40)) {
            let mut now = Duration::ZERO;
            let mut limiter = RateLimiter::new(Some(5), now);
            for step in steps {
                match step {
                    Step::Pass(micros) => now = now.saturating_add(Duration::from_micros(micros)),
                    Step::Take(records) => {
                        let taken = limiter.available(now).min(records);
                        limiter.take(taken);
                    }
                    Step::Owe(records) => limiter.take(records),
                    Step::Rate(rate) => limiter.set_rate(rate, now),
                }
                let wait = limiter.wait(now);
                let mut later = limiter;
                let is_endless = wait == Duration::from_millis(u64::MAX);
                prop_assert!(is_endless || later.available(now.saturating_add(wait)) > 0, "{limiter:?}");
                prop_assert_eq!(limiter.available(now) > 0, wait.is_zero());
            }
        }

        /// In any span of time, a receiver takes at most the records of its rate in this span and of one burst. A receiver
        /// that always has records takes all of its rate.
        #[test]
        fn the_rate_holds_in_every_span(rate in 1..1_000_000_u64, pauses in prop::collection::vec(0..300_000_u64, 1..60)) {
            let mut now = Duration::ZERO;
            let mut limiter = RateLimiter::new(Some(rate), now);
            let mut taken = Vec::new();
            for pause in &pauses {
                // Wakes up late sometimes, as timers do.
                now += limiter.wait(now) + Duration::from_micros(*pause % 30_000);
                let records = limiter.available(now);
                limiter.take(records);
                taken.push((now, records));
            }
            let allowed = |span: Duration| rate as f64 * (span.as_secs_f64() + 0.1) + 1.0;
            for first in 0..taken.len() {
                let mut sum = 0;
                for (at, records) in &taken[first..] {
                    sum += records;
                    let span = *at - taken[first].0;
                    prop_assert!(sum as f64 <= allowed(span) + 1e-6, "{sum} in {span:?} at {rate}");
                }
            }
            let sum: u64 = taken.iter().map(|(_, records)| records).sum();
            // The credit of one record at the beginning, and less than one at the end.
            prop_assert!((sum as f64 - rate as f64 * now.as_secs_f64()).abs() <= 2.0, "{sum} in {now:?} at {rate}");
        }
    }

    #[test]
    fn records_that_cannot_be_separated_are_paid_for_afterwards() {
        let mut limiter = RateLimiter::new(Some(100), Duration::ZERO);
        assert_eq!(limiter.available(Duration::ZERO), 1);
        limiter.take(101);
        assert_eq!(limiter.available(Duration::from_secs(1)), 0);
        assert_eq!(limiter.wait(Duration::from_secs(1)), Duration::from_millis(11));
        assert_eq!(limiter.available(Duration::from_millis(1010)), 1);
    }

    #[test]
    fn an_idle_receiver_gathers_no_more_than_a_burst() {
        let mut limiter = RateLimiter::new(Some(1000), Duration::ZERO);
        assert_eq!(limiter.available(Duration::from_secs(100)), 101);
        limiter.set_rate(Some(5), Duration::from_secs(100));
        assert_eq!(limiter.available(Duration::from_secs(100)), 1);
        limiter.set_rate(None, Duration::from_secs(100));
        assert_eq!(limiter.available(Duration::from_secs(100)), u64::MAX);
        assert_eq!(limiter.wait(Duration::from_secs(100)), Duration::ZERO);
    }
}
