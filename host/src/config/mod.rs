//! The job file: `job.toml` and `--set` become [`Settings`], or a list of all mistakes in them.
//!
//! Owns the keys, their defaults and ranges, and the messages about mistakes; `docs/configuration.md` is generated from
//! the same table. The host reads the settings once, at start, before any batch. Never opens a file and never looks at
//! the machine: the text, the path and the number of CPUs are passed in.
//!
//! In reading order: `tree` reads TOML, and `syntax` explains text that is not TOML. `names` finds unknown keys, and
//! `suggest` finds the keys that were probably meant. `resolve` reads the keys that `keys` declares, by means of
//! `sections`, which checks values with `shape`, `range` and `units`. `settings` is the result.

mod change;
mod collector;
mod connection_settings;
mod connections;
mod directories;
mod distance;
mod docs;
mod error;
mod files;
mod gain;
mod http;
mod http_source;
mod kafka_client;
mod kafka_connection;
mod kafka_settings;
mod kafka_source;
mod kafka_topics;
mod key;
mod keys;
mod lines;
mod listening;
mod live;
mod names;
mod nats;
mod nats_source;
mod otlp;
mod quote;
mod range;
mod report;
mod resolve;
mod secret;
mod secret_place;
mod sections;
mod servers;
mod settings;
mod shape;
mod subject;
mod suggest;
mod syntax;
#[cfg(test)]
mod tests;
mod topic_patterns;
mod tree;
mod ui;
mod units;

use crate::time::Duration;
use std::path::Path;

pub use change::{KeyChange, changes};
pub use connection_settings::{ConnectionSettings, Delivery, KafkaConnection};
pub use docs::markdown;
pub use error::{ConfigError, ConfigErrors};
pub use gain::Gain;
pub use kafka_settings::{
    KafkaClientSettings, KafkaFormat, KafkaLogin, KafkaOption, KafkaReceiverSettings, KafkaSettings, KafkaStart,
    KafkaTopics, OnBadKafkaMessage, OnDataLoss, SaslMechanism,
};
pub use key::Change;
pub use keys::beginnings;
pub use live::{LIVE_KEYS, LiveSettings};
pub use secret::Secret;
pub use settings::{
    Access, BackpressureSettings, DeliverFrom, EngineSettings, Facts, Grant, HttpSettings, JobSettings, LimitSettings,
    Location, NatsLogin, NatsSettings, OnBadMessage, OnCheckpointError, OnError, OnMissingFile, OtlpServer,
    OtlpSettings, PayloadFormat, ReceiverSettings, Settings, SourceSettings, TlsFiles, UiSettings, WhenDone, WhenFull,
};

/// Reads the settings of a job from the bytes of its job file: see [`load`].
///
/// # Errors
///
/// If the bytes are not UTF-8, returns the first line that is not. Otherwise returns the errors of [`load`].
pub fn load_bytes(
    bytes: Vec<u8>,
    origin: &Path,
    overrides: &[(String, String)],
    facts: &Facts,
) -> Result<Settings, ConfigErrors> {
    match String::from_utf8(bytes) {
        Ok(text) => load(&text, origin, overrides, facts),
        Err(error) => {
            let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
            let line = valid.iter().filter(|byte| **byte == b'\n').count().saturating_add(1);
            let mut report = report::Report::new(origin);
            let message = "the line is not UTF-8 text";
            let reported = report.error(&report::MistakePlace::Line(line), message, "save the file as UTF-8");
            report.finish(Err(reported)).map(|(settings, _)| settings)
        }
    }
}

/// The number of bytes that a size such as `64MiB` means. `None` if the text is no size.
pub fn size(text: &str) -> Option<u64> {
    units::SIZES.parse(text).ok()
}

/// The span that a duration such as `30s` means. `None` if the text is no duration.
pub fn duration(text: &str) -> Option<Duration> {
    units::DURATIONS.parse(text).ok().map(Duration::from_millis)
}

/// Reads the job file of a job again, from its bytes, as it was read before and with more pairs of `--set KEY=VALUE`.
///
/// # Errors
///
/// Returns the errors of [`load_bytes`].
pub fn load_again(bytes: Vec<u8>, before: &Settings, more: &[(String, String)]) -> Result<Settings, ConfigErrors> {
    let overrides: Vec<(String, String)> = before.overrides.iter().chain(more).cloned().collect();
    load_bytes(bytes, &before.job.file, &overrides, &before.facts)
}

/// Reads the settings of a job.
///
/// `text` is the content of the job file and `origin` its path. Messages show the path as it is given here, and
/// relative paths are resolved against its directory. `overrides` are the pairs of `--set KEY=VALUE`: a dotted key, and
/// a value that is TOML, or otherwise a string. A later pair replaces an earlier pair with the same key.
///
/// # Errors
///
/// Returns all mistakes at once, at least one, in the order described at [`ConfigErrors`]. If `text` is not TOML,
/// returns only the reasons for that.
pub fn load(
    text: &str,
    origin: &Path,
    overrides: &[(String, String)],
    facts: &Facts,
) -> Result<Settings, ConfigErrors> {
    let mut report = report::Report::new(origin);
    let settings = tree::parse(text, &mut report).and_then(|mut root| {
        tree::apply(&mut root, overrides, &mut report);
        let misspelt = names::check(&root, &mut report);
        let settings = resolve::settings(&root, origin, facts, &misspelt, &mut report);
        settings.map(|settings| Settings { given: change::given(&root), overrides: overrides.to_vec(), ..settings })
    });
    report.finish(settings).map(|(settings, warnings)| Settings { warnings, ..settings })
}
