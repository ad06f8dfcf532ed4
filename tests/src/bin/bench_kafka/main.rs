//! The benchmark of Kafka: from one topic to another through a plugin that changes nothing, beside librdkafka itself and Kafka
//! Streams, on one broker of this machine.
//!
//! `cargo run --release -p millstream-tests --bin bench-kafka -- [--records N] [--rounds N] [--seconds N]
//! [--interval-ms N] [--only rate|latency]`
//!
//! Build the real program first: `cargo build --release -p host`. Needs `tests/kafka/install`, and for Kafka Streams
//! `tests/kafka/streams/install`; what is not installed is left out. The measurements:
//!
//! * `rate`: `--records` records of 100 bytes wait in a topic of two partitions. Each round copies them in several ways, one
//!   after the other: a loop of librdkafka in this program, the host, and Kafka Streams, each with transactions every
//!   `--interval-ms`, and the first two also without. The rate of a way follows from the times at which the broker stored the
//!   messages, from the first tenth to the last one, so that nothing is measured of its start. The loop
//!   has the host's waits and sizes for fetching and queueing, and the defaults of librdkafka otherwise. Unlike the host, the loop
//!   checks no checksums and does not ask where partitions end. Prints the rates, and the ratios within each round.
//! * `latency`: a producer sends 1000 records a second for `--seconds`, at batch intervals of 1 and 10 ms. Prints the quantiles
//!   of the time from sending a record to seeing it in the other topic.

mod job;
mod latency;
mod librdkafka;
mod rate;
mod streams;

use millstream_tests::arguments::{self, Place};
use millstream_tests::kafka_broker::Broker;
use millstream_tests::live;
use std::path::Path;
use std::process::ExitCode;

/// The options of the command line.
pub struct Options {
    records: u64,
    rounds: u64,
    seconds: u64,
    interval_ms: u64,
    only: Option<String>,
}

/// Measures something with a broker, and prints it. Files may be made in the directory.
type Measure = fn(&Broker, &Path, &Options) -> Result<(), String>;

const MEASUREMENTS: [(&str, Measure); 2] = [("rate", rate::measure), ("latency", latency::measure)];

fn main() -> ExitCode {
    arguments::end(options().and_then(|options| run(&options)))
}

fn options() -> Result<Options, String> {
    let mut options = Options { records: 1_000_000, rounds: 3, seconds: 10, interval_ms: 500, only: None };
    arguments::read(vec![
        ("--records", Place::Number(&mut options.records)),
        ("--rounds", Place::Number(&mut options.rounds)),
        ("--seconds", Place::Number(&mut options.seconds)),
        ("--interval-ms", Place::Number(&mut options.interval_ms)),
        ("--only", Place::Text(&mut options.only)),
    ])?;
    if [options.records, options.rounds, options.seconds, options.interval_ms].contains(&0) {
        return Err("the numbers must be above 0".to_owned());
    }
    if let Some(only) = options.only.as_ref().filter(|only| MEASUREMENTS.iter().all(|(name, _)| name != only)) {
        let known: Vec<&str> = MEASUREMENTS.iter().map(|(name, _)| *name).collect();
        return Err(format!("there is no measurement {only}; the measurements are {}", known.join(", ")));
    }
    Ok(options)
}

fn run(options: &Options) -> Result<(), String> {
    let directory = live::directory(None, "bench-kafka")?;
    let outcome = measure(&directory, options);
    // If the directory cannot be removed, the system removes it with other temporary files.
    let _ = std::fs::remove_dir_all(&directory);
    outcome
}

fn measure(directory: &Path, options: &Options) -> Result<(), String> {
    let broker = Broker::start("", Vec::new()).ok_or("Kafka is not installed")?;
    let chosen = |name: &str| options.only.as_ref().is_none_or(|only| only == name);
    for (name, measure) in MEASUREMENTS.iter().filter(|(name, _)| chosen(name)) {
        println!("---- {name}");
        measure(&broker, directory, options)?;
    }
    Ok(())
}
