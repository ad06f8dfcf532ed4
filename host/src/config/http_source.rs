//! Reads the keys of a source of type `http`.
//!
//! Owns the settings that these keys make. See `listening` for who may connect. Never reads a token or a certificate.

use std::path::Path;

use super::keys;
use super::listening::{self, ListenKeys};
use super::report::Reported;
use super::sections::{Reader, Section};
use super::settings::HttpSettings;

static LISTENS: ListenKeys = ListenKeys {
    address: &keys::HTTP_ADDRESS,
    token: &keys::HTTP_TOKEN,
    certificate: &keys::HTTP_TLS_CERTIFICATE,
    key: &keys::HTTP_TLS_KEY,
};

/// Reads the keys of a source of type `http`.
pub(super) fn read(
    table: &Section<'_>,
    directory: &Path,
    reader: &mut Reader<'_, '_>,
) -> Result<HttpSettings, Reported> {
    let address = reader.read(table, &keys::HTTP_ADDRESS);
    let path = reader.read(table, &keys::HTTP_PATH);
    let format = reader.read(table, &keys::HTTP_FORMAT);
    let guarded = listening::read(table, &LISTENS, address.map(Some), directory, reader);
    let max_body_bytes = reader.read(table, &keys::HTTP_MAX_BODY);
    let max_requests = reader.read(table, &keys::HTTP_MAX_REQUESTS);
    let max_wait = reader.read(table, &keys::HTTP_MAX_WAIT);
    let request_timeout = reader.read(table, &keys::HTTP_REQUEST_TIMEOUT);
    let restart_delay = reader.read(table, &keys::HTTP_RESTART_DELAY);
    let guarded = guarded?;
    Ok(HttpSettings {
        address: address?,
        path: path?,
        format: format?,
        token: guarded.token,
        tls: guarded.tls,
        max_body_bytes: max_body_bytes?,
        max_requests: max_requests?,
        max_wait: max_wait?,
        request_timeout: request_timeout?,
        restart_delay: restart_delay?,
    })
}
