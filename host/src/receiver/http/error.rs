//! Why a source of type `http` cannot be served.

use crate::clients::SecretError;
use crate::error::{Error, ErrorKind};
use crate::shown::Shown as _;
use std::io;
use std::path::{Path, PathBuf};

/// Why a source of type `http` cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The records of the source are of a type that requests of the format do not hold.
    #[error("the plugin reads {ty} from source `{name}`, which requests of this `format` do not give: {problem}")]
    Type {
        /// The name of the source.
        name: String,
        /// The type of the source's records.
        ty: String,
        /// Why requests do not give it.
        problem: String,
    },
    /// A file cannot be read.
    #[error("source `{name}`: cannot read its `{key}`, {}: {error}", path.shown())]
    Unreadable {
        /// The name of the source.
        name: String,
        /// The key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The token cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The files for TLS cannot be used.
    #[error("source `{name}`: {} cannot be used for TLS: {problem}", path.shown())]
    Tls {
        /// The name of the source.
        name: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with the file.
        problem: String,
    },
}

impl HttpError {
    pub(super) fn unreadable(name: &str, key: &'static str, path: &Path, error: io::Error) -> Self {
        Self::Unreadable { name: name.to_owned(), key, path: path.to_owned(), error }
    }
}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        let said = error.to_string();
        let help = match error {
            HttpError::Secret(error) => return error.into(),
            HttpError::Type { .. } => {
                "use format = \"json-lines\" for records that are not text, or read text and parse it"
            }
            HttpError::Unreadable { .. } => {
                "the path is relative to the job file, and the host must be allowed to read it"
            }
            HttpError::Tls { .. } => {
                "tls_certificate is a PEM file of certificates, that of the host first; tls_key is a PEM file with its key"
            }
        };
        Self::new(ErrorKind::User, said).help(help)
    }
}
