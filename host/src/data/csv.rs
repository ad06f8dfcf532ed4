//! Rows as lines of CSV, for `save_as_csv_files`, and back again.
//!
//! Owns the CSV form of a value: as [`super::text`] writes the value, quoted where RFC 4180 asks for it. `read.rs` owns
//! the reading.
//!
//! An absent value is an empty field, and an empty text is `""`. A line that would be empty is `""` too, because
//! readers skip empty lines. A column cannot hold lists, tuples and structs: see [`super::columns::nested`].

mod read;

pub use read::CsvReader;

use super::columns::named_columns;
use super::schema::RecordType;
use super::text::write_present;
use super::view::{self, Column, Values, ViewError};
use arrow::array::RecordBatch;

/// Appends the names of the columns, without a line end.
pub fn write_header(ty: &RecordType, out: &mut String) {
    for (at, (name, _)) in named_columns(ty).enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_text(&name, out);
    }
}

/// Writes rows of one batch.
pub struct CsvWriter<'a> {
    columns: Vec<Column<'a>>,
    rows: usize,
}

impl<'a> CsvWriter<'a> {
    /// Makes a writer of the rows of `batch`, which are of type `ty`.
    ///
    /// # Errors
    /// If the batch does not have the type.
    pub fn new(batch: &'a RecordBatch, ty: &'a RecordType) -> Result<Self, ViewError> {
        Ok(Self { columns: view::columns(ty, batch)?, rows: batch.num_rows() })
    }

    /// Appends row `row`, without a line end.
    ///
    /// # Errors
    /// If there is no such row.
    pub fn write(&self, row: usize, out: &mut String) -> Result<(), ViewError> {
        if row >= self.rows {
            return Err(ViewError::Row { row, rows: self.rows });
        }
        for (at, column) in self.columns.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            match &column.values {
                _ if column.is_absent(row) && self.columns.len() == 1 => out.push_str("\"\""),
                _ if column.is_absent(row) => {}
                Values::Text(texts) => write_text(texts.value(row), out),
                Values::List(..) | Values::Struct(_) => {
                    let mut text = String::new();
                    write_present(column, row, &mut text);
                    write_text(&text, out);
                }
                Values::Bytes(bytes) if bytes.value(row).is_empty() => out.push_str("\"\""),
                _ => write_present(column, row, out),
            }
        }
        Ok(())
    }
}

fn write_text(text: &str, out: &mut String) {
    if !text.is_empty() && !text.contains(['"', ',', '\n', '\r']) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for (at, part) in text.split('"').enumerate() {
        if at > 0 {
            out.push_str("\"\"");
        }
        out.push_str(part);
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
