//! The way of rows into a file: an encoder, and the memory that the encoder and the rows need.
//!
//! Owns how much memory that is: the bytes that an encoder holds, and the longest row as text. Never knows where a file
//! is.

use super::encoder::{Encoder, Part};
use super::error::SaveError;
use super::format::encoder;
use crate::block::{Scratch, Storage};
use crate::data::schema::RecordType;
use crate::data::written_bytes_max;
use crate::graph::FileFormat;
use arrow::array::RecordBatch;

/// Rows that are shorter than this, all together, are not looked at one by one.
const SHORT_BYTES: usize = 1024 * 1024;

/// Encodes the rows of one file, within the memory of the job.
pub(super) struct FileEncoder {
    encoder: Box<dyn Encoder>,
    room: Scratch,
}

impl FileEncoder {
    /// An encoder of rows of type `ty`.
    ///
    /// # Errors
    /// If files of the format cannot hold such rows.
    pub(super) fn new(format: FileFormat, ty: &RecordType, storage: &Storage) -> Result<Self, SaveError> {
        Ok(Self { encoder: encoder(format, ty)?, room: storage.scratch() })
    }

    /// Encodes the next rows into `file`, which holds `waiting` bytes in memory beside the encoder.
    ///
    /// # Errors
    /// If there is no memory for the rows, or the file does not take the bytes.
    pub(super) fn write(&mut self, rows: &RecordBatch, waiting: usize, file: &mut dyn Part) -> Result<(), SaveError> {
        let held = self.encoder.held_bytes().saturating_add(waiting);
        self.room.resize(held.saturating_add(text_bytes(rows)))?;
        self.encoder.write(rows, file)
    }

    /// Encodes what is left into `file`. The result is the memory, which is to be held until the bytes are gone.
    ///
    /// # Errors
    /// If the file does not take the bytes.
    pub(super) fn finish(self, file: &mut dyn Part) -> Result<Scratch, SaveError> {
        self.encoder.finish(file)?;
        Ok(self.room)
    }
}

/// The memory that the longest of these rows needs as text, in bytes; 0 if it is short.
fn text_bytes(rows: &RecordBatch) -> usize {
    let longest = if written_bytes_max(rows, 0..rows.num_rows()) <= SHORT_BYTES {
        0
    } else {
        (0..rows.num_rows()).map(|row| written_bytes_max(rows, row..row + 1)).max().unwrap_or(0)
    };
    // A text that grows is there twice for a moment.
    if longest <= SHORT_BYTES { 0 } else { longest.saturating_mul(2) }
}
