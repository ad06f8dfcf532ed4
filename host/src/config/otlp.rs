//! Reads the keys of the section `otlp`.
//!
//! Owns the settings that these keys make. Never reads a token.

use std::path::Path;

use super::keys;
use super::report::Reported;
use super::sections::{Reader, Section};
use super::settings::OtlpSettings;

/// Reads the keys of the section `otlp`.
pub(super) fn read(
    table: &Section<'_>,
    directory: &Path,
    reader: &mut Reader<'_, '_>,
) -> Result<OtlpSettings, Reported> {
    let server = reader.given(table, &keys::OTLP_ENDPOINT);
    let token = reader.given(table, &keys::OTLP_TOKEN);
    let interval = reader.read(table, &keys::OTLP_INTERVAL);
    let traces = reader.read(table, &keys::OTLP_TRACES);
    Ok(OtlpSettings {
        server: server?.map(|given| given.value),
        token: token?.map(|given| given.value.below(directory)),
        interval: interval?,
        traces: traces?,
    })
}
