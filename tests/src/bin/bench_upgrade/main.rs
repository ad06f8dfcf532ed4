//! The benchmark of upgrades: what a new plugin beside the old one costs, and whether a hand-over makes batches late.
//!
//! `cargo run --release -p millstream-tests --bin bench-upgrade -- [--seconds N] [--rounds N] [--interval-ms N]
//! [--load-percent N] [--only hand-over|windows]`
//!
//! Build the real program first: `cargo build --release -p host`. The measurements:
//!
//! * `hand-over`: a job counts the words of a socket with the old plugin of the example `upgrade`, its limits on. The rate
//!   is first set so that a batch of the old plugin takes `--load-percent` of the interval. Then each round lets the old
//!   plugin run alone for `--seconds`, starts the new plugin beside it, compares both for `--seconds`, hands the job over, and
//!   rolls back. At the end the new plugin takes the job over for good. Prints the old plugin's processing times with
//!   and without the new one, as ratios; how late the batches around each change were; whether each record and each batch was
//!   saved exactly once, by the right plugin; and the memory of the pair against the memory of one.
//! * `windows`: the time from `host upgrade` to a new run that is ready, for windows of several lengths: on a socket, where
//!   the windows fill from the stream, and on a queue, whose batches are given to the new run again.

mod rounds;
mod saved;
mod source;
mod windows;

use millstream_tests::arguments::{self, Measure, Place};
use std::process::ExitCode;

/// The options of the command line.
pub struct Options {
    seconds: u64,
    rounds: u64,
    interval_ms: u64,
    /// The processing time that the old plugin is to have alone, in percent of the interval.
    load_percent: u64,
    only: Option<String>,
}

const MEASUREMENTS: [(&str, Measure<Options>); 2] = [("hand-over", rounds::measure), ("windows", windows::measure)];

fn main() -> ExitCode {
    arguments::end(options().and_then(|options| run(&options)))
}

fn options() -> Result<Options, String> {
    let mut options = Options { seconds: 3, rounds: 5, interval_ms: 200, load_percent: 40, only: None };
    arguments::read(vec![
        ("--seconds", Place::Number(&mut options.seconds)),
        ("--rounds", Place::Number(&mut options.rounds)),
        ("--interval-ms", Place::Number(&mut options.interval_ms)),
        ("--load-percent", Place::Number(&mut options.load_percent)),
        ("--only", Place::Text(&mut options.only)),
    ])?;
    if [options.seconds, options.rounds, options.interval_ms, options.load_percent].contains(&0) {
        return Err("the numbers must be above 0".to_owned());
    }
    Ok(options)
}

fn run(options: &Options) -> Result<(), String> {
    let directory = || Ok(std::env::temp_dir().join(format!("millstream-bench-upgrade-{}", std::process::id())));
    arguments::measure(&MEASUREMENTS, options.only.as_deref(), directory, options)
}
