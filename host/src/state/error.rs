//! Why state cannot be read or changed.

use crate::block::SpillError;
use crate::data::view::ViewError;
use arrow::error::ArrowError;

/// Why state cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The storage of rows fails.
    #[error(transparent)]
    Spill(#[from] SpillError),
    /// Keys do not have the declared type, or are too long.
    #[error(transparent)]
    Keys(#[from] ViewError),
    /// Arrow refuses columns. Such columns are larger than Arrow's offsets, or the host has a defect.
    #[error("columns of state cannot be made: {0}")]
    Columns(#[from] ArrowError),
    /// A key is in a partition that its hash does not belong to.
    #[error("a key of partition {partition} belongs to another partition by its hash")]
    Partition {
        /// The partition in which the key was found.
        partition: u32,
    },
}
