//! Tests of dates and times as values and as records.

use super::unit::{Micros, Millis, Nanos, Seconds};
use super::*;
use crate::record::{chunk_of, fields_of, rows_of};
use crate::{Key, Record};
use proptest::prelude::*;

fn encoded(key: impl Key) -> Vec<u8> {
    let mut bytes = Vec::new();
    key.encode(true, &mut bytes);
    bytes
}

#[test]
fn kinds_name_the_unit() {
    fn kind<T: Record>() -> String {
        fields_of::<T>()[0].kind.to_string()
    }
    assert_eq!((kind::<Timestamp>(), kind::<Timestamp<Nanos>>()), ("timestamp[us]".into(), "timestamp[ns]".into()));
    assert_eq!((kind::<LocalDateTime<Millis>>(), kind::<Date>()), ("datetime[ms]".into(), "date".into()));
    assert_eq!((kind::<TimeOfDay>(), kind::<TimeOfDay<Seconds>>()), ("time[us]".into(), "time[s]".into()));
}

/// The same examples as in the host's `data/key/tests.rs`.
#[test]
fn keys_are_their_numbers() {
    assert_eq!(encoded("1969-12-31".parse::<Date>().unwrap()), [0xff; 4]);
    assert_eq!(encoded("00:00:00.258".parse::<TimeOfDay<Millis>>().unwrap()), [2, 1, 0, 0]);
    assert_eq!(encoded("00:00:00.000258".parse::<TimeOfDay>().unwrap()), [2, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(encoded("1969-12-31T23:59:59.999998Z".parse::<Timestamp>().unwrap()), (-2_i64).to_le_bytes());
    assert_eq!(encoded("1970-01-01T02:00:00+02:00".parse::<Timestamp>().unwrap()), [0; 8]);
}

#[test]
fn a_time_is_divided_into_date_and_time_of_day() {
    let at: Timestamp = "1969-12-31T23:59:58.000001Z".parse().unwrap();
    let (date, time) = (at.date().unwrap(), at.time_of_day());
    assert_eq!((date.year(), date.month(), date.day()), (1969, 12, 31));
    assert_eq!((time.hour(), time.minute(), time.second()), (23, 59, 58));
    assert_eq!(LocalDateTime::new(date, time).map(LocalDateTime::as_utc), Some(at));
    assert_eq!(at.in_utc().to_string(), "1969-12-31T23:59:58.000001");
    assert_eq!(Date::new(2024, 2, 29).map(|date| date.to_string()), Some("2024-02-29".to_owned()));
    assert_eq!((Date::new(2023, 2, 29), TimeOfDay::<Seconds>::new(24, 0, 0)), (None, None));
    assert_eq!(TimeOfDay::<Seconds>::from_count(86_400), None);
    assert_eq!(Timestamp::<Seconds>::from_count(i64::MAX).date(), None);
}

#[test]
fn units_are_exact() {
    let at = Timestamp::<Micros>::from_count(1_500_000);
    assert_eq!(at.to_unit::<Millis>().map(Timestamp::count), Some(1_500));
    assert_eq!(at.to_unit::<Nanos>().map(Timestamp::count), Some(1_500_000_000));
    assert_eq!(at.to_unit::<Seconds>(), None);
    assert_eq!(Timestamp::<Seconds>::from_count(i64::MAX).to_unit::<Millis>(), None);
    assert_eq!((at.seconds(), Timestamp::<Millis>::from_count(-1).seconds()), (1, -1));
    assert_eq!((Timestamp::from_seconds(i64::MAX), Timestamp::from_millis(i64::MIN)), (None, None));
    assert_eq!(
        (Timestamp::from_seconds(1), Timestamp::from_millis(1_000)),
        (Some(Timestamp::from_micros(1_000_000)), Timestamp::from_seconds(1))
    );
    assert_eq!(Timestamp::<Micros>::from(Time::from_ms(7)).count(), 7_000);
}

#[test]
fn spans_are_added_and_instants_subtracted() {
    let at = Timestamp::<Micros>::from_count(-1);
    assert_eq!((at + Duration::from_millis(2)).count(), 1_999);
    assert_eq!((at - Duration::from_micros(1)).count(), -2);
    assert_eq!(Timestamp::from_count(1_999).duration_since(at), Some(Duration::from_millis(2)));
    assert_eq!(at.duration_since(at + Duration::from_micros(1)), None);
    let all = Timestamp::<Nanos>::from_count(i64::MAX).duration_since(Timestamp::from_count(i64::MIN));
    assert_eq!(all, Some(Duration::from_nanos(u64::MAX)));
    assert_eq!(at.floor(Duration::from_secs(60)).to_string(), "1969-12-31T23:59:00Z");
    assert_eq!((at.floor(Duration::from_nanos(1)), at.floor(Duration::ZERO)), (at, at));
    assert_eq!(Timestamp::<Micros>::from_count(i64::MIN).floor(Duration::from_secs(60)).count(), i64::MIN);
    let refused = |sum: fn() -> Timestamp<Seconds>| std::panic::catch_unwind(sum).is_err();
    assert!(refused(|| Timestamp::from_count(i64::MAX) + Duration::from_secs(1)));
    assert!(refused(|| Timestamp::from_count(0) + Duration::from_millis(1)));
}

#[test]
fn a_text_that_is_no_time_says_what_is() {
    let error = "yesterday".parse::<Timestamp>().unwrap_err().to_string();
    let expected = "a text such as 2026-01-31T23:59:59.5Z or 2026-02-01T01:59:59.5+02:00";
    assert_eq!(error, format!("expected {expected}, found \"yesterday\""));
    assert_eq!(format!("{:>12}", Date::from_days(0)), "  1970-01-01");
}

proptest! {
    #[test]
    fn times_come_back_from_chunks_and_keys(
        rows in prop::collection::vec((any::<i64>(), any::<i32>(), 0..86_400_i64, any::<bool>()), 0..9)
    ) {
        type Row = (Timestamp, Option<Date>, TimeOfDay<Seconds>, TimeOfDay<Nanos>, Vec<LocalDateTime<Nanos>>);
        let row = |(count, days, second, there): (i64, i32, i64, bool)| -> Row {
            let times = (TimeOfDay::from_count(second).unwrap(), TimeOfDay::from_count(second).unwrap());
            let date = there.then(|| Date::from_days(days));
            (Timestamp::from_count(count), date, times.0, times.1, vec![LocalDateTime::from_count(count)])
        };
        let rows: Vec<Row> = rows.into_iter().map(row).collect();
        prop_assert_eq!(rows_of::<Row>(chunk_of(rows.clone())), rows.clone());
        for (a, b) in rows.iter().zip(rows.iter().rev()) {
            let bytes = encoded(a.clone());
            prop_assert_eq!(&Row::decode(&mut bytes.as_slice(), true), a);
            prop_assert_eq!(a.compare(b), a.cmp(b));
            prop_assert_eq!(a == b, bytes == encoded(b.clone()));
        }
    }
}
