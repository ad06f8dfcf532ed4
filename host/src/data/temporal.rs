//! Dates, times and timestamps: which number stands for which of them, and their text.
//!
//! The calendar is that of `time.rs`: the Gregorian one, for all years, with days of 86,400 seconds. There are no leap seconds, as
//! in Unix time. Owns the text that printing, JSON and CSV use, and its limits. The plugin SDK writes and reads the same
//! text (`calendar.rs`), and tests on both sides hold the same examples. Never knows a zone: a timestamp is an instant,
//! and its text is in UTC.
//!
//! | kind | number | text |
//! |---|---|---|
//! | `date` | days since 1970-01-01, 32 bits | `2026-01-31` |
//! | `time[s]`, `time[ms]` | units since midnight, 32 bits, less than a day | `23:59:59`, `23:59:59.250` |
//! | `time[us]`, `time[ns]` | the same, 64 bits | `23:59:59.000001` |
//! | `datetime[s]` to `datetime[ns]` | units since 1970-01-01T00:00:00 on some clock, 64 bits | `2026-01-31T23:59:59` |
//! | `timestamp[s]` to `timestamp[ns]` | units since 1970-01-01T00:00:00Z, 64 bits | `2026-01-31T23:59:59Z` |
//!
//! A fraction of a second is written in groups of three digits, as many as are needed. A year before 0 or after 9999
//! has a sign: `-0001`, `+10000`. Year 0 is the year before year 1. A reader accepts any number of digits behind the
//! point, as long as the unit can hold the value exactly. For a timestamp, a reader needs a zone, `Z` or an offset such
//! as `+02:00` or `+02`. For a date and time without a zone, a reader refuses a zone.

use crate::time::date;
use arrow::datatypes::{DataType, TimeUnit};
use std::fmt::Write as _;

const DAY_SECONDS: i64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01. Years that begin in March have their leap day at the end.
const EPOCH_DAYS: i64 = 719_468;
/// Days in 400 years, after which the calendar repeats.
const ERA_DAYS: i64 = 146_097;
/// The most digits of a year: 64 bits of seconds need 12.
const YEAR_DIGITS_MAX: usize = 12;

/// The unit of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    /// The unit of an Arrow type.
    pub(super) const fn of(unit: TimeUnit) -> Self {
        match unit {
            TimeUnit::Second => Self::Seconds,
            TimeUnit::Millisecond => Self::Millis,
            TimeUnit::Microsecond => Self::Micros,
            TimeUnit::Nanosecond => Self::Nanos,
        }
    }

    const fn arrow(self) -> TimeUnit {
        match self {
            Self::Seconds => TimeUnit::Second,
            Self::Millis => TimeUnit::Millisecond,
            Self::Micros => TimeUnit::Microsecond,
            Self::Nanos => TimeUnit::Nanosecond,
        }
    }

    /// The digits of a second that the unit holds.
    const fn digits(self) -> usize {
        match self {
            Self::Seconds => 0,
            Self::Millis => 3,
            Self::Micros => 6,
            Self::Nanos => 9,
        }
    }

    /// How many of the unit are a second.
    pub(super) const fn per_second(self) -> i64 {
        10_i64.pow(self.digits() as u32)
    }

    const fn per_day(self) -> i64 {
        DAY_SECONDS * self.per_second()
    }
}

/// A kind of dates or times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Temporal {
    Date,
    Time(Unit),
    /// A date and a time on some clock, without a zone.
    DateTime(Unit),
    /// An instant.
    Timestamp(Unit),
}

impl Temporal {
    #[rustfmt::skip]
    pub(super) const ALL: [Self; 13] = [
        Self::Date,
        Self::Time(Unit::Seconds), Self::Time(Unit::Millis), Self::Time(Unit::Micros), Self::Time(Unit::Nanos),
        Self::DateTime(Unit::Seconds), Self::DateTime(Unit::Millis), Self::DateTime(Unit::Micros), Self::DateTime(Unit::Nanos),
        Self::Timestamp(Unit::Seconds), Self::Timestamp(Unit::Millis), Self::Timestamp(Unit::Micros), Self::Timestamp(Unit::Nanos),
    ];

    /// The name that plugins use.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Time(Unit::Seconds) => "time[s]",
            Self::Time(Unit::Millis) => "time[ms]",
            Self::Time(Unit::Micros) => "time[us]",
            Self::Time(Unit::Nanos) => "time[ns]",
            Self::DateTime(Unit::Seconds) => "datetime[s]",
            Self::DateTime(Unit::Millis) => "datetime[ms]",
            Self::DateTime(Unit::Micros) => "datetime[us]",
            Self::DateTime(Unit::Nanos) => "datetime[ns]",
            Self::Timestamp(Unit::Seconds) => "timestamp[s]",
            Self::Timestamp(Unit::Millis) => "timestamp[ms]",
            Self::Timestamp(Unit::Micros) => "timestamp[us]",
            Self::Timestamp(Unit::Nanos) => "timestamp[ns]",
        }
    }

    /// An example of the text of a value, for messages.
    pub(super) const fn example(self) -> &'static str {
        match self {
            Self::Date => "2026-01-31",
            Self::Time(_) => "23:59:59.5",
            Self::DateTime(_) => "2026-01-31T23:59:59.5, without a zone",
            Self::Timestamp(_) => "2026-01-31T23:59:59.5Z or 2026-02-01T01:59:59.5+02:00",
        }
    }

    /// The type of columns of these values.
    pub(super) fn arrow(self) -> DataType {
        match self {
            Self::Date => DataType::Date32,
            Self::Time(unit @ (Unit::Seconds | Unit::Millis)) => DataType::Time32(unit.arrow()),
            Self::Time(unit) => DataType::Time64(unit.arrow()),
            Self::DateTime(unit) => DataType::Timestamp(unit.arrow(), None),
            Self::Timestamp(unit) => DataType::Timestamp(unit.arrow(), Some("UTC".into())),
        }
    }

    /// Whether values have 32 bits, and not 64.
    pub(super) const fn is_narrow(self) -> bool {
        matches!(self, Self::Date | Self::Time(Unit::Seconds | Unit::Millis))
    }

    /// Whether the number is a value of the kind.
    pub(super) fn holds(self, value: i64) -> bool {
        match self {
            Self::Time(unit) => (0..unit.per_day()).contains(&value),
            _ if self.is_narrow() => i32::try_from(value).is_ok(),
            _ => true,
        }
    }

    /// Appends the text of a value.
    pub(super) fn write(self, value: i64, out: &mut String) {
        let day_and_time = |unit: Unit, out: &mut String| {
            write_date(value.div_euclid(unit.per_day()), out);
            out.push('T');
            write_clock(value.rem_euclid(unit.per_day()), unit, out);
        };
        match self {
            Self::Date => write_date(value, out),
            Self::Time(unit) => write_clock(value, unit, out),
            Self::DateTime(unit) => day_and_time(unit, out),
            Self::Timestamp(unit) => {
                day_and_time(unit, out);
                out.push('Z');
            }
        }
    }

    /// The value that a text stands for. `None` if the text has another form, or if the kind has no such value.
    pub(super) fn parse(self, text: &str) -> Option<i64> {
        let mut reader = Reader(text.as_bytes());
        let day_and_time = |reader: &mut Reader<'_>, unit: Unit| {
            let days = reader.date()?;
            reader.one_of(b"Tt ")?;
            Some(i128::from(days) * i128::from(unit.per_day()) + i128::from(reader.clock(unit)?))
        };
        let value = match self {
            Self::Date => i128::from(reader.date()?),
            Self::Time(unit) => i128::from(reader.clock(unit)?),
            Self::DateTime(unit) => day_and_time(&mut reader, unit)?,
            Self::Timestamp(unit) => {
                let local = day_and_time(&mut reader, unit)?;
                local - i128::from(reader.offset_seconds()?) * i128::from(unit.per_second())
            }
        };
        i64::try_from(value).ok().filter(|value| reader.0.is_empty() && self.holds(*value))
    }
}

fn write_date(days: i64, out: &mut String) {
    let (year, month, day) = date(days);
    // Writing to a string cannot fail.
    let _ = match year {
        0..=9999 => write!(out, "{year:04}-{month:02}-{day:02}"),
        _ => write!(out, "{year:+05}-{month:02}-{day:02}"),
    };
}

/// Appends the time of a day. Of its fraction of a second, groups of three digits that are 0 are left out at the end.
fn write_clock(value: i64, unit: Unit, out: &mut String) {
    let (seconds, mut fraction) = (value / unit.per_second(), value % unit.per_second());
    // Writing to a string cannot fail.
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let mut digits = unit.digits();
    while digits > 0 && fraction % 1_000 == 0 {
        (fraction, digits) = (fraction / 1_000, digits - 3);
    }
    if digits > 0 {
        let _ = write!(out, ".{fraction:0digits$}");
    }
}

/// The number of days from 1970-01-01 to a date. `None` if there is no such date.
fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - EPOCH_DAYS)
}

/// The text that is left to read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// Takes the next byte if it is one of these.
    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        bytes.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// How many digits come next.
    fn digits(&self) -> usize {
        self.0.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// The number that the next `count` digits are.
    fn number(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) =
            self.0.split_at_checked(count).filter(|(digits, _)| digits.iter().all(u8::is_ascii_digit))?;
        self.0 = rest;
        Some(digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
    }

    fn date(&mut self) -> Option<i64> {
        let sign = self.one_of(b"+-");
        let digits = match (sign, self.digits()) {
            (None, 4) => 4,
            (Some(_), digits @ 4..=YEAR_DIGITS_MAX) => digits,
            _ => return None,
        };
        let year = self.number(digits)?;
        let year = if sign == Some(b'-') { -year } else { year };
        self.one_of(b"-")?;
        let month = self.number(2)?;
        self.one_of(b"-")?;
        days_of(year, month, self.number(2)?)
    }

    /// The time of a day, in units since midnight.
    fn clock(&mut self, unit: Unit) -> Option<i64> {
        let hours = self.number(2).filter(|hours| *hours < 24)?;
        self.one_of(b":")?;
        let minutes = self.number(2).filter(|minutes| *minutes < 60)?;
        self.one_of(b":")?;
        // A leap second has no number of its own.
        let seconds = self.number(2).filter(|seconds| *seconds < 60)?;
        let mut fraction = 0;
        if self.one_of(b".").is_some() {
            let digits = self.digits();
            if digits == 0 {
                return None;
            }
            let held = digits.min(unit.digits());
            fraction = self.number(held)? * 10_i64.pow((unit.digits() - held) as u32);
            // Digits that the unit does not hold have to be 0.
            for _ in held..digits {
                self.one_of(b"0")?;
            }
        }
        Some((hours * 3_600 + minutes * 60 + seconds) * unit.per_second() + fraction)
    }

    /// How far local time is before UTC, in seconds.
    fn offset_seconds(&mut self) -> Option<i64> {
        let sign = match self.one_of(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Some(0),
        };
        let hours = self.number(2).filter(|hours| *hours < 24)?;
        let minutes = match self.one_of(b":") {
            Some(_) => self.number(2).filter(|minutes| *minutes < 60)?,
            None => 0,
        };
        Some(sign * (hours * 3_600 + minutes * 60))
    }
}

#[cfg(test)]
mod tests;
