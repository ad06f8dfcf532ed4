//! Columns without unsigned integers and without times in seconds, for readers that have neither.
//!
//! Owns which type replaces such a type. The type follows from the type of the rows alone, never from their values, so
//! that all files of an output have the same columns. `u8` and `u16` become signed integers of 32 bits, `u32` and `u64`
//! of 64 bits. A `u64` that does not fit is an error, unless such columns are decimals of 20 digits, which hold every
//! `u64`. Times in seconds become times in milliseconds. Never knows the format of a file.

use arrow::array::{Array as _, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchOptions, StructArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field, FieldRef, Int64Type, Schema, SchemaRef, Time32MillisecondType, Time32SecondType, TimeUnit,
    TimestampMillisecondType, TimestampSecondType, UInt64Type,
};
use arrow::error::ArrowError;
use std::sync::Arc;

/// The digits of the largest `u64`.
const U64_DIGITS: u8 = 20;
/// The name of a list's items in the Parquet specification.
const ITEM: &str = "element";

/// Why columns have no signed form.
#[derive(Debug, thiserror::Error)]
pub enum SignedError {
    /// A value is too large.
    #[error("column `{column}` has the value {value}, which does not fit into a signed column of 64 bits")]
    TooLarge {
        /// The column, and the member in it.
        column: String,
        /// The value.
        value: u64,
    },
    /// A time is too far away.
    #[error(
        "column `{column}` has a time {seconds} seconds from 1970-01-01, which does not fit into a column of milliseconds"
    )]
    TooFar {
        /// The column, and the member in it.
        column: String,
        /// The time.
        seconds: i64,
    },
    /// Arrow does not build the columns.
    #[error("arrow refuses the columns: {0}")]
    Arrow(#[from] ArrowError),
}

/// Makes the columns of one type signed, and their times finer than seconds.
#[derive(Clone, Debug)]
pub struct Signed {
    schema: SchemaRef,
}

impl Signed {
    /// A conversion of columns of `schema`. With `decimals`, columns of `u64` become decimals.
    pub fn new(schema: &Schema, decimals: bool) -> Self {
        let fields = schema.fields().iter().map(|field| signed_field(field, field.name(), decimals));
        Self { schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())) }
    }

    /// The columns that [`Signed::columns`] gives.
    pub const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The same values in signed columns.
    ///
    /// # Errors
    /// Returns the first value that does not fit, column by column.
    pub fn columns(&self, rows: &RecordBatch) -> Result<RecordBatch, SignedError> {
        let fields = self.schema.fields().iter().zip(rows.columns());
        let columns = fields.map(|(field, array)| signed(array, field.data_type(), None, field.name()));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

fn signed_field(field: &Field, name: &str, decimals: bool) -> FieldRef {
    let ty = match field.data_type() {
        DataType::UInt8 | DataType::UInt16 => DataType::Int32,
        DataType::UInt64 if decimals => DataType::Decimal128(U64_DIGITS, 0),
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Time32(TimeUnit::Second) => DataType::Time32(TimeUnit::Millisecond),
        DataType::Timestamp(TimeUnit::Second, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
        DataType::List(item) => DataType::List(signed_field(item, ITEM, decimals)),
        DataType::Struct(members) => {
            DataType::Struct(members.iter().map(|member| signed_field(member, member.name(), decimals)).collect())
        }
        other => other.clone(),
    };
    Arc::new(Field::new(name, ty, field.is_nullable()))
}

/// The values of `array` as `ty`. Where `mask` says that the parent is absent, the values may be anything.
fn signed(array: &ArrayRef, ty: &DataType, mask: Option<&NullBuffer>, path: &str) -> Result<ArrayRef, SignedError> {
    let own = array.nulls().cloned();
    let there = NullBuffer::union(own.as_ref(), mask);
    Ok(match (array.data_type(), ty) {
        (DataType::UInt64, DataType::Int64) => {
            let values = array.as_primitive::<UInt64Type>();
            let is_there = |row: usize| there.as_ref().is_none_or(|there| there.is_valid(row));
            let too_large = |(row, value): &(usize, &u64)| i64::try_from(**value).is_err() && is_there(*row);
            if let Some((_, &value)) = values.values().iter().enumerate().find(too_large) {
                return Err(SignedError::TooLarge { column: path.to_owned(), value });
            }
            Arc::new(values.unary::<_, Int64Type>(u64::cast_signed))
        }
        (DataType::Time32(TimeUnit::Second), DataType::Time32(TimeUnit::Millisecond)) => {
            let values = array.as_primitive::<Time32SecondType>();
            Arc::new(values.unary::<_, Time32MillisecondType>(|seconds| seconds.wrapping_mul(1_000)))
        }
        (DataType::Timestamp(TimeUnit::Second, _), DataType::Timestamp(TimeUnit::Millisecond, zone)) => {
            let values = array.as_primitive::<TimestampSecondType>();
            let is_there = |row: usize| there.as_ref().is_none_or(|there| there.is_valid(row));
            let too_far = |(row, value): &(usize, &i64)| value.checked_mul(1_000).is_none() && is_there(*row);
            if let Some((_, &seconds)) = values.values().iter().enumerate().find(too_far) {
                return Err(SignedError::TooFar { column: path.to_owned(), seconds });
            }
            let millis = values.unary::<_, TimestampMillisecondType>(|seconds| seconds.wrapping_mul(1_000));
            Arc::new(millis.with_timezone_opt(zone.clone()))
        }
        (DataType::List(_), DataType::List(item)) => {
            let list = array.as_list::<i32>();
            let items = there.as_ref().map(|there| items_of(list, there));
            let values = signed(list.values(), item.data_type(), items.as_ref(), &format!("{path}.{ITEM}"))?;
            Arc::new(ListArray::try_new(Arc::clone(item), list.offsets().clone(), values, own)?)
        }
        (DataType::Struct(_), DataType::Struct(members)) => {
            let columns = members.iter().zip(array.as_struct().columns()).map(|(member, array)| {
                signed(array, member.data_type(), there.as_ref(), &format!("{path}.{}", member.name()))
            });
            let columns = columns.collect::<Result<_, _>>()?;
            Arc::new(StructArray::try_new_with_length(members.clone(), columns, own, array.len())?)
        }
        (found, wanted) if found == wanted => Arc::clone(array),
        _ => cast(array, ty)?,
    })
}

/// Which items belong to a list that is not absent.
fn items_of(list: &ListArray, there: &NullBuffer) -> NullBuffer {
    let mut items = vec![false; list.values().len()];
    for row in there.valid_indices() {
        let range = list.value_offsets().get(row..row + 2).unwrap_or_default();
        if let [start, end] = *range {
            // Offsets of an array are not negative.
            items.get_mut(start as usize..end as usize).unwrap_or_default().fill(true);
        }
    }
    NullBuffer::new(BooleanBuffer::from(items))
}

#[cfg(test)]
mod tests {
    use super::super::arbitrary::ty;
    use super::super::columns;
    use super::super::json;
    use super::super::loading::from_columns;
    use super::super::schema::RecordType;
    use super::*;
    use serde_json::{Value, json};

    fn nested() -> RecordType {
        ty(&[
            ("", "struct", 3),
            ("n", "u64", 0),
            ("small", "list", 1),
            ("", "struct", 2),
            ("0", "?u8", 0),
            ("1", "u64", 0),
            ("deep", "?struct", 1),
            ("m", "u64", 0),
        ])
    }

    fn rows(values: &[Value]) -> RecordBatch {
        let rows = json::records(&nested(), values).unwrap();
        RecordBatch::try_new(columns::schema(&nested()), {
            let mut pieces = columns::Pieces::new(nested());
            pieces.push(&rows, |_| -> Result<(), columns::ColumnsError> { Ok(()) }).unwrap();
            pieces.rest().unwrap().unwrap().columns().to_vec()
        })
        .unwrap()
    }

    fn signed_type(fields: &[(&str, &str, u32)], decimals: bool) -> DataType {
        Signed::new(&columns::schema(&ty(fields)), decimals).schema().field(0).data_type().clone()
    }

    #[test]
    fn the_type_of_a_column_follows_from_the_type_of_the_rows_alone() {
        let expected = [
            ("u8", DataType::Int32),
            ("u16", DataType::Int32),
            ("u32", DataType::Int64),
            ("u64", DataType::Int64),
            ("i8", DataType::Int8),
            ("i64", DataType::Int64),
            ("f32", DataType::Float32),
            ("text", DataType::Utf8),
            ("date", DataType::Date32),
            ("time[s]", DataType::Time32(TimeUnit::Millisecond)),
            ("time[ns]", DataType::Time64(TimeUnit::Nanosecond)),
            ("datetime[s]", DataType::Timestamp(TimeUnit::Millisecond, None)),
            ("timestamp[s]", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))),
            ("timestamp[us]", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
            ("decimal(12,2)", DataType::Decimal128(12, 2)),
        ];
        for (kind, signed) in expected {
            assert_eq!(signed_type(&[("", kind, 0)], false), signed, "{kind}");
        }
        assert_eq!(signed_type(&[("", "u64", 0)], true), DataType::Decimal128(20, 0));
        assert_eq!(signed_type(&[("", "u32", 0)], true), DataType::Int64);
        let list = DataType::List(Arc::new(Field::new("element", DataType::Int64, true)));
        assert_eq!(signed_type(&[("", "list", 1), ("", "?u64", 0)], false), list);
    }

    #[test]
    fn values_stay_what_they_are() {
        let largest = i64::MAX as u64;
        let values = [
            json!({"n": largest, "small": [[255, 1], [null, 0]], "deep": {"m": 7}}),
            json!({"n": 0, "small": [], "deep": null}),
        ];
        let rows = rows(&values);
        for decimals in [false, true] {
            let signed = Signed::new(&rows.schema(), decimals).columns(&rows).unwrap();
            let back = from_columns(&nested(), &signed, &[]).unwrap();
            assert_eq!(back, json::records(&nested(), &values).unwrap(), "{decimals}");
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error_unless_it_is_a_decimal() {
        let n = u64::MAX;
        let told = |value: Value| {
            let rows = rows(&[json!({"n": 1, "small": [], "deep": null}), value]);
            let decimals = Signed::new(&rows.schema(), true).columns(&rows).unwrap();
            from_columns(&nested(), &decimals, &[]).unwrap();
            Signed::new(&rows.schema(), false).columns(&rows).unwrap_err().to_string()
        };
        let expected = |column: &str| {
            format!("column `{column}` has the value {n}, which does not fit into a signed column of 64 bits")
        };
        assert_eq!(told(json!({"n": n, "small": [], "deep": null})), expected("n"));
        assert_eq!(told(json!({"n": 1, "small": [[1, 1], [1, n]], "deep": null})), expected("small.element._2"));
        assert_eq!(told(json!({"n": 1, "small": [], "deep": {"m": n}})), expected("deep.m"));
    }

    #[test]
    fn seconds_become_milliseconds() {
        let ty = ty(&[("", "struct", 2), ("at", "timestamp[s]", 0), ("of_day", "?time[s]", 0)]);
        let signed = |at: &str| {
            let rows = json::records(&ty, &[json!({"at": at, "of_day": "23:59:59"}), json!({"at": at})]).unwrap();
            Signed::new(&rows.schema(), false).columns(&rows)
        };
        let rows = signed("2026-01-31T23:59:59Z").unwrap();
        assert_eq!(*rows.column(0).data_type(), DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())));
        let back = from_columns(&ty, &rows, &[]).unwrap();
        let row = json::row_to_json(&back, &ty, 0).unwrap();
        assert_eq!(row, json!({"at": "2026-01-31T23:59:59Z", "of_day": "23:59:59"}));
        assert_eq!(
            signed("+292277026596-12-04T15:30:07Z").unwrap_err().to_string(),
            "column `at` has a time 9223372036854775807 seconds from 1970-01-01, which does not fit into a column of \
             milliseconds"
        );
    }

    /// Values below an absent list or struct are not looked at.
    #[test]
    fn what_is_absent_may_be_anything() {
        let large: ArrayRef = Arc::new(arrow::array::UInt64Array::from(vec![u64::MAX, 1]));
        let nulls = Some(NullBuffer::from(vec![false, true]));
        let member = Arc::new(Field::new("m", DataType::UInt64, false));
        let within: ArrayRef = Arc::new(StructArray::new(vec![member].into(), vec![Arc::clone(&large)], nulls.clone()));
        let item = Arc::new(Field::new("item", DataType::UInt64, false));
        let offsets = arrow::buffer::OffsetBuffer::new(vec![0, 1, 2].into());
        let listed: ArrayRef = Arc::new(ListArray::new(item, offsets, large, nulls));
        for array in [within, listed] {
            let schema = Schema::new(vec![Field::new("c", array.data_type().clone(), true)]);
            let rows = RecordBatch::try_new(Arc::new(schema), vec![array]).unwrap();
            let signed = Signed::new(&rows.schema(), false).columns(&rows).unwrap();
            assert_eq!((signed.column(0).null_count(), signed.num_rows()), (1, 2));
        }
    }
}
