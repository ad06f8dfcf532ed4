//! The job that copies one topic to another.

use millstream_tests::live::LiveHost;
use millstream_tests::{kafka_broker::Broker, programs};
use std::path::Path;

/// The delivery of a connection: with transactions, or without.
pub const DELIVERIES: [&str; 2] = ["transactional", "idempotent"];

/// Starts a host that copies the topic `from` to the topic `to`, in a directory of its own.
///
/// # Errors
/// Returns an error if the host cannot be started.
pub fn start(
    broker: &Broker,
    directory: &Path,
    (from, to): (&str, &str),
    delivery: &str,
    interval_ms: u64,
) -> Result<LiveHost, String> {
    let directory = directory.join(to);
    std::fs::create_dir_all(&directory).map_err(|error| format!("cannot make a directory: {error}"))?;
    let plugin = programs::plugin("benchmarks");
    std::fs::write(directory.join("plugin.wasm"), plugin).map_err(|error| format!("cannot write a plugin: {error}"))?;
    let servers = broker.address();
    let job = format!(
        "[job]\nname = \"{to}\"\nplugin = \"plugin.wasm\"\nbatch_interval = \"{interval_ms}ms\"\ncheckpoint = \"checkpoint\"\n\
         args = {{ program = \"kafka\", topic = \"{to}\" }}\n\n\
         [sources.lines]\ntype = \"kafka\"\nservers = \"{servers}\"\ntopics = \"{from}\"\nmax_rate_per_partition = 400000\n\n\
         [connections.kafka]\ntype = \"kafka\"\nservers = \"{servers}\"\ntopics = \"{to}\"\ndelivery = \"{delivery}\"\n"
    );
    LiveHost::start(&directory, &job)
}
