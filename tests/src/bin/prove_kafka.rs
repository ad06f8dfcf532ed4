//! The proof that numbered records go from a topic of Kafka to another topic and to files once each, whatever happens.
//!
//! `cargo run --release -p millstream-tests --bin prove-kafka -- [--records N] [--kills N] [--life-ms N] [--seed N]
//! [--source TYPE]`
//!
//! Build the real program first: `cargo build --release -p host`. Needs `tests/kafka/install`. A producer sends `--records`
//! numbered records. Meanwhile a host that copies them to files and to a topic is killed with SIGKILL `--kills` times, each
//! time after a random time of at most `--life-ms`. After a third and two thirds of the kills, the broker is killed, too, and
//! started again. After half of them, the topic gets another partition, to which the producer sends from then on as well. At
//! the end, the topic, as readers of committed messages see it, and the files must have each number once. `--seed` repeats
//! the choices; the moments depend on the machine. `--source` is `kafka`, the default, or `kafka-receiver`: a member of a consumer
//! group, under the write-ahead log. Then no number may be missing; a number may come again when the group moves a partition.

use millstream_tests::arguments::{self, Place};
use millstream_tests::kafka_broker::Broker;
use millstream_tests::live::{self, LiveHost, pause};
use millstream_tests::programs;
use rdkafka::producer::BaseProducer;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

const PARTITIONS: i32 = 2;
/// How many records the producer sends between two looks at what it should do.
const CHUNK: u64 = 500;
/// How long the host may show nothing before the proof fails.
const PATIENCE_LOOKS: u32 = 300;
/// The time between two looks at the topic.
const LOOK: Duration = Duration::from_millis(200);

struct Options {
    records: u64,
    kills: u64,
    life_ms: u64,
    seed: u64,
    source: Option<String>,
}

impl Options {
    /// Whether the source is a member of a consumer group.
    fn is_member(&self) -> Result<bool, String> {
        match self.source.as_deref() {
            None | Some("kafka") => Ok(false),
            Some("kafka-receiver") => Ok(true),
            Some(other) => Err(format!("--source {other}: neither kafka nor kafka-receiver")),
        }
    }
}

fn main() -> ExitCode {
    arguments::end(run())
}

fn run() -> Result<(), String> {
    let mut options = Options { records: 1_000_000, kills: 30, life_ms: 4000, seed: live::now_ms(), source: None };
    arguments::read(vec![
        ("--records", Place::Number(&mut options.records)),
        ("--kills", Place::Number(&mut options.kills)),
        ("--life-ms", Place::Number(&mut options.life_ms)),
        ("--seed", Place::Number(&mut options.seed)),
        ("--source", Place::Text(&mut options.source)),
    ])?;
    println!("--seed {}", options.seed);
    let directory = live::directory(None, "prove-kafka")?;
    let outcome = prove(&directory, &options);
    if outcome.is_ok() {
        // If the directory cannot be removed, the system removes it with other temporary files.
        let _ = fs::remove_dir_all(&directory);
    }
    outcome.map_err(|error| format!("{error}; see {}", directory.display()))
}

/// What the producer should do.
struct Orders {
    /// How many records it may have sent.
    allowed: AtomicU64,
    partitions: AtomicI32,
}

fn send(sender: &BaseProducer, orders: &Orders, records: u64) {
    let mut number = 0;
    while number < records {
        if number % CHUNK == 0 && number >= orders.allowed.load(Ordering::Relaxed) {
            pause(Duration::from_millis(1));
            continue;
        }
        let partitions = orders.partitions.load(Ordering::Relaxed);
        let partition = (number % u64::from(partitions.unsigned_abs())) as i32;
        Broker::send_by(sender, "numbers", partition, &format!("n{number}"));
        number += 1;
    }
    Broker::flush(sender);
}

fn prove(directory: &Path, options: &Options) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot make a directory: {error}");
    let job = directory.join("job");
    fs::create_dir_all(&job).map_err(failed)?;
    let Some(mut broker) = Broker::start("", Vec::new()) else { return Ok(()) };
    broker.make_topic("numbers", PARTITIONS, 1);
    broker.make_topic("copies", PARTITIONS, 1);
    fs::write(job.join("plugin.wasm"), programs::plugin("benchmarks")).map_err(failed)?;
    let servers = broker.address();
    let is_member = options.is_member()?;
    let (source, receiver) = match is_member {
        true => (
            "kafka-receiver\"\ngroup = \"proof\"\noptions = { \"session.timeout.ms\" = \"6000\" }",
            "\n[receiver]\nwrite_ahead_log = true\n",
        ),
        false => ("kafka\"", ""),
    };
    let text = format!(
        "[job]\nname = \"proof\"\nplugin = \"plugin.wasm\"\nbatch_interval = \"200ms\"\ncheckpoint = \"checkpoint\"\n\
         directories = {{ out = \"out\" }}\nargs = {{ program = \"files-and-kafka\" }}\n\n\
         [sources.lines]\ntype = \"{source}\nservers = \"{servers}\"\ntopics = \"numbers\"\n\n\
         [connections.kafka]\ntype = \"kafka\"\nservers = \"{servers}\"\ntopics = \"copies\"\n{receiver}"
    );
    let orders = Orders { allowed: AtomicU64::new(0), partitions: AtomicI32::new(PARTITIONS) };
    let sender = broker.producer();
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| send(&sender, &orders, options.records));
        let outcome = live_and_die(&mut broker, &job, &text, &orders, options);
        // Whatever has happened, the producer ends.
        orders.allowed.store(u64::MAX, Ordering::Relaxed);
        outcome
    });
    outcome?;
    let host = LiveHost::start(&job, &text)?;
    let (mut copied, mut looks) = (0, 0);
    while copied < options.records {
        pause(LOOK);
        let now = if broker.end_of("copies") < options.records { copied } else { in_topic(&broker, options).known() };
        looks = if now > copied { 0 } else { looks + 1 };
        if looks > PATIENCE_LOOKS && in_topic(&broker, options).known() == copied {
            return Err(format!("the topic has only {copied} of {} records", options.records));
        }
        copied = now;
    }
    host.kill()?;
    check(&broker, &job.join("out"), options)
}

/// The numbers in the topic, as readers of committed messages see it.
fn in_topic(broker: &Broker, options: &Options) -> Numbers {
    let mut numbers = Numbers::new(options.records);
    broker.each_committed("copies", |message| numbers.add(message.value.as_deref().unwrap_or_default()));
    numbers
}

/// Lets the host live and die, and everything else happen.
fn live_and_die(broker: &mut Broker, job: &Path, text: &str, orders: &Orders, options: &Options) -> Result<(), String> {
    let mut random = options.seed;
    for kill in 0..options.kills {
        let host = LiveHost::start(job, text)?;
        // Each life brings its share of the records.
        orders.allowed.store(options.records * (kill + 1) / options.kills, Ordering::Relaxed);
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let life_ms = (random >> 33) % options.life_ms;
        pause(Duration::from_millis(life_ms));
        if [options.kills / 3, options.kills * 2 / 3].contains(&kill) {
            broker.kill();
            broker.resume();
            pause(Duration::from_millis(options.life_ms / 2));
        }
        if kill == options.kills / 2 {
            broker.grow_topic("numbers", PARTITIONS + 1);
            orders.partitions.store(PARTITIONS + 1, Ordering::Relaxed);
        }
        host.kill()?;
        println!("kill {} of {} after {life_ms} ms", kill + 1, options.kills);
    }
    Ok(())
}

/// Checks that topic and files have each number once, or at least once.
fn check(broker: &Broker, out: &Path, options: &Options) -> Result<(), String> {
    let may_repeat = options.is_member()?;
    let numbers = in_topic(broker, options);
    numbers.check("the topic", may_repeat).map_err(|error| format!("{error}{}", copies_of_first(broker, &numbers)))?;
    let mut in_files = Numbers::new(options.records);
    let failed = |error: std::io::Error| format!("cannot read what was saved: {error}");
    for batch in fs::read_dir(out).map_err(failed)? {
        let batch = batch.map_err(failed)?;
        if batch.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        for file in fs::read_dir(batch.path()).map_err(failed)? {
            let text = fs::read_to_string(file.map_err(failed)?.path()).map_err(failed)?;
            text.lines().for_each(|line| in_files.add(line));
        }
    }
    in_files.check("the files", may_repeat)
}

/// Where the copies of the first number are that is in the topic more than once. Empty if there is none.
fn copies_of_first(broker: &Broker, numbers: &Numbers) -> String {
    let Some(number) = numbers.seen.iter().position(|count| *count > 1) else { return String::new() };
    let (value, mut places) = (format!("n{number}"), String::new());
    broker.each_committed("copies", |message| {
        if message.value.as_deref() == Some(&value) {
            let id = message.headers.first().map(|(_, id)| id.as_str()).unwrap_or_default();
            let (partition, offset, at) = (message.partition, message.offset, message.timestamp_ms);
            places += &format!("\n{value}: partition {partition}, offset {offset}, written at {at} ms, {id}");
        }
    });
    places
}

/// How often each number was seen.
struct Numbers {
    seen: Vec<u8>,
    others: u64,
}

impl Numbers {
    fn new(records: u64) -> Self {
        Self { seen: vec![0; records as usize], others: 0 }
    }

    fn add(&mut self, text: &str) {
        let number = text.strip_prefix('n').and_then(|number| number.parse::<usize>().ok());
        match number.and_then(|number| self.seen.get_mut(number)) {
            Some(count) => *count = count.saturating_add(1),
            None => self.others += 1,
        }
    }

    /// How many numbers were seen.
    fn known(&self) -> u64 {
        self.seen.iter().filter(|count| **count > 0).count() as u64
    }

    fn check(&self, place: &str, may_repeat: bool) -> Result<(), String> {
        let missing = self.seen.iter().filter(|count| **count == 0).count();
        let doubled = self.seen.iter().filter(|count| **count > 1).count();
        match (missing, doubled, self.others) {
            (0, doubled, 0) if doubled == 0 || may_repeat => {
                let count = self.seen.len();
                println!("{place}: each of {count} numbers is there; {doubled} of them more than once");
                Ok(())
            }
            (missing, doubled, others) => Err(format!(
                "{place}: {missing} numbers are missing, {doubled} are there more than once, {others} are no numbers"
            )),
        }
    }
}
