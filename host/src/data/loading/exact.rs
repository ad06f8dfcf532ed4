//! Dates, times and decimals of other units and scales.
//!
//! Owns which columns of a file hold such values, and that no value is rounded or cut: a value that the record cannot
//! hold exactly is a fault. A timestamp with a zone is an instant, whatever the zone is. A timestamp without a zone is
//! none, because nobody knows of which zone it is.

use super::super::decimal::Decimal;
use super::super::fixed;
use super::super::schema::Node;
use super::super::temporal::{Temporal, Unit};
use super::{Fault, refused};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Int64Type, TimeUnit, UInt64Type,
};
use arrow::error::ArrowError;

/// Dates or times of a column. `None` if the column holds none.
pub(super) fn temporals(node: &Node, temporal: Temporal, array: &ArrayRef) -> Option<Result<ArrayRef, Fault>> {
    // The kind that has the column's own unit.
    let own = match (temporal, array.data_type()) {
        (Temporal::Date, DataType::Date32) => Temporal::Date,
        // Milliseconds, which have to be whole days.
        (Temporal::Date, DataType::Date64) => Temporal::DateTime(Unit::Millis),
        (Temporal::Time(_), DataType::Time32(unit) | DataType::Time64(unit)) => Temporal::Time(Unit::of(*unit)),
        (Temporal::DateTime(_), DataType::Timestamp(unit, None)) => Temporal::DateTime(Unit::of(*unit)),
        (Temporal::Timestamp(_), DataType::Timestamp(unit, Some(_))) => Temporal::Timestamp(Unit::of(*unit)),
        _ => return None,
    };
    let convert = |value: i64| {
        let converted = match (ratio(temporal), ratio(own)) {
            (wanted, found) if wanted >= found => value.checked_mul(wanted / found),
            (wanted, found) if value % (found / wanted) == 0 => Some(value / (found / wanted)),
            _ => None,
        };
        converted.filter(|converted| temporal.holds(*converted))
    };
    let numbers = match numbers(array) {
        Ok(numbers) => numbers,
        Err(error) => return Some(Err(refused(&error))),
    };
    let mut values = Vec::with_capacity(array.len());
    for (row, &value) in numbers.as_primitive::<Int64Type>().values().iter().enumerate() {
        match convert(value) {
            Some(converted) => values.push(converted),
            None if array.is_null(row) => values.push(0),
            None => {
                let mut text = String::new();
                if own.holds(value) {
                    own.write(value, &mut text);
                } else {
                    text = value.to_string();
                }
                return Some(Err(unfit(node, row, &text)));
            }
        }
    }
    Some(fixed::temporals(temporal, values, array.nulls().cloned()).map_err(|error| refused(&error)))
}

/// How many of the unit of a kind are a day, apart from a factor that all kinds which can be compared share.
const fn ratio(temporal: Temporal) -> i64 {
    match temporal {
        Temporal::Date => 1,
        Temporal::Time(unit) | Temporal::DateTime(unit) | Temporal::Timestamp(unit) => 86_400 * unit.per_second(),
    }
}

/// The numbers behind dates and times, as integers of 64 bits.
fn numbers(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Date32 | DataType::Time32(TimeUnit::Second | TimeUnit::Millisecond) => {
            cast(&cast(array, &DataType::Int32)?, &DataType::Int64)
        }
        _ => cast(array, &DataType::Int64),
    }
}

/// Decimals of a column of decimals or integers. `None` if the column holds none.
pub(super) fn decimals(node: &Node, decimal: Decimal, array: &ArrayRef) -> Option<Result<ArrayRef, Fault>> {
    macro_rules! values {
        ($type:ty, $scale:expr, |$value:ident| $wide:expr) => {
            collect(node, decimal, array, $scale, array.as_primitive::<$type>().values().iter().map(|$value| $wide))
        };
    }
    Some(match array.data_type() {
        DataType::Decimal32(_, scale) => values!(Decimal32Type, *scale, |value| Some(i128::from(*value))),
        DataType::Decimal64(_, scale) => values!(Decimal64Type, *scale, |value| Some(i128::from(*value))),
        DataType::Decimal128(_, scale) => values!(Decimal128Type, *scale, |value| Some(*value)),
        DataType::Decimal256(_, scale) => values!(Decimal256Type, *scale, |value| value.to_i128()),
        DataType::UInt64 => values!(UInt64Type, 0, |value| Some(i128::from(*value))),
        found if found.is_integer() => match cast(array, &DataType::Int64) {
            Ok(wide) => {
                let wide = wide.as_primitive::<Int64Type>();
                collect(node, decimal, array, 0, wide.values().iter().map(|value| Some(i128::from(*value))))
            }
            Err(error) => Err(refused(&error)),
        },
        _ => return None,
    })
}

/// Decimals made of `values`, which count units of digit `scale` behind the point.
fn collect(
    node: &Node,
    decimal: Decimal,
    array: &ArrayRef,
    scale: i8,
    values: impl Iterator<Item = Option<i128>>,
) -> Result<ArrayRef, Fault> {
    let mut rescaled = Vec::with_capacity(array.len());
    for (row, value) in values.enumerate() {
        match value.and_then(|value| decimal.rescaled(value, scale.into())) {
            Some(value) => rescaled.push(value),
            None if array.is_null(row) => rescaled.push(0),
            None => {
                let text = arrow::util::display::array_value_to_string(array, row).unwrap_or_default();
                return Err(unfit(node, row, &text));
            }
        }
    }
    let values = Buffer::from_vec(rescaled);
    fixed::array(node.field.data_type(), array.len(), values, array.nulls().cloned()).map_err(|error| refused(&error))
}

fn unfit(node: &Node, row: usize, text: &str) -> Fault {
    Fault::new(row, "", format!("expected {node}, found {text}, which does not fit exactly"))
}
