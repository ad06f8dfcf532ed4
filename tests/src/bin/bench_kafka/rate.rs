//! How many records a second each way copies.

use super::job::{self, DELIVERIES};
use super::streams::Streams;
use super::{Options, librdkafka};
use millstream_tests::kafka_broker::Broker;
use millstream_tests::live::pause;
use millstream_tests::numbers::median;
use std::path::Path;
use std::time::Duration;

const PARTITIONS: i32 = 2;
const RECORD_BYTES: usize = 100;
/// The time between two looks at a topic.
const LOOK: Duration = Duration::from_millis(200);

/// Measures, and prints the rates.
pub fn measure(broker: &Broker, directory: &Path, options: &Options) -> Result<(), String> {
    broker.make_topic("in", PARTITIONS, 1);
    for partition in 0..PARTITIONS {
        let numbers = (0..options.records).filter(|number| number % PARTITIONS as u64 == partition as u64);
        broker.send("in", partition, numbers.map(|number| format!("{number:0width$}", width = RECORD_BYTES)));
    }
    let (mut ratios, mut rates) = (Vec::new(), Vec::new());
    for round in 0..options.rounds {
        let round = round_of(broker, directory, options, round)?;
        for (way, rate) in &round {
            println!("{way:<34} {rate:>10.0} records/s");
        }
        let of = |way: &str| round.iter().find(|(name, _)| name == way).map(|(_, rate)| *rate);
        for delivery in DELIVERIES {
            let ratio = of(&format!("host, {delivery}")).zip(of(&format!("librdkafka, {delivery}")));
            ratios.extend(ratio.map(|(host, other)| (format!("host / librdkafka, {delivery}"), host / other)));
        }
        let ratio = of("host, transactional").zip(of("Kafka Streams, exactly_once_v2"));
        ratios.extend(ratio.map(|(host, other)| ("host / Kafka Streams".to_owned(), host / other)));
        rates.extend(round);
    }
    for (what, decimals) in [(&rates, 0), (&ratios, 2)] {
        let mut names: Vec<&String> = what.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        for name in names {
            let numbers: Vec<f64> = what.iter().filter(|(other, _)| other == name).map(|(_, number)| *number).collect();
            println!("median of {name:<34} {:.decimals$}", median(&numbers));
        }
    }
    Ok(())
}

/// The rate of each way, in records a second.
fn round_of(broker: &Broker, directory: &Path, options: &Options, round: u64) -> Result<Vec<(String, f64)>, String> {
    let mut rates = Vec::new();
    let interval = Duration::from_millis(options.interval_ms);
    for delivery in DELIVERIES {
        let to = format!("loop-{delivery}-{round}");
        broker.make_topic_of_stored_times(&to, PARTITIONS);
        let transactions = (delivery == "transactional").then_some(interval);
        librdkafka::copy(broker, ("in", &to), options.records, transactions)?;
        rates.push((format!("librdkafka, {delivery}"), rate(broker, &to, options.records)));
        let to = format!("host-{delivery}-{round}");
        broker.make_topic_of_stored_times(&to, PARTITIONS);
        let mut host = job::start(broker, directory, ("in", &to), delivery, options.interval_ms)?;
        let mut copied = 0;
        while copied < options.records {
            pause(LOOK);
            host.events.read()?;
            copied = host.events.batches.iter().map(|batch| batch.records).sum();
        }
        host.kill()?;
        rates.push((format!("host, {delivery}"), rate(broker, &to, options.records)));
    }
    let to = format!("streams-{round}");
    broker.make_topic_of_stored_times(&to, PARTITIONS);
    if let Some(streams) = Streams::start(broker, directory, ("in", &to), options.interval_ms)? {
        while broker.end_of(&to) < options.records {
            pause(LOOK);
        }
        // Markers of transactions count as well, and the last transaction may be open.
        pause(4 * interval);
        drop(streams);
        rates.push(("Kafka Streams, exactly_once_v2".to_owned(), rate(broker, &to, options.records)));
    }
    Ok(rates)
}

/// The records a second, from the times of the messages after the first tenth.
fn rate(broker: &Broker, topic: &str, records: u64) -> f64 {
    let mut times = Vec::new();
    broker.each_committed(topic, |message| times.push(message.timestamp_ms));
    times.sort_unstable();
    assert_eq!(times.len() as u64, records, "{topic} has each record once");
    let first = times.len() / 10;
    let span_ms = times.last().zip(times.get(first)).map_or(0, |(last, first)| last - first);
    (times.len() - first) as f64 / (span_ms.max(1) as f64 / 1000.0)
}
