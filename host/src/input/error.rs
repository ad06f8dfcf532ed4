//! The errors of looking at the directories of text files, and what the user can do.

use crate::error::{Error, ErrorKind};
use std::io;
use std::path::PathBuf;

/// Why directories could not be searched for files.
#[derive(Debug, thiserror::Error)]
pub enum TextFilesError {
    /// A directory cannot be listed.
    #[error("cannot list {path}: {error}")]
    Unlistable {
        /// The directory.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The pattern of directories is not valid.
    #[error("`{pattern}` is not a pattern of directories: {problem}")]
    Pattern {
        /// The part of the path that is not valid.
        pattern: String,
        /// What is wrong with the pattern.
        problem: String,
    },
    /// A pattern of file names is not valid.
    #[error("`{pattern}` is not a pattern of names of files: {problem}")]
    NamePattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with the pattern.
        problem: String,
    },
    /// Files would be moved into a directory that the source watches.
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
