//! The benchmark of receivers: how many bytes a socket receiver takes, what the write-ahead log costs, and how late small
//! batches are with the log.
//!
//! `cargo run --release -p millstream-tests --bin bench-receive -- [--seconds N] [--rounds N] [--line-bytes N]
//! [--directory PATH] [--peer PROGRAM] [--only rate|http|latency|peer]`
//!
//! Build the real program first: `cargo build --release -p host`. The checkpoint directory is made in `--directory`, by
//! default beside this program, because the directory for temporary files may be in memory. The measurements:
//!
//! * `rate`: each round measures for `--seconds` how many bytes a server can send: to a job that counts lines, without and
//!   with the log, and to a loop that reads and does nothing. The round then writes the same bytes to files, in groups of
//!   the size that the log had, with one `fdatasync` for each group. Prints each rate, the rate with the log as a part of
//!   the smaller of the rate without the log and the rate of the files, and the processor time of the host.
//! * `http`: each round measures how many bytes clients can send in requests, until they are answered: to a job that counts
//!   lines, without and with the log, and to a loop that reads requests and does nothing. Prints each rate and the rate for
//!   each processor that the receiving side used.
//! * `latency`: each round sends 100 lines a millisecond to a job with batches of 1 ms, without and with the log. Each line
//!   holds the time at which it was sent. The job prints the first line of each batch, which waited longest. Prints the
//!   processing times, and the times from the sending of a line until the line has come out of the job.
//! * `peer`: each round measures how many bytes a server can send to a job that saves the lines which contain a word, and to
//!   a peer that does the same: Benthos, whose program `--peer` names. The program is built from the packages `service`,
//!   `components/io` and `components/pure` of the Go module `github.com/redpanda-data/benthos/v4`, with a main function that
//!   calls `service.RunCLI`.

mod flood;
mod latency;
mod peer;
mod processors;
mod rate;
mod requests;

use millstream_tests::arguments::{self, Measure, Place};
use millstream_tests::live;
use std::process::ExitCode;

/// The options of the command line.
pub struct Options {
    seconds: u64,
    rounds: u64,
    /// The length of a line with its end, in bytes.
    line_bytes: u64,
    directory: Option<String>,
    /// The program of the peer.
    peer: Option<String>,
    only: Option<String>,
}

const MEASUREMENTS: [(&str, Measure<Options>); 4] =
    [("rate", rate::measure), ("http", requests::measure), ("latency", latency::measure), ("peer", peer::measure)];

fn main() -> ExitCode {
    arguments::end(options().and_then(|options| run(&options)))
}

fn options() -> Result<Options, String> {
    let mut options = Options { seconds: 5, rounds: 5, line_bytes: 100, directory: None, peer: None, only: None };
    arguments::read(vec![
        ("--seconds", Place::Number(&mut options.seconds)),
        ("--rounds", Place::Number(&mut options.rounds)),
        ("--line-bytes", Place::Number(&mut options.line_bytes)),
        ("--directory", Place::Text(&mut options.directory)),
        ("--peer", Place::Text(&mut options.peer)),
        ("--only", Place::Text(&mut options.only)),
    ])?;
    Ok(options)
}

fn run(options: &Options) -> Result<(), String> {
    let directory = || live::directory(options.directory.as_deref(), "bench-receive");
    arguments::measure(&MEASUREMENTS, options.only.as_deref(), directory, options)
}

/// A job file for one of the programs of the package `benchmarks`, which reads lines from a socket.
pub fn job(program: &str, address: std::net::SocketAddr, interval_ms: u64, has_log: bool) -> Result<String, String> {
    let source = format!("type = \"socket\"\naddress = \"{address}\"\nreconnect_delay = \"50ms\"");
    job_from(program, &source, interval_ms, has_log)
}

/// As [`job`], from any source.
pub fn job_from(program: &str, source: &str, interval_ms: u64, has_log: bool) -> Result<String, String> {
    let plugin = millstream_tests::programs::plugin_path("benchmarks").canonicalize();
    let plugin = plugin.map_err(|error| format!("cannot find the plugin: {error}"))?;
    Ok(format!(
        "[job]\nname = \"bench\"\nplugin = {plugin:?}\nbatch_interval = \"{interval_ms}ms\"\nargs = {{ program = \
         {program:?} }}\ncheckpoint = \"checkpoint\"\ndirectories = {{ out = \"out\" }}\n\n[sources.lines]\n{source}\n\n\
         [receiver]\nwrite_ahead_log = {has_log}\n"
    ))
}
