//! Dates and times of the crate `chrono` as records, with the feature `chrono`.
//!
//! Owns which of our types each of them travels as. `chrono` counts nanoseconds, and the records are in microseconds, as
//! everywhere else: a value with a finer fraction is refused, so that a value is the same before and behind a shuffle.
//! So is a leap second, which `chrono` writes as a fraction of a second or more.
//!
//! | type | travels as |
//! |---|---|
//! | `DateTime<Utc>` | [`Timestamp`] |
//! | `NaiveDateTime` | [`LocalDateTime`] |
//! | `NaiveDate` | [`Date`] |
//! | `NaiveTime` | [`TimeOfDay`] |

use super::{Date, LocalDateTime, TimeOfDay, Timestamp};
use crate::numbered::{Numbered, numbered_records};
use ::chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, NaiveTime, Timelike as _, Utc};
use std::borrow::Cow;

/// How many days 1970-01-01 is after 0000-12-31, from which `chrono` counts.
const EPOCH_DAYS: i32 = 719_163;

macro_rules! travels_as {
    ($($type:ty, $as:ty, $number:ty, |$value:ident| $to:expr, |$of:ident| $from:expr;)*) => {$(
        impl Numbered for $type {
            type Number = $number;
            fn kind() -> Cow<'static, str> {
                <$as>::kind()
            }
            #[inline]
            fn number(&self) -> $number {
                let $value = self;
                $to
            }
            #[inline]
            fn of_number(number: $number) -> Self {
                let $of = <$as>::of_number(number);
                $from.unwrap_or_else(|| panic!("{} is too far away for `chrono`", $of))
            }
            fn write(&self, out: &mut String) {
                <$as>::of_number(self.number()).write(out);
            }
        }

        numbered_records! {
            [] $type;
        }
    )*};
}

travels_as! {
    DateTime<Utc>, Timestamp, i64,
        |at| whole(at.time(), at.timestamp_micros()),
        |at| DateTime::from_timestamp_micros(at.count());
    NaiveDateTime, LocalDateTime, i64,
        |at| whole(at.time(), at.and_utc().timestamp_micros()),
        |at| DateTime::from_timestamp_micros(at.count()).map(|at| at.naive_utc());
    NaiveDate, Date, i32,
        |date| date.num_days_from_ce() - EPOCH_DAYS,
        |date| date.days().checked_add(EPOCH_DAYS).and_then(NaiveDate::from_num_days_from_ce_opt);
    NaiveTime, TimeOfDay, i64,
        |time| {
            let micros = i64::from(time.num_seconds_from_midnight()) * 1_000_000 + i64::from(time.nanosecond()) / 1_000;
            whole(*time, micros)
        },
        |time| {
            let (seconds, micros) = (time.count() / 1_000_000, time.count() % 1_000_000);
            NaiveTime::from_num_seconds_from_midnight_opt(seconds as u32, micros as u32 * 1_000)
        };
}

/// The microseconds of a time, if nothing of the time is lost.
fn whole(time: NaiveTime, micros: i64) -> i64 {
    let nanos = time.nanosecond();
    assert!(nanos < 1_000_000_000, "{time} is in a leap second, which has no place in a record");
    assert!(
        nanos.is_multiple_of(1_000),
        "{time} is finer than a microsecond: use `trunc_subsecs(6)`, or `millstream::Timestamp<unit::Nanos>`"
    );
    micros
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{chunk_of, fields_of, rows_of};
    use crate::{Key, Record};
    use proptest::prelude::*;

    type Row = (DateTime<Utc>, NaiveDateTime, Option<NaiveDate>, NaiveTime);

    fn shown<T: Record>(value: &T) -> String {
        let mut out = String::new();
        value.show(&mut out);
        out
    }

    proptest! {
        /// `chrono` has a calendar of its own: the same numbers have the same texts.
        #[test]
        fn the_calendars_are_the_same(micros in -8_000_000_000_000_000_000_i64..8_000_000_000_000_000_000) {
            let (ours, theirs) = (Timestamp::from_micros(micros), DateTime::from_timestamp_micros(micros).unwrap());
            let row: Row = (theirs, theirs.naive_utc(), Some(theirs.date_naive()), theirs.time());
            prop_assert_eq!(shown(&theirs), ours.to_string());
            prop_assert_eq!(theirs.to_rfc3339_opts(::chrono::SecondsFormat::AutoSi, true), ours.to_string());
            prop_assert_eq!(shown(&row.1), ours.in_utc().to_string());
            prop_assert_eq!((shown(&theirs.date_naive()), theirs.date_naive().to_string()), {
                let date = ours.date().unwrap().to_string();
                (date.clone(), date)
            });
            prop_assert_eq!(shown(&row.3), ours.time_of_day().to_string());
            prop_assert_eq!(rows_of::<Row>(chunk_of(vec![row])), [row]);
            let (mut a, mut b) = (Vec::new(), Vec::new());
            row.encode(true, &mut a);
            (ours, ours.in_utc(), ours.date(), ours.time_of_day()).encode(true, &mut b);
            prop_assert_eq!(&a, &b);
            prop_assert_eq!(Row::decode(&mut a.as_slice(), true), row);
        }
    }

    #[test]
    fn they_are_described_as_ours() {
        assert_eq!(fields_of::<Row>(), fields_of::<(Timestamp, LocalDateTime, Option<Date>, TimeOfDay)>());
    }

    #[test]
    fn what_a_record_cannot_hold_is_refused() {
        let refused = |work: fn()| {
            let panic = std::panic::catch_unwind(work).unwrap_err();
            panic.downcast::<String>().map(|message| *message).unwrap_or_default()
        };
        let leap = refused(|| _ = NaiveTime::from_hms_milli_opt(23, 59, 59, 1_500).unwrap().number());
        assert_eq!(leap, "23:59:60.500 is in a leap second, which has no place in a record");
        let fine = refused(|| _ = DateTime::from_timestamp_nanos(1).number());
        assert!(fine.starts_with("00:00:00.000000001 is finer than a microsecond"), "{fine}");
        let far = refused(|| _ = DateTime::<Utc>::of_number(i64::MAX));
        assert_eq!(far, "+294247-01-10T04:00:54.775807Z is too far away for `chrono`");
        assert!(refused(|| _ = NaiveDate::of_number(i32::MAX)).contains("too far away"));
    }
}
