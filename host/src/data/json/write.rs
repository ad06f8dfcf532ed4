//! Writes rows as JSON values.

use super::super::schema::{Node, RecordType};
use super::super::text::{write_hex, write_present};
use super::super::view::{self, Column, Values, ViewError, items, match_values};
use arrow::array::RecordBatch;
use serde_json::{Map, Value};

/// Row `row` of `batch`, which is of type `ty`, as [`super::records`] reads it.
///
/// # Errors
/// If the batch does not have the type or the row.
pub fn row_to_json(batch: &RecordBatch, ty: &RecordType, row: usize) -> Result<Value, ViewError> {
    if row >= batch.num_rows() {
        return Err(ViewError::Row { row, rows: batch.num_rows() });
    }
    let columns = view::columns(ty, batch)?;
    Ok(match columns.as_slice() {
        [column] if !ty.is_flat() => value(column, row),
        columns => members(ty.root(), columns, row),
    })
}

/// One value of a column that has the row.
fn value(column: &Column<'_>, row: usize) -> Value {
    if column.is_absent(row) {
        return Value::Null;
    }
    match_values!(&column.values,
        integer(values) => values.get(row).copied().map_or(Value::Null, Value::from),
        Values::F32(values) => values.get(row).copied().map_or(Value::Null, float32),
        Values::F64(values) => values.get(row).copied().map_or(Value::Null, float64),
        Values::Bool(bits) => Value::from(bits.value(row)),
        Values::Text(texts) => Value::from(texts.value(row)),
        Values::Temporal32(..) | Values::Temporal64(..) | Values::Decimal(..) => {
            let mut text = String::new();
            write_present(column, row, &mut text);
            Value::from(text)
        }
        Values::Bytes(bytes) => {
            let mut digits = String::new();
            write_hex(bytes.value(row), &mut digits);
            Value::from(digits)
        }
        Values::List(offsets, values) => Value::Array(items(offsets, row).map(|item| value(values, item)).collect()),
        Values::Struct(columns) => members(column.node, columns, row),
    )
}

fn members(node: &Node, columns: &[Column<'_>], row: usize) -> Value {
    match view::variant(node, columns, row) {
        None => {}
        Some((name, None)) => return Value::from(name),
        Some((name, Some(data))) => return Value::Object(Map::from_iter([(name.to_owned(), value(data, row))])),
    }
    if node.is_tuple {
        return Value::Array(columns.iter().map(|column| value(column, row)).collect());
    }
    let members = columns.iter().map(|column| (column.node.name().to_owned(), value(column, row)));
    Value::Object(members.collect::<Map<_, _>>())
}

fn float64(value: f64) -> Value {
    if value.is_nan() {
        Value::from("NaN")
    } else if value.is_infinite() {
        Value::from(if value > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        Value::from(value)
    }
}

/// The number that a reader sees, `0.1` and not `0.10000000149011612`.
fn float32(value: f32) -> Value {
    value.to_string().parse().map_or_else(|_| float64(f64::from(value)), float64)
}
