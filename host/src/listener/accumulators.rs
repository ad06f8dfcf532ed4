//! The values of accumulators, as events and the status show them.
//!
//! Owns the JSON form of the values, which `docs/events.md` describes.

use crate::shown::counted;
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
        /// How many integers were added.
        count: u64,
        /// The mean of the integers. Not a number if there are none.
        avg: Double,
    },
    /// A sum of floating-point numbers.
    Double {
        /// The sum.
        value: Double,
        /// How many numbers were added.
        count: u64,
        /// The mean of the numbers. Not a number if there are none.
        avg: Double,
    },
    /// A list of values.
    Collection {
        /// How many values there are.
        count: u64,
        /// The first of them, as `print` shows them.
        first: Vec<String>,
    },
}

impl AccumulatorValue {
    /// A sum of so many integers.
    pub fn long(value: i64, count: u64) -> Self {
        Self::Long { value, count, avg: Double::mean(value as f64, count) }
    }

    /// A sum of so many floating-point numbers.
    pub fn double(value: f64, count: u64) -> Self {
        Self::Double { value: value.into(), count, avg: Double::mean(value, count) }
    }

    /// The value, and for a sum also the number and the mean of the values that were added.
    pub fn details(&self) -> String {
        match self {
            Self::Long { count, avg, .. } | Self::Double { count, avg, .. } if *count > 0 => {
                format!("{self} ({}, {:?} on average)", counted(*count, "value"), avg.0)
            }
            _ => self.to_string(),
        }
    }
}

/// A floating-point number. Two of them are equal if their bits are. In JSON, a number that is not finite is `null`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(from = "Option<f64>", into = "Option<f64>")]
pub struct Double(f64);

impl Double {
    fn mean(sum: f64, count: u64) -> Self {
        Self(if count == 0 { f64::NAN } else { sum / count as f64 })
    }
}

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
            Self::Long { value, .. } => write!(f, "{value}"),
            Self::Double { value, .. } => write!(f, "{:?}", value.0),
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
        for (value, text, details, json) in [
            (
                AccumulatorValue::long(-7, 2),
                "-7",
                "-7 (2 values, -3.5 on average)",
                r#"{"type":"long","value":-7,"count":2,"avg":-3.5}"#,
            ),
            (AccumulatorValue::long(0, 0), "0", "0", r#"{"type":"long","value":0,"count":0,"avg":null}"#),
            (
                AccumulatorValue::double(0.5, 1),
                "0.5",
                "0.5 (1 value, 0.5 on average)",
                r#"{"type":"double","value":0.5,"count":1,"avg":0.5}"#,
            ),
            (
                AccumulatorValue::double(f64::NAN, 3),
                "NaN",
                "NaN (3 values, NaN on average)",
                r#"{"type":"double","value":null,"count":3,"avg":null}"#,
            ),
            (
                AccumulatorValue::Collection { count: 3, first },
                "3 values: (a,1), (b,2), ...",
                "3 values: (a,1), (b,2), ...",
                r#"{"type":"collection","count":3,"first":["(a,1)","(b,2)"]}"#,
            ),
        ] {
            assert_eq!((value.to_string().as_str(), value.details().as_str()), (text, details));
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
            assert_eq!(serde_json::from_str::<AccumulatorValue>(json).unwrap(), value);
        }
    }
}
