//! Prints rows to the console, in pieces of bounded size.

use super::error::PrintError;
use crate::block::{Scratch, SpillError, StoredRows};
use crate::data::json::row_to_json;
use crate::data::schema::RecordType;
use crate::data::text::RowWriter;
use crate::data::view::ViewError;
use crate::data::written_bytes_max;
use crate::shown::escape_control;
use crate::time::Time;
use arrow::array::RecordBatch;
use std::io;

const RULE: &str = "-------------------------------------------";

/// Text is written in pieces of about this many bytes.
pub(super) const PIECE_BYTES: usize = 64 * 1024;
/// While a value is put together as JSON, it takes at most this many times the bytes of its text.
const JSON_BYTES: usize = 8;

/// The form of the printed rows.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// For people, in Spark's form. On a terminal, times are readable, and control characters are escaped.
    Text { for_terminal: bool },
    /// One JSON object in one line. docs/events.md describes it.
    Json,
}

/// Rows that are being printed, in pieces.
pub(super) struct Printing<'a> {
    pub(super) batch: Time,
    pub(super) ty: &'a RecordType,
    pub(super) form: Form,
    /// The text that has not been written yet.
    pub(super) out: String,
    pub(super) scratch: Scratch,
    pub(super) write: &'a mut dyn FnMut(&str) -> io::Result<()>,
}

impl Printing<'_> {
    /// Writes the first `limit` rows of the partitions, in order. Programs read the name of the output, and people its title
    /// if it has one.
    pub(super) fn print(
        mut self,
        (name, title): (&str, Option<&str>),
        partitions: &[StoredRows],
        limit: usize,
    ) -> Result<(), PrintError> {
        let time = self.batch;
        let heading = match self.form {
            Form::Text { for_terminal } => {
                let time = if for_terminal { time.to_string() } else { format!("{} ms", time.as_ms()) };
                let output = title.map_or_else(String::new, |title| format!("Output: {}\n", escape_control(title)));
                format!("{RULE}\nTime: {time}\n{output}{RULE}\n")
            }
            Form::Json => {
                let (time, name) = (time.as_ms(), serde_json::Value::from(name));
                format!("{{\"event\":\"Printed\",\"batch_time_ms\":{time},\"output\":{name},\"rows\":[")
            }
        };
        self.out.push_str(&heading);
        let (mut shown, mut more) = (0, false);
        for rows in partitions.iter().flat_map(|partition| partition.read(0)) {
            let rows = rows.map_err(|error| self.no_room(error))?;
            let count = rows.num_rows().min(limit - shown);
            self.rows(&rows, count, shown > 0)?;
            shown += count;
            more = count < rows.num_rows();
            if more {
                break;
            }
        }
        match self.form {
            Form::Text { .. } if more => self.out.push_str("...\n\n"),
            Form::Text { .. } => self.out.push('\n'),
            Form::Json => self.out.push_str(if more { "],\"more\":true}\n" } else { "],\"more\":false}\n" }),
        }
        self.flush()
    }

    /// Adds the first `count` rows. `follows` says that rows were printed before them.
    fn rows(&mut self, rows: &RecordBatch, count: usize, follows: bool) -> Result<(), PrintError> {
        let ty = self.ty;
        let writer = RowWriter::new(rows, ty).map_err(|error| self.broken(error))?;
        let are_short = written_bytes_max(rows, 0..count) <= PIECE_BYTES;
        for row in 0..count {
            let bytes = if are_short { 0 } else { written_bytes_max(rows, row..row + 1) };
            self.make_room(bytes)?;
            match self.form {
                Form::Text { for_terminal } => {
                    let start = self.out.len();
                    writer.write(row, &mut self.out).map_err(|error| self.broken(error))?;
                    // Text from outside must not be able to move the cursor of the reader's terminal.
                    if for_terminal && let std::borrow::Cow::Owned(line) = escape_control(&self.out[start..]) {
                        self.out.replace_range(start.., &line);
                    }
                    self.out.push('\n');
                }
                Form::Json => {
                    if follows || row > 0 {
                        self.out.push(',');
                    }
                    let value = row_to_json(rows, ty, row).map_err(|error| self.broken(error))?;
                    self.out.push_str(&value.to_string());
                }
            }
        }
        Ok(())
    }

    /// Takes memory for a row of at most this many bytes.
    fn make_room(&mut self, bytes: usize) -> Result<(), PrintError> {
        if self.out.len() + bytes > PIECE_BYTES {
            self.flush()?;
            // A text that grows is in memory twice for a moment.
            let copies = if matches!(self.form, Form::Json) { JSON_BYTES } else { 2 };
            let needed = if bytes > PIECE_BYTES { bytes.saturating_mul(copies) } else { 0 };
            self.scratch.resize(needed).map_err(|error| self.no_room(error))?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PrintError> {
        (self.write)(&self.out).map_err(|error| PrintError::Console { batch: self.batch, error })?;
        self.out.clear();
        // A long row must not leave a large buffer behind.
        self.out.shrink_to(2 * PIECE_BYTES);
        Ok(())
    }

    const fn no_room(&self, error: SpillError) -> PrintError {
        PrintError::Room { batch: self.batch, error }
    }

    fn broken(&self, error: ViewError) -> PrintError {
        PrintError::Rows { batch: self.batch, error: error.into() }
    }
}
