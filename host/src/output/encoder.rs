//! [`Encoder`]: turns the rows of one file into bytes. [`Part`]: takes the bytes.

use super::error::SaveError;
use arrow::array::RecordBatch;

/// Takes the bytes of one file.
pub(super) trait Part: Send {
    /// Adds bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), SaveError>;
}

/// Turns the rows of one file into bytes.
pub(super) trait Encoder: Send {
    /// Takes the next rows.
    fn write(&mut self, rows: &RecordBatch, file: &mut dyn Part) -> Result<(), SaveError>;

    /// What it holds in memory, in bytes.
    fn held_bytes(&self) -> usize;

    /// Writes what is left. Those were all rows.
    fn finish(self: Box<Self>, file: &mut dyn Part) -> Result<(), SaveError>;
}
