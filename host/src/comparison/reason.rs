//! Why rows are not compared.

use crate::block::SpillError;
use crate::data::view::ViewError;
use arrow::error::ArrowError;

/// Why the rows of a batch are not compared. This is never an error of the batch itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotCompared {
    /// The rows of the old side came faster than they could be stored.
    #[error("the rows came faster than they were stored: more than {bytes} bytes or {pieces} pieces waited")]
    TooFast {
        /// How many bytes may wait.
        bytes: u64,
        /// How many pieces of rows may wait.
        pieces: usize,
    },
    /// The rows that wait to be compared are too many.
    #[error("the rows that wait to be compared would take more than {0} bytes")]
    TooMany(u64),
    /// The rows cannot be stored or read.
    #[error(transparent)]
    Storage(#[from] SpillError),
    /// The rows are not of their type.
    #[error(transparent)]
    View(#[from] ViewError),
    /// Arrow refuses the rows.
    #[error("arrow refuses the rows: {0}")]
    Arrow(#[from] ArrowError),
    /// A partition has no rows: its recorder was not finished.
    #[error("the rows of partition {0} were not recorded")]
    Partition(u32),
    /// One side was too far behind.
    #[error("one version was more than {0} batches behind the other")]
    Behind(usize),
    /// Batches came faster than they were compared.
    #[error("more than {0} batches of both versions waited to be compared")]
    Slow(usize),
    /// The sides have rows of different types.
    #[error("the types of the rows differ: {old} and {new}")]
    Types {
        /// The type of the old side.
        old: String,
        /// The type of the new side.
        new: String,
    },
    /// The comparison was ended.
    #[error("the comparison was ended")]
    Ended,
}
