//! TLS for connections of clients: certificate and key from PEM files.
//!
//! Owns the crate `tokio_rustls`: no other module uses it. The certificate is read when the job starts.

use super::error::HttpError;
use crate::config::TlsFiles;
use crate::env::{Disk, Duplex};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The largest file of certificates or keys, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Accepts connections with TLS.
#[derive(Clone)]
pub(super) struct Tls(TlsAcceptor);

impl Tls {
    /// Reads the certificate and the key of a source.
    pub(super) fn read(disk: &dyn Disk, source: &str, files: &TlsFiles) -> Result<Self, HttpError> {
        let unusable = |path: &Path, problem: String| {
            let (name, path) = (source.to_owned(), path.to_owned());
            HttpError::Tls { name, path, problem }
        };
        let read = |key, path: &Path| {
            disk.read(path, FILE_BYTES_MAX).map_err(|error| HttpError::unreadable(source, key, path, error))
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
