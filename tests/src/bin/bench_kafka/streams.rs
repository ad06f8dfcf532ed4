//! Kafka Streams, copying one topic to another.

use millstream_tests::kafka_broker::Broker;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A program of Kafka Streams. Dropping it ends the program.
pub struct Streams(Child);

impl Streams {
    /// Starts to copy the topic `from` to the topic `to`, with transactions. `None` if Kafka Streams is not installed.
    ///
    /// # Errors
    /// Returns an error if the program cannot be started.
    pub fn start(
        broker: &Broker,
        directory: &Path,
        (from, to): (&str, &str),
        interval_ms: u64,
    ) -> Result<Option<Self>, String> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka/streams");
        let installed = Command::new(here.join("install")).output();
        let Some(libs) = installed.ok().filter(|installed| installed.status.success()) else {
            println!("skipped: Kafka Streams, which tests/kafka/streams/install gets with Maven");
            return Ok(None);
        };
        let libs = PathBuf::from(String::from_utf8_lossy(&libs.stdout).trim_end());
        let mut command = Command::new("java");
        command.arg("-cp").arg(libs.join("*")).arg(here.join("PassThrough.java"));
        command.args([broker.address(), from, to]).arg(directory.join(format!("state-{to}")));
        command.args(["exactly_once_v2", &interval_ms.to_string()]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        child.map(|child| Some(Self(child))).map_err(|error| format!("java cannot be started: {error}"))
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
