//! Why a batch was not printed, and what to do about it.

use crate::block::SpillError;
use crate::data::view::ViewError;
use crate::error::{Error, ErrorKind, Persistence};
use crate::time::Time;
use arrow::error::ArrowError;
use std::io;

/// Why a batch was not printed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrintError {
    /// Writing to standard output fails.
    #[error("cannot print batch {batch} to standard output: {error}")]
    Console {
        /// The time of the batch.
        batch: Time,
        /// The error of the system.
        error: io::Error,
    },
    /// There is no memory for the rows of the batch, or for one of them as text.
    #[error("cannot print batch {batch}: {error}")]
    Room {
        /// The time of the batch.
        batch: Time,
        /// The error of the memory budget or of the spilled data.
        error: SpillError,
    },
    /// The rows do not have the type of the output.
    #[error("cannot print batch {batch}: {error}")]
    Rows {
        /// The time of the batch.
        batch: Time,
        /// The fault of the rows.
        error: RowsError,
    },
}

/// The fault of rows.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowsError {
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

impl From<PrintError> for Error {
    fn from(error: PrintError) -> Self {
        let (kind, help) = match error {
            PrintError::Console { .. } => (ErrorKind::Unavailable, "is the program that reads the output still there?"),
            PrintError::Room { .. } => {
                (ErrorKind::Unavailable, "print fewer or shorter rows, or raise engine.memory or engine.spill_limit")
            }
            PrintError::Rows { .. } => (ErrorKind::Internal, "please report this"),
        };
        let lasts = match &error {
            PrintError::Room { error, .. } => error.persistence(),
            PrintError::Console { .. } => Persistence::Transient,
            PrintError::Rows { .. } => Persistence::Permanent,
        };
        Self::new(kind, error.to_string()).help(help).lasting(lasts)
    }
}
