//! The job file: `job.toml` and `--set` become [`Settings`], or a list of everything that is wrong with them.
//!
//! Owns the keys, their defaults and ranges, and what is said about mistakes; `docs/configuration.md` is written from
//! the same table. Stands before the life of a batch: the host reads the settings once, at start. Never opens a file
//! and never looks at the machine: text, path and number of CPUs are passed in.
//!
//! In reading order: `tree` reads TOML, and `syntax` explains what is not TOML; `names` finds unknown keys, and
//! `suggest` what was meant; `resolve` reads what `keys` declares through `sections`, which checks values by `shape`,
//! `range` and `units`; `settings` is the result.

mod change;
mod directories;
mod distance;
mod docs;
mod error;
mod files;
mod key;
mod keys;
mod lines;
mod names;
mod quote;
mod range;
mod report;
mod resolve;
mod sections;
mod settings;
mod shape;
mod subject;
mod suggest;
mod syntax;
#[cfg(test)]
mod tests;
mod tree;
mod units;

use std::path::Path;

pub use change::{KeyChange, changes};
pub use docs::markdown;
pub use error::{ConfigError, ConfigErrors};
pub use key::Change;
pub use settings::{
    Access, EngineSettings, Facts, Grant, JobSettings, LimitSettings, Location, OnCheckpointError, OnError,
    OnMissingFile, ReceiverSettings, Settings, SourceSettings, WhenDone, WhenFull,
};

/// Reads the settings of a job.
///
/// `text` is the job file and `origin` its path: messages name it as it is given here, and relative paths are resolved
/// against its directory. `overrides` are the pairs of `--set KEY=VALUE`: a dotted key, and a value that is TOML or
/// else a string; a later one replaces an earlier one.
///
/// # Errors
///
/// All mistakes at once, at least one, in the order described at [`ConfigErrors`]. If `text` is not TOML, only why.
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
        settings.map(|settings| Settings { given: change::given(&root), ..settings })
    });
    report.finish(settings).map(|(settings, warnings)| Settings { warnings, ..settings })
}
