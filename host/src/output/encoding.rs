//! Writes rows into a file: an encoder, and the memory that the encoder and the rows need.
//!
//! Owns how much memory that is: the bytes that an encoder holds, and the longest row as text. Never knows where a file
//! is.

use super::encoder::{Encoder, Part};
use super::error::SaveError;
use super::format::encoder;
use crate::block::{RowStorage, Scratch};
use crate::data::schema::RecordType;
use crate::data::written_bytes_max;
use crate::graph::FileFormat;
use arrow::array::RecordBatch;

/// If all rows together are shorter than this, single rows are not measured.
const SHORT_BYTES: usize = 1024 * 1024;

/// Encodes the rows of one file, and takes the memory for it from the job's memory.
pub(super) struct FileEncoder {
    encoder: Box<dyn Encoder>,
    room: Scratch,
}

impl FileEncoder {
    /// Makes an encoder of rows of type `ty`.
    ///
    /// # Errors
    /// If files of the format cannot hold such rows.
    pub(super) fn new(format: FileFormat, ty: &RecordType, storage: &RowStorage) -> Result<Self, SaveError> {
        Ok(Self { encoder: encoder(format, ty)?, room: storage.scratch() })
    }

    /// Encodes the next rows into `file`. `waiting` is how many bytes the file holds in memory, besides the encoder.
    ///
    /// # Errors
    /// If there is no memory for the rows, or if `file` does not take the bytes.
    pub(super) fn write(&mut self, rows: &RecordBatch, waiting: usize, file: &mut dyn Part) -> Result<(), SaveError> {
        let held = self.encoder.held_bytes().saturating_add(waiting);
        self.room.resize(held.saturating_add(text_bytes(rows)))?;
        self.encoder.write(rows, file)
    }

    /// Ends the encoding, and writes the rest of the bytes into `file`. Returns the memory of the encoder, which must
    /// be held until the bytes have been written out.
    ///
    /// # Errors
    /// If `file` does not take the bytes.
    pub(super) fn finish(self, file: &mut dyn Part) -> Result<Scratch, SaveError> {
        self.encoder.finish(file)?;
        Ok(self.room)
    }
}

/// The memory in bytes that the longest of these rows needs as text; 0 if that row is short.
pub(super) fn text_bytes(rows: &RecordBatch) -> usize {
    let longest = if written_bytes_max(rows, 0..rows.num_rows()) <= SHORT_BYTES {
        0
    } else {
        (0..rows.num_rows()).map(|row| written_bytes_max(rows, row..row + 1)).max().unwrap_or(0)
    };
    // A text that grows is in memory twice for a moment.
    if longest <= SHORT_BYTES { 0 } else { longest.saturating_mul(2) }
}
