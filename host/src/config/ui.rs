//! Reads the keys of the section `ui`.
//!
//! Owns the settings that these keys make. See `listening` for who may connect. Never reads a token or a certificate.

use std::path::Path;

use super::keys;
use super::listening::{self, ListenKeys};
use super::report::Reported;
use super::sections::{Reader, Section};
use super::settings::UiSettings;

static LISTENS: ListenKeys = ListenKeys {
    address: &keys::UI_ADDRESS,
    token: &keys::UI_TOKEN,
    certificate: &keys::UI_TLS_CERTIFICATE,
    key: &keys::UI_TLS_KEY,
};

/// Reads the keys of the section `ui`.
pub(super) fn read(table: &Section<'_>, directory: &Path, reader: &mut Reader<'_, '_>) -> Result<UiSettings, Reported> {
    let address = reader.given(table, &keys::UI_ADDRESS).map(|given| given.map(|given| given.value));
    let guarded = listening::read(table, &LISTENS, address, directory, reader)?;
    let sample_interval = reader.read(table, &keys::UI_SAMPLE_INTERVAL)?;
    Ok(UiSettings { address: address?, token: guarded.token, tls: guarded.tls, sample_interval })
}
