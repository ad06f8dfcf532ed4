//! TLS for connections of clients: certificate and key from PEM files.
//!
//! Owns the crate `tokio_rustls`: no other module uses it. The certificate is read when the job starts.

use crate::config::TlsFiles;
use crate::env::{Disk, Duplex};
use crate::error::{Error, ErrorKind};
use crate::shown::Shown as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The largest file of certificates or keys, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{subject}: cannot read its `{key}`, {}: {error}", path.shown())]
    Unreadable {
        /// Who listens, as in source `lines`.
        subject: String,
        /// The key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// A file holds something else.
    #[error("{subject}: {} cannot be used for TLS: {problem}", path.shown())]
    Unfit {
        /// Who listens, as in source `lines`.
        subject: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with the file.
        problem: String,
    },
}

impl From<TlsError> for Error {
    fn from(error: TlsError) -> Self {
        let help = match error {
            TlsError::Unreadable { .. } => {
                "the path is relative to the job file, and the host must be allowed to read it"
            }
            TlsError::Unfit { .. } => {
                "tls_certificate is a PEM file of certificates, that of the host first; tls_key is a PEM file with its key"
            }
        };
        Self::new(ErrorKind::User, error.to_string()).help(help)
    }
}

/// Accepts connections with TLS.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl Tls {
    /// Reads the certificate and the key of `subject`, as in source `lines`.
    ///
    /// # Errors
    /// If a file cannot be read, or holds something else.
    pub fn read(disk: &dyn Disk, subject: &str, files: &TlsFiles) -> Result<Self, TlsError> {
        let unusable = |path: &Path, problem: String| {
            let (subject, path) = (subject.to_owned(), path.to_owned());
            TlsError::Unfit { subject, path, problem }
        };
        let read = |key, path: &Path| {
            let unreadable =
                |error| TlsError::Unreadable { subject: subject.to_owned(), key, path: path.to_owned(), error };
            disk.read(path, FILE_BYTES_MAX).map_err(unreadable)
        };
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&read("tls_certificate", &files.certificate)?)
            .collect::<Result<_, _>>()
            .map_err(|error| unusable(&files.certificate, error.to_string()))?;
        if certificates.is_empty() {
            return Err(unusable(&files.certificate, "it has no certificate".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(&read("tls_key", &files.key)?)
            .map_err(|error| unusable(&files.key, error.to_string()))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key));
        let mut config = config.map_err(|error| unusable(&files.certificate, error.to_string()))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Waits until the client has agreed on keys.
    pub(super) async fn accept(&self, connection: Box<dyn Duplex>) -> io::Result<Box<dyn Duplex>> {
        Ok(Box::new(self.0.accept(connection).await?))
    }
}
