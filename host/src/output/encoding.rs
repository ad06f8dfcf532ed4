//! The memory that rows need on their way into a file.
//!
//! Owns how much that is: what an encoder holds, and the longest row as text. Never encodes anything.

use super::batch_directory::SaveError;
use crate::block::{Scratch, Storage};
use crate::data::written_bytes_max;
use arrow::array::RecordBatch;

/// Rows that are shorter than this, all together, are not looked at one by one.
const SHORT_BYTES: usize = 1024 * 1024;

/// The memory of one file that is being written.
pub(super) struct EncodingRoom(Scratch);

impl EncodingRoom {
    pub(super) fn new(storage: &Storage) -> Self {
        Self(storage.scratch())
    }

    /// Takes what it needs to write these rows while so many bytes are held.
    pub(super) fn take(&mut self, held: usize, rows: &RecordBatch) -> Result<(), SaveError> {
        let longest = if written_bytes_max(rows, 0..rows.num_rows()) <= SHORT_BYTES {
            0
        } else {
            (0..rows.num_rows()).map(|row| written_bytes_max(rows, row..row + 1)).max().unwrap_or(0)
        };
        // A text that grows is there twice for a moment.
        let text = if longest <= SHORT_BYTES { 0 } else { 2 * longest };
        Ok(self.0.resize(held.saturating_add(text))?)
    }
}
