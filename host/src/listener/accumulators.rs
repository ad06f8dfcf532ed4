//! The values of accumulators, as events and the status show them.
//!
//! Owns the JSON form of the values, which `docs/events.md` describes.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An accumulator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccumulatorInfo {
    /// The name that the plugin gives to the accumulator.
    pub name: String,
    /// Its value.
    #[serde(flatten)]
    pub value: AccumulatorValue,
}

/// The value of an accumulator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AccumulatorValue {
    /// A sum of integers.
    Long {
        /// The sum.
        value: i64,
    },
    /// A sum of floating-point numbers.
    Double {
        /// The sum.
        value: Double,
    },
    /// A list of values.
    Collection {
        /// How many values there are.
        count: u64,
        /// The first of them, as `print` shows them.
        first: Vec<String>,
    },
}

/// A floating-point number. Two of them are equal if their bits are. In JSON, a number that is not finite is `null`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(from = "Option<f64>", into = "Option<f64>")]
pub struct Double(f64);

impl From<f64> for Double {
    fn from(value: f64) -> Self {
        Self(value)
    }
}

impl From<Option<f64>> for Double {
    fn from(value: Option<f64>) -> Self {
        Self(value.unwrap_or(f64::NAN))
    }
}

impl From<Double> for Option<f64> {
    fn from(value: Double) -> Self {
        value.0.is_finite().then_some(value.0)
    }
}

impl PartialEq for Double {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Double {}

impl fmt::Display for AccumulatorValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long { value } => write!(f, "{value}"),
            Self::Double { value } => write!(f, "{:?}", value.0),
            Self::Collection { count, first } => {
                let more = if first.len() as u64 == *count { "" } else { ", ..." };
                write!(f, "{count} values: {}{more}", first.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_and_come_back_from_json() {
        let first = vec!["(a,1)".to_owned(), "(b,2)".to_owned()];
        for (value, text, json) in [
            (AccumulatorValue::Long { value: -7 }, "-7", r#"{"type":"long","value":-7}"#),
            (AccumulatorValue::Double { value: 0.5.into() }, "0.5", r#"{"type":"double","value":0.5}"#),
            (AccumulatorValue::Double { value: f64::NAN.into() }, "NaN", r#"{"type":"double","value":null}"#),
            (
                AccumulatorValue::Collection { count: 3, first },
                "3 values: (a,1), (b,2), ...",
                r#"{"type":"collection","count":3,"first":["(a,1)","(b,2)"]}"#,
            ),
        ] {
            assert_eq!(value.to_string(), text);
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
            assert_eq!(serde_json::from_str::<AccumulatorValue>(json).unwrap(), value);
        }
    }
}
