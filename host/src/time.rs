//! Points in time and spans, in whole milliseconds, as the batch clock counts them.
//!
//! Owns [`Time`] and the arithmetic of batch boundaries. Never reads a clock: see [`crate::env`].

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::fmt;
use std::ops::{Add, Sub};

/// A span of time. Batch intervals, windows and delays are spans of whole milliseconds.
pub type Duration = std::time::Duration;

/// A point in time: milliseconds since the Unix epoch. A batch is named by the time at which it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// The point `ms` milliseconds after the Unix epoch.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// The latest multiple of `interval` that is not after this point. An interval below 1 ms counts as 1 ms.
    #[must_use]
    pub fn floor(self, interval: Duration) -> Self {
        Self(self.0.saturating_sub(remainder_ms(self.0, interval)))
    }

    /// The first multiple of `interval` strictly after this point: the end of the batch that this point falls in.
    #[must_use]
    pub fn next_multiple(self, interval: Duration) -> Self {
        self.floor(interval) + interval
    }

    /// The time from `earlier` to this point; zero if `earlier` is not before this point.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// How many whole `interval`s a span holds. An interval below 1 ms counts as 1 ms.
pub fn times_in(span: Duration, interval: Duration) -> u64 {
    whole_ms(span).checked_div(whole_ms(interval).max(1)).unwrap_or(0)
}

/// The remainder of a span after its last whole `interval`, in whole milliseconds.
pub fn remainder(span: Duration, interval: Duration) -> Duration {
    Duration::from_millis(remainder_ms(whole_ms(span), interval))
}

fn remainder_ms(span_ms: u64, interval: Duration) -> u64 {
    span_ms.checked_rem(whole_ms(interval).max(1)).unwrap_or(0)
}

/// The whole milliseconds of a span, at most `u64::MAX`.
pub fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Time {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(whole_ms(span)))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(whole_ms(span)))
    }
}

/// `1700000012000 ms`, as Spark prints a batch time.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_ends_at_the_first_multiple_strictly_after() {
        let interval = Duration::from_millis(1000);
        assert_eq!(Time::from_ms(1999).next_multiple(interval), Time::from_ms(2000));
        assert_eq!(Time::from_ms(2000).next_multiple(interval), Time::from_ms(3000));
        assert_eq!(Time::from_ms(2000).floor(interval), Time::from_ms(2000));
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Time::from_ms(5) - Duration::from_secs(1), Time::from_ms(0));
        assert_eq!(Time::from_ms(u64::MAX) + Duration::from_secs(1), Time::from_ms(u64::MAX));
        assert_eq!(Time::from_ms(1).since(Time::from_ms(2)), Duration::ZERO);
    }
}
