//! [`Encoder`]: converts the rows of one file to bytes. [`Part`]: takes the bytes.

use super::error::SaveError;
use arrow::array::RecordBatch;

/// Takes the bytes of one file.
pub(super) trait Part: Send {
    /// Adds bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), SaveError>;
}

/// Converts the rows of one file to bytes.
pub(super) trait Encoder: Send {
    /// Encodes the next rows. Complete bytes go to `file`.
    fn write(&mut self, rows: &RecordBatch, file: &mut dyn Part) -> Result<(), SaveError>;

    /// How many bytes the encoder holds in memory.
    fn held_bytes(&self) -> usize;

    /// Ends the encoding, and writes the rest of the bytes to `file`.
    fn finish(self: Box<Self>, file: &mut dyn Part) -> Result<(), SaveError>;
}
