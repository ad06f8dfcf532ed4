//! Why the rows of a batch were not saved, and what to do about it.

use crate::block::SpillError;
use crate::data::columns::ColumnsError;
use crate::data::signed::SignedError;
use crate::data::view::ViewError;
use crate::env::{advice, persistence};
use crate::error::{Error, ErrorKind, Persistence};
use crate::grants::GrantError;
use crate::shown::Shown as _;
use crate::time::Time;
use arrow::error::ArrowError;
use parquet::errors::ParquetError;
use std::io;
use std::path::{Path, PathBuf};

/// Why columns could not be written. No value of a row can cause such an error.
#[derive(Debug, thiserror::Error)]
pub(super) enum EncodeError {
    #[error(transparent)]
    Columns(#[from] ColumnsError),
    #[error(transparent)]
    Signed(#[from] SignedError),
    #[error("the rows cannot be written as an Arrow file: {0}")]
    Arrow(#[from] ArrowError),
    #[error("the rows cannot be written as a Parquet file: {0}")]
    Parquet(#[from] ParquetError),
}

/// Why a batch was not saved.
#[derive(Debug, thiserror::Error)]
pub(super) enum SaveError {
    #[error("cannot {action} {}: {error}", path.shown())]
    Disk { action: &'static str, path: PathBuf, error: io::Error },
    #[error("cannot {action} {url}: {error}")]
    Store { action: &'static str, url: String, error: io::Error },
    #[error("{} is in the way: {what}", path.shown())]
    InTheWay { path: PathBuf, what: String },
    #[error("{} is there already: {what}", path.shown())]
    Taken { path: PathBuf, what: String },
    #[error(transparent)]
    Grant(#[from] GrantError),
    #[error(transparent)]
    Rows(#[from] ViewError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    Room(#[from] SpillError),
    #[error("{} was not written", .0.shown())]
    Missing(PathBuf),
}

impl From<ColumnsError> for SaveError {
    fn from(error: ColumnsError) -> Self {
        EncodeError::from(error).into()
    }
}

impl SaveError {
    /// The error that is reported, with the output and the batch.
    pub(super) fn of_output(&self, label: &str, batch: Time) -> Error {
        let (kind, help) = self.kind_and_help();
        let message = format!("output {label} did not save batch {batch}: {self}");
        Error::new(kind, message).help(help).lasting(self.persistence())
    }

    /// Whether saving the batch may succeed later.
    fn persistence(&self) -> Persistence {
        match self {
            Self::Disk { error, .. }
            | Self::Store { error, .. }
            | Self::Grant(GrantError::Directory { error, .. } | GrantError::Store { error, .. }) => persistence(error),
            Self::Room(error) => error.persistence(),
            _ => Persistence::Permanent,
        }
    }

    /// What the reader of the error can do.
    pub(super) fn help(&self) -> String {
        self.kind_and_help().1
    }

    fn kind_and_help(&self) -> (ErrorKind, String) {
        match self {
            Self::Disk { path, error, .. } => {
                let directory = path.parent().unwrap_or(path);
                (ErrorKind::Unavailable, advice(error, &directory.shown()))
            }
            Self::Store { error, url, .. } => (ErrorKind::Unavailable, advice(error, url)),
            Self::InTheWay { .. } => (ErrorKind::User, "move it away, or give the output another prefix".to_owned()),
            Self::Taken { .. } => (
                ErrorKind::User,
                "move it away, or let the path have the batch's time in it, as in `out/counts-{time}`".to_owned(),
            ),
            Self::Grant(error @ GrantError::Directory { .. }) => (ErrorKind::Unavailable, error.help()),
            Self::Grant(error) => (ErrorKind::User, error.help()),
            Self::Room(_) => (ErrorKind::Unavailable, "raise engine.memory, or engine.spill_limit".to_owned()),
            Self::Encode(EncodeError::Signed(SignedError::TooLarge { .. })) => {
                (ErrorKind::User, "save it with `u64_as(U64Column::Decimal)`, or map it to another type".to_owned())
            }
            Self::Encode(EncodeError::Signed(SignedError::TooFar { .. })) => {
                (ErrorKind::User, "let the column be a date, or correct the time".to_owned())
            }
            Self::Rows(_) | Self::Encode(_) | Self::Missing(_) => {
                (ErrorKind::Internal, "please report this".to_owned())
            }
        }
    }
}

/// Makes a function that converts an error of the file system to an error about a path.
pub(super) fn cannot(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SaveError {
    let path = path.to_path_buf();
    move |error| SaveError::Disk { action, path, error }
}
