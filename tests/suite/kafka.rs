//! The source of type `kafka`: a real broker and the real program, and the whole host in a simulated world.

mod brokers;
mod offsets;

use super::support::binary::{Directory, Running};
use super::support::numbers::numbered;
use super::support::simulated::{Death, Job, START};
use host::env::TopicPartition;
use millstream_tests::kafka_broker::Broker;
use millstream_tests::repository;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

/// A job that saves its lines.
fn job(broker: &str, topic: &str, keys: &str) -> String {
    format!(
        "[job]\nname = \"saved\"\nplugin = \"recoverable.wasm\"\nbatch_interval = \"50ms\"\ncheckpoint = \"state\"\n\
         directories = {{ out = \".\" }}\nargs = {{ batch_ms = \"50\" }}\n\n\
         [sources.lines]\ntype = \"kafka\"\nservers = \"{broker}\"\n{topic}\n{keys}"
    )
}

fn started(directory: &Directory) -> Running {
    Running::start(directory.host(&["run", "job.toml", "--json"]))
}

/// Waits until the job has saved as many lines.
fn wait_until_saved(host: &mut Running, directory: &Directory, count: u64) {
    while directory.saved_lines().values().sum::<u64>() < count {
        host.wait_for_more_out("\"event\":\"BatchCompleted\"", 1);
    }
}

/// A function that sends so many numbered records to a partition of a topic, and goes on with the next number.
fn sender(topic: &str) -> impl FnMut(&Broker, i32, u64) + use<> {
    let (topic, mut next) = (topic.to_owned(), 0);
    move |broker, partition, count| {
        broker.send(&topic, partition, (next..next + count).map(|number| format!("n{number}")));
        next += count;
    }
}

/// S2.32, S2.34, S16.22: each record is saved once, whoever wrote it, though the topic grows, the host is killed and the
/// broker is started again. The group knows how far the job has read.
#[test]
fn each_record_is_saved_once_whatever_happens() {
    let Some(mut broker) = Broker::start("", Vec::new()) else { return };
    let topic = broker.topic(2);
    let directory = Directory::with_job("recoverable");
    let keys = "group = \"watched\"\n";
    directory.write("job.toml", job(broker.address(), &format!("topics = \"{topic}\""), keys));
    let mut send = sender(&topic);
    send(&broker, 0, 300);
    let mut host = started(&directory);
    wait_until_saved(&mut host, &directory, 300);
    // Records of transactions, and those that were aborted.
    broker.transaction(&topic, 1, &["c0", "c1"], true);
    broker.transaction(&topic, 1, &["x", "y"], false);
    wait_until_saved(&mut host, &directory, 302);
    // The broker goes away and comes back.
    send(&broker, 1, 100);
    broker.kill();
    broker.resume();
    send(&broker, 0, 100);
    wait_until_saved(&mut host, &directory, 502);
    // The topic grows.
    broker.grow_topic(&topic, 3);
    send(&broker, 2, 100);
    wait_until_saved(&mut host, &directory, 602);
    // The host is killed while records come.
    host.signal("KILL");
    drop(host.finish());
    send(&broker, 2, 100);
    let mut host = started(&directory);
    wait_until_saved(&mut host, &directory, 702);
    let log = host.stopped().err;
    let expected = numbered(700).into_iter().chain(["c0", "c1"].map(|value| (value.to_owned(), 1))).collect();
    assert_eq!(directory.saved_lines(), expected, "{log}");
    let committed: Vec<_> = (0..3).map(|number| broker.committed("watched", &topic, number)).collect();
    // The second partition has two markers and two records that were aborted.
    assert_eq!(committed, [Some(400), Some(106), Some(200)]);
}

/// S2.35: topics by pattern, and single partitions; where a job begins; messages that are no records.
#[test]
fn what_is_read_follows_from_the_job_file() {
    let Some(broker) = Broker::shared() else { return };
    for topic in ["pattern-a", "pattern-b"] {
        broker.make_topic(topic, 2, 1);
    }
    broker.send("pattern-a", 0, ["n0", "n1"]);
    broker.send("pattern-a", 1, ["n2"]);
    broker.send("pattern-b", 0, ["n3"]);
    let cases = [
        ("topics_pattern = \"pattern-*\"", "", 4),
        ("topics = \"pattern-b, pattern-a\"", "", 4),
        ("partitions = \"pattern-a/0\"", "", 2),
        ("topics = \"pattern-a\"", "start_offsets = { \"pattern-a/0\" = 1, \"pattern-a/1\" = 0 }\n", 2),
        ("topics = \"pattern-a\"", "start_time_ms = 4000000000000\n", 0),
        ("topics = \"pattern-a\"", "start = \"latest\"\n", 0),
    ];
    for (topics, keys, count) in cases {
        let directory = Directory::with_job("recoverable");
        directory.write("job.toml", job(broker.address(), topics, keys));
        let mut host = started(&directory);
        wait_until_saved(&mut host, &directory, count);
        host.wait_for_more_out("\"event\":\"BatchCompleted\"", 2);
        host.stopped();
        assert_eq!(directory.saved_lines().values().sum::<u64>(), count, "{topics} {keys}");
    }
}

/// A record that is not there any more, and one that is no text, end the job with an error that names the offsets, or are
/// left out and reported.
#[test]
fn what_cannot_be_read_is_named_by_its_offset() {
    let Some(broker) = Broker::shared() else { return };
    let topic = broker.topic(1);
    broker.send(&topic, 0, ["n0"]);
    broker.send(&topic, 0, [b"\xff".as_slice()]);
    broker.send(&topic, 0, ["n1"]);
    let directory = Directory::with_job("recoverable");
    let topics = format!("topics = \"{topic}\"");
    directory.write("job.toml", job(broker.address(), &topics, ""));
    let said = directory.run(&["run", "job.toml"]);
    let expected = format!("offset 1 of partition {topic}/0 is no record: its value is not UTF-8 after byte 0");
    assert!(said.error().contains(&expected), "{}", said.err);
    assert_eq!(directory.saved_lines(), BTreeMap::new());
    directory.write("job.toml", job(broker.address(), &topics, "on_bad_message = \"skip\"\n"));
    let mut host = started(&directory);
    host.wait_for_err("MessagesGivenUp lines");
    wait_until_saved(&mut host, &directory, 2);
    host.stopped();
    assert_eq!(directory.saved_lines(), numbered(2));
    // Records are removed before the job has read them.
    broker.send(&topic, 0, ["n2", "n3", "n4"]);
    broker.remove_records(&topic, 0, 5);
    let said = directory.run(&["run", "job.toml"]);
    let expected =
        format!("partition {topic}/0 has offsets 5 to 6, and the batch reads 3 to 6: older records were removed");
    assert!(said.error().contains(&expected) && said.error().contains("on_data_loss"), "{}", said.err);
    directory.write("job.toml", job(broker.address(), &topics, "on_bad_message = \"skip\"\non_data_loss = \"skip\"\n"));
    let mut host = started(&directory);
    host.wait_for_err("DataLost lines");
    wait_until_saved(&mut host, &directory, 3);
    let log = host.stopped().err;
    assert!(log.contains("offsets 3 to 5 (2 offsets) are gone; the partition has 5 to 6"), "{log}");
}

/// The host goes on when the broker is down at its start, and says so.
#[test]
fn a_broker_that_is_down_is_waited_for() {
    let Some(mut broker) = Broker::start("", Vec::new()) else { return };
    let topic = broker.topic(1);
    broker.send(&topic, 0, ["n0"]);
    broker.kill();
    let directory = Directory::with_job("recoverable");
    directory.write("job.toml", job(broker.address(), &format!("topics = \"{topic}\""), ""));
    let mut host = started(&directory);
    host.wait_for_err("InputError lines: the brokers");
    broker.resume();
    wait_until_saved(&mut host, &directory, 1);
    host.stopped();
    assert_eq!(directory.saved_lines(), numbered(1));
}

/// S16.22: the host dies at any write, the machine loses what was not synced, and the brokers are away for a while. Each
/// record is saved once.
#[test]
fn records_survive_crashes_once() {
    for seed in 0..12 {
        let mut job = simulated(seed).with_checkpoint();
        job.kafka_away = Some((START + Duration::from_secs(9 + seed % 5), START + Duration::from_secs(16)));
        let outcome = job.run_through(&Death::three(seed));
        assert_eq!(outcome.result, Ok(()), "{seed}");
        assert_eq!(outcome.saved_lines(), numbered(RECORDS), "{seed}");
    }
}

/// The number of records of a simulated job.
const RECORDS: u64 = 400;

/// A simulated job over a topic of three partitions to which a record comes every 37 ms, and now and then a marker.
fn simulated(seed: u64) -> Job {
    let mut job = Job::on_queue("recoverable", "").with_seed(seed);
    job.job_file = "[job]\nname = \"topic\"\n\n[sources.lines]\ntype = \"kafka\"\nservers = \"kafka:9092\"\n\
                    topics = \"events\"\n"
        .to_owned();
    job.files = Vec::new();
    for number in 0..RECORDS {
        let comes = START + Duration::from_millis(37 * number);
        let of = TopicPartition { topic: "events".to_owned(), number: i32::try_from(number % 3).unwrap_or(0) };
        job.kafka.push((comes, of.clone(), Some(format!("n{number}"))));
        if number % 10 == 9 {
            job.kafka.push((comes, of, None));
        }
    }
    job.stop_at = vec![START + Duration::from_secs(60)];
    job
}

/// A job that saves the lines of a member of a group.
fn receiver_job(broker: &str, topic: &str, keys: &str) -> String {
    let source = format!(
        "topics = \"{topic}\"\ngroup = \"members\"\nrestart_delay = \"20ms\"\n\
         options = {{ \"session.timeout.ms\" = \"6000\" }}"
    );
    let job = job(broker, &source, keys);
    job.replace("type = \"kafka\"", "type = \"kafka-receiver\"")
}

/// S2.27, S2.28, S2.45: under the write-ahead log, each record of a topic is saved once, though the host is killed and the
/// broker is started again; the group knows what is stored.
#[test]
fn a_member_of_a_group_saves_each_record_once() {
    let Some(mut broker) = Broker::start("", Vec::new()) else { return };
    let topic = broker.topic(2);
    let directory = Directory::with_job("recoverable");
    let log = "\n[receiver]\nblock_interval = \"50ms\"\nwrite_ahead_log = true\n";
    directory.write("job.toml", receiver_job(broker.address(), &topic, log));
    let mut send = sender(&topic);
    send(&broker, 0, 300);
    let mut host = started(&directory);
    wait_until_saved(&mut host, &directory, 300);
    send(&broker, 1, 100);
    host.signal("KILL");
    drop(host.finish());
    send(&broker, 0, 100);
    let mut host = started(&directory);
    wait_until_saved(&mut host, &directory, 500);
    broker.kill();
    broker.resume();
    send(&broker, 1, 100);
    wait_until_saved(&mut host, &directory, 600);
    let log = host.stopped().err;
    assert_eq!(directory.saved_lines(), numbered(600), "{log}");
    let committed = [0, 1].map(|number| broker.committed("members", &topic, number));
    assert_eq!(committed, [Some(400), Some(200)]);
}

/// S2.27, S2.28: the host dies at any write, and the brokers are away for a while. Under the write-ahead log, each record
/// that a member of a group gets is saved once.
#[test]
fn records_of_a_group_survive_crashes_once() {
    for seed in 0..12 {
        let mut job = simulated(seed).with_checkpoint();
        job.job_file = job.job_file.replace("type = \"kafka\"", "type = \"kafka-receiver\"\ngroup = \"g\"");
        job.job_file += "\n[receiver]\nwrite_ahead_log = true\n";
        job.kafka_away = Some((START + Duration::from_secs(9 + seed % 5), START + Duration::from_secs(16)));
        let outcome = job.run_through(&Death::three(seed));
        assert_eq!(outcome.result, Ok(()), "{seed}");
        assert_eq!(outcome.saved_lines(), numbered(RECORDS), "{seed}");
    }
}

/// S18.16, S18.17: without the arguments that Spark's programs take, the examples say what they are.
#[test]
fn the_examples_say_which_arguments_they_take() {
    let cases = [
        ("direct_kafka_word_count", "<bootstrapServers> <topics> <groupId>"),
        ("kafka_word_count", "<bootstrapServers> <topics> <groupId> <numThreads>"),
    ];
    for (name, arguments) in cases {
        let run = repository::root().join("examples").join(name).join("run");
        for wrong in [&["a:1"][..], &["a:1", "t", "g", "1", "more"]] {
            let mut command = Command::new(&run);
            command.args(wrong);
            let said = Running::start(command).finish();
            let usage = format!("Usage: examples/{name}/run {arguments}\n");
            assert_eq!((said.code, said.err), (Some(1), usage));
        }
    }
}
