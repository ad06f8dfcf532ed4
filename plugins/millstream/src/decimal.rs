//! [`Decimal`]: numbers with a fixed number of digits behind the point.
//!
//! Owns the type, its arithmetic and its text. The host has the same text in `data/decimal.rs`, and tests there and here
//! hold the same examples. Nothing is ever rounded.

use crate::numbered::{Numbered, numbered_records};
use crate::temporal::ParseError;
use std::borrow::Cow;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::str::FromStr;

/// A number of at most `P` digits, `S` of them behind the point: `Decimal<12, 2>` for amounts of money. Spark's
/// `DecimalType(P, S)`. `P` is from 1 to 38, and `S` from 0 to `P`.
///
/// A decimal is exact: nothing is rounded. A sum with more digits than the type has fails the batch, as a sum of
/// integers does. For other arithmetic, compute with [`Decimal::unscaled`], or use the crate `rust_decimal` with the
/// feature of this name.
///
/// ```
/// use millstream::{Decimal, testing};
///
/// let price: Decimal<12, 2> = "19.9".parse().unwrap();
/// assert_eq!((price + price).to_string(), "39.80");
/// assert!("0.005".parse::<Decimal<12, 2>>().is_err());
///
/// let out = testing::run(vec![vec![(1u8, price), (1, price)]], |rows| rows.reduce_by_key(|a, b| a + b));
/// assert_eq!(out[0][0].1.unscaled(), 3_980);
/// ```
///
/// A type with other numbers of digits is refused:
///
/// ```compile_fail
/// let _: millstream::Decimal<39, 2> = "1".parse().unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal<const P: u8, const S: u8>(i128);

impl<const P: u8, const S: u8> Decimal<P, S> {
    /// 10 to the power of `P`, which no number reaches.
    const END: i128 = {
        assert!(P >= 1 && P <= 38, "a decimal has from 1 to 38 digits");
        assert!(S <= P, "a decimal cannot have more digits behind the point than it has digits");
        10_i128.pow(P as u32)
    };

    /// The number that has `unscaled` units of its last digit: 150 of `Decimal<5, 2>` is 1.50. `None` if it has too many
    /// digits.
    pub const fn from_unscaled(unscaled: i128) -> Option<Self> {
        if -Self::END < unscaled && unscaled < Self::END { Some(Self(unscaled)) } else { None }
    }

    /// How many units of its last digit the number has.
    pub const fn unscaled(self) -> i128 {
        self.0
    }

    /// The same number with other numbers of digits. `None` if they cannot hold the number exactly.
    pub fn rescaled<const Q: u8, const T: u8>(self) -> Option<Decimal<Q, T>> {
        Decimal::of_scale(self.0, S.into())
    }

    /// The sum. `None` if it has too many digits.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        // Two numbers of 38 digits have a sum of at most 127 bits.
        match self.0.checked_add(other.0) {
            Some(sum) => Self::from_unscaled(sum),
            None => None,
        }
    }

    /// The nearest float.
    pub fn to_f64(self) -> f64 {
        // The text of a number is a float that is read exactly.
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// A number of `value` units of digit `scale` behind the point. `None` if the type cannot hold the number exactly.
    pub(crate) fn of_scale(value: i128, scale: i32) -> Option<Self> {
        let shift = i32::from(S) - scale;
        let rescaled = match 10_i128.checked_pow(shift.unsigned_abs()) {
            _ if value == 0 => 0,
            Some(power) if shift >= 0 => value.checked_mul(power)?,
            Some(power) if value % power == 0 => value / power,
            _ => return None,
        };
        Self::from_unscaled(rescaled)
    }

    fn refused(text: &str) -> ParseError {
        ParseError::new(text, format!("a number with at most {P} digits, {S} of them behind the point"))
    }
}

impl<const P: u8, const S: u8> Numbered for Decimal<P, S> {
    type Number = i128;
    fn kind() -> Cow<'static, str> {
        const { assert!(Self::END > 0) };
        Cow::Owned(format!("decimal({P},{S})"))
    }
    #[inline]
    fn number(&self) -> i128 {
        self.0
    }
    #[inline]
    fn of_number(number: i128) -> Self {
        Self(number)
    }
    fn write(&self, out: &mut String) {
        if self.0 < 0 {
            out.push('-');
        }
        let digits = format!("{:0width$}", self.0.unsigned_abs(), width = usize::from(S) + 1);
        let (whole, fraction) = digits.split_at(digits.len() - usize::from(S));
        out.push_str(whole);
        if !fraction.is_empty() {
            out.push('.');
            out.push_str(fraction);
        }
    }
}

numbered_records! {
    [const P: u8, const S: u8] Decimal<P, S>;
}

/// Writes the number with all digits behind the point, as `print` shows it: `-12.50`.
impl<const P: u8, const S: u8> fmt::Display for Decimal<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        Numbered::write(self, &mut text);
        f.pad(&text)
    }
}

/// Reads digits with or without a sign, a point and an exponent, as `-12.5` and `1e3`.
impl<const P: u8, const S: u8> FromStr for Decimal<P, S> {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse(text).and_then(|(value, scale)| Self::of_scale(value, scale)).ok_or_else(|| Self::refused(text))
    }
}

/// The value and the scale of a text. `None` if the text is no number, or has too many digits for any decimal.
fn parse(text: &str) -> Option<(i128, i32)> {
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
    Some((if is_negative { -value } else { value }, scale))
}

/// # Panics
/// If the sum has too many digits.
impl<const P: u8, const S: u8> Add for Decimal<P, S> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.checked_add(other).unwrap_or_else(|| panic!("{self} + {other} has more than {P} digits"))
    }
}

/// # Panics
/// If the difference has too many digits.
impl<const P: u8, const S: u8> Sub for Decimal<P, S> {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.checked_add(-other).unwrap_or_else(|| panic!("{self} - {other} has more than {P} digits"))
    }
}

impl<const P: u8, const S: u8> Neg for Decimal<P, S> {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl<const P: u8, const S: u8> AddAssign for Decimal<P, S> {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl<const P: u8, const S: u8> SubAssign for Decimal<P, S> {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl<const P: u8, const S: u8> Sum for Decimal<P, S> {
    fn sum<I: Iterator<Item = Self>>(numbers: I) -> Self {
        numbers.fold(Self::default(), |sum, number| sum + number)
    }
}

#[cfg(feature = "rust_decimal")]
mod rust_decimal;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;
    use crate::record::{chunk_of, fields_of, rows_of};
    use proptest::prelude::*;

    fn both<const P: u8, const S: u8>(unscaled: i128, text: &str) {
        let number = Decimal::<P, S>::from_unscaled(unscaled).unwrap();
        assert_eq!((number.to_string().as_str(), text.parse()), (text, Ok(number)));
    }

    /// The same examples as in the host's `data/decimal.rs`.
    #[test]
    fn texts_are_those_of_the_specification() {
        let most = 10_i128.pow(38) - 1;
        both::<5, 2>(150, "1.50");
        both::<5, 2>(-5, "-0.05");
        both::<5, 2>(0, "0.00");
        both::<5, 2>(99_999, "999.99");
        both::<3, 3>(-999, "-0.999");
        both::<4, 0>(1_000, "1000");
        both::<38, 0>(most, "99999999999999999999999999999999999999");
        both::<38, 38>(-most, "-0.99999999999999999999999999999999999999");
    }

    fn read(text: &str) -> Option<i128> {
        text.parse::<Decimal<5, 2>>().ok().map(Decimal::unscaled)
    }

    /// The same examples as in the host's `data/decimal.rs`.
    #[test]
    fn other_texts_of_the_same_number_are_read() {
        for text in ["12.5", "+12.50", "1.25e1", "1250E-2", "012.5000", "12500000000000000000000000000000000000000e-39"]
        {
            assert_eq!(read(text), Some(1_250), "{text}");
        }
        for text in ["0", "-0.0", ".0", "0.", "0e999999", "0.000000"] {
            assert_eq!(read(text), Some(0), "{text}");
        }
    }

    /// The same examples as in the host's `data/decimal.rs`.
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
            assert_eq!(read(text), None, "{text}");
        }
        assert!("100000000000000000000000000000000000000".parse::<Decimal<38, 0>>().is_err());
        assert!("9".repeat(40).parse::<Decimal<38, 0>>().is_err());
        let error = "1.005".parse::<Decimal<5, 2>>().unwrap_err().to_string();
        assert_eq!(error, "expected a number with at most 5 digits, 2 of them behind the point, found \"1.005\"");
    }

    #[test]
    fn sums_are_exact_or_refused() {
        let number = |text: &str| text.parse::<Decimal<3, 1>>().unwrap();
        assert_eq!([number("0.1"), number("0.2"), number("-0.3")].into_iter().sum::<Decimal<3, 1>>(), number("0"));
        assert_eq!((number("1.5") - number("2")).to_string(), "-0.5");
        assert_eq!(number("99.9").checked_add(number("0.1")), None);
        assert!(std::panic::catch_unwind(|| number("99.9") + number("0.1")).is_err());
        assert_eq!(number("1.5").rescaled::<5, 3>().map(Decimal::unscaled), Some(1_500));
        assert_eq!((number("1.5").rescaled::<5, 0>(), number("99.9").rescaled::<3, 2>()), (None, None));
        assert_eq!((number("-1.5").to_f64(), Decimal::<38, 0>::END), (-1.5, 10_i128.pow(38)));
    }

    /// The same example as in the host's `data/key/tests.rs`.
    #[test]
    fn a_key_is_its_number() {
        let mut bytes = Vec::new();
        "-1.5".parse::<Decimal<5, 2>>().unwrap().encode(true, &mut bytes);
        assert_eq!(bytes, (-150_i128).to_le_bytes());
        assert_eq!(fields_of::<Decimal<38, 18>>()[0].kind, "decimal(38,18)");
    }

    proptest! {
        #[test]
        fn numbers_come_back_from_chunks_keys_and_texts(rows in prop::collection::vec(any::<i128>(), 0..9)) {
            type Row = (Decimal<38, 9>, Option<Decimal<38, 9>>);
            let number = |value: i128| Decimal::from_unscaled(value % 10_i128.pow(38)).unwrap();
            let rows: Vec<Row> = rows.iter().map(|&n| (number(n), (n % 2 == 0).then(|| number(n)))).collect();
            prop_assert_eq!(rows_of::<Row>(chunk_of(rows.clone())), rows.clone());
            for row in &rows {
                let mut bytes = Vec::new();
                row.encode(true, &mut bytes);
                prop_assert_eq!(&Row::decode(&mut bytes.as_slice(), true), row);
                prop_assert_eq!(row.0.to_string().parse(), Ok(row.0));
            }
        }
    }
}
