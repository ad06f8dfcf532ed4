//! The gains of the rate controller: decimal numbers.
//!
//! Owns [`Gain`]. Never knows what a gain is used for.

/// How many parts one has.
const PARTS: u32 = 1_000_000;

/// A decimal number from 0 to [`Gain::MAX`] with at most six decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gain {
    millionths: u32,
}

impl Gain {
    /// The largest gain.
    pub const MAX: u32 = 100;

    /// The gain that has this many millionths, or the largest gain.
    pub fn of_millionths(millionths: u32) -> Self {
        Self { millionths: millionths.min(Self::MAX * PARTS) }
    }

    /// The gain as a number.
    pub fn value(self) -> f64 {
        f64::from(self.millionths) / f64::from(PARTS)
    }

    /// The gain that a text says. `None` if the text is not a gain.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.replace('_', "");
        let parts = text.parse::<f64>().ok()? * f64::from(PARTS);
        let (whole, is_gain) = (parts.round(), (0.0..=f64::from(Self::MAX * PARTS)).contains(&parts));
        // A millionth of a part is more than what is lost when the number is read.
        (is_gain && (parts - whole).abs() < 1e-6).then_some(Self { millionths: whole as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gains_are_decimal_numbers() {
        let parsed = |text| Gain::parse(text).map(Gain::value);
        assert_eq!(parsed("0.2"), Some(0.2));
        assert_eq!(parsed("1"), Some(1.0));
        assert_eq!(parsed("1e-6"), Some(0.000_001));
        assert_eq!(parsed("1_0.5"), Some(10.5));
        assert_eq!(parsed("100"), Some(100.0));
        for text in ["", "x", "-0.1", "100.1", "nan", "inf", "0.0000001", "1e300"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    proptest! {
        /// The value of a gain is the number that was written.
        #[test]
        fn a_gain_is_what_was_written(millionths in 0..=Gain::MAX * PARTS) {
            let text = format!("{}.{:06}", millionths / PARTS, millionths % PARTS);
            let gain = Gain::parse(&text).unwrap();
            prop_assert_eq!(gain, Gain::of_millionths(millionths));
            prop_assert_eq!(gain.value(), text.parse::<f64>().unwrap());
        }
    }
}
