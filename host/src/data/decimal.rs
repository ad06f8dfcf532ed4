//! Decimals: numbers with a fixed number of digits behind the point.
//!
//! Owns which digits a decimal type has, and the text of a decimal. A decimal is a whole number of 128 bits, which
//! counts units of the last digit: 1.50 of the type `decimal(5,2)` is 150. Nothing is ever rounded: a number that the
//! type cannot hold exactly is refused. The plugin SDK writes and reads the same text (`decimal.rs`).

use std::fmt;

/// The most digits of a decimal.
const PRECISION_MAX: u8 = 38;

/// A type of decimals: `decimal(precision,scale)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Decimal {
    /// How many digits a number has at most, from 1 to 38.
    pub(super) precision: u8,
    /// How many of the digits are behind the point, from 0 to `precision`.
    pub(super) scale: u8,
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "decimal({},{})", self.precision, self.scale)
    }
}

/// 10 to the power of `exponent`. `None` if it is too large.
pub(super) fn power_of_ten(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

impl Decimal {
    /// The type of decimals with these numbers of digits. `None` if there is no such type.
    pub(super) fn new(precision: u8, scale: u8) -> Option<Self> {
        ((1..=PRECISION_MAX).contains(&precision) && scale <= precision).then_some(Self { precision, scale })
    }

    /// Whether a number, in units of the last digit, has at most as many digits as the type.
    pub(super) fn holds(self, value: i128) -> bool {
        power_of_ten(u32::from(self.precision)).is_some_and(|end| -end < value && value < end)
    }

    /// A number of `value` units of digit `scale` behind the point, in units of the last digit of this type. A negative
    /// scale means digits before the point. `None` if the type cannot hold the number exactly.
    pub(super) fn rescaled(self, value: i128, scale: i32) -> Option<i128> {
        let shift = i32::from(self.scale) - scale;
        let rescaled = match power_of_ten(shift.unsigned_abs()) {
            _ if value == 0 => 0,
            Some(power) if shift >= 0 => value.checked_mul(power)?,
            Some(power) if value % power == 0 => value / power,
            _ => return None,
        };
        Some(rescaled).filter(|value| self.holds(*value))
    }

    /// Appends the text of a number: `-12.50`. All digits behind the point are written.
    pub(super) fn write(self, value: i128, out: &mut String) {
        let scale = usize::from(self.scale);
        if value < 0 {
            out.push('-');
        }
        let digits = format!("{:0width$}", value.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        out.push_str(whole);
        if !fraction.is_empty() {
            out.push('.');
            out.push_str(fraction);
        }
    }

    /// The number that a text stands for: digits with or without a sign, a point and an exponent, as `-12.5`, `1e3`.
    /// `None` if the text has another form, or if the type cannot hold the number exactly.
    pub(super) fn parse(self, text: &str) -> Option<i128> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let is_negative = mantissa.starts_with('-');
        let digits = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !is_number(whole) || !is_number(fraction) {
            return None;
        }
        // Zeros at the end say nothing, however many there are.
        let all = [whole, fraction].concat();
        let significant = all.trim_end_matches('0');
        let zeros = i32::try_from(all.len() - significant.len()).ok()?;
        let value = match significant.trim_start_matches('0') {
            "" => 0,
            digits => digits.parse::<i128>().ok()?,
        };
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?.checked_sub(zeros)?;
        // No number of 128 bits has more digits than this. So the difference of two scales fits, too.
        let scale = if value == 0 { 0 } else { Some(scale).filter(|scale| scale.abs() <= 100)? };
        self.rescaled(if is_negative { -value } else { value }, scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(precision: u8, scale: u8) -> Decimal {
        Decimal::new(precision, scale).unwrap()
    }

    /// The same examples as in the plugin SDK's `decimal.rs`.
    #[test]
    fn texts_are_those_of_the_specification() {
        let most = 10_i128.pow(38) - 1;
        let examples = [
            (decimal(5, 2), 150, "1.50"),
            (decimal(5, 2), -5, "-0.05"),
            (decimal(5, 2), 0, "0.00"),
            (decimal(5, 2), 99_999, "999.99"),
            (decimal(3, 3), -999, "-0.999"),
            (decimal(4, 0), 1_000, "1000"),
            (decimal(38, 0), most, "99999999999999999999999999999999999999"),
            (decimal(38, 38), -most, "-0.99999999999999999999999999999999999999"),
        ];
        for (ty, value, text) in examples {
            let mut out = String::new();
            ty.write(value, &mut out);
            assert_eq!((out.as_str(), ty.parse(text)), (text, Some(value)));
        }
    }

    /// The same examples as in the plugin SDK's `decimal.rs`.
    #[test]
    fn other_texts_of_the_same_number_are_read() {
        for text in ["12.5", "+12.50", "1.25e1", "1250E-2", "012.5000", "12500000000000000000000000000000000000000e-39"]
        {
            assert_eq!(decimal(5, 2).parse(text), Some(1_250), "{text}");
        }
        for text in ["0", "-0.0", ".0", "0.", "0e999999", "0.000000"] {
            assert_eq!(decimal(5, 2).parse(text), Some(0), "{text}");
        }
    }

    /// The same examples as in the plugin SDK's `decimal.rs`.
    #[test]
    fn what_does_not_fit_exactly_is_refused() {
        for text in [
            "",
            ".",
            "-",
            "+-1",
            "1.005",
            "1000",
            "1e3",
            "1e-3",
            "1e99999999999",
            "1e2147483647",
            "1,5",
            "0x1",
            "NaN",
            "1 ",
            "1.2.3",
            "e5",
            "1e",
            "１",
        ] {
            assert_eq!(decimal(5, 2).parse(text), None, "{text}");
        }
        assert_eq!(decimal(38, 0).parse("100000000000000000000000000000000000000"), None);
        assert_eq!(decimal(38, 0).parse(&"9".repeat(40)), None);
    }

    #[test]
    fn types_have_up_to_38_digits() {
        assert!(Decimal::new(0, 0).is_none() && Decimal::new(39, 0).is_none() && Decimal::new(5, 6).is_none());
        assert_eq!(decimal(38, 38).to_string(), "decimal(38,38)");
    }

    proptest! {
        #[test]
        fn any_number_comes_back_from_its_text(value in any::<i128>(), precision in 1_u8..=38, scale in 0_u8..=38) {
            let ty = decimal(precision, scale.min(precision));
            let value = value % 10_i128.pow(u32::from(precision));
            let mut text = String::new();
            ty.write(value, &mut text);
            prop_assert_eq!(ty.parse(&text), Some(value), "{}", text);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9.e]{0,45}", precision in 1_u8..=38) {
            if let Some(value) = decimal(precision, precision / 2).parse(&text) {
                prop_assert!(decimal(precision, precision / 2).holds(value));
            }
        }
    }
}
