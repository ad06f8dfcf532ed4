//! Why a batch was not printed, and what to do about it.

use crate::block::SpillError;
use crate::data::view::ViewError;
use crate::error::{Error, ErrorKind, Persistence};
use crate::time::Time;
use arrow::error::ArrowError;
use std::io;

/// A batch was not printed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrintError {
    /// Standard output does not take it.
    #[error("cannot print batch {batch} to standard output: {error}")]
    Console {
        /// The batch.
        batch: Time,
        /// What the system says.
        error: io::Error,
    },
    /// There is no room for its rows, or for one of them as text.
    #[error("cannot print batch {batch}: {error}")]
    Room {
        /// The batch.
        batch: Time,
        /// What is missing.
        error: SpillError,
    },
    /// The rows are not of the type they should have.
    #[error("cannot print batch {batch}: {error}")]
    Rows {
        /// The batch.
        batch: Time,
        /// What is wrong with them.
        error: RowsError,
    },
}

/// What is wrong with rows.
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
