//! A member of a consumer group.
//!
//! Owns the consumer. Its partitions are those that the group gives to it. Nothing is committed but what it is told.

use super::super::{GroupRecord, KafkaMember, KafkaPlace, Offsets, PullLimits, TopicPartition};
use super::config::{Context, client_config, refused};
use super::consumer::{ANSWER_TIME, list};
use super::failure::{failed, is_lost};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// The settings of this client, on which guarantees depend.
const SETTINGS: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "false"),
    ("isolation.level", "read_committed"),
    ("auto.offset.reset", "earliest"),
    ("check.crcs", "true"),
];

/// The settings of this client that options may replace.
const TUNED: &[(&str, &str)] = &[
    ("fetch.wait.max.ms", "50"),
    ("fetch.queue.backoff.ms", "5"),
    ("queued.max.messages.kbytes", "8192"),
    // A host that has no room for a while stays in the group.
    ("max.poll.interval.ms", "86400000"),
];

/// A member of a group.
pub(super) struct Member {
    consumer: Arc<BaseConsumer<Context>>,
}

impl Member {
    /// Joins a group, if a broker answers and the topics are there.
    pub(super) async fn join(place: KafkaPlace, group: String, topics: Vec<String>) -> io::Result<Self> {
        let joined = tokio::task::spawn_blocking(move || {
            let mut config = client_config(&place);
            for (name, value) in TUNED.iter().filter(|(name, _)| !place.values.contains_key(*name)) {
                config.set(*name, *value);
            }
            for (name, value) in SETTINGS {
                config.set(*name, *value);
            }
            config.set("group.id", group);
            let made: Result<BaseConsumer<Context>, _> = config.create_with_context(Context::default());
            let consumer = made.map_err(|error| refused(&place, &error))?;
            for topic in &topics {
                let metadata = consumer.fetch_metadata(Some(topic), ANSWER_TIME);
                let metadata = metadata.map_err(|error| failed(consumer.context(), &error))?;
                if metadata.topics().iter().any(|topic| topic.error().is_some()) {
                    return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no topic {topic}")));
                }
            }
            let names: Vec<&str> = topics.iter().map(String::as_str).collect();
            consumer.subscribe(&names).map_err(|error| failed(consumer.context(), &error))?;
            Ok(Self { consumer: Arc::new(consumer) })
        });
        joined.await.map_err(io::Error::other)?
    }
}

/// What came until the time was over, or until there was enough.
#[expect(clippy::disallowed_methods, reason = "the library waits in real time")]
fn polled(consumer: &BaseConsumer<Context>, limits: PullLimits) -> io::Result<Vec<GroupRecord>> {
    let until = Instant::now() + limits.wait;
    let (mut records, mut bytes) = (Vec::new(), 0);
    while records.len() < limits.messages && bytes < limits.bytes {
        let left = until.saturating_duration_since(Instant::now());
        match consumer.poll(left) {
            None if left.is_zero() => break,
            None => {}
            Some(Ok(message)) => {
                let record = owned(&message);
                bytes += record.key.as_ref().map_or(0, Vec::len) + record.value.as_ref().map_or(0, Vec::len);
                records.push(record);
            }
            // What came before the error is given first.
            Some(Err(error)) if is_lost(&error) && records.is_empty() => {
                return Err(failed(consumer.context(), &error));
            }
            Some(Err(error)) if is_lost(&error) => break,
            Some(Err(error)) => consumer.context().remember(error.to_string()),
        }
    }
    Ok(records)
}

fn owned(message: &BorrowedMessage<'_>) -> GroupRecord {
    let headers = message.headers().map(|headers| {
        let pair = |header: rdkafka::message::Header<'_, &[u8]>| {
            (header.key.as_bytes().to_vec(), header.value.map(<[u8]>::to_vec))
        };
        headers.iter().map(pair).collect()
    });
    GroupRecord {
        partition: TopicPartition { topic: message.topic().to_owned(), number: message.partition() },
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
    }
}

impl KafkaMember for Member {
    fn poll(&self, limits: PullLimits) -> BoxFuture<'_, io::Result<Vec<GroupRecord>>> {
        let consumer = self.consumer.clone();
        async move {
            let polled = tokio::task::spawn_blocking(move || polled(&consumer, limits));
            polled.await.map_err(io::Error::other)?
        }
        .boxed()
    }

    fn commit(&self, offsets: Offsets) -> BoxFuture<'static, io::Result<()>> {
        let consumer = self.consumer.clone();
        async move {
            let told = tokio::task::spawn_blocking(move || {
                let told =
                    list(offsets.iter().map(|(partition, offset)| {
                        (partition, rdkafka::topic_partition_list::Offset::Offset(*offset))
                    }));
                match told.and_then(|told| consumer.commit(&told, CommitMode::Sync)) {
                    Err(error) if is_passed_over(&error) => Ok(()),
                    told => told.map_err(|error| failed(consumer.context(), &error)),
                }
            });
            told.await.map_err(io::Error::other)?
        }
        .boxed()
    }
}

/// Whether the group has given the partition to another member, which reads from the last offset that was committed.
fn is_passed_over(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{IllegalGeneration, RebalanceInProgress, UnknownMemberId};
    matches!(error.rdkafka_error_code(), Some(IllegalGeneration | RebalanceInProgress | UnknownMemberId))
}
