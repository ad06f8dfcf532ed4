//! Columns of dates, times and decimals, made of the numbers that stand for them.
//!
//! Owns how such numbers become an array. Never decides which numbers are right.

use super::temporal::Temporal;
use arrow::array::{ArrayData, ArrayRef, make_array};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// An array of `rows` values of a type whose values are numbers of a fixed width. `values` are these numbers.
pub(super) fn array(
    ty: &DataType,
    rows: usize,
    values: Buffer,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    Ok(make_array(ArrayData::builder(ty.clone()).len(rows).add_buffer(values).nulls(nulls).build()?))
}

/// An array of dates or times. The values are numbers of the kind.
pub(super) fn temporals(
    temporal: Temporal,
    values: Vec<i64>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let rows = values.len();
    let buffer = if temporal.is_narrow() {
        Buffer::from_vec(values.iter().map(|&value| value as i32).collect::<Vec<_>>())
    } else {
        Buffer::from_vec(values)
    };
    array(&temporal.arrow(), rows, buffer, nulls)
}
