//! Durations and sizes as people write them: a whole number and a unit.
//!
//! Owns the units, the faults of a text that is not a quantity, and how a quantity is printed. Never reports: `range`
//! makes the messages.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

/// The units of one kind of quantity.
pub(super) struct Units {
    /// The word for the quantity in a message.
    pub(super) noun: &'static str,
    /// Each unit with its factor, in the order in which printing prefers them. The last factor is 1.
    table: &'static [(&'static str, u64)],
    /// A list of the units, for a reader.
    pub(super) list: &'static str,
    /// The units that may have been meant by a number without a unit, most likely first.
    bare: &'static [&'static str],
    /// Units of other systems, in lower case, and the units that may have been meant by them.
    aliases: &'static [(&'static [&'static str], &'static [&'static str])],
}

/// Durations, in milliseconds.
pub(super) static DURATIONS: Units = Units {
    noun: "duration",
    table: &[("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)],
    list: "ms, s, m and h",
    bare: &["s", "ms"],
    aliases: &[
        (&["ms", "msec", "msecs", "milli", "millis", "millisecond", "milliseconds"], &["ms"]),
        (&["s", "sec", "secs", "second", "seconds"], &["s"]),
        (&["m", "min", "mins", "minute", "minutes"], &["m"]),
        (&["h", "hr", "hrs", "hour", "hours"], &["h"]),
    ],
};

/// Sizes, in bytes.
pub(super) static SIZES: Units = Units {
    noun: "size",
    table: &[
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("kB", 1000),
        ("B", 1),
    ],
    list: "B, kB, MB, GB, KiB, MiB and GiB",
    bare: &["MiB", "KiB", "B"],
    aliases: &[
        (&["b", "byte", "bytes"], &["B"]),
        (&["k", "kb"], &["KiB", "kB"]),
        (&["m", "mb"], &["MiB", "MB"]),
        (&["g", "gb"], &["GiB", "GB"]),
        (&["ki", "kib"], &["KiB"]),
        (&["mi", "mib"], &["MiB"]),
        (&["gi", "gib"], &["GiB"]),
    ],
};

/// Why a text is not a quantity, with the texts that may have been meant. These are not checked against any range.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The text does not begin with a digit.
    NotANumber,
    /// The text is a whole number without a unit. `None` if the number does not fit into 64 bits.
    NoUnit(Option<u64>),
    /// The text is valid without its white space. The string is that valid text.
    Space(String),
    /// The text is a decimal fraction. The string is the same quantity in whole numbers; `None` if there is none.
    Fraction(Option<String>),
    /// The unit does not exist.
    UnknownUnit { unit: String, meant: Vec<String> },
    /// The quantity does not fit into 64 bits.
    TooLarge,
}

impl Units {
    /// Reads a text such as `250ms` or `64KiB`. The result is in milliseconds or bytes.
    pub(super) fn parse(&self, text: &str) -> Result<u64, Fault> {
        let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(digits_end);
        if digits.is_empty() {
            let trimmed = text.trim();
            let is_padded = trimmed.len() < text.len() && self.parse(trimmed).is_ok();
            return Err(if is_padded { Fault::Space(trimmed.to_owned()) } else { Fault::NotANumber });
        }
        if unit.is_empty() {
            return Err(Fault::NoUnit(digits.parse().ok()));
        }
        if let Some(factor) = self.factor(unit) {
            return digits.parse().ok().and_then(|n: u64| n.checked_mul(factor)).ok_or(Fault::TooLarge);
        }
        if unit.starts_with('.') {
            return Err(Fault::Fraction(self.without_fraction(text)));
        }
        let trimmed = unit.trim();
        if self.factor(trimmed).is_some() {
            return Err(Fault::Space(format!("{digits}{trimmed}")));
        }
        let lower = trimmed.to_lowercase();
        let alias = self.aliases.iter().find(|(names, _)| names.contains(&lower.as_str()));
        let meant = alias.map_or(&[][..], |(_, meant)| meant).iter().map(|unit| format!("{digits}{unit}")).collect();
        Err(Fault::UnknownUnit { unit: trimmed.to_owned(), meant })
    }

    /// Prints a quantity exactly, in the largest unit in which it is a whole number: `2304MiB`, `90s`.
    pub(super) fn show(&self, value: u64) -> String {
        let exact = self.table.iter().find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor));
        match exact.or(self.table.last()) {
            Some((unit, factor)) => format!("{}{unit}", value.checked_div(*factor).unwrap_or(value)),
            None => value.to_string(),
        }
    }

    /// The texts that may have been meant by a bare `number`, within `min` and `max`: at most two, such as `5s` and
    /// `5ms`.
    pub(super) fn with_unit(&self, number: u64, min: u64, max: u64) -> Vec<String> {
        let fits = |unit: &&str| {
            let value = self.factor(unit).and_then(|factor| number.checked_mul(factor));
            value.is_some_and(|value| (min..=max).contains(&value))
        };
        let text = |unit: &str| if unit == "B" { self.show(number) } else { format!("{number}{unit}") };
        self.bare.iter().copied().filter(fits).take(2).map(text).collect()
    }

    /// Converts `1.5s` to `1500ms`. `None` if the text is not a decimal fraction with a known unit, or is not whole in
    /// the smallest unit. A text without a unit is read with the most likely unit.
    pub(super) fn without_fraction(&self, text: &str) -> Option<String> {
        let (whole, rest) = text.split_once('.')?;
        let digits_end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (decimals, unit) = rest.split_at(digits_end);
        let unit = if unit.is_empty() { self.bare.first()? } else { unit.trim() };
        let scale = 10_u64.checked_pow(u32::try_from(decimals.len()).ok()?)?;
        let scaled: u64 = format!("{whole}{decimals}").parse().ok()?;
        let value = scaled.checked_mul(self.factor(unit)?)?;
        value.checked_div(scale).filter(|_| value.is_multiple_of(scale)).map(|value| self.show(value))
    }

    fn factor(&self, unit: &str) -> Option<u64> {
        self.table.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_a_whole_number_and_a_unit() {
        for (text, ms) in [("250ms", 250), ("1s", 1000), ("5m", 300_000), ("2h", 7_200_000), ("007s", 7000), ("0ms", 0)]
        {
            assert_eq!(DURATIONS.parse(text), Ok(ms), "{text}");
        }
        for (text, bytes) in [("100B", 100), ("64KiB", 65_536), ("1MiB", 1 << 20), ("2GiB", 2 << 30), ("3kB", 3000)] {
            assert_eq!(SIZES.parse(text), Ok(bytes), "{text}");
        }
        assert_eq!(SIZES.parse("4MB"), Ok(4_000_000));
        assert_eq!(SIZES.parse("4GB"), Ok(4_000_000_000));
    }

    #[test]
    fn a_fault_says_what_was_meant() {
        let unknown = |unit: &str, meant: &[&str]| Fault::UnknownUnit {
            unit: unit.to_owned(),
            meant: meant.iter().map(|&text| text.to_owned()).collect(),
        };
        let cases = [
            (&DURATIONS, "", Fault::NotANumber),
            (&DURATIONS, "-5s", Fault::NotANumber),
            (&DURATIONS, "٣s", Fault::NotANumber),
            (&DURATIONS, "5", Fault::NoUnit(Some(5))),
            (&DURATIONS, "99999999999999999999", Fault::NoUnit(None)),
            (&DURATIONS, "99999999999999999999s", Fault::TooLarge),
            (&DURATIONS, "18446744073709551615h", Fault::TooLarge),
            (&DURATIONS, "1 s", Fault::Space("1s".to_owned())),
            (&DURATIONS, " 1s", Fault::Space("1s".to_owned())),
            (&DURATIONS, "1s\n", Fault::Space("1s".to_owned())),
            (&DURATIONS, "1.5s", Fault::Fraction(Some("1500ms".to_owned()))),
            (&DURATIONS, "1.5h", Fault::Fraction(Some("90m".to_owned()))),
            (&DURATIONS, "0.1ms", Fault::Fraction(None)),
            (&DURATIONS, "1.x", Fault::Fraction(None)),
            (&DURATIONS, "1.00000000000000000000000s", Fault::Fraction(None)),
            (&DURATIONS, "5 Seconds", unknown("Seconds", &["5s"])),
            (&DURATIONS, "1h30m", unknown("h30m", &[])),
            (&SIZES, "256M", unknown("M", &["256MiB", "256MB"])),
            (&SIZES, "64kib", unknown("kib", &["64KiB"])),
            (&SIZES, "1.5GiB", Fault::Fraction(Some("1536MiB".to_owned()))),
        ];
        for (units, text, fault) in cases {
            assert_eq!(units.parse(text), Err(fault), "{text:?}");
        }
    }

    #[test]
    fn printing_is_exact() {
        for (bytes, text) in [(0, "0B"), (1, "1B"), (2304 << 20, "2304MiB"), (5 << 30, "5GiB"), (1_000_000, "1MB")] {
            assert_eq!(SIZES.show(bytes), text);
            assert_eq!(SIZES.parse(text), Ok(bytes));
        }
        for (ms, text) in [(0, "0ms"), (90_000, "90s"), (3_600_000, "1h"), (1001, "1001ms")] {
            assert_eq!(DURATIONS.show(ms), text);
        }
    }

    #[test]
    fn a_bare_number_may_have_meant() {
        assert_eq!(DURATIONS.with_unit(5, 1, 3_600_000), ["5s", "5ms"]);
        assert_eq!(DURATIONS.with_unit(5000, 1, 3_600_000), ["5000ms"]);
        assert_eq!(SIZES.with_unit(256, 1 << 20, 4 << 30), ["256MiB"]);
        assert_eq!(SIZES.with_unit(268_435_456, 1 << 20, 4 << 30), ["256MiB"]);
        assert!(SIZES.with_unit(0, 1, 9).is_empty());
    }
}
