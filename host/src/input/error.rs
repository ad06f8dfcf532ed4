//! Why directories of text files could not be looked at, and what to do about it.

use crate::error::{Error, ErrorKind};
use std::io;
use std::path::PathBuf;

/// Why directories could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum TextFilesError {
    /// A directory cannot be listed.
    #[error("cannot list {path}: {error}")]
    Unlistable {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The pattern is not one.
    #[error("`{pattern}` is not a pattern of directories: {problem}")]
    Pattern {
        /// The part of the path.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A pattern of names is not one.
    #[error("`{pattern}` is not a pattern of names of files: {problem}")]
    NamePattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Files would be moved to where they come from.
    #[error("source `{name}` would move files to {path}, which it watches")]
    MovesInCircles {
        /// The source.
        name: String,
        /// The directory.
        path: PathBuf,
    },
}

impl From<TextFilesError> for Error {
    fn from(error: TextFilesError) -> Self {
        let help = match &error {
            TextFilesError::Unlistable { .. } => "a text-files source watches directories: make it, or correct `path`",
            TextFilesError::Pattern { .. } => {
                "use `*`, `?`, `[a-z]`, and `**` between slashes for all that is below, as in path = \"logs/2017/*\""
            }
            TextFilesError::NamePattern { .. } => "use `*`, `?` and `[a-z]`, as in include = [\"*.csv\"]",
            TextFilesError::MovesInCircles { .. } => "let when_done name a directory that `path` does not stand for",
        };
        Self::new(ErrorKind::User, error.to_string()).help(help)
    }
}
