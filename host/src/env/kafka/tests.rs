//! A real broker for the contract of [`KafkaLog`](super::super::KafkaLog), and what only a real broker does.

use super::super::real::RealExecutors;
use super::super::{
    KafkaClusters as _, KafkaPlace, LogFault, LogPlace, MessageProducers as _, ProducerPlace, TopicPartition,
};
use super::producer::MARK_PARTITION;
use super::{Kafka, KafkaProducers};
use crate::time::Duration;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;

#[path = "../../../../tests/kafka/broker.rs"]
#[expect(dead_code, reason = "the suite uses the rest")]
mod broker;

pub(in super::super) use broker::Broker;

fn place(broker: &Broker) -> KafkaPlace {
    KafkaPlace { servers: vec![broker.address().to_owned()], values: BTreeMap::new() }
}

/// All records from an offset up to another, each with its offset, however many calls that takes.
async fn read(
    log: &dyn super::super::KafkaLog,
    partition: &TopicPartition,
    from: i64,
    until: i64,
) -> Result<Vec<(i64, String)>, LogFault> {
    let (mut position, mut records) = (from, Vec::new());
    while position < until {
        let mut take = |record: &super::super::LogRecord<'_>| {
            if record.offset >= until {
                return false;
            }
            records.push((record.offset, String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned()));
            true
        };
        position = log.read(partition, position, &mut take).await?;
    }
    Ok(records)
}

/// Markers and records of aborted transactions take offsets. A range ends behind them, wherever they are, and whoever has
/// read before.
#[test]
fn transactions_leave_gaps_and_ranges_end_behind_them() {
    let Some(broker) = Broker::shared() else { return };
    let topic = broker.topic(1);
    broker.transaction(&topic, 0, &["a", "b"], true);
    broker.transaction(&topic, 0, &["x", "y"], false);
    broker.send(&topic, 0, ["c"]);
    broker.transaction(&topic, 0, &["d"], true);
    broker.transaction(&topic, 0, &["z"], false);
    let executors = RealExecutors::start(1).unwrap();
    executors.block_on(async {
        let log = Kafka.log(&place(broker), "g").unwrap();
        let partition = TopicPartition { topic, number: 0 };
        let end = 11;
        // The broker writes markers after it has answered.
        while log.offsets(vec![(partition.clone(), LogPlace::End)]).await.unwrap()[&partition] < end {
            std::thread::yield_now();
        }
        let all: Vec<(i64, String)> = [(0, "a"), (1, "b"), (6, "c"), (7, "d")].map(|(at, v)| (at, v.to_owned())).into();
        for _ in 0..2 {
            assert_eq!(read(&*log, &partition, 0, end).await.unwrap(), all);
        }
        for cut in 0..=end {
            let mut parts = read(&*log, &partition, 0, cut).await.unwrap();
            parts.extend(read(&*log, &partition, cut, end).await.unwrap());
            assert_eq!(parts, all, "cut at {cut}");
        }
        for from in (0..end).rev() {
            let rest: Vec<_> = all.iter().filter(|(at, _)| *at >= from).cloned().collect();
            assert_eq!(read(&*log, &partition, from, end).await.unwrap(), rest, "from {from}");
        }
    });
    executors.shutdown();
}

/// Settings that the library does not know, or does not take, are refused by name. Secrets are not shown.
#[test]
fn settings_are_refused_by_name() {
    use super::super::{Hidden, KafkaValue};
    let refused = |name: &str, value: KafkaValue| {
        let place = KafkaPlace { servers: vec!["127.0.0.1:1".to_owned()], values: [(name.to_owned(), value)].into() };
        Kafka.log(&place, "g").err().expect("it is refused").to_string()
    };
    let plain = refused("fetch.min.byte", KafkaValue::Plain("1".to_owned()));
    assert!(plain.contains("`fetch.min.byte`"), "{plain}");
    let secret = refused("fetch.min.bytes", KafkaValue::Secret(Hidden("s3cret".to_owned())));
    assert_eq!(secret, "the value of `fetch.min.bytes` is not valid");
}

/// A reader at the end of a partition waits, however often the library has said where the partition ends.
#[test]
fn a_reader_that_waits_at_the_end_is_given_what_comes() {
    let Some(broker) = Broker::shared() else { return };
    let partition = TopicPartition { topic: broker.topic(1), number: 0 };
    broker.send(&partition.topic, 0, ["0"]);
    let executors = RealExecutors::start(1).unwrap();
    executors.block_on(async {
        let log = Kafka.log(&place(broker), "g").unwrap();
        assert_eq!(read(&*log, &partition, 0, 1).await.unwrap(), [(0, "0".to_owned())]);
        for end in 1..4 {
            let mut reader = Box::pin(read(&*log, &partition, end, end + 1));
            let waited = tokio::time::timeout(std::time::Duration::from_millis(300), &mut reader).await;
            assert!(waited.is_err(), "nothing is there at {end}, but the reader has ended with {waited:?}");
            broker.send(&partition.topic, 0, [end.to_string()]);
            assert_eq!(reader.await.unwrap(), [(end, end.to_string())]);
        }
    });
    executors.shutdown();
}

/// While a transaction that has a mark is not complete, nobody knows the last mark. A producer that took this for no mark would
/// write a batch twice.
#[test]
fn a_mark_that_is_not_known_yet_is_an_error() {
    const SHORT: Duration = Duration::from_secs(2);
    const PATIENCE: Duration = Duration::from_secs(30);
    let Some(broker) = Broker::shared() else { return };
    let topic = broker.topic(1);
    let id = format!("marks of {topic}");
    let mut config = broker.config();
    let consumer: BaseConsumer = config.set("group.id", &id).create().unwrap();
    let mut config = broker.config();
    let other: BaseProducer = config.set("transactional.id", format!("beside {id}")).create().unwrap();
    other.init_transactions(PATIENCE).unwrap();
    other.begin_transaction().unwrap();
    let mut mark = TopicPartitionList::new();
    mark.add_partition_offset(&topic, MARK_PARTITION, Offset::Offset(0)).unwrap();
    for mut element in mark.elements() {
        element.set_metadata("the mark");
    }
    other.send_offsets_to_transaction(&mark, &consumer.group_metadata().unwrap(), PATIENCE).unwrap();
    let executors = RealExecutors::start(1).unwrap();
    executors.block_on(async {
        let place = |timeout| {
            let (client, topic, transactional_id) = (place(broker), topic.clone(), Some(id.clone()));
            ProducerPlace { client, topic, transactional_id, timeout }
        };
        let opened = KafkaProducers.open(&place(SHORT)).await;
        assert!(opened.is_err(), "the mark is {:?}", opened.map(|producer| producer.mark()));
        other.commit_transaction(PATIENCE).unwrap();
        // The broker may complete the transaction after it has answered: the producer waits for that.
        assert_eq!(KafkaProducers.open(&place(PATIENCE)).await.unwrap().mark().as_deref(), Some("the mark"));
    });
    executors.shutdown();
}
