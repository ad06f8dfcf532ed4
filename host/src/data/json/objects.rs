//! Rows as JSON objects, one a line, for `save_as_json_files`.
//!
//! The form is that of [`super::row_to_json`], with two differences for tools that know columns by name: a tuple is an
//! object with the members `_1`, `_2` and so on, and a row that is neither tuple nor struct is an object with the
//! member `value`. Members have the order of the type.

use super::super::columns::{member_name, named_columns};
use super::super::schema::RecordType;
use super::super::text::{write_hex, write_present};
use super::super::view::{self, Column, Values, ViewError, items, match_values};
use arrow::array::RecordBatch;
use serde::Serialize;
use std::fmt::Write as _;

/// Writes rows of one batch.
pub struct ObjectWriter<'a> {
    /// The columns, each with its name in JSON.
    columns: Vec<(String, Column<'a>)>,
    rows: usize,
}

impl<'a> ObjectWriter<'a> {
    /// Makes a writer of the rows of `batch`, which are of type `ty`.
    ///
    /// # Errors
    /// If the batch does not have the type.
    pub fn new(batch: &'a RecordBatch, ty: &'a RecordType) -> Result<Self, ViewError> {
        let quoted = |name: &str| {
            let mut quoted = String::new();
            write_json(name, &mut quoted);
            quoted
        };
        let names = named_columns(ty).map(|(name, _)| quoted(&name));
        Ok(Self { columns: names.zip(view::columns(ty, batch)?).collect(), rows: batch.num_rows() })
    }

    /// Appends row `row`, without a line end.
    ///
    /// # Errors
    /// If there is no such row.
    pub fn write(&self, row: usize, out: &mut String) -> Result<(), ViewError> {
        if row >= self.rows {
            return Err(ViewError::Row { row, rows: self.rows });
        }
        out.push('{');
        for (at, (name, column)) in self.columns.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            out.push_str(name);
            out.push(':');
            write_value(column, row, out);
        }
        out.push('}');
        Ok(())
    }
}

/// Appends one value of a column that has the row.
pub(in crate::data) fn write_value(column: &Column<'_>, row: usize, out: &mut String) {
    if column.is_absent(row) {
        out.push_str("null");
        return;
    }
    match_values!(&column.values,
        integer(values) => {
            if let Some(value) = values.get(row) {
                // Writing to a string cannot fail.
                let _ = write!(out, "{value}");
            }
        },
        Values::F32(values) => {
            if let Some(&value) = values.get(row) {
                write_float(f64::from(value), &value, out);
            }
        }
        Values::F64(values) => {
            if let Some(&value) = values.get(row) {
                write_float(value, &value, out);
            }
        }
        Values::Bool(bits) => out.push_str(if bits.value(row) { "true" } else { "false" }),
        Values::Text(texts) => write_json(texts.value(row), out),
        Values::Temporal32(..) | Values::Temporal64(..) | Values::Decimal(..) => {
            out.push('"');
            write_present(column, row, out);
            out.push('"');
        }
        Values::Bytes(bytes) => {
            out.push('"');
            write_hex(bytes.value(row), out);
            out.push('"');
        }
        Values::List(offsets, values) => {
            out.push('[');
            for (at, item) in items(offsets, row).enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_value(values, item, out);
            }
            out.push(']');
        }
        Values::Struct(members) => {
            out.push('{');
            for (at, member) in members.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_json(&*member_name(column.node.is_tuple, at, member.node), out);
                out.push(':');
                write_value(member, row, out);
            }
            out.push('}');
        }
    );
}

/// Appends a float in its shortest form. A float that is not finite is written as a string, because JSON has no number
/// for it.
fn write_float(value: f64, shortest: &impl Serialize, out: &mut String) {
    if value.is_finite() {
        write_json(shortest, out);
    } else if value.is_nan() {
        out.push_str("\"NaN\"");
    } else {
        out.push_str(if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
    }
}

fn write_json<T: Serialize + ?Sized>(value: &T, out: &mut String) {
    // Texts and finite floats can always be written.
    out.push_str(&serde_json::to_string(value).unwrap_or_default());
}
