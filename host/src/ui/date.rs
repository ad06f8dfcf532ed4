//! Points in time as dates of the calendar, in UTC.
//!
//! Owns the calendar: the host has no other use for one. People see dates in the time zone of their browser.

use std::fmt;

const DAY_MS: u64 = 86_400_000;

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    year: u64,
    month: u64,
    day: u64,
    /// The milliseconds since the day began.
    ms: u64,
}

impl Date {
    /// The date of a point in time, given in milliseconds since the Unix epoch.
    pub(super) fn of_ms(ms: u64) -> Self {
        // Days since the first of March of the year 0, so that leap days end years.
        let days = ms / DAY_MS + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            ms: ms % DAY_MS,
        }
    }

    fn clock(self) -> (u64, u64, u64, u64) {
        (self.ms / 3_600_000, self.ms / 60_000 % 60, self.ms / 1_000 % 60, self.ms % 1_000)
    }

    /// The date as Spark writes it in JSON: `2026-11-27T14:02:03.000GMT`.
    pub(super) fn as_in_spark(self) -> String {
        let (Self { year, month, day, .. }, (hour, minute, second, ms)) = (self, self.clock());
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}GMT")
    }
}

/// `2026-11-27 14:02 UTC`
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self { year, month, day, .. }, (hour, minute, ..)) = (self, self.clock());
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (ms, date) in [
            (0, "1970-01-01T00:00:00.000GMT"),
            (951_782_399_999, "2000-02-28T23:59:59.999GMT"),
            (951_782_400_000, "2000-02-29T00:00:00.000GMT"),
            (951_868_800_000, "2000-03-01T00:00:00.000GMT"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000GMT"),
            (1_767_225_599_000, "2025-12-31T23:59:59.000GMT"),
            (1_795_788_123_004, "2026-11-27T14:02:03.004GMT"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000GMT"),
        ] {
            assert_eq!(Date::of_ms(ms).as_in_spark(), date);
        }
        assert_eq!(Date::of_ms(1_795_788_123_004).to_string(), "2026-11-27 14:02 UTC");
    }

    #[test]
    fn each_day_follows_the_day_before() {
        let mut before = Date::of_ms(0);
        for day in 1..60_000 {
            let date = Date::of_ms(day * DAY_MS);
            let (same_month, same_year) = (before.month == date.month, before.year == date.year);
            assert!(if same_month { date.day == before.day + 1 } else { date.day == 1 && before.day >= 28 }, "{date}");
            assert!(same_year || (date.month, date.day, date.year) == (1, 1, before.year + 1), "{date}");
            before = date;
        }
    }
}
