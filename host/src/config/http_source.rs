//! Reads the keys of a source of type `http`.
//!
//! Owns the rules between these keys: requests of other machines need a token, and a certificate needs its key. Never
//! reads a token or a certificate.

use std::path::Path;

use super::key::Declared as _;
use super::keys;
use super::report::Reported;
use super::sections::{Reader, Section};
use super::settings::{HttpSettings, TlsFiles};

/// Reads the keys of a source of type `http`.
pub(super) fn read(
    table: &Section<'_>,
    directory: &Path,
    reader: &mut Reader<'_, '_>,
) -> Result<HttpSettings, Reported> {
    let address = reader.read(table, &keys::HTTP_ADDRESS);
    let path = reader.read(table, &keys::HTTP_PATH);
    let format = reader.read(table, &keys::HTTP_FORMAT);
    let token = reader.given(table, &keys::HTTP_TOKEN);
    let tls = read_tls(table, directory, reader);
    let max_body_bytes = reader.read(table, &keys::HTTP_MAX_BODY);
    let max_requests = reader.read(table, &keys::HTTP_MAX_REQUESTS);
    let max_wait = reader.read(table, &keys::HTTP_MAX_WAIT);
    let request_timeout = reader.read(table, &keys::HTTP_REQUEST_TIMEOUT);
    let restart_delay = reader.read(table, &keys::HTTP_RESTART_DELAY);
    let (address, token, tls) = (address?, token?.map(|given| given.value), tls?);
    if let Some(given) = reader.given(table, &keys::HTTP_ADDRESS)?
        && !address.ip().is_loopback()
    {
        if token.is_none() {
            let message = format!("{} takes requests of other machines, which needs a `token`", given.text);
            let help = format!(
                "add `token = {}` to let in only clients that know the token, or listen at 127.0.0.1:{}",
                keys::HTTP_TOKEN.fallback().example(),
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
    Ok(HttpSettings {
        address,
        path: path?,
        format: format?,
        token: token.map(|secret| secret.below(directory)),
        tls,
        max_body_bytes: max_body_bytes?,
        max_requests: max_requests?,
        max_wait: max_wait?,
        request_timeout: request_timeout?,
        restart_delay: restart_delay?,
    })
}

/// Reads the files for TLS, which are given both or not at all.
fn read_tls(table: &Section<'_>, directory: &Path, reader: &mut Reader<'_, '_>) -> Result<Option<TlsFiles>, Reported> {
    let certificate = reader.given(table, &keys::HTTP_TLS_CERTIFICATE);
    let key = reader.given(table, &keys::HTTP_TLS_KEY);
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
