//! A job that writes to a topic of Kafka, while the host is killed at random moments and the broker is killed and started
//! again. Readers of committed messages see each record once.

use super::super::support::binary::Running;
use super::super::support::numbers::Numbers;
use super::{INTERVAL_MS, directory, kills, seed, sleep};
use millstream_tests::kafka_broker::{Broker, ReadBack};
use std::collections::BTreeMap;
use std::time::Duration;

const BATCHES: u64 = 80;
/// The records of each batch.
const RECORDS: u64 = 50;

fn values(seen: &[ReadBack]) -> BTreeMap<&str, u64> {
    let mut values = BTreeMap::new();
    for message in seen {
        *values.entry(message.value.as_deref().expect("each message has a value")).or_default() += 1;
    }
    values
}

/// Whether the messages of each batch are together in each partition, and the batches in order.
fn are_in_order(seen: &[ReadBack]) -> bool {
    let batch = |message: &ReadBack| {
        let (_, id) = message.headers.iter().find(|(name, _)| name == "millstream-id").expect("a message has an id");
        let batch: u64 = id.split('/').nth(2).expect("an id has five parts").parse().expect("a batch is a number");
        (message.partition, batch)
    };
    seen.iter().map(batch).is_sorted()
}

/// S16.22: exactly once, from a source that can be read again to a topic.
#[test]
fn each_record_is_in_the_topic_once() {
    let Some(mut broker) = Broker::start("", Vec::new()) else { return };
    broker.make_topic("copies", 2, 1);
    let directory = directory("type = \"queue\"\npath = \"queue.jsonl\"", ", topic = \"copies\"");
    let mut job = std::fs::read_to_string(directory.path("job.toml")).expect("the job file is there");
    job.push_str(&format!(
        "[connections.kafka]\ntype = \"kafka\"\nservers = \"{}\"\ntopics = \"copies\"\ndelivery_timeout = \"10s\"\n",
        broker.address()
    ));
    directory.write("job.toml", job);
    let line = |number: u64| format!("n{number}");
    let batch = |batch: u64| (0..RECORDS).map(|at| line(batch * RECORDS + at)).collect::<Vec<_>>();
    let queue: String = (0..BATCHES).map(|number| format!("{:?}\n", batch(number))).collect();
    directory.write("queue.jsonl", queue);
    let mut numbers = Numbers(seed());
    let mut worked = 0;
    for kill in 0..kills() {
        let mut host = Running::start(directory.host(&["run", "job.toml", "--quiet", "--json"]));
        if numbers.below(4) > 0 {
            host.wait_for_out("\"event\":\"BatchCompleted\"");
            worked += 1;
        }
        if kill % 5 == 4 {
            // The broker goes while the host writes, and is back before the host has given up.
            broker.kill();
            broker.resume();
        }
        sleep(Duration::from_millis(numbers.below(2 * INTERVAL_MS)));
        host.signal("KILL");
        let said = host.finish();
        assert_eq!((said.code, said.error()), (None, ""), "{}", said.err);
    }
    let said = directory.run(&["run", "job.toml", "--stop-when-idle"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let seen = broker.read_back("copies");
    let expected: Vec<String> = (0..BATCHES * RECORDS).map(line).collect();
    let expected: BTreeMap<&str, u64> = expected.iter().map(|line| (line.as_str(), 1)).collect();
    assert_eq!(values(&seen), expected, "{worked} of {} lives had begun to work", kills());
    assert!(are_in_order(&seen), "a batch was written after a later one");
    let saved = directory.saved_lines();
    assert_eq!(saved.iter().map(|(line, count)| (line.as_str(), *count)).collect::<BTreeMap<_, _>>(), expected);
}
