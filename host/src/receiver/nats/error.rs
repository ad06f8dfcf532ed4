//! Why a source of type `nats` cannot be read.

use crate::clients::SecretError;
use crate::error::{Error, ErrorKind};
use crate::shown::Shown as _;
use std::path::PathBuf;

/// Why a source of type `nats` cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// The records of the source are of a type that messages of the format do not hold.
    #[error("the plugin reads {ty} from source `{name}`, which messages of this `format` do not give: {problem}")]
    Type {
        /// The name of the source.
        name: String,
        /// The type of the source's records.
        ty: String,
        /// Why messages do not give it.
        problem: String,
    },
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The file of authorities cannot be used.
    #[error("source `{name}`: its `tls_ca`, {}, cannot be used: {problem}", path.shown())]
    Authorities {
        /// The name of the source.
        name: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with the file.
        problem: String,
    },
}

impl From<NatsError> for Error {
    fn from(error: NatsError) -> Self {
        let said = error.to_string();
        let help = match error {
            NatsError::Secret(error) => return error.into(),
            NatsError::Type { .. } => {
                "use format = \"json-lines\" for records that are not text, or read text and parse it"
            }
            NatsError::Authorities { .. } => {
                "tls_ca is a PEM file of certificates, whose path is relative to the job file, and the host must be \
                 allowed to read it"
            }
        };
        Self::new(ErrorKind::User, said).help(help)
    }
}
