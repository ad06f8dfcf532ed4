//! The calendar: numbers as dates and times, and their text.
//!
//! Owns the text in which dates and times are printed and read. The host has the same in `data/temporal.rs`, which says
//! what each number means; tests there and here hold the same examples. Never knows a zone: a timestamp is an instant,
//! and its text is in UTC.

use std::fmt::Write as _;

pub(crate) const DAY_SECONDS: i64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01. Years that begin in March have their leap day at the end.
const EPOCH_DAYS: i64 = 719_468;
/// Days in 400 years, after which the calendar repeats.
const ERA_DAYS: i64 = 146_097;
/// The most digits of a year: 64 bits of seconds need 12.
const YEAR_DIGITS_MAX: usize = 12;

/// What a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Date,
    TimeOfDay,
    LocalDateTime,
    Timestamp,
}

/// How many units a second has, if `digits` digits of a second are held.
pub(crate) const fn per_second(digits: usize) -> i64 {
    10_i64.pow(digits as u32)
}

/// How many units a day has.
pub(crate) const fn per_day(digits: usize) -> i64 {
    DAY_SECONDS * per_second(digits)
}

/// Appends the text of a number that counts units of the last of `digits` digits of a second, or days.
pub(crate) fn write(form: Form, digits: usize, value: i64, out: &mut String) {
    let day_and_time = |out: &mut String| {
        write_date(value.div_euclid(per_day(digits)), out);
        out.push('T');
        write_clock(value.rem_euclid(per_day(digits)), digits, out);
    };
    match form {
        Form::Date => write_date(value, out),
        Form::TimeOfDay => write_clock(value, digits, out),
        Form::LocalDateTime => day_and_time(out),
        Form::Timestamp => {
            day_and_time(out);
            out.push('Z');
        }
    }
}

/// The number that a text stands for. `None` if the text has another form, or if no number stands for it exactly.
pub(crate) fn parse(form: Form, digits: usize, text: &str) -> Option<i64> {
    let mut reader = Reader(text.as_bytes());
    let day_and_time = |reader: &mut Reader<'_>| {
        let days = reader.date()?;
        reader.one_of(b"Tt ")?;
        Some(i128::from(days) * i128::from(per_day(digits)) + i128::from(reader.clock(digits)?))
    };
    let value = match form {
        Form::Date => i128::from(i32::try_from(reader.date()?).ok()?),
        Form::TimeOfDay => i128::from(reader.clock(digits)?),
        Form::LocalDateTime => day_and_time(&mut reader)?,
        Form::Timestamp => {
            let local = day_and_time(&mut reader)?;
            local - i128::from(reader.offset_seconds()?) * i128::from(per_second(digits))
        }
    };
    i64::try_from(value).ok().filter(|_| reader.0.is_empty())
}

/// The year, the month and the day of a number of days since 1970-01-01.
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_DAYS;
    let (era, day_of_era) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / (ERA_DAYS - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Five months from March on have 153 days, again and again.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year_of_era + next, month, day)
}

/// The number of days from 1970-01-01 to a date. `None` if there is no such date.
pub(crate) fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
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

fn write_date(days: i64, out: &mut String) {
    let (year, month, day) = civil(days);
    // Writing to a string cannot fail.
    let _ = match year {
        0..=9999 => write!(out, "{year:04}-{month:02}-{day:02}"),
        _ => write!(out, "{year:+05}-{month:02}-{day:02}"),
    };
}

/// Appends the time of a day. Of its fraction of a second, groups of three digits that are 0 are left out at the end.
fn write_clock(value: i64, mut digits: usize, out: &mut String) {
    let (seconds, mut fraction) = (value / per_second(digits), value % per_second(digits));
    // Writing to a string cannot fail.
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    while digits > 0 && fraction % 1_000 == 0 {
        (fraction, digits) = (fraction / 1_000, digits - 3);
    }
    if digits > 0 {
        let _ = write!(out, ".{fraction:0digits$}");
    }
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
    fn clock(&mut self, unit_digits: usize) -> Option<i64> {
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
            let held = digits.min(unit_digits);
            fraction = self.number(held)? * per_second(unit_digits - held);
            // Digits that the unit does not hold have to be 0.
            for _ in held..digits {
                self.one_of(b"0")?;
            }
        }
        Some((hours * 3_600 + minutes * 60 + seconds) * per_second(unit_digits) + fraction)
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORMS: [Form; 4] = [Form::Date, Form::TimeOfDay, Form::LocalDateTime, Form::Timestamp];

    fn written(form: Form, digits: usize, value: i64) -> String {
        let mut out = String::new();
        write(form, digits, value, &mut out);
        out
    }

    /// The same examples as in the host's `data/temporal.rs`.
    #[test]
    fn texts_are_those_of_the_specification() {
        use Form::{Date, LocalDateTime, TimeOfDay, Timestamp};
        let examples = [
            (Date, 0, 0, "1970-01-01"),
            (Date, 0, -1, "1969-12-31"),
            (Date, 0, 11_016, "2000-02-29"),
            (Date, 0, -719_528, "0000-01-01"),
            (Date, 0, -719_529, "-0001-12-31"),
            (Date, 0, 2_932_896, "9999-12-31"),
            (Date, 0, 2_932_897, "+10000-01-01"),
            (Date, 0, i64::from(i32::MAX), "+5881580-07-11"),
            (Date, 0, i64::from(i32::MIN), "-5877641-06-23"),
            (TimeOfDay, 0, 86_399, "23:59:59"),
            (TimeOfDay, 3, 1, "00:00:00.001"),
            (TimeOfDay, 6, 3_600_000_000, "01:00:00"),
            (TimeOfDay, 6, 500_000, "00:00:00.500"),
            (TimeOfDay, 9, 86_399_999_999_999, "23:59:59.999999999"),
            (LocalDateTime, 0, 951_782_400, "2000-02-29T00:00:00"),
            (LocalDateTime, 9, -1, "1969-12-31T23:59:59.999999999"),
            (Timestamp, 6, 0, "1970-01-01T00:00:00Z"),
            (Timestamp, 6, -1, "1969-12-31T23:59:59.999999Z"),
            (Timestamp, 3, 1_769_903_999_500, "2026-01-31T23:59:59.500Z"),
            (Timestamp, 0, i64::MAX, "+292277026596-12-04T15:30:07Z"),
            (Timestamp, 0, i64::MIN, "-292277022657-01-27T08:29:52Z"),
            (Timestamp, 6, i64::MAX, "+294247-01-10T04:00:54.775807Z"),
            (Timestamp, 9, i64::MAX, "2262-04-11T23:47:16.854775807Z"),
            (Timestamp, 9, i64::MIN, "1677-09-21T00:12:43.145224192Z"),
        ];
        for (form, digits, value, text) in examples {
            assert_eq!(written(form, digits, value), text);
            assert_eq!(parse(form, digits, text), Some(value), "{text}");
        }
    }

    /// The same examples as in the host's `data/temporal.rs`.
    #[test]
    fn other_texts_of_the_same_instant_are_read() {
        for text in [
            "2026-02-01T01:59:59.5+02:00",
            "2026-01-31 18:29:59.500000000-05:30",
            "2026-01-31t23:59:59.50z",
            "2026-02-01 01:59:59.5+02",
            "+2026-01-31T23:59:59.5-00:00",
        ] {
            assert_eq!(parse(Form::Timestamp, 6, text), Some(1_769_903_999_500_000), "{text}");
        }
    }

    /// The same examples as in the host's `data/temporal.rs`.
    #[test]
    fn what_has_no_meaning_is_refused() {
        let refused = [
            (
                Form::Date,
                0,
                "2026-02-29 1900-02-29 2026-13-01 2026-00-01 2026-01-00 2026-1-1 26-01-01 10000-01-01 +5881580-07-12 \
                 2026-01-01T00:00:00 2026/01/01 +0000000002026-01-01 20260101",
            ),
            (Form::TimeOfDay, 3, "24:00:00 23:60:00 23:59:60 1:00:00 00:00 00:00:00. 00:00:00.0001 00:00:00Z -1:00:00"),
            (
                Form::Timestamp,
                6,
                "2016-12-31T23:59:60Z 2026-01-01T00:00:00 2026-01-01 2026-01-01T00:00:00.0000001Z \
                 2026-01-01T00:00:00+24:00 2026-01-01T00:00:00+00:60 2026-01-01T00:00:00+0100 2026-01-01T00:00:00ZZ \
                 2026-01-01_00:00:00Z +294247-01-10T04:00:54.775808Z 1769903999",
            ),
            (Form::Timestamp, 9, "2262-04-11T23:47:16.854775808Z 1677-09-21T00:12:43.145224191Z"),
            (Form::LocalDateTime, 6, "2026-01-01T00:00:00Z 2026-01-01T00:00:00+01:00 2026-01-01T24:00:00"),
        ];
        for (form, digits, texts) in refused {
            for text in texts.split_ascii_whitespace().chain([""]) {
                assert_eq!(parse(form, digits, text), None, "{form:?} {text}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_number_comes_back_from_its_text(value in any::<i64>(), at in 0..4usize, thousands in 0..4usize) {
            let (form, digits) = (FORMS[at], 3 * thousands);
            let value = match form {
                Form::Date => i64::from(value as i32),
                Form::TimeOfDay => value.rem_euclid(per_day(digits)),
                _ => value,
            };
            prop_assert_eq!(parse(form, digits, &written(form, digits, value)), Some(value));
        }
    }
}
