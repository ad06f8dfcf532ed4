//! Dates and times as records: [`Timestamp`], [`LocalDateTime`], [`Date`] and [`TimeOfDay`].
//!
//! Owns the types and their arithmetic. `calendar.rs` owns their text.

use crate::calendar::{self, Form, civil, days_of, per_day, per_second};
use crate::numbered::{Numbered, numbered_records};
use crate::time::Time;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

/// Units of time: how fine a [`Timestamp`], a [`LocalDateTime`] or a [`TimeOfDay`] is.
pub mod unit {
    use crate::numbered::Number;
    use std::fmt::Debug;
    use std::hash::Hash;

    mod sealed {
        pub trait Sealed {}
    }

    /// A unit of time.
    pub trait Unit: Copy + Debug + Ord + Hash + sealed::Sealed + 'static {
        /// The number that a time of day is.
        #[doc(hidden)]
        type OfDay: Number + TryFrom<i64> + Into<i64>;
        /// How many digits of a second the unit holds.
        #[doc(hidden)]
        const DIGITS: usize;
        /// The name of the unit in the kind of a field.
        #[doc(hidden)]
        const NAME: &'static str;
    }

    macro_rules! units {
        ($($(#[$doc:meta])* $unit:ident, $of_day:ty, $digits:literal, $name:literal;)*) => {$(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $unit;
            impl sealed::Sealed for $unit {}
            impl Unit for $unit {
                type OfDay = $of_day;
                const DIGITS: usize = $digits;
                const NAME: &'static str = $name;
            }
        )*};
    }

    units! {
        /// Seconds.
        Seconds, i32, 0, "s";
        /// Milliseconds.
        Millis, i32, 3, "ms";
        /// Microseconds, as in Spark, PostgreSQL and DuckDB.
        Micros, i64, 6, "us";
        /// Nanoseconds. A timestamp then reaches from the year 1677 to the year 2262.
        Nanos, i64, 9, "ns";
    }
}

use unit::{Micros, Unit};

/// The error that a text is no value of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    text: String,
    expected: String,
}

impl ParseError {
    /// The longest text that the message quotes, in characters.
    const QUOTED_CHARS_MAX: usize = 40;

    pub(crate) fn new(text: &str, expected: impl Into<String>) -> Self {
        Self { text: text.chars().take(Self::QUOTED_CHARS_MAX).collect(), expected: expected.into() }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, found {:?}", self.expected, self.text)
    }
}

impl std::error::Error for ParseError {}

macro_rules! text_of {
    ($([$($generics:tt)*] $type:ty, $form:expr, $digits:expr, $example:literal;)*) => {$(
        /// Writes the value as `print` shows it.
        impl<$($generics)*> fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = String::new();
                Numbered::write(self, &mut text);
                f.pad(&text)
            }
        }

        impl<$($generics)*> FromStr for $type {
            type Err = ParseError;
            fn from_str(text: &str) -> Result<Self, ParseError> {
                let refused = || ParseError::new(text, concat!("a text such as ", $example));
                let number = calendar::parse($form, $digits, text).ok_or_else(refused)?;
                number.try_into().map(Self::of_number).map_err(|_| refused())
            }
        }
    )*};
}

text_of! {
    [U: Unit] Timestamp<U>, Form::Timestamp, U::DIGITS, "2026-01-31T23:59:59.5Z or 2026-02-01T01:59:59.5+02:00";
    [U: Unit] LocalDateTime<U>, Form::LocalDateTime, U::DIGITS, "2026-01-31T23:59:59.5, without a zone";
    [U: Unit] TimeOfDay<U>, Form::TimeOfDay, U::DIGITS, "23:59:59.5";
    [] Date, Form::Date, 0, "2026-01-31";
}

numbered_records! {
    [U: Unit] Timestamp<U>;
    [U: Unit] LocalDateTime<U>;
    [U: Unit] TimeOfDay<U>;
    [] Date;
}

/// An instant, as microseconds since 1970-01-01T00:00:00Z, or in another [unit](mod@unit). Spark's `TimestampType`.
///
/// A timestamp has no zone: it is printed, and written to JSON and CSV, in UTC: `2026-01-31T23:59:59.500Z`. A text with
/// another zone is read as the same instant. There are no leap seconds.
///
/// ```
/// use millstream::{Timestamp, testing};
/// use std::time::Duration;
///
/// let at: Timestamp = "2026-02-01T01:59:59.5+02:00".parse().unwrap();
/// assert_eq!(at.to_string(), "2026-01-31T23:59:59.500Z");
/// assert_eq!(at.floor(Duration::from_secs(3600)).to_string(), "2026-01-31T23:00:00Z");
/// assert!("2016-12-31T23:59:60Z".parse::<Timestamp>().is_err());
///
/// let out = testing::run(vec![vec![(at, 1u64), (at, 2)]], |rows| rows.reduce_by_key(|a, b| a + b));
/// assert_eq!(out, [vec![(at, 3)]]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp<U: Unit = Micros>(i64, PhantomData<U>);

/// A date and a time of day on some clock, without a zone, in microseconds or in another [unit](mod@unit). Spark's
/// `TimestampNTZType`. Use [`Timestamp`] for an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalDateTime<U: Unit = Micros>(i64, PhantomData<U>);

/// A date of the Gregorian calendar, which is also used for the time before its introduction. Spark's `DateType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i32);

/// A time of day from 00:00:00 to below 24:00:00, in microseconds or in another [unit](mod@unit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay<U: Unit = Micros>(i64, PhantomData<U>);

macro_rules! counted {
    ($($type:ident, $form:expr, $kind:literal, $epoch:literal;)*) => {$(
        impl<U: Unit> Numbered for $type<U> {
            type Number = i64;
            fn kind() -> Cow<'static, str> {
                Cow::Owned(format!(concat!($kind, "[{}]"), U::NAME))
            }
            #[inline]
            fn number(&self) -> i64 {
                self.0
            }
            #[inline]
            fn of_number(number: i64) -> Self {
                Self(number, PhantomData)
            }
            fn write(&self, out: &mut String) {
                calendar::write($form, U::DIGITS, self.0, out);
            }
        }

        impl<U: Unit> $type<U> {
            #[doc = concat!("The time `count` units after ", $epoch, ".")]
            pub const fn from_count(count: i64) -> Self {
                Self(count, PhantomData)
            }

            #[doc = concat!("How many units the time is after ", $epoch, ".")]
            pub const fn count(self) -> i64 {
                self.0
            }

            /// The date, in UTC for an instant. `None` for a time so far away that it has no [`Date`].
            pub fn date(self) -> Option<Date> {
                i32::try_from(self.0.div_euclid(per_day(U::DIGITS))).ok().map(Date)
            }

            /// The time of day, in UTC for an instant.
            pub fn time_of_day(self) -> TimeOfDay<U> {
                TimeOfDay(self.0.rem_euclid(per_day(U::DIGITS)), PhantomData)
            }

            /// The same time in another unit. `None` if the unit cannot hold it exactly.
            pub fn to_unit<V: Unit>(self) -> Option<$type<V>> {
                let count = if V::DIGITS >= U::DIGITS {
                    self.0.checked_mul(per_second(V::DIGITS - U::DIGITS))?
                } else {
                    let ratio = per_second(U::DIGITS - V::DIGITS);
                    Some(self.0 / ratio).filter(|_| self.0 % ratio == 0)?
                };
                Some($type(count, PhantomData))
            }

            /// The last time at or before this time that is a whole number of `span` after the epoch: the beginning of
            /// the minute or of the hour, for example. A `span` of less than a unit changes nothing.
            pub fn floor(self, span: Duration) -> Self {
                let units = units_of::<U>(span).unwrap_or(i64::MAX).max(1);
                // Below the first multiple that a number has, that first multiple is the answer.
                Self(self.0.checked_sub(self.0.rem_euclid(units)).unwrap_or(i64::MIN), PhantomData)
            }
        }

        /// # Panics
        /// If the result is too far away, or the span is no whole number of units.
        impl<U: Unit> Add<Duration> for $type<U> {
            type Output = Self;
            fn add(self, span: Duration) -> Self {
                let sum = whole_units_of::<U>(span).and_then(|units| self.0.checked_add(units));
                Self(sum.unwrap_or_else(|| panic!("{self} + {span:?} does not fit")), PhantomData)
            }
        }

        /// # Panics
        /// If the result is too far away, or the span is no whole number of units.
        impl<U: Unit> Sub<Duration> for $type<U> {
            type Output = Self;
            fn sub(self, span: Duration) -> Self {
                let difference = whole_units_of::<U>(span).and_then(|units| self.0.checked_sub(units));
                Self(difference.unwrap_or_else(|| panic!("{self} - {span:?} does not fit")), PhantomData)
            }
        }
    )*};
}

counted! {
    Timestamp, Form::Timestamp, "timestamp", "1970-01-01T00:00:00Z";
    LocalDateTime, Form::LocalDateTime, "datetime", "1970-01-01T00:00:00";
}

/// How many whole units a span has. `None` if the number does not fit.
fn units_of<U: Unit>(span: Duration) -> Option<i64> {
    i64::try_from(span.as_nanos() / 10_u128.pow(9 - U::DIGITS as u32)).ok()
}

/// How many units a span is, if it is a whole number of them.
fn whole_units_of<U: Unit>(span: Duration) -> Option<i64> {
    units_of::<U>(span).filter(|_| span.as_nanos().is_multiple_of(10_u128.pow(9 - U::DIGITS as u32)))
}

// The unit that is meant where none is named.
impl Timestamp<Micros> {
    /// The instant `seconds` after 1970-01-01T00:00:00Z. `None` if it is too far away.
    pub fn from_seconds(seconds: i64) -> Option<Self> {
        Timestamp::<unit::Seconds>::from_count(seconds).to_unit()
    }

    /// The instant `millis` milliseconds after 1970-01-01T00:00:00Z. `None` if it is too far away.
    pub fn from_millis(millis: i64) -> Option<Self> {
        Timestamp::<unit::Millis>::from_count(millis).to_unit()
    }

    /// The instant `micros` microseconds after 1970-01-01T00:00:00Z.
    pub const fn from_micros(micros: i64) -> Self {
        Self::from_count(micros)
    }
}

impl<U: Unit> Timestamp<U> {
    /// How many whole seconds the instant is after 1970-01-01T00:00:00Z, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(per_second(U::DIGITS))
    }

    /// How far this instant is after `earlier`. `None` if it is before.
    pub fn duration_since(self, earlier: Self) -> Option<Duration> {
        let units = i128::from(self.0) - i128::from(earlier.0);
        let (per_second, units) = (per_second(U::DIGITS).unsigned_abs(), u128::try_from(units).ok()?);
        let seconds = u64::try_from(units / u128::from(per_second)).ok()?;
        let fraction = u32::try_from(units % u128::from(per_second)).ok()?;
        Some(Duration::new(seconds, fraction * 10_u32.pow(9 - U::DIGITS as u32)))
    }

    /// The date and the time that a clock in UTC shows.
    pub const fn in_utc(self) -> LocalDateTime<U> {
        LocalDateTime::from_count(self.0)
    }
}

/// The end of the interval of a batch.
///
/// # Panics
/// If the time is too far away.
impl<U: Unit> From<Time> for Timestamp<U> {
    fn from(time: Time) -> Self {
        let millis = i64::try_from(time.as_ms()).ok().map(Timestamp::<unit::Millis>::from_count);
        let instant = millis.and_then(Timestamp::to_unit);
        instant.unwrap_or_else(|| panic!("{time} does not fit"))
    }
}

impl<U: Unit> LocalDateTime<U> {
    /// A date and a time of day. `None` if the unit is too fine for the date.
    pub fn new(date: Date, time: TimeOfDay<U>) -> Option<Self> {
        let count = i128::from(date.0) * i128::from(per_day(U::DIGITS)) + i128::from(time.0);
        i64::try_from(count).ok().map(Self::from_count)
    }

    /// The instant at which a clock in UTC shows this date and time.
    pub const fn as_utc(self) -> Timestamp<U> {
        Timestamp::from_count(self.0)
    }
}

impl Date {
    /// The date of a year, a month from 1 and a day from 1. `None` if there is no such date.
    pub fn new(year: i32, month: u8, day: u8) -> Option<Self> {
        days_of(year.into(), month.into(), day.into()).and_then(|days| i32::try_from(days).ok()).map(Self)
    }

    /// The date `days` after 1970-01-01.
    pub const fn from_days(days: i32) -> Self {
        Self(days)
    }

    /// How many days the date is after 1970-01-01.
    pub const fn days(self) -> i32 {
        self.0
    }

    /// The year; year 0 is the year before year 1.
    pub fn year(self) -> i32 {
        // 32 bits of days are less than six million years.
        civil(self.0.into()).0 as i32
    }

    /// The month, from 1.
    pub fn month(self) -> u8 {
        civil(self.0.into()).1 as u8
    }

    /// The day of the month, from 1.
    pub fn day(self) -> u8 {
        civil(self.0.into()).2 as u8
    }
}

impl Numbered for Date {
    type Number = i32;
    fn kind() -> Cow<'static, str> {
        Cow::Borrowed("date")
    }
    #[inline]
    fn number(&self) -> i32 {
        self.0
    }
    #[inline]
    fn of_number(number: i32) -> Self {
        Self(number)
    }
    fn write(&self, out: &mut String) {
        calendar::write(Form::Date, 0, self.0.into(), out);
    }
}

impl<U: Unit> TimeOfDay<U> {
    /// The time of a full second. `None` if there is no such time.
    pub fn new(hour: u8, minute: u8, second: u8) -> Option<Self> {
        let is_time = hour < 24 && minute < 60 && second < 60;
        let seconds = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second);
        is_time.then(|| Self(seconds * per_second(U::DIGITS), PhantomData))
    }

    /// The time `count` units after midnight. `None` if that is not on the same day.
    pub fn from_count(count: i64) -> Option<Self> {
        (0..per_day(U::DIGITS)).contains(&count).then_some(Self(count, PhantomData))
    }

    /// How many units the time is after midnight.
    pub const fn count(self) -> i64 {
        self.0
    }

    /// The hour, from 0 to 23.
    pub const fn hour(self) -> u8 {
        (self.0 / per_second(U::DIGITS) / 3_600) as u8
    }

    /// The minute, from 0 to 59.
    pub const fn minute(self) -> u8 {
        (self.0 / per_second(U::DIGITS) / 60 % 60) as u8
    }

    /// The second, from 0 to 59.
    pub const fn second(self) -> u8 {
        (self.0 / per_second(U::DIGITS) % 60) as u8
    }
}

impl<U: Unit> Numbered for TimeOfDay<U> {
    type Number = U::OfDay;
    fn kind() -> Cow<'static, str> {
        Cow::Owned(format!("time[{}]", U::NAME))
    }
    #[inline]
    fn number(&self) -> U::OfDay {
        // A day has fewer units than the number can count.
        self.0.try_into().unwrap_or_else(|_| panic!("{} does not fit", self.0))
    }
    #[inline]
    fn of_number(number: U::OfDay) -> Self {
        Self(number.into(), PhantomData)
    }
    fn write(&self, out: &mut String) {
        calendar::write(Form::TimeOfDay, U::DIGITS, self.0, out);
    }
}

#[cfg(feature = "chrono")]
mod chrono;
#[cfg(test)]
mod tests;
