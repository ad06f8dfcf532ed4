//! Points in time as the interfaces of the page write them, in UTC. The page itself shows them in the time zone of its browser.

use crate::time::Time;

/// The point in time, in milliseconds since the Unix epoch, as Spark writes it in JSON: `2026-11-27T14:02:03.000GMT`.
pub(super) fn as_in_spark(ms: u64) -> String {
    let at = Time::from_ms(ms);
    let (year, month, day) = at.date();
    format!("{year:04}-{month:02}-{day:02}T{}.{:03}GMT", at.of_day(), ms % 1000)
}

/// The minute of the point in time, in milliseconds since the Unix epoch: `2026-11-27 14:02 UTC`.
pub(super) fn minute(ms: u64) -> String {
    let at = Time::from_ms(ms);
    let (year, month, day) = at.date();
    let of_day = at.of_day();
    let clock = of_day.rsplit_once(':').map_or(of_day.as_str(), |(clock, _)| clock);
    format!("{year:04}-{month:02}-{day:02} {clock} UTC")
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
            assert_eq!(as_in_spark(ms), date);
        }
        assert_eq!(minute(1_795_788_123_004), "2026-11-27 14:02 UTC");
    }
}
