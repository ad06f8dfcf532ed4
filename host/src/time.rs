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

    /// The year, month and day in UTC.
    pub fn date(self) -> (i64, i64, i64) {
        date(i64::try_from(self.0 / DAY_MS).unwrap_or(i64::MAX))
    }

    /// The time of day in UTC, in whole seconds: `22:13:32`.
    pub fn of_day(self) -> String {
        let seconds = self.0 / 1000;
        format!("{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
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

/// A span in milliseconds, to the microsecond, for JSON.
pub fn decimal_ms(span: Duration) -> f64 {
    u64::try_from(span.as_micros()).map_or(f64::MAX, |us| us as f64 / 1e3)
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

/// `2023-11-14T22:13:32Z`: the time in UTC, with milliseconds if they are not zero. JSON, names of files and the text that
/// `print` writes to a program have the milliseconds since the Unix epoch instead: [`Time::as_ms`].
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        write!(f, "{year:04}-{month:02}-{day:02}T{}", self.of_day())?;
        match self.0 % 1000 {
            0 => f.write_str("Z"),
            ms => write!(f, ".{ms:03}Z"),
        }
    }
}

/// A day, in milliseconds.
const DAY_MS: u64 = 86_400_000;

/// The year, month and day of the day with this number, where 1970-01-01 has the number 0. The calendar is the Gregorian one, also
/// for the time before its introduction.
#[cfg_attr(
    not(test),
    expect(
        clippy::arithmetic_side_effects,
        reason = "days that 64 bits of seconds have are far from the end of the range"
    )
)]
pub const fn date(days: i64) -> (i64, i64, i64) {
    // Years begin in March here, so that a leap day is the last day of its year. Day 0 is the first of March of year 0.
    let days = days + 719_468;
    // The calendar repeats after 400 years.
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months from March on have 153 days, again and again.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let is_next_year = month >= 10;
    let month = if is_next_year { month - 9 } else { month + 3 };
    (era * 400 + year + is_next_year as i64, month, day)
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
    fn times_are_shown_as_people_write_them() {
        for (ms, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (951_868_800_000, "2000-03-01T00:00:00Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00Z"),
            (1_767_225_599_000, "2025-12-31T23:59:59Z"),
            (1_795_788_123_004, "2026-11-27T14:02:03.004Z"),
            (1_357_008_430_000, "2013-01-01T02:47:10Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
            (4_107_542_399_050, "2100-02-28T23:59:59.050Z"),
            (u64::MAX, "584556019-04-03T14:25:51.615Z"),
        ] {
            assert_eq!(Time::from_ms(ms).to_string(), shown);
        }
        assert_eq!(Time::from_ms(1_357_008_430_999).of_day(), "02:47:10");
        // Each day follows the day before.
        let mut before = date(0);
        for days in 1..400 * 366 {
            let (year, month, day) = date(days);
            let follows = match before {
                (y, 12, 31) => (year, month, day) == (y + 1, 1, 1),
                (y, m, _) if day == 1 => (year, month) == (y, m + 1),
                (y, m, d) => (year, month, day) == (y, m, d + 1),
            };
            assert!(follows, "{before:?} {year} {month} {day}");
            before = (year, month, day);
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Time::from_ms(5) - Duration::from_secs(1), Time::from_ms(0));
        assert_eq!(Time::from_ms(u64::MAX) + Duration::from_secs(1), Time::from_ms(u64::MAX));
        assert_eq!(Time::from_ms(1).since(Time::from_ms(2)), Duration::ZERO);
    }
}
