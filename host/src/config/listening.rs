//! Reads the keys that say where the host listens, and who may connect.
//!
//! Owns the rules between these keys: requests of other machines need a token, and a certificate needs its key. Never
//! reads a token or a certificate.

use std::net::SocketAddr;
use std::path::Path;

use super::http::ListenAddress;
use super::key::{Declared as _, Key};
use super::report::Reported;
use super::secret::Secret;
use super::secret_place::SecretPlace;
use super::sections::{Reader, Section};
use super::settings::TlsFiles;
use super::shape::FilePath;

/// The keys of one table.
pub(super) struct ListenKeys {
    pub(super) address: &'static Key<ListenAddress>,
    pub(super) token: &'static Key<SecretPlace>,
    pub(super) certificate: &'static Key<FilePath>,
    pub(super) key: &'static Key<FilePath>,
}

/// Who may connect.
pub(super) struct Guarded {
    pub(super) token: Option<Secret>,
    pub(super) tls: Option<TlsFiles>,
}

/// Reads who may connect to `address`, the value of the key for the address; `None` if the key is not given.
pub(super) fn read(
    table: &Section<'_>,
    keys: &ListenKeys,
    address: Result<Option<SocketAddr>, Reported>,
    directory: &Path,
    reader: &mut Reader<'_, '_>,
) -> Result<Guarded, Reported> {
    let token = reader.given(table, keys.token);
    let tls = read_tls(table, keys, directory, reader);
    let (address, token, tls) = (address?, token?.map(|given| given.value), tls?);
    if let (Some(address), Some(given)) = (address, reader.given(table, keys.address)?)
        && !address.ip().is_loopback()
    {
        if token.is_none() {
            let message = format!("{} takes requests of other machines, which needs a `token`", given.text);
            let help = format!(
                "add `token = {}` to let in only clients that know the token, or listen at 127.0.0.1:{}",
                keys.token.fallback().example(),
                address.port(),
            );
            return Err(reader.report.error(&given.place, message, help));
        }
        if tls.is_none() {
            let message = format!(
                "{} takes requests of other machines without TLS, so that the network can read the token; set \
                 tls_certificate and tls_key, unless a proxy in front of the host does TLS",
                given.text
            );
            reader.report.warn(&given.place, &message);
        }
    }
    Ok(Guarded { token: token.map(|secret| secret.below(directory)), tls })
}

/// Reads the files for TLS, which are given both or not at all.
fn read_tls(
    table: &Section<'_>,
    keys: &ListenKeys,
    directory: &Path,
    reader: &mut Reader<'_, '_>,
) -> Result<Option<TlsFiles>, Reported> {
    let certificate = reader.given(table, keys.certificate);
    let key = reader.given(table, keys.key);
    let (given, missing) = match (certificate?, key?) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => {
            let (certificate, key) = (directory.join(certificate.value), directory.join(key.value));
            return Ok(Some(TlsFiles { certificate, key }));
        }
        (Some(certificate), None) => (certificate, "tls_key"),
        (None, Some(key)) => (key, "tls_certificate"),
    };
    let message = format!("{} is given without `{missing}`", given.text);
    let help = "TLS needs the certificate and its key, each in a PEM file";
    Err(reader.report.error(&given.place, message, help.to_owned()))
}
