//! The formats of the files that outputs save.
//!
//! Owns the text formats: lines in UTF-8, each ended by `\n`. [`super::columnar`] has the other formats. The bytes of a
//! file depend only on its rows and on the version of the host. They contain no times and no random values. Never knows
//! where a file is.

use super::columnar::ColumnEncoder;
use super::encoder::{Encoder, Part};
use super::error::SaveError;
use crate::data::csv::{CsvWriter, write_header};
use crate::data::json::ObjectWriter;
use crate::data::schema::RecordType;
use crate::data::text::RowWriter;
use crate::data::view::ViewError;
use crate::graph::FileFormat;
use arrow::array::RecordBatch;

/// Lines are collected up to this size, in bytes, before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// Makes the encoder of one file of rows of type `ty`.
pub(super) fn encoder(format: FileFormat, ty: &RecordType) -> Result<Box<dyn Encoder>, SaveError> {
    let line = match format {
        FileFormat::Arrow => return Ok(Box::new(ColumnEncoder::arrow(ty)?)),
        FileFormat::Parquet(options) => return Ok(Box::new(ColumnEncoder::parquet(ty, options)?)),
        FileFormat::Text => Line::Text,
        FileFormat::Csv => Line::Csv,
        FileFormat::Json => Line::Json,
    };
    let mut lines = String::new();
    if line == Line::Csv {
        write_header(ty, &mut lines);
        lines.push('\n');
    }
    Ok(Box::new(LineEncoder { line, ty: ty.clone(), lines }))
}

/// The form of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// A value in the form in which `print` shows it. A value whose text contains line ends becomes several lines, as
    /// in Spark.
    Text,
    Csv,
    Json,
}

struct LineEncoder {
    line: Line,
    ty: RecordType,
    /// The lines that have not been written to the file yet.
    lines: String,
}

impl LineEncoder {
    fn write_rows(
        &mut self,
        rows: usize,
        file: &mut dyn Part,
        write: impl Fn(usize, &mut String) -> Result<(), ViewError>,
    ) -> Result<(), SaveError> {
        for row in 0..rows {
            write(row, &mut self.lines)?;
            self.lines.push('\n');
            if self.lines.len() >= BUFFER_BYTES {
                file.write(self.lines.as_bytes())?;
                self.lines.clear();
                // A long row must not leave a large buffer behind.
                self.lines.shrink_to(2 * BUFFER_BYTES);
            }
        }
        Ok(())
    }
}

impl Encoder for LineEncoder {
    fn write(&mut self, rows: &RecordBatch, file: &mut dyn Part) -> Result<(), SaveError> {
        let (ty, count) = (self.ty.clone(), rows.num_rows());
        match self.line {
            Line::Text => {
                let writer = RowWriter::new(rows, &ty)?;
                self.write_rows(count, file, |row, out| writer.write(row, out))
            }
            Line::Csv => {
                let writer = CsvWriter::new(rows, &ty)?;
                self.write_rows(count, file, |row, out| writer.write(row, out))
            }
            Line::Json => {
                let writer = ObjectWriter::new(rows, &ty)?;
                self.write_rows(count, file, |row, out| writer.write(row, out))
            }
        }
    }

    fn held_bytes(&self) -> usize {
        self.lines.capacity()
    }

    fn finish(self: Box<Self>, file: &mut dyn Part) -> Result<(), SaveError> {
        file.write(self.lines.as_bytes())
    }
}

#[cfg(test)]
mod tests;
