//! Why the page of a job cannot be served.

use crate::clients::SecretError;
use crate::error::{Error, ErrorKind};
use crate::http::TlsError;
use std::io;
use std::net::SocketAddr;

/// Why the page of a job cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum UiError {
    /// The token cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The files for TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Nobody can listen at the address.
    #[error("the page of the job cannot be served at {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        error: io::Error,
    },
}

impl From<UiError> for Error {
    fn from(error: UiError) -> Self {
        let message = error.to_string();
        match error {
            UiError::Secret(error) => error.into(),
            UiError::Tls(error) => error.into(),
            UiError::Listen { .. } => Self::new(ErrorKind::User, message)
                .help("set ui.address to a free port of this machine; port 0 stands for any free port"),
        }
    }
}
