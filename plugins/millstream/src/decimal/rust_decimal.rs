//! Decimals of the crate `rust_decimal` as records, with the feature `rust_decimal`.
//!
//! Owns the type that they travel as: `decimal(38,18)`, as Spark does with decimals that do not say their scale. A
//! decimal of the crate has at most 28 digits, wherever its point is. A value that one side cannot hold exactly is
//! refused, so that a value is the same before and behind a shuffle. Zeros behind the point are not kept: they make no
//! difference to equality.

use super::Decimal;
use crate::numbered::{Numbered, numbered_records};
use ::rust_decimal::Decimal as Floating;
use std::borrow::Cow;

/// The type that decimals without a scale of their own travel as.
type Wide = Decimal<38, 18>;

impl Numbered for Floating {
    type Number = i128;
    fn kind() -> Cow<'static, str> {
        Wide::kind()
    }
    fn number(&self) -> i128 {
        let wide = Wide::try_from(*self);
        wide.unwrap_or_else(|error| panic!("{error}: use `millstream::Decimal` with enough digits")).unscaled()
    }
    fn of_number(number: i128) -> Self {
        let wide = Wide::of_number(number);
        Self::try_from(wide).unwrap_or_else(|error| panic!("{error}: use `millstream::Decimal<38, 18>`"))
    }
    fn write(&self, out: &mut String) {
        Wide::of_number(self.number()).write(out);
    }
}

numbered_records! {
    [] Floating;
}

/// The error that a decimal has too many digits for another type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooManyDigits(String);

impl std::fmt::Display for TooManyDigits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TooManyDigits {}

impl<const P: u8, const S: u8> TryFrom<Floating> for Decimal<P, S> {
    type Error = TooManyDigits;
    fn try_from(number: Floating) -> Result<Self, TooManyDigits> {
        let refused = || TooManyDigits(format!("{number} does not fit into {P} digits, {S} of them behind the point"));
        Self::of_scale(number.normalize().mantissa(), number.normalize().scale() as i32).ok_or_else(refused)
    }
}

impl<const P: u8, const S: u8> TryFrom<Decimal<P, S>> for Floating {
    type Error = TooManyDigits;
    fn try_from(number: Decimal<P, S>) -> Result<Self, TooManyDigits> {
        let (mut value, mut scale) = (number.unscaled(), u32::from(S));
        while scale > 0 && value % 10 == 0 {
            (value, scale) = (value / 10, scale - 1);
        }
        let refused = |_| TooManyDigits(format!("{number} has more digits than a decimal of `rust_decimal`"));
        Self::try_from_i128_with_scale(value, scale).map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;
    use crate::record::{chunk_of, fields_of, rows_of};
    use proptest::prelude::*;

    fn number(text: &str) -> Floating {
        text.parse().unwrap()
    }

    #[test]
    fn equal_decimals_are_equal_keys() {
        let encoded = |text: &str| {
            let mut bytes = Vec::new();
            number(text).encode(true, &mut bytes);
            bytes
        };
        assert_eq!((encoded("1.50"), encoded("-0.0")), (encoded("1.5000"), encoded("0")));
        assert_eq!(fields_of::<Floating>()[0].kind, "decimal(38,18)");
        assert_eq!(Wide::try_from(number("-1.5")).unwrap().to_string(), "-1.500000000000000000");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let long = Decimal::<5, 2>::try_from(number("1000.5")).unwrap_err().to_string();
        assert_eq!(long, "1000.5 does not fit into 5 digits, 2 of them behind the point");
        assert!(Decimal::<5, 2>::try_from(number("0.001")).is_err());
        let most = Decimal::<38, 0>::from_unscaled(10_i128.pow(38) - 1).unwrap();
        assert!(
            Floating::try_from(most).unwrap_err().to_string().ends_with("more digits than a decimal of `rust_decimal`")
        );
        assert!(std::panic::catch_unwind(|| number("0.0000000000000000001").number()).is_err());
    }

    proptest! {
        #[test]
        fn decimals_come_back(values in prop::collection::vec((any::<i64>(), 0..18_u32), 0..9)) {
            let rows: Vec<Floating> = values.into_iter().map(|(value, scale)| Floating::new(value, scale)).collect();
            prop_assert_eq!(rows_of::<Floating>(chunk_of(rows.clone())), rows.clone());
            for row in rows {
                let mut bytes = Vec::new();
                row.encode(true, &mut bytes);
                prop_assert_eq!(Floating::decode(&mut bytes.as_slice(), true), row);
            }
        }
    }
}
