//! A loop of librdkafka that reads one topic and writes another.

use host::env::PRODUCER_QUEUE_BYTES;
use millstream_tests::kafka_broker::Broker;
use rdkafka::bindings::rd_kafka_flush;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const PATIENCE_MS: i32 = 60_000;
/// How many records are read between two looks at the clock.
const LOOK_RECORDS: u64 = 1000;

/// Copies this many records. With an interval, a transaction is committed whenever the interval is over, with the offsets of
/// what was read.
///
/// # Errors
/// Returns an error if the broker does not answer.
pub fn copy(
    broker: &Broker,
    (from, to): (&str, &str),
    records: u64,
    transactions: Option<Duration>,
) -> Result<(), String> {
    copy_all(broker, (from, to), records, transactions)
        .map_err(|error| format!("the loop of librdkafka failed: {error}"))
}

fn copy_all(
    broker: &Broker,
    (from, to): (&str, &str),
    records: u64,
    transactions: Option<Duration>,
) -> Result<(), KafkaError> {
    let mut config = broker.config();
    config
        .set("group.id", format!("loop {to}"))
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        // The host's values: with the library's own, the loop fetches nothing for up to a second after its queue was full.
        .set("fetch.wait.max.ms", "50")
        .set("fetch.queue.backoff.ms", "5");
    let consumer: BaseConsumer = config.create()?;
    let mut config = broker.config();
    config
        .set("enable.idempotence", "true")
        .set("delivery.report.only.error", "true")
        .set("queue.buffering.max.messages", "10000000")
        .set("queue.buffering.max.kbytes", (PRODUCER_QUEUE_BYTES >> 10).to_string());
    if transactions.is_some() {
        config.set("transactional.id", format!("loop {to}"));
    }
    let producer: BaseProducer = config.create()?;
    let metadata = consumer.fetch_metadata(Some(from), PATIENCE)?;
    let mut positions = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        positions.add_partition_offset(from, partition.id(), Offset::Beginning)?;
    }
    consumer.assign(&positions)?;
    let flush = || {
        // SAFETY: the client lives as long as `producer`, and the function may be called from any thread.
        unsafe { rd_kafka_flush(producer.client().native_ptr(), PATIENCE_MS) };
    };
    if transactions.is_some() {
        producer.init_transactions(PATIENCE)?;
        producer.begin_transaction()?;
    }
    let group = consumer.group_metadata().ok_or(KafkaError::Canceled)?;
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    let mut begun = Instant::now();
    let (mut copied, mut next) = (0, std::collections::BTreeMap::new());
    while copied < records {
        if let Some(message) = consumer.poll(PATIENCE) {
            let message = message?;
            let mut record = BaseRecord::<[u8], [u8]>::to(to);
            (record.payload, record.key) = (message.payload(), message.key());
            while let Err((error, back)) = producer.send(record) {
                if !matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) {
                    return Err(error);
                }
                producer.poll(Duration::from_millis(1));
                record = back;
            }
            copied += 1;
            next.insert(message.partition(), message.offset() + 1);
        }
        if copied % LOOK_RECORDS == 0
            && let Some(interval) = transactions
            && begun.elapsed() >= interval
        {
            let mut offsets = TopicPartitionList::new();
            for (partition, offset) in &next {
                offsets.add_partition_offset(from, *partition, Offset::Offset(*offset))?;
            }
            flush();
            producer.send_offsets_to_transaction(&offsets, &group, PATIENCE)?;
            producer.commit_transaction(PATIENCE)?;
            producer.begin_transaction()?;
            #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
            let now = Instant::now();
            begun = now;
        }
    }
    flush();
    if transactions.is_some() {
        producer.commit_transaction(PATIENCE)?;
    }
    Ok(())
}
