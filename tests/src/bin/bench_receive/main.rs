//! The benchmark of receivers: how many bytes a socket receiver takes, what the write-ahead log costs, and how late small
//! batches are with the log.
//!
//! `cargo run --release -p millstream-tests --bin bench-receive -- [--seconds N] [--rounds N] [--line-bytes N]
//! [--directory PATH] [--only rate|latency]`
//!
//! Build the real program first: `cargo build --release -p host`. The checkpoint directory is made in `--directory`, by
//! default beside this program, because the directory for temporary files may be in memory. The measurements:
//!
//! * `rate`: each round measures for `--seconds` how many bytes a server can send: to a job that counts lines, without and
//!   with the log, and to a loop that reads and does nothing. The round then writes the same bytes to files, in groups of
//!   the size that the log had, with one `fdatasync` for each group. Prints each rate, the rate with the log as a part of
//!   the smaller of the rate without the log and the rate of the files, and the processor time of the host.
//! * `latency`: each round sends 100 lines a millisecond to a job with batches of 1 ms, without and with the log. Each line
//!   holds the time at which it was sent. The job prints the first line of each batch, which waited longest. Prints the
//!   processing times, and the times from the sending of a line until the line has come out of the job.

mod flood;
mod latency;
mod rate;

use millstream_tests::arguments::{self, Place};
use millstream_tests::live;
use std::path::Path;
use std::process::ExitCode;

/// The options of the command line.
pub struct Options {
    seconds: u64,
    rounds: u64,
    /// The length of a line with its end, in bytes.
    line_bytes: u64,
    directory: Option<String>,
    only: Option<String>,
}

/// Measures something in a directory, and prints it.
type Measure = fn(&Path, &Options) -> Result<(), String>;

const MEASUREMENTS: [(&str, Measure); 2] = [("rate", rate::measure), ("latency", latency::measure)];

fn main() -> ExitCode {
    arguments::end(options().and_then(|options| run(&options)))
}

fn options() -> Result<Options, String> {
    let mut options = Options { seconds: 5, rounds: 5, line_bytes: 100, directory: None, only: None };
    arguments::read(vec![
        ("--seconds", Place::Number(&mut options.seconds)),
        ("--rounds", Place::Number(&mut options.rounds)),
        ("--line-bytes", Place::Number(&mut options.line_bytes)),
        ("--directory", Place::Text(&mut options.directory)),
        ("--only", Place::Text(&mut options.only)),
    ])?;
    if let Some(only) = options.only.as_ref().filter(|only| MEASUREMENTS.iter().all(|(name, _)| name != only)) {
        let known: Vec<&str> = MEASUREMENTS.iter().map(|(name, _)| *name).collect();
        return Err(format!("there is no measurement {only}; the measurements are {}", known.join(", ")));
    }
    Ok(options)
}

fn run(options: &Options) -> Result<(), String> {
    let chosen = |name: &str| options.only.as_ref().is_none_or(|only| only == name);
    for (name, measure) in MEASUREMENTS.iter().filter(|(name, _)| chosen(name)) {
        println!("---- {name}");
        let directory = live::directory(options.directory.as_deref(), "bench-receive")?;
        let outcome = measure(&directory, options);
        // What cannot be removed has no effect on the next run, which has another name.
        let _ = std::fs::remove_dir_all(&directory);
        outcome?;
    }
    Ok(())
}

/// A job file for one of the programs of the package `benchmarks`, which reads lines from a socket.
pub fn job(program: &str, address: std::net::SocketAddr, interval_ms: u64, has_log: bool) -> Result<String, String> {
    let plugin = millstream_tests::programs::plugin_path("benchmarks").canonicalize();
    let plugin = plugin.map_err(|error| format!("cannot find the plugin: {error}"))?;
    Ok(format!(
        "[job]\nname = \"bench\"\nplugin = {plugin:?}\nbatch_interval = \"{interval_ms}ms\"\nargs = {{ program = \
         {program:?} }}\ncheckpoint = \"checkpoint\"\n\n[sources.lines]\ntype = \"socket\"\naddress = \"{address}\"\n\
         reconnect_delay = \"50ms\"\n\n[receiver]\nwrite_ahead_log = {has_log}\n"
    ))
}
