//! Why a source of type `http` cannot be served.

use crate::clients::SecretError;
use crate::error::{Error, ErrorKind};
use crate::http::TlsError;

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
    /// The token cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The files for TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        let said = error.to_string();
        let help = match error {
            HttpError::Secret(error) => return error.into(),
            HttpError::Tls(error) => return error.into(),
            HttpError::Type { .. } => {
                "use format = \"json-lines\" for records that are not text, or read text and parse it"
            }
        };
        Self::new(ErrorKind::User, said).help(help)
    }
}
