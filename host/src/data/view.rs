//! Columns seen through the type of their rows: each array is downcast once, and then read row by row.
//!
//! Owns the check that the columns of a batch have the type of its rows. Never copies values.

use super::decimal::Decimal;
use super::schema::{Kind, Node, RecordType};
use super::temporal::Temporal;
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};

/// Columns do not have the type of their rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// Too few or too many columns.
    #[error("the batch has {found} columns, {expected} are needed")]
    Columns {
        /// The number of columns of the type.
        expected: usize,
        /// The number of columns of the batch.
        found: usize,
    },
    /// A column of another type.
    #[error("column `{column}` is of the arrow type {found}, {expected} is needed")]
    Type {
        /// The column, with the path to the field inside of it.
        column: String,
        /// The kind that the type declares.
        expected: &'static str,
        /// The type of the batch's column.
        found: String,
    },
    /// An absent value where the type has none.
    #[error("column `{column}` ({kind}) has {count} absent values, but is not optional")]
    Absent {
        /// The column, with the path to the field inside of it.
        column: String,
        /// The kind of the field.
        kind: &'static str,
        /// The number of absent values.
        count: usize,
    },
    /// The keys of the batch are too long together.
    #[error("the encoded keys of {rows} rows take 2 GiB or more")]
    KeyBytes {
        /// The number of rows.
        rows: usize,
    },
    /// A row that the batch does not have.
    #[error("there is no row {row} in a batch of {rows}")]
    Row {
        /// The row that was asked for, from 0.
        row: usize,
        /// The number of rows of the batch.
        rows: usize,
    },
}

impl ViewError {
    /// Puts the name of the parent before the column.
    fn below(mut self, parent: &str) -> Self {
        if let Self::Type { column, .. } | Self::Absent { column, .. } = &mut self {
            *column = format!("{parent}.{column}");
        }
        self
    }
}

/// The values of one field.
pub(super) struct Column<'a> {
    pub(super) node: &'a Node,
    /// Which values are absent; `None` if no value is absent.
    pub(super) nulls: Option<&'a NullBuffer>,
    pub(super) values: Values<'a>,
}

/// Values by kind. The values of absent rows may be anything.
pub(super) enum Values<'a> {
    Bool(&'a BooleanBuffer),
    I8(&'a ScalarBuffer<i8>),
    I16(&'a ScalarBuffer<i16>),
    I32(&'a ScalarBuffer<i32>),
    I64(&'a ScalarBuffer<i64>),
    U8(&'a ScalarBuffer<u8>),
    U16(&'a ScalarBuffer<u16>),
    U32(&'a ScalarBuffer<u32>),
    U64(&'a ScalarBuffer<u64>),
    F32(&'a ScalarBuffer<f32>),
    F64(&'a ScalarBuffer<f64>),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    Temporal32(Temporal, &'a ScalarBuffer<i32>),
    Temporal64(Temporal, &'a ScalarBuffer<i64>),
    Decimal(Decimal, &'a ScalarBuffer<i128>),
    List(&'a OffsetBuffer<i32>, Box<Column<'a>>),
    Struct(Vec<Column<'a>>),
}

/// Matches [`Values`], with one arm for all integers.
macro_rules! match_values {
    ($values:expr, integer($n:ident) => $integer:expr, $($rest:tt)*) => {
        match $values {
            $crate::data::view::Values::I8($n) => $integer,
            $crate::data::view::Values::I16($n) => $integer,
            $crate::data::view::Values::I32($n) => $integer,
            $crate::data::view::Values::I64($n) => $integer,
            $crate::data::view::Values::U8($n) => $integer,
            $crate::data::view::Values::U16($n) => $integer,
            $crate::data::view::Values::U32($n) => $integer,
            $crate::data::view::Values::U64($n) => $integer,
            $($rest)*
        }
    };
}
pub(super) use match_values;

/// Matches [`Values`], with one arm for all values but floats that are whole numbers: integers, dates, times, decimals.
macro_rules! match_fixed {
    ($values:expr, number($n:ident) => $number:expr, $($rest:tt)*) => {
        $crate::data::view::match_values!($values,
            integer($n) => $number,
            $crate::data::view::Values::Temporal32(_, $n) => $number,
            $crate::data::view::Values::Temporal64(_, $n) => $number,
            $crate::data::view::Values::Decimal(_, $n) => $number,
            $($rest)*
        )
    };
}
pub(super) use match_fixed;

impl<'a> Column<'a> {
    /// Sees `array` as the values of `node`. Where `mask` says that the parent is absent, the value may be absent too.
    pub(super) fn new(node: &'a Node, array: &'a dyn Array, mask: Option<&NullBuffer>) -> Result<Self, ViewError> {
        let mismatch = || ViewError::Type {
            column: node.name().to_owned(),
            expected: node.kind.name(),
            found: array.data_type().to_string(),
        };
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
        if let Some(nulls) = nulls
            && !node.nullable()
            && !mask.is_some_and(|mask| mask.len() == nulls.len() && mask.contains(nulls))
        {
            let (column, count) = (node.name().to_owned(), nulls.null_count());
            return Err(ViewError::Absent { column, kind: node.kind.name(), count });
        }
        macro_rules! number {
            ($variant:ident, $type:ty) => {
                array.as_primitive_opt::<$type>().map(|array| Values::$variant(array.values()))
            };
        }
        let values = match node.kind {
            Kind::Bool => array.as_boolean_opt().map(|array| Values::Bool(array.values())),
            Kind::I8 => number!(I8, Int8Type),
            Kind::I16 => number!(I16, Int16Type),
            Kind::I32 => number!(I32, Int32Type),
            Kind::I64 => number!(I64, Int64Type),
            Kind::U8 => number!(U8, UInt8Type),
            Kind::U16 => number!(U16, UInt16Type),
            Kind::U32 => number!(U32, UInt32Type),
            Kind::U64 => number!(U64, UInt64Type),
            Kind::F32 => number!(F32, Float32Type),
            Kind::F64 => number!(F64, Float64Type),
            Kind::Temporal(temporal) => {
                temporals(temporal, array).filter(|_| array.data_type() == node.field.data_type())
            }
            Kind::Decimal(decimal) => array
                .as_primitive_opt::<Decimal128Type>()
                .filter(|array| array.data_type() == node.field.data_type())
                .map(|array| Values::Decimal(decimal, array.values())),
            Kind::Text => array.as_string_opt::<i32>().map(Values::Text),
            Kind::Bytes => array.as_binary_opt::<i32>().map(Values::Bytes),
            Kind::List => match (array.as_list_opt::<i32>(), node.children.as_slice()) {
                (Some(list), [item]) => {
                    let items = Self::new(item, list.values(), None).map_err(|error| error.below(node.name()))?;
                    Some(Values::List(list.offsets(), Box::new(items)))
                }
                _ => None,
            },
            Kind::Struct => match array.as_struct_opt() {
                Some(members) if members.num_columns() == node.children.len() => {
                    // A reader may mark only the outer value as absent, which implies that the inner value is absent.
                    let outer = mask.filter(|mask| mask.len() == members.len());
                    let mask = NullBuffer::union(outer, members.nulls());
                    let columns = node.children.iter().zip(members.columns());
                    let columns = columns.map(|(child, array)| {
                        let column = Self::new(child, array, mask.as_ref());
                        column.map_err(|error| error.below(node.name()))
                    });
                    Some(Values::Struct(columns.collect::<Result<_, _>>()?))
                }
                _ => None,
            },
        };
        let nulls = nulls.filter(|_| node.nullable());
        Ok(Self { node, nulls, values: values.ok_or_else(mismatch)? })
    }

    /// Whether the value of a row is absent. The array has the row.
    pub(super) fn is_absent(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }
}

/// The numbers of a column of dates or times.
fn temporals(temporal: Temporal, array: &dyn Array) -> Option<Values<'_>> {
    macro_rules! numbers {
        ($variant:ident, $type:ty) => {
            array.as_primitive_opt::<$type>().map(|array| Values::$variant(temporal, array.values()))
        };
    }
    match array.data_type() {
        DataType::Date32 => numbers!(Temporal32, Date32Type),
        DataType::Time32(TimeUnit::Second) => numbers!(Temporal32, Time32SecondType),
        DataType::Time32(TimeUnit::Millisecond) => numbers!(Temporal32, Time32MillisecondType),
        DataType::Time64(TimeUnit::Microsecond) => numbers!(Temporal64, Time64MicrosecondType),
        DataType::Time64(TimeUnit::Nanosecond) => numbers!(Temporal64, Time64NanosecondType),
        DataType::Timestamp(TimeUnit::Second, _) => numbers!(Temporal64, TimestampSecondType),
        DataType::Timestamp(TimeUnit::Millisecond, _) => numbers!(Temporal64, TimestampMillisecondType),
        DataType::Timestamp(TimeUnit::Microsecond, _) => numbers!(Temporal64, TimestampMicrosecondType),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => numbers!(Temporal64, TimestampNanosecondType),
        _ => None,
    }
}

/// Sees a batch as rows of `ty`: one column for each of [`RecordType::columns`].
pub(super) fn columns<'a>(ty: &'a RecordType, batch: &'a RecordBatch) -> Result<Vec<Column<'a>>, ViewError> {
    let nodes = ty.columns();
    if nodes.len() != batch.num_columns() {
        return Err(ViewError::Columns { expected: nodes.len(), found: batch.num_columns() });
    }
    let pairs = nodes.iter().zip(batch.columns());
    pairs.map(|(node, array): (&Node, &ArrayRef)| Column::new(node, array, None)).collect()
}

/// Which variant the members of an enum stand for in a row, and its data. `None` if the struct is no enum.
pub(super) fn variant<'a, 'b>(
    node: &Node,
    members: &'b [Column<'a>],
    row: usize,
) -> Option<(&'a str, Option<&'b Column<'a>>)> {
    node.variants.as_ref()?;
    let (tag, data) = members.split_first()?;
    let Values::Text(names) = &tag.values else { return None };
    let name = names.value(row);
    Some((name, data.iter().find(|data| data.node.name() == name && !data.is_absent(row))))
}

/// The items of a row of a list.
pub(super) fn items(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    let at = |row: usize| offsets.get(row).map_or(0, |&offset| usize::try_from(offset).unwrap_or_default());
    at(row)..at(row + 1)
}

#[cfg(test)]
mod tests {
    use super::super::arbitrary::ty;
    use super::*;
    use arrow::array::{Int8Array, StructArray};
    use arrow::datatypes::{Field, Schema};
    use std::sync::Arc;

    /// A struct in an optional struct, in a batch whose reader says of the number what only the outer struct is.
    #[test]
    fn what_is_absent_because_of_an_outer_value_may_be() {
        let of = |name: &str, array: ArrayRef, nulls: Option<NullBuffer>| -> ArrayRef {
            let field = Field::new(name, array.data_type().clone(), true);
            Arc::new(StructArray::try_new(vec![field].into(), vec![array], nulls).unwrap())
        };
        let numbers: ArrayRef = Arc::new(Int8Array::from(vec![Some(1), None]));
        let batch = |nulls: Option<NullBuffer>| {
            let outer = of("inner", of("number", numbers.clone(), None), nulls);
            let field = Field::new("outer", outer.data_type().clone(), true);
            RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![outer]).unwrap()
        };
        let ty = ty(&[("", "struct", 1), ("outer", "?struct", 1), ("inner", "struct", 1), ("number", "i8", 0)]);
        assert!(columns(&ty, &batch(Some(NullBuffer::from(vec![true, false])))).is_ok());
        let error = columns(&ty, &batch(None)).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("column `outer.inner.number` (i8) has 1 absent values, but is not optional"));
    }
}
