//! The time from `host upgrade` to a new run that is ready, by the length of the window.

use crate::Options;
use crate::source::{self, Source};
use millstream_tests::live::{LiveHost, now_ms, pause};
use millstream_tests::programs;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// The lengths of windows, in seconds.
const LENGTHS: [u64; 3] = [1, 5, 20];
const INTERVAL_MS: u64 = 200;
/// How long a job runs before its windows have to be full, in seconds.
const START: u64 = 3;
/// The number of batches that a queue has.
const QUEUE_BATCHES: usize = 600;
const LINES_PER_SECOND: u64 = 500;

/// How long an upgrade took, from the command on.
struct Took {
    warm_ms: u64,
    ready_ms: u64,
    /// The time of the batches that the new run got again.
    replayed_ms: u64,
}

/// Measures each length on a socket and on a queue, with all jobs at the same time, and prints the figures.
pub fn measure(directory: &Path, _: &Options) -> Result<(), String> {
    // All jobs use the same plugin, which is built here.
    programs::plugin_path("benchmarks");
    let cases: Vec<(&str, u64)> =
        ["socket", "queue"].iter().flat_map(|kind| LENGTHS.map(|length| (*kind, length))).collect();
    let measured: Vec<Result<Took, String>> = std::thread::scope(|scope| {
        let start = |(kind, length): (&'static str, u64)| {
            scope.spawn(move || measure_case(&directory.join(format!("{kind}-{length}")), kind, length))
        };
        let threads: Vec<_> = cases.iter().copied().map(start).collect();
        let failed = |_| Err("a measurement panicked".to_owned());
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(failed)).collect()
    });
    for ((kind, length), measured) in cases.into_iter().zip(measured) {
        let Took { warm_ms, ready_ms, replayed_ms } =
            measured.map_err(|error| format!("{kind}, window of {length} s: {error}"))?;
        println!(
            "{kind:6} window of {length:2} s: {warm_ms:6} ms from `host upgrade` to full windows ({:.2} of the window), \
             {ready_ms:6} ms to ready; inputs of {replayed_ms} ms given again",
            warm_ms as f64 / (length * 1000) as f64,
        );
    }
    Ok(())
}

fn measure_case(directory: &Path, kind: &str, length: u64) -> Result<Took, String> {
    let plugin = programs::plugin_path("benchmarks").canonicalize();
    let plugin = plugin.map_err(|error| format!("cannot find the plugin: {error}"))?;
    std::fs::create_dir_all(directory).map_err(|error| format!("cannot make a directory: {error}"))?;
    let server = if kind == "socket" { Some(Source::start(LINES_PER_SECOND)?) } else { None };
    let place = match &server {
        Some(server) => format!("address = \"{}\"", server.address()),
        None => {
            std::fs::write(directory.join("queue.jsonl"), queue()).map_err(|error| format!("cannot write: {error}"))?;
            "path = \"queue.jsonl\"".to_owned()
        }
    };
    let job = format!(
        "[job]\nname = \"bench\"\nplugin = {plugin:?}\nbatch_interval = \"{INTERVAL_MS}ms\"\ncheckpoint = \"checkpoint\"\n\
         parallelism = 2\nargs = {{ program = \"window\", length = \"{length}\" }}\n\n\
         [sources.lines]\ntype = \"{kind}\"\n{place}\n",
    );
    let mut host = LiveHost::start(directory, &job)?;
    host.wait_for_batches(1)?;
    // Inputs that can be given again are there for a whole window.
    pause(Duration::from_secs(START + if kind == "queue" { length } else { 0 }));
    let begun = now_ms();
    // The plugin is the same. An upgrade needs something that changes.
    let set = ["--set", "job.parallelism=3"];
    host.ask(&[&["upgrade", "job.toml", "--no-wait", "--batches", "1"][..], &set[..]].concat())?;
    let warm = host.wait_for_step(0, &["comparing", "ready"])?;
    let ready = host.wait_for_step(0, &["ready"])?;
    let status = host.ask(&["upgrade", "status", "job.toml"])?;
    host.stop()?;
    let at = |member: &str| status[member].as_u64().unwrap_or_default();
    Ok(Took {
        warm_ms: warm.saturating_sub(begun),
        ready_ms: ready.saturating_sub(begun),
        replayed_ms: at("joined_after_ms").saturating_sub(at("data_after_ms")),
    })
}

/// A queue of small batches.
fn queue() -> String {
    let text = source::text();
    let lines: Vec<&str> = text.lines().collect();
    let mut queue = String::new();
    for batch in 0..QUEUE_BATCHES {
        let of_batch: Vec<&str> = (0..5).map(|line| lines[(batch * 5 + line) % lines.len()]).collect();
        let _ = writeln!(queue, "{of_batch:?}");
    }
    queue
}
