//! A broker of Apache Kafka on free ports of this machine, and what producers and administrators do to it.
//!
//! Owns the process of the broker, which ends with its tests, however they end: see `tests/kafka/broker`. The broker can be
//! killed and started again, with what it has on its disk. Where Kafka is not installed, tests are skipped, and say so. The
//! unit tests of the host and the suite include this file, since a broker costs three seconds to start.

use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long an answer of the broker may take. Only a broker that hangs takes this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a reader may hear nothing of records before it gives up.
const SILENT_MAX: u32 = 20;

/// How long to wait for room in the queue of a producer before looking again.
const MOMENT: Duration = Duration::from_millis(20);

/// The broker. Dropping it stops the broker and removes its topics.
pub struct Broker {
    directory: tempfile::TempDir,
    address: String,
    /// `None` while the broker is stopped.
    running: Option<Child>,
    /// Settings of clients that the broker lets in.
    client: Vec<(&'static str, String)>,
}

/// A record that was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBack {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<String>,
    pub value: Option<String>,
    pub headers: Vec<(String, String)>,
    pub timestamp_ms: i64,
}

impl Broker {
    /// The broker that the tests of this process share, each with topics of its own. `None` if Kafka is not installed.
    pub fn shared() -> Option<&'static Self> {
        // It ends when the process does, and its standard input with it.
        static SHARED: OnceLock<Option<Broker>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start("", Vec::new())).as_ref()
    }

    /// Starts a broker with further lines of its configuration. `client` are the settings of clients that it lets in.
    /// `None` if Kafka is not installed.
    pub fn start(properties: &str, client: Vec<(&'static str, String)>) -> Option<Self> {
        let directory =
            tempfile::Builder::new().prefix("millstream-kafka-").tempdir().expect("a directory can be made");
        std::fs::write(directory.path().join("more.properties"), properties).expect("the directory can be written to");
        let mut broker = Self { directory, address: String::new(), running: None, client };
        broker.run().then_some(broker)
    }

    /// Starts the broker again, on the same port and with the same topics.
    pub fn resume(&mut self) {
        assert!(self.run(), "a broker that was there can be started");
    }

    /// Runs the broker. Returns false if Kafka is not installed.
    fn run(&mut self) -> bool {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/kafka/broker");
        let mut command = Command::new(program);
        command.arg(self.directory.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the script can be started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).expect("it is text");
        if let Some(address) = line.strip_prefix("listening on ") {
            self.address = address.trim_end().to_owned();
            self.running = Some(child);
            return true;
        }
        let mut said = String::new();
        child.stderr.take().expect("it is piped").read_to_string(&mut said).expect("it is text");
        let status = child.wait().expect("a child can be waited for");
        assert_eq!(status.code(), Some(3), "the broker does not start: {said}");
        println!("skipped: {}", said.trim_end());
        false
    }

    /// Kills the broker, as `kill -9` does.
    pub fn kill(&mut self) {
        let Some(mut child) = self.running.take() else { return };
        // The script kills the broker when its standard input ends.
        drop(child.stdin.take());
        child.wait().expect("a child can be waited for");
    }

    /// Stops the broker in whatever it does, or lets it go on. Its connections stay.
    pub fn freeze(&self, is_frozen: bool) {
        let script = self.running.as_ref().expect("the broker runs").id();
        let children = std::fs::read_to_string(format!("/proc/{script}/task/{script}/children"));
        let signal = if is_frozen { "-STOP" } else { "-CONT" };
        for process in children.expect("the kernel knows the children").split_whitespace() {
            let sent = Command::new("sh").args(["-c", &format!("kill {signal} {process}")]).status();
            assert!(sent.expect("there is a shell").success(), "the broker takes signals");
        }
    }

    /// The address for clients.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The configuration of a client of the broker.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        for (name, value) in &self.client {
            config.set(*name, value);
        }
        config
    }

    /// The value of a key of the broker's configuration, whose last line counts.
    pub fn property(&self, key: &str) -> String {
        let text = std::fs::read_to_string(self.directory.path().join("server.properties"));
        let text = text.expect("the broker was started");
        let line = text.lines().rev().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.expect("the key is set").to_owned()
    }

    /// The numbers of the brokers that lead the partitions of a topic.
    pub fn leaders(&self, topic: &str) -> Vec<i32> {
        let client: BaseConsumer = self.config().create().expect("the client can be made");
        let metadata = client.fetch_metadata(Some(topic), PATIENCE).expect("the broker answers");
        let of_topic = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
        of_topic.iter().map(|partition| partition.leader()).collect()
    }

    /// Waits until each partition of a topic has as many replicas that are in sync.
    pub fn wait_for_replicas(&self, topic: &str, replicas: usize) {
        let client: BaseConsumer = self.config().create().expect("the client can be made");
        loop {
            let metadata = client.fetch_metadata(Some(topic), PATIENCE).expect("the broker answers");
            let of_topic = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
            if of_topic.iter().all(|partition| partition.isr().len() == replicas) {
                return;
            }
        }
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().expect("the client can be made")
    }

    /// Makes a topic with a name of its own.
    pub fn topic(&self, partitions: i32) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("topic-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.make_topic(&name, partitions, 1);
        name
    }

    /// Makes a topic, and waits until it can be used.
    pub fn make_topic(&self, name: &str, partitions: i32, replicas: i32) {
        self.make(NewTopic::new(name, partitions, TopicReplication::Fixed(replicas)));
    }

    /// Makes a topic whose messages have the time at which the broker stored them, whatever their producer says.
    pub fn make_topic_of_stored_times(&self, name: &str, partitions: i32) {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        self.make(topic.set("message.timestamp.type", "LogAppendTime"));
    }

    fn make(&self, topic: NewTopic<'_>) {
        let made = block_on(self.admin().create_topics([&topic], &AdminOptions::new()));
        made.expect("the broker answers").into_iter().for_each(|made| drop(made.expect("the topic can be made")));
        self.wait_for_partitions(topic.name, topic.num_partitions);
    }

    /// Gives a topic more partitions: `partitions` in all.
    pub fn grow_topic(&self, name: &str, partitions: i32) {
        let count = usize::try_from(partitions).expect("it is a number of partitions");
        let grown = block_on(self.admin().create_partitions([&NewPartitions::new(name, count)], &AdminOptions::new()));
        grown.expect("the broker answers").into_iter().for_each(|grown| drop(grown.expect("the topic can grow")));
        self.wait_for_partitions(name, partitions);
    }

    /// Removes a topic.
    pub fn remove_topic(&self, name: &str) {
        let removed = block_on(self.admin().delete_topics(&[name], &AdminOptions::new()));
        removed.expect("the broker answers").into_iter().for_each(|gone| drop(gone.expect("the topic can be removed")));
        self.wait_for_partitions(name, 0);
    }

    /// Removes the records of a partition before an offset.
    pub fn remove_records(&self, name: &str, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(name, partition, Offset::Offset(before)).expect("the list takes it");
        block_on(self.admin().delete_records(&list, &AdminOptions::new())).expect("the broker answers");
    }

    fn wait_for_partitions(&self, name: &str, partitions: i32) {
        let client: BaseConsumer = self.config().create().expect("the client can be made");
        loop {
            let metadata = client.fetch_metadata(Some(name), PATIENCE).expect("the broker answers");
            let of_topic = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
            let are_led = of_topic.iter().all(|partition| partition.leader() >= 0);
            if are_led && i32::try_from(of_topic.len()) == Ok(partitions) {
                return;
            }
        }
    }

    /// A producer that loses and doubles nothing. It finds new partitions soon.
    pub fn producer(&self) -> BaseProducer {
        let mut config = self.config();
        config.set("enable.idempotence", "true").set("linger.ms", "0").set("topic.metadata.refresh.interval.ms", "100");
        config.create().expect("the client can be made")
    }

    /// Sends values to a partition, and waits until the broker has them.
    pub fn send<V: AsRef<[u8]>>(&self, topic: &str, partition: i32, values: impl IntoIterator<Item = V>) {
        let producer = self.producer();
        for value in values {
            send_one(&producer, BaseRecord::<[u8], [u8]>::to(topic).partition(partition).payload(value.as_ref()));
        }
        producer.flush(PATIENCE).expect("the broker takes the records");
    }

    /// Gives a producer a text for a partition. The producer sends it when the broker can be reached.
    pub fn send_by(producer: &BaseProducer, topic: &str, partition: i32, value: &str) {
        send_one(producer, BaseRecord::<[u8], [u8]>::to(topic).partition(partition).payload(value.as_bytes()));
        producer.poll(Duration::ZERO);
    }

    /// Waits until the broker has all that a producer was given.
    pub fn flush(producer: &BaseProducer) {
        producer.flush(PATIENCE).expect("the broker takes the records");
    }

    /// Sends a whole record, and waits until the broker has it.
    pub fn send_record(
        &self,
        topic: &str,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&str>)],
    ) {
        let producer = self.producer();
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition);
        record.key = key;
        record.payload = value;
        let add = |all: OwnedHeaders, (key, value): &(&str, Option<&str>)| all.insert(Header { key, value: *value });
        record.headers = Some(headers.iter().fold(OwnedHeaders::new(), add));
        send_one(&producer, record);
        producer.flush(PATIENCE).expect("the broker takes the record");
    }

    /// Sends values to a partition in a transaction, which is then committed or aborted.
    pub fn transaction(&self, topic: &str, partition: i32, values: &[&str], commits: bool) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut config = self.config();
        config.set("transactional.id", format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let producer: BaseProducer = config.create().expect("the client can be made");
        producer.init_transactions(PATIENCE).expect("the broker has transactions");
        producer.begin_transaction().expect("no transaction is open");
        for value in values {
            send_one(&producer, BaseRecord::<[u8], [u8]>::to(topic).partition(partition).payload(value.as_bytes()));
        }
        producer.flush(PATIENCE).expect("the broker takes the records");
        let ended = if commits { producer.commit_transaction(PATIENCE) } else { producer.abort_transaction(PATIENCE) };
        ended.expect("the transaction ends");
    }

    /// The offset that a group has committed for a partition.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let mut config = self.config();
        let client: BaseConsumer = config.set("group.id", group).create().expect("the client can be made");
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let committed = client.committed_offsets(list, PATIENCE).expect("the broker answers");
        match committed.find_partition(topic, partition)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }

    /// A broker that somebody else runs, for clients without settings.
    pub fn at(address: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        Self { directory, address: address.to_owned(), running: None, client: Vec::new() }
    }

    /// The committed records of a topic, partition by partition.
    pub fn read_back(&self, topic: &str) -> Vec<ReadBack> {
        let mut records = Vec::new();
        self.each_committed(topic, |record| records.push(record));
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    /// Gives each committed record of a topic to `take`, the records of a partition in order.
    pub fn each_committed(&self, topic: &str, mut take: impl FnMut(ReadBack)) {
        let (client, partitions) = self.reader(topic);
        let (mut ended, mut silent) = (0, 0);
        while ended < partitions {
            match client.poll(PATIENCE) {
                Some(Ok(message)) => take(read_back(&message)),
                Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
                Some(Err(error)) => panic!("{error}"),
                // The client may have heard something that is no record.
                None => {
                    silent += 1;
                    assert!(silent < SILENT_MAX, "the broker gives the records");
                }
            }
        }
    }

    /// Gives each committed record of a topic to `take`, also those that come, until `take` returns false.
    pub fn follow(&self, topic: &str, mut take: impl FnMut(ReadBack) -> bool) {
        let (client, _) = self.reader(topic);
        loop {
            match client.poll(PATIENCE).expect("the broker gives the records") {
                Ok(message) if !take(read_back(&message)) => return,
                Ok(_) | Err(KafkaError::PartitionEOF(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The number of records and markers that a topic has ever had.
    pub fn end_of(&self, topic: &str) -> u64 {
        let (client, partitions) = self.reader(topic);
        let end = |number| client.fetch_watermarks(topic, number, PATIENCE).expect("the broker answers").1;
        (0..).take(partitions).map(|number| end(number).unsigned_abs()).sum()
    }

    /// A consumer of the committed records of a topic, from their beginning, and the number of partitions.
    fn reader(&self, topic: &str) -> (BaseConsumer, usize) {
        let mut config = self.config();
        config
            .set("group.id", "reads-back")
            // A commit would end a wait for records early.
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "50")
            .set("enable.partition.eof", "true");
        let client: BaseConsumer = config.create().expect("the client can be made");
        let metadata = client.fetch_metadata(Some(topic), PATIENCE).expect("the broker answers");
        let mut list = TopicPartitionList::new();
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        for number in (0..).take(partitions) {
            list.add_partition_offset(topic, number, Offset::Beginning).expect("the list takes it");
        }
        client.assign(&list).expect("the partitions are there");
        (client, partitions)
    }
}

/// Gives a record to a producer, and waits while the producer has no room or does not know of a new partition yet.
fn send_one(producer: &BaseProducer, record: BaseRecord<'_, [u8], [u8]>) {
    let mut record = record;
    loop {
        match producer.send(record) {
            Ok(()) => return,
            Err((error, refused)) => {
                let code = error.rdkafka_error_code();
                let passes = matches!(code, Some(RDKafkaErrorCode::QueueFull | RDKafkaErrorCode::UnknownPartition));
                assert!(passes, "a record cannot be sent: {error}");
                record = refused;
            }
        }
        // The call takes the whole time, also if there is room before.
        producer.poll(MOMENT);
    }
}

fn read_back(message: &rdkafka::message::BorrowedMessage<'_>) -> ReadBack {
    use rdkafka::message::Headers as _;
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let headers = message.headers().map(|headers| {
        let pair = |header: Header<'_, &[u8]>| (header.key.to_owned(), text(header.value).unwrap_or_default());
        headers.iter().map(pair).collect()
    });
    ReadBack {
        partition: message.partition(),
        offset: message.offset(),
        key: text(message.key()),
        value: text(message.payload()),
        headers: headers.unwrap_or_default(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}
