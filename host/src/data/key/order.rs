//! The order of keys, which all sorts use.
//!
//! Owns the definition: absent values come before all others, `false` before `true`, numbers and decimals by value,
//! dates and times as they pass, texts and bytes byte by byte, lists item by item, and structs and tuples member by member. Among floats, `-0.0` equals `0.0`. Every
//! NaN equals every other NaN and is larger than all other values, infinity too. The same holds for floats inside of
//! lists, structs and tuples. Two keys are equal in this order exactly if their encodings are equal. A descending order
//! is the reverse, so NaN comes first and absent values come last. The plugin SDK compares values in the same way
//! (`Key::compare`). Never sorts.

use super::{canonical_f32, canonical_f64};
use arrow::array::{Array as _, ArrayRef, AsArray, ListArray, StructArray};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use std::sync::Arc;

/// Writes keys as bytes that compare as the keys do. The bytes of a key are never the beginning of another key's.
#[derive(Debug)]
pub struct KeyOrder(RowConverter);

impl KeyOrder {
    /// An order for key columns of an Arrow type.
    ///
    /// # Errors
    /// If values of the type cannot be compared.
    pub fn new(key: &DataType, descending: bool) -> Result<Self, ArrowError> {
        let options = SortOptions { descending, nulls_first: !descending };
        Ok(Self(RowConverter::new(vec![SortField::new_with_options(key.clone(), options)])?))
    }

    /// The bytes for each key of a column.
    ///
    /// # Errors
    /// If the column has another type.
    pub fn bytes(&mut self, keys: &ArrayRef) -> Result<Rows, ArrowError> {
        self.0.convert_columns(&[canonical(keys)?])
    }
}

fn has_floats(ty: &DataType) -> bool {
    match ty {
        DataType::Float32 | DataType::Float64 => true,
        DataType::List(item) => has_floats(item.data_type()),
        DataType::Struct(members) => members.iter().any(|member| has_floats(member.data_type())),
        _ => false,
    }
}

/// The same keys, with the canonical bits of floats, as in encoded keys. Arrow orders floats by sign and bits.
fn canonical(keys: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !has_floats(keys.data_type()) {
        return Ok(Arc::clone(keys));
    }
    Ok(match keys.data_type() {
        DataType::Float32 => {
            let floats = keys.as_primitive::<Float32Type>();
            Arc::new(floats.unary::<_, Float32Type>(|float| f32::from_bits(canonical_f32(float))))
        }
        DataType::Float64 => {
            let floats = keys.as_primitive::<Float64Type>();
            Arc::new(floats.unary::<_, Float64Type>(|float| f64::from_bits(canonical_f64(float))))
        }
        DataType::List(item) => {
            let list = keys.as_list::<i32>();
            let values = canonical(list.values())?;
            Arc::new(ListArray::try_new(item.clone(), list.offsets().clone(), values, list.nulls().cloned())?)
        }
        DataType::Struct(fields) => {
            let members = keys.as_struct();
            let columns = members.columns().iter().map(canonical).collect::<Result<_, _>>()?;
            let nulls = members.nulls().cloned();
            Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, members.len())?)
        }
        _ => Arc::clone(keys),
    })
}
