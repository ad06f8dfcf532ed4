//! `save_to_kafka` with the real program and a real broker.

use super::support::binary::{Directory, Running};
use super::support::numbers::{Numbers, given};
use millstream_tests::kafka_broker::Broker;
use millstream_tests::programs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

#[expect(clippy::disallowed_methods, reason = "a host is killed at a moment that nothing else tells")]
fn sleep(time: Duration) {
    std::thread::sleep(time);
}

/// A job that writes its lines to `topic`, with further keys of its connection.
fn directory(broker: &Broker, topic: &str, keys: &str) -> Directory {
    let directory = Directory::with_job("recoverable");
    directory.write(
        "job.toml",
        format!(
            "[job]\nname = \"to-{topic}\"\nplugin = \"recoverable.wasm\"\nbatch_interval = \"50ms\"\nparallelism = 1\n\
             directories = {{ out = \".\" }}\nargs = {{ batch_ms = \"50\", topic = \"{topic}\" }}\n\n\
             [sources.lines]\ntype = \"queue\"\npath = \"queue.jsonl\"\n\n\
             [connections.kafka]\ntype = \"kafka\"\nservers = \"{}\"\ntopics = \"*\"\n{keys}",
            broker.address()
        ),
    );
    directory
}

/// A table with which a commit is tried again until it succeeds.
const TRIES: &str = "\n[engine]\ntask_attempts = 50\n";

fn values(broker: &Broker, topic: &str) -> Vec<String> {
    broker.read_back(topic).into_iter().filter_map(|message| message.value).collect()
}

/// Whoever has a topic reads what a job has written, with its ids; a broker that is away makes the job wait.
#[test]
fn a_job_waits_for_a_broker_that_is_away() {
    let Some(mut broker) = Broker::start("", Vec::new()) else { return };
    let topic = broker.topic(1);
    for delivery in ["transactional", "idempotent"] {
        let before = broker.read_back(&topic).len();
        let directory =
            directory(&broker, &topic, &format!("delivery = \"{delivery}\"\ndelivery_timeout = \"2s\"\n{TRIES}"));
        broker.kill();
        let mut host = Running::start(directory.host(&["run", "job.toml", "--stop-when-idle"]));
        host.wait_for_err("; the commit is tried again in ");
        broker.resume();
        let said = host.finish();
        assert_eq!(said.code, Some(0), "{}", said.err);
        let seen = broker.read_back(&topic).split_off(before);
        let values: Vec<&str> = seen.iter().filter_map(|message| message.value.as_deref()).collect();
        assert_eq!(values, ["to be or not to be", "that is", "hello world"], "{}", said.err);
        let ids: Vec<Vec<&str>> = seen.iter().map(|message| message.headers[0].1.split('/').collect()).collect();
        assert!(seen.iter().all(|message| message.headers[0].0 == "millstream-id"));
        assert_eq!(
            (&ids[0][..2], &ids[0][3..], &ids[1][3..]),
            (&[&*format!("to-{topic}"), "copies"][..], &["0", "0"][..], &["0", "1"][..])
        );
    }
}

/// What cannot become better is told at once, and names output, topic and cause.
#[test]
fn a_topic_that_does_not_exist_is_named() {
    let Some(broker) = Broker::shared() else { return };
    let directory = directory(
        broker,
        "other",
        "delivery = \"idempotent\"\noptions = { \"topic.metadata.propagation.max.ms\" = \"100\" }\n",
    );
    let said = directory.run(&["run", "job.toml", "--stop-when-idle"]);
    assert_eq!(said.code, Some(4), "{}", said.err);
    let message = said.error();
    assert!(
        message.contains("output `copies` (save_to_kafka, node ") && message.contains("topic `other`"),
        "{message}"
    );
    assert!(message.trim_end().ends_with("help: make the topic"), "{message}");
    let checked = directory.run(&["check", "job.toml"]);
    assert!(checked.out.contains("): topic other of connection kafka\n"), "{}", checked.out);
}

/// A producer that was not told to stop can write nothing any more when another one has its id.
#[test]
fn two_jobs_of_one_name_do_not_write_at_the_same_time() {
    let Some(broker) = Broker::shared() else { return };
    let topic = broker.topic(1);
    // Both jobs write all that they have, though each takes the id away from the other.
    let jobs = [directory(broker, &topic, TRIES), directory(broker, &topic, TRIES)];
    let queue: String = (0..20).map(|number| format!("[\"n{number}\"]\n")).collect();
    jobs.iter().for_each(|job| job.write("queue.jsonl", &queue));
    let start =
        |job: &Directory| Running::start(job.host(&["run", "job.toml", "--stop-when-idle", "--quiet", "--json"]));
    let mut first = start(&jobs[0]);
    // A job of the same name that begins in the same interval counts as the same job.
    first.wait_for_out("BatchCompleted");
    for said in [first, start(&jobs[1])].map(Running::finish) {
        assert_eq!(said.code, Some(0), "{}", said.err);
    }
    let mut values = values(broker, &topic);
    values.sort();
    assert_eq!(values.len(), 40, "{values:?}");
    assert!(values.chunks(2).all(|pair| pair[0] == pair[1]), "{values:?}");
}

/// The component of a plugin, different in each version: an additional section, which means nothing, has the version.
fn version(plugin: &[u8], version: u8) -> Vec<u8> {
    [plugin, &[0, 3, 1, b'v', version]].concat()
}

/// How often an upgrade may be refused because the one before it has not ended yet.
const REFUSALS_MAX: u32 = 200;

/// A job that writes a numbered record for each batch, and whose plugin is upgraded again and again.
struct Upgraded {
    directory: Directory,
    plugin: Vec<u8>,
    version: u8,
    numbers: Numbers,
    host: Running,
}

impl Upgraded {
    fn start(directory: &Directory) -> Running {
        let mut host = Running::start(directory.host(&["run", "job.toml", "--events", "events.jsonl"]));
        host.wait_for_err("BatchCompleted");
        host.wait_for_socket(directory);
        host
    }

    /// Starts a command, kills the host after a random time of at most `within_ms`, and starts the host again.
    fn kill_during(&mut self, args: &[&str], within_ms: u64) {
        let command = Running::start(self.directory.host(args));
        sleep(Duration::from_millis(self.numbers.below(within_ms)));
        // The next host finds the directory in use until this one has ended.
        self.host.signal_until_it_ends("KILL");
        drop(command.finish());
        let killed = std::mem::replace(&mut self.host, Self::start(&self.directory));
        drop(killed.finish());
    }

    /// Upgrades the job to another version. The host may be killed before it is ready, or while it hands over; then it is
    /// started again, and upgraded to yet another version.
    fn upgrade(&mut self, keep: &str) {
        let args = ["upgrade", "job.toml", "--plugin", "next.wasm", "--batches", "2", "--keep", keep];
        let (mut may_die, mut refusals) = (true, 0);
        loop {
            self.version += 1;
            self.directory.write("next.wasm", version(&self.plugin, self.version));
            if may_die && self.numbers.below(3) == 0 {
                may_die = false;
                self.kill_during(&args, 1500);
                continue;
            }
            let ready = self.directory.run(&args);
            if ready.code != Some(0) {
                refusals += 1;
                assert!(refusals < REFUSALS_MAX, "{}", ready.err);
                self.host.wait_for_more_err("BatchCompleted", 1);
                continue;
            }
            if may_die && self.numbers.below(2) == 0 {
                may_die = false;
                self.kill_during(&["upgrade", "commit"], 100);
                continue;
            }
            let committed = self.directory.run(&["upgrade", "commit"]);
            assert_eq!(committed.code, Some(0), "{}", committed.err);
            return;
        }
    }
}

/// Numbers that a thread sends to the partitions of a topic, each once, until the load ends.
struct Load {
    is_over: Arc<AtomicBool>,
    sends: JoinHandle<u64>,
}

impl Load {
    fn start(broker: &'static Broker, topic: &str) -> Self {
        let (is_over, topic) = (Arc::new(AtomicBool::new(false)), topic.to_owned());
        let sends = std::thread::spawn({
            let is_over = is_over.clone();
            move || {
                let producer = broker.producer();
                let mut sent = 0u64;
                while !is_over.load(Ordering::Relaxed) {
                    Broker::send_by(&producer, &topic, i32::from(sent % 2 == 1), &sent.to_string());
                    sent += 1;
                    sleep(Duration::from_millis(2));
                }
                Broker::flush(&producer);
                sent
            }
        });
        Self { is_over, sends }
    }

    /// Ends the load. Returns how many numbers were sent.
    fn stop(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.sends.join().expect("the broker takes the numbers")
    }
}

/// S13.01, S13.05: each record of a topic is in another topic once, through ten upgrades and two rollbacks under load, while
/// the host is killed. The consumer group knows how far the job has read.
#[test]
fn ten_upgrades_and_two_rollbacks_write_each_record_once() {
    let Some(broker) = Broker::shared() else { return };
    let (from, to) = (broker.topic(2), broker.topic(2));
    let directory = directory(broker, &to, "");
    let job = std::fs::read_to_string(directory.path("job.toml")).expect("the job file is there");
    let source =
        format!("type = \"kafka\"\nservers = \"{}\"\ntopics = \"{from}\"\ngroup = \"upgraded\"\n", broker.address());
    let job = job.replace("type = \"queue\"\npath = \"queue.jsonl\"\n", &source);
    // The name by which a test finds the socket of a job.
    let job = job.replace(&format!("\"to-{to}\""), "\"word-count\"");
    // Long enough for a machine on which other tests run: a job that falls behind is not upgraded.
    let job = job.replace("\"50ms\"\n", "\"500ms\"\ncheckpoint = \"checkpoint\"\n");
    directory.write("job.toml", job.replace("batch_ms = \"50\"", "batch_ms = \"500\""));
    let seed = given("MILLSTREAM_KILL_SEED").unwrap_or(17);
    println!("MILLSTREAM_KILL_SEED={seed}");
    let load = Load::start(broker, &from);
    let host = Upgraded::start(&directory);
    let plugin = programs::plugin("recoverable");
    let mut job = Upgraded { directory, plugin, version: 0, numbers: Numbers(seed), host };
    for number in 0..10 {
        let is_given_back = [3, 7].contains(&number);
        job.upgrade(if is_given_back { "1000" } else { "1" });
        job.host.wait_for_more_err("BatchCompleted", 3);
        if is_given_back {
            let said = job.directory.run(&["rollback"]);
            assert_eq!(said.code, Some(0), "{}", said.err);
            job.host.wait_for_more_err("BatchCompleted", 3);
        }
    }
    let sent = load.stop();
    while (values(broker, &to).len() as u64) < sent {
        job.host.wait_for_more_err("BatchCompleted", 1);
    }
    job.host.signal("INT");
    let said = job.host.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    let mut seen: Vec<u64> = values(broker, &to).iter().map(|value| value.parse().expect("a number")).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..sent).collect::<Vec<_>>());
    let committed = [0, 1].map(|number| broker.committed("upgraded", &from, number).unwrap_or(0));
    assert_eq!(committed.iter().sum::<i64>(), i64::try_from(sent).expect("it is a small number"));
}

/// A broker that answers nothing for a while, and loses no connection: records are read and written once all the same.
#[test]
fn a_broker_that_is_slow_is_waited_for() {
    let Some(broker) = Broker::start("", Vec::new()) else { return };
    let (from, to) = (broker.topic(1), broker.topic(1));
    let directory = directory(&broker, &to, TRIES);
    let job = std::fs::read_to_string(directory.path("job.toml")).expect("the job file is there");
    let source = format!("type = \"kafka\"\nservers = \"{}\"\ntopics = \"{from}\"\n", broker.address());
    directory.write("job.toml", job.replace("type = \"queue\"\npath = \"queue.jsonl\"\n", &source));
    let mut host = Running::start(directory.host(&["run", "job.toml", "--events", "events.jsonl"]));
    for round in 0..2 {
        broker.send(&from, 0, (round * 500..(round + 1) * 500).map(|number| number.to_string()));
        broker.freeze(true);
        host.wait_for_more_err("InputError lines: the brokers", 1);
        broker.freeze(false);
        while values(&broker, &to).len() < (round + 1) * 500 {
            host.wait_for_more_err("BatchCompleted", 1);
        }
    }
    host.signal("INT");
    let said = host.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    let expected: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    assert_eq!(values(&broker, &to), expected, "{}", said.err);
}
