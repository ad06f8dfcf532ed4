//! Tests of the text of dates and times.

use super::*;
use proptest::prelude::*;

fn written(temporal: Temporal, value: i64) -> String {
    let mut out = String::new();
    temporal.write(value, &mut out);
    out
}

/// The same examples as in the plugin SDK's `calendar.rs`.
#[test]
fn texts_are_those_of_the_specification() {
    use Temporal::{Date, DateTime, Time, Timestamp};
    use Unit::{Micros, Millis, Nanos, Seconds};
    let examples = [
        (Date, 0, "1970-01-01"),
        (Date, -1, "1969-12-31"),
        (Date, 11_016, "2000-02-29"),
        (Date, -719_528, "0000-01-01"),
        (Date, -719_529, "-0001-12-31"),
        (Date, 2_932_896, "9999-12-31"),
        (Date, 2_932_897, "+10000-01-01"),
        (Date, i64::from(i32::MAX), "+5881580-07-11"),
        (Date, i64::from(i32::MIN), "-5877641-06-23"),
        (Time(Seconds), 86_399, "23:59:59"),
        (Time(Millis), 1, "00:00:00.001"),
        (Time(Micros), 3_600_000_000, "01:00:00"),
        (Time(Micros), 500_000, "00:00:00.500"),
        (Time(Nanos), 86_399_999_999_999, "23:59:59.999999999"),
        (DateTime(Seconds), 951_782_400, "2000-02-29T00:00:00"),
        (DateTime(Nanos), -1, "1969-12-31T23:59:59.999999999"),
        (Timestamp(Micros), 0, "1970-01-01T00:00:00Z"),
        (Timestamp(Micros), -1, "1969-12-31T23:59:59.999999Z"),
        (Timestamp(Millis), 1_769_903_999_500, "2026-01-31T23:59:59.500Z"),
        (Timestamp(Seconds), i64::MAX, "+292277026596-12-04T15:30:07Z"),
        (Timestamp(Seconds), i64::MIN, "-292277022657-01-27T08:29:52Z"),
        (Timestamp(Micros), i64::MAX, "+294247-01-10T04:00:54.775807Z"),
        (Timestamp(Nanos), i64::MAX, "2262-04-11T23:47:16.854775807Z"),
        (Timestamp(Nanos), i64::MIN, "1677-09-21T00:12:43.145224192Z"),
    ];
    for (temporal, value, text) in examples {
        assert_eq!(written(temporal, value), text);
        assert_eq!(temporal.parse(text), Some(value), "{text}");
    }
}

/// The same examples as in the plugin SDK's `calendar.rs`.
#[test]
fn other_texts_of_the_same_instant_are_read() {
    let micros = Temporal::Timestamp(Unit::Micros);
    for text in [
        "2026-02-01T01:59:59.5+02:00",
        "2026-01-31 18:29:59.500000000-05:30",
        "2026-01-31t23:59:59.50z",
        "2026-02-01 01:59:59.5+02",
        "+2026-01-31T23:59:59.5-00:00",
    ] {
        assert_eq!(micros.parse(text), Some(1_769_903_999_500_000), "{text}");
    }
}

/// The same examples as in the plugin SDK's `calendar.rs`.
#[test]
fn what_has_no_meaning_is_refused() {
    let refused = [
        (
            Temporal::Date,
            "2026-02-29 1900-02-29 2026-13-01 2026-00-01 2026-01-00 2026-1-1 26-01-01 10000-01-01 \
                          +5881580-07-12 2026-01-01T00:00:00 2026/01/01 +0000000002026-01-01 20260101",
        ),
        (
            Temporal::Time(Unit::Millis),
            "24:00:00 23:60:00 23:59:60 1:00:00 00:00 00:00:00. 00:00:00.0001 00:00:00Z -1:00:00",
        ),
        (
            Temporal::Timestamp(Unit::Micros),
            "2016-12-31T23:59:60Z 2026-01-01T00:00:00 2026-01-01 2026-01-01T00:00:00.0000001Z 2026-01-01T00:00:00+24:00 \
             2026-01-01T00:00:00+00:60 2026-01-01T00:00:00+0100 2026-01-01T00:00:00ZZ 2026-01-01_00:00:00Z \
             +294247-01-10T04:00:54.775808Z 1769903999",
        ),
        (Temporal::Timestamp(Unit::Nanos), "2262-04-11T23:47:16.854775808Z 1677-09-21T00:12:43.145224191Z"),
        (Temporal::DateTime(Unit::Micros), "2026-01-01T00:00:00Z 2026-01-01T00:00:00+01:00 2026-01-01T24:00:00"),
    ];
    for (temporal, texts) in refused {
        for text in texts.split_ascii_whitespace().chain([""]) {
            assert_eq!(temporal.parse(text), None, "{temporal:?} {text}");
        }
    }
}

proptest! {
    #[test]
    fn any_value_comes_back_from_its_text(value in any::<i64>(), at in 0..Temporal::ALL.len()) {
        let temporal = Temporal::ALL[at];
        let value = match temporal {
            Temporal::Date => i64::from(value as i32),
            Temporal::Time(unit) => value.rem_euclid(unit.per_day()),
            _ => value,
        };
        let text = written(temporal, value);
        prop_assert_eq!(temporal.parse(&text), Some(value), "{}", text);
    }

    /// Days follow each other, and each has the text that follows the one before.
    #[test]
    fn days_follow_each_other(day in i64::from(i32::MIN)..i64::from(i32::MAX)) {
        let (text, next) = (written(Temporal::Date, day), written(Temporal::Date, day + 1));
        let parts = |text: &str| {
            let mut parts = text.rsplitn(3, '-').map(|part| part.parse::<i64>().unwrap());
            let (day, month) = (parts.next().unwrap(), parts.next().unwrap());
            (parts.next().unwrap(), month, day)
        };
        let ((y, m, d), after) = (parts(&text), parts(&next));
        let follows = after == (y, m, d + 1) || after == (y, m + 1, 1) || (m == 12 && after == (y + 1, 1, 1));
        prop_assert!(follows, "{} {}", text, next);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[-+0-9TZ:. ]{0,40}", at in 0..Temporal::ALL.len()) {
        let temporal = Temporal::ALL[at];
        if let Some(value) = temporal.parse(&text) {
            prop_assert_eq!(temporal.parse(&written(temporal, value)), Some(value));
        }
    }
}
