//! Rows as people see them: printed by `print`, saved by `save_as_text_files`, shown in messages.
//!
//! Owns the text form of every value. The form is that of Scala and Java where these have one. Never parses.

use super::schema::{Kind, Node, RecordType};
use super::view::{self, Column, Values, ViewError, items, match_values};
use arrow::array::RecordBatch;
use std::fmt::Write as _;

/// Writes rows of one batch.
pub struct RowWriter<'a> {
    columns: Vec<Column<'a>>,
    ty: &'a RecordType,
    rows: usize,
}

impl<'a> RowWriter<'a> {
    /// Makes a writer of the rows of `batch`, which are of type `ty`.
    ///
    /// # Errors
    /// If the batch does not have the type.
    pub fn new(batch: &'a RecordBatch, ty: &'a RecordType) -> Result<Self, ViewError> {
        Ok(Self { columns: view::columns(ty, batch)?, ty, rows: batch.num_rows() })
    }

    /// Appends row `row`, without a line end.
    ///
    /// # Errors
    /// If there is no such row.
    pub fn write(&self, row: usize, out: &mut String) -> Result<(), ViewError> {
        if row >= self.rows {
            return Err(ViewError::Row { row, rows: self.rows });
        }
        if self.ty.is_flat() {
            write_struct(self.ty.root(), &self.columns, row, out);
        } else {
            self.columns.iter().for_each(|column| write_value(column, row, out));
        }
        Ok(())
    }
}

/// Appends row `row` of `batch`, which is of type `ty`, without a line end. For many rows, keep a [`RowWriter`].
///
/// Tuples and structs print as `(hello,1)`, variants of enums as `Moved(5)`, lists as `[1, 2]`, options as `Some(x)` and `None`, bytes in hexadecimal,
/// floats as Java prints them, text as it is. `temporal.rs` and `decimal.rs` have the text of dates, times and decimals.
///
/// # Errors
/// If the batch does not have the type or the row.
pub fn write_row(batch: &RecordBatch, ty: &RecordType, row: usize, out: &mut String) -> Result<(), ViewError> {
    RowWriter::new(batch, ty)?.write(row, out)
}

/// Appends one value of a column that has the row.
fn write_value(column: &Column<'_>, row: usize, out: &mut String) {
    if !column.node.nullable() {
        write_present(column, row, out);
    } else if column.is_absent(row) {
        out.push_str("None");
    } else {
        out.push_str("Some(");
        write_present(column, row, out);
        out.push(')');
    }
}

/// Appends one value of a column. The column has the row, and the value is not absent.
pub(super) fn write_present(column: &Column<'_>, row: usize, out: &mut String) {
    match_values!(&column.values,
        integer(values) => {
            if let Some(value) = values.get(row) {
                // Writing to a string cannot fail.
                let _ = write!(out, "{value}");
            }
        },
        Values::F32(values) => {
            if let Some(&value) = values.get(row) {
                write_f32(value, out);
            }
        }
        Values::F64(values) => {
            if let Some(&value) = values.get(row) {
                write_f64(value, out);
            }
        }
        Values::Temporal32(temporal, values) => {
            if let Some(&value) = values.get(row) {
                temporal.write(value.into(), out);
            }
        }
        Values::Temporal64(temporal, values) => {
            if let Some(&value) = values.get(row) {
                temporal.write(value, out);
            }
        }
        Values::Decimal(decimal, values) => {
            if let Some(&value) = values.get(row) {
                decimal.write(value, out);
            }
        }
        Values::Bool(bits) => out.push_str(if bits.value(row) { "true" } else { "false" }),
        Values::Text(texts) => out.push_str(texts.value(row)),
        Values::Bytes(bytes) => write_hex(bytes.value(row), out),
        Values::List(offsets, values) => {
            out.push('[');
            for (at, item) in items(offsets, row).enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write_value(values, item, out);
            }
            out.push(']');
        }
        Values::Struct(members) => match members.as_slice() {
            [inner] if column.node.wraps_option() => write_value(inner, row, out),
            members => write_struct(column.node, members, row, out),
        }
    );
}

/// Appends a struct or a tuple, or the variant that it stands for.
fn write_struct(node: &Node, members: &[Column<'_>], row: usize, out: &mut String) {
    match view::variant(node, members, row) {
        None => write_members(members, row, out),
        Some((name, None)) => out.push_str(name),
        Some((name, Some(data))) => {
            out.push_str(name);
            let has_parentheses =
                data.node.kind == Kind::Struct && data.node.variants.is_none() && !data.node.wraps_option();
            if has_parentheses {
                write_present(data, row, out);
            } else {
                out.push('(');
                write_present(data, row, out);
                out.push(')');
            }
        }
    }
}

fn write_members(members: &[Column<'_>], row: usize, out: &mut String) {
    out.push('(');
    for (at, member) in members.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_value(member, row, out);
    }
    out.push(')');
}

/// Appends two lower-case digits a byte.
pub(super) fn write_hex(bytes: &[u8], out: &mut String) {
    out.reserve(2 * bytes.len());
    for byte in bytes {
        for digit in [byte >> 4, byte & 0xf] {
            out.push(char::from_digit(u32::from(digit), 16).unwrap_or_default());
        }
    }
}

/// The bytes that hexadecimal digits stand for.
pub(super) fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let (pairs, rest) = digits.as_deref()?.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Appends a float as Java's `Double.toString` gives it.
pub fn write_f64(value: f64, out: &mut String) {
    let shortest = format!("{value:e}");
    let two_digits = || Some(format!("{value:.1e}")).filter(|two| two.parse() == Ok(value));
    write_float(value, &shortest, two_digits, out);
}

/// Appends a float as Java's `Float.toString` gives it.
pub fn write_f32(value: f32, out: &mut String) {
    let shortest = format!("{value:e}");
    let two_digits = || Some(format!("{value:.1e}")).filter(|two| two.parse() == Ok(value));
    write_float(f64::from(value), &shortest, two_digits, out);
}

/// Writes a float from its shortest decimal form, `-1.5e-7`: plain from 0.001 to below ten million, else with an
/// exponent. `two_digits` gives its closest form of two digits.
fn write_float(value: f64, shortest: &str, two_digits: impl FnOnce() -> Option<String>, out: &mut String) {
    if value.is_nan() {
        out.push_str("NaN");
        return;
    }
    if value.is_sign_negative() {
        out.push('-');
    }
    let magnitude = value.abs();
    if magnitude.is_infinite() {
        out.push_str("Infinity");
        return;
    }
    // Java never writes fewer than two digits, and chooses the closest two: 4.9E-324, where 5E-324 would be enough.
    let replaced = if shortest.contains('.') { None } else { two_digits() };
    let scientific = replaced.as_deref().unwrap_or(shortest).trim_start_matches('-');
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    if magnitude != 0.0 && !(1e-3..1e7).contains(&magnitude) {
        out.push_str(mantissa);
        if !mantissa.contains('.') {
            out.push_str(".0");
        }
        out.push('E');
        out.push_str(exponent);
        return;
    }
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let mut digits = mantissa.bytes().filter(u8::is_ascii_digit).map(char::from).peekable();
    if exponent < 0 {
        out.push_str("0.");
        (1..exponent.unsigned_abs()).for_each(|_| out.push('0'));
    } else {
        (0..=exponent).for_each(|_| out.push(digits.next().unwrap_or('0')));
        out.push('.');
    }
    out.push(digits.next().unwrap_or('0'));
    // A last zero can only come from `two_digits`. Then the digit before the zero was the only digit.
    let rest: String = digits.collect();
    out.push_str(rest.trim_end_matches('0'));
}

#[cfg(test)]
mod tests;
