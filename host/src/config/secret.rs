//! Where a secret is.

use std::path::{Path, PathBuf};

/// The place of a secret. The secret itself is in no settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// A file. The path is relative only if the path of the job file is.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
}

impl Secret {
    /// The same place. The path of a file is relative to `directory` if it is not absolute.
    pub(super) fn below(self, directory: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(directory.join(path)),
            variable @ Self::Variable(_) => variable,
        }
    }
}
