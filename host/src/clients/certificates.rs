//! Files of certificates: whether they can be used.

use crate::env::Env;
use std::path::Path;

/// The largest file of certificates, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What is wrong with a PEM file of certificates. `None` if it can be read and has one.
pub fn fault_of_certificates(env: &Env, path: &Path) -> Option<String> {
    match env.disk.read(path, FILE_BYTES_MAX) {
        Ok(text) if String::from_utf8_lossy(&text).contains("-----BEGIN CERTIFICATE-----") => None,
        Ok(_) => Some("it has no certificate".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}
