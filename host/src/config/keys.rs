//! Every key of the job file, once: its name, the name in Spark, the type and range, the default, and the meaning.
//!
//! Owns the table of keys and the constants of derived defaults. From the table, values are checked, similar names are
//! found and `docs/configuration.md` is generated. Never computes: derived defaults and rules between keys are in
//! `resolve`.

use super::key::Declared;
use super::subject::Fallback;
use crate::time::Duration;
use std::sync::LazyLock;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The largest interval, delay or time limit. A larger value is most likely a wrong unit.
const HOUR_MS: u64 = 3_600_000;

/// The largest rate, in records a second.
const RATE_MAX: u32 = 1_000_000_000;

/// The default of `receiver.block_interval`, unless batches are shorter. It is Spark's default.
pub(super) const DEFAULT_BLOCK_INTERVAL: Duration = Duration::from_millis(200);

/// A `receiver.block_interval` below this value gives a warning, because each block becomes a task. This is Spark's
/// advice.
pub(super) const SMALL_BLOCK_INTERVAL: Duration = Duration::from_millis(50);

/// The default of `job.stop_timeout` is the length of this many batches, but at least [`STOP_TIMEOUT_MIN`].
pub(super) const STOP_TIMEOUT_BATCHES: u32 = 10;

/// See [`STOP_TIMEOUT_BATCHES`].
pub(super) const STOP_TIMEOUT_MIN: Duration = Duration::from_secs(60);

/// The default of `engine.memory` is the memory of plugin instances and this number of bytes, for blocks, shuffles and
/// data sets.
pub(super) const MEMORY_FOR_DATA: u64 = GIB;

/// How many plugin instances exist besides one for each thread: the instance of the driver.
pub(super) const DRIVER_INSTANCES: u64 = 1;

/// Declares keys, and lists them in `KEYS` in the same order.
macro_rules! keys {
    ($($id:ident: $shape:ty = $key:expr;)*) => {
        $(pub(in super::super) static $id: Key<$shape> = $key;)*

        /// The keys of this file, in the order of the documentation.
        pub(super) static KEYS: &[&dyn Declared] = &[$(&$id),*];
    };
}

mod connections;
mod host;
mod job;
mod kafka;
mod kafka_receiver;
mod nats;
mod otlp;
mod sources;
mod ui;

pub(super) use connections::*;
pub(super) use host::*;
pub(super) use job::*;
pub(super) use kafka::*;
pub(super) use kafka_receiver::*;
pub(super) use nats::*;
pub(super) use otlp::*;
pub(super) use sources::*;
pub(super) use ui::*;

/// All keys, in the order of the documentation.
pub(super) static KEYS: LazyLock<Vec<&'static dyn Declared>> = LazyLock::new(|| {
    let connections = [connections::KEYS, &CONNECTION_CLIENT.all()].concat();
    [
        job::KEYS,
        sources::KEYS,
        nats::KEYS,
        &kafka::ALL,
        &kafka_receiver::ALL,
        &connections,
        host::KEYS,
        ui::KEYS,
        otlp::KEYS,
    ]
    .concat()
});

/// How an argument of `--set` can begin, for completions in a shell: each key and `=`, with each value of a key that has
/// only a few. A table whose keys have other names in each job is named with a `.` at the end.
pub fn beginnings() -> Vec<String> {
    let mut beginnings: Vec<String> = Vec::new();
    for key in KEYS.iter() {
        let (name, values) = (key.name(), key.values());
        match (name.split_once("NAME"), key.fallback(), values.is_empty()) {
            (Some((table, _)), _, _) if beginnings.last().is_some_and(|last| last == table) => {}
            (Some((table, _)), _, _) => beginnings.push(table.to_owned()),
            (None, Fallback::Empty, _) => beginnings.push(format!("{name}.")),
            (None, _, true) => beginnings.push(format!("{name}=")),
            (None, _, false) => beginnings.extend(values.iter().map(|value| format!("{name}={value}"))),
        }
    }
    beginnings
}

/// The names of the tables, in the order of the documentation: `job`, `sources.NAME` and so on.
pub(super) fn sections() -> Vec<&'static str> {
    let mut sections: Vec<_> = KEYS.iter().map(|key| key.section()).collect();
    sections.dedup();
    sections
}

/// Tables of the job file that have names and types, as `[sources.lines]`.
pub(super) struct NamedTables {
    /// The table that has all of them: `sources`.
    pub(super) head: &'static str,
    /// Their section in the table of keys: `sources.NAME`.
    pub(super) section: &'static str,
    /// What each of them is, for messages.
    pub(super) one: &'static str,
    /// A name, for messages.
    pub(super) example: &'static str,
    /// What they are and what NAME is, for the documentation.
    pub(super) doc: &'static str,
}

/// The tables of sources.
pub(super) static SOURCES: NamedTables = NamedTables {
    head: "sources",
    section: "sources.NAME",
    one: "source",
    example: "lines",
    doc: "One table for each source. NAME is the name under which the plugin asks for it:",
};

/// The tables of connections.
pub(super) static CONNECTIONS: NamedTables = NamedTables {
    head: "connections",
    section: "connections.NAME",
    one: "connection",
    example: "kafka",
    doc: "One table for each connection that outputs of the plugin may use. NAME is the name under which the plugin names it:",
};

/// All kinds of tables that have names and types.
pub(super) static NAMED: [&NamedTables; 2] = [&SOURCES, &CONNECTIONS];

impl NamedTables {
    /// The tables that have this head or section. `None` if there are none.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        NAMED.into_iter().find(|tables| tables.head == name || tables.section == name)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::report::Report;

    #[test]
    fn every_key_is_documented_and_its_default_is_valid() {
        let mut names = std::collections::BTreeSet::new();
        for key in KEYS.iter() {
            assert!(key.doc().ends_with('.') && !key.doc().contains("  "), "{}", key.name());
            assert!(key.has_valid_default(&mut Report::new(Path::new("job.toml"))), "{}", key.name());
            assert!(names.insert((key.name(), key.of_type())), "{} is declared twice", key.name());
            assert!(!key.section().is_empty(), "{} stands in no table", key.name());
            let types: Vec<&str> = match key.section() {
                "connections.NAME" => CONNECTION_TYPE.shape().words().collect(),
                _ => SOURCE_TYPE.shape().words().collect(),
            };
            assert!(key.of_type().is_none_or(|of| types.contains(&of)), "{}", key.name());
        }
        assert_eq!(
            sections(),
            ["job", SOURCES.section, CONNECTIONS.section, "receiver", "backpressure", "engine", "limits", "ui", "otlp"]
        );
    }
}
