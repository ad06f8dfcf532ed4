//! Producers of Kafka.
//!
//! Owns how a batch is written: the order of the steps of a transaction, when a write has failed, and what each error
//! means. A transaction holds the messages of a batch, and the mark of the batch as the metadata of an offset that is
//! committed for the group that is called like the transactional id. A failed write ends its producer: the next producer
//! gives up the transaction, and its mark tells whether the transaction was committed.

use super::super::{
    MessageProducer, MessageProducers, OutgoingMessage, OutgoingMessages, PRODUCER_QUEUE_BYTES, ProduceError,
    ProducerPlace,
};
use super::config::client_config;
use crate::error::Persistence;
use crate::lock::lock;
use crate::time::Duration;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rdkafka::ClientContext;
use rdkafka::bindings::rd_kafka_flush;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// How long to wait for room in the queue of the client before looking again.
const QUEUE_PAUSE: Duration = Duration::from_millis(1);
/// How long to wait for the servers before looking for errors.
const FLUSH_STEP_MS: i32 = 10;
/// How long giving up a transaction may take.
const ABORT_TIME: Duration = Duration::from_secs(5);
/// The partition of the topic under whose name the mark is committed.
pub(super) const MARK_PARTITION: i32 = 0;

/// Connects producers of Kafka.
pub(in super::super) struct KafkaProducers;

impl MessageProducers for KafkaProducers {
    fn open(&self, place: &ProducerPlace) -> BoxFuture<'static, Result<Arc<dyn MessageProducer>, ProduceError>> {
        let place = place.clone();
        let open = move || Connected::open(place).map(|open| Arc::new(KafkaProducer(Arc::new(open))));
        async move { Ok(blocking(open).await? as Arc<dyn MessageProducer>) }.boxed()
    }
}

/// Runs code that waits for servers on a thread on which nothing else waits.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ProduceError> + Send + 'static,
) -> Result<T, ProduceError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        let (help, persistence) = ("please report this", Persistence::Permanent);
        Err(ProduceError::Refused { text: "the client of Kafka panicked".to_owned(), help, persistence })
    })
}

struct KafkaProducer(Arc<Connected>);

impl MessageProducer for KafkaProducer {
    fn mark(&self) -> Option<String> {
        self.0.transaction.as_ref().and_then(|transaction| transaction.mark.clone())
    }

    fn write(&self, mut messages: Box<dyn OutgoingMessages>, mark: &str) -> BoxFuture<'_, Result<(), ProduceError>> {
        let (connected, mark) = (self.0.clone(), mark.to_owned());
        blocking(move || connected.write(&mut *messages, &mark)).boxed()
    }
}

/// What the client reports while it works.
#[derive(Default)]
struct Reports {
    /// The first message that was not stored.
    undelivered: Mutex<Option<KafkaError>>,
    /// The last error of a connection, which says why a wait for a server ended without an answer.
    last: Mutex<Option<(KafkaError, String)>>,
}

impl ClientContext for Reports {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!("kafka: {facility}: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("kafka: {reason}");
        *lock(&self.last) = Some((error, reason.to_owned()));
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            lock(&self.undelivered).get_or_insert_with(|| error.clone());
        }
    }
}

/// The part of a producer that only one with a transactional id has.
struct Transaction {
    id: String,
    group: ConsumerGroupMetadata,
    mark: Option<String>,
}

struct Connected {
    producer: BaseProducer<Reports>,
    topic: String,
    timeout: Duration,
    transaction: Option<Transaction>,
}

impl Connected {
    fn open(place: ProducerPlace) -> Result<Self, ProduceError> {
        let ProducerPlace { client, topic, transactional_id, timeout } = place;
        let mut config = client_config(&client);
        let timeout_ms = timeout.as_millis().to_string();
        // The same keys go to the same partitions as with clients of Java. The job file may choose another way.
        if config.get("partitioner").is_none() {
            config.set("partitioner", "murmur2_random");
        }
        config
            .set("enable.idempotence", "true")
            .set("delivery.report.only.error", "true")
            .set("queue.buffering.max.messages", "10000000")
            .set("queue.buffering.max.kbytes", (PRODUCER_QUEUE_BYTES >> 10).to_string())
            .set("message.timeout.ms", &timeout_ms);
        if let Some(id) = &transactional_id {
            config.set("transactional.id", id).set("transaction.timeout.ms", &timeout_ms);
        }
        let created = config.create_with_context(Reports::default());
        let producer: BaseProducer<Reports> = created.map_err(|error| refused(&error, None, &topic))?;
        let mut connected = Self { producer, topic, timeout, transaction: None };
        if let Some(id) = transactional_id {
            let fault = |error| connected.fault(&error, &id);
            connected.producer.init_transactions(timeout).map_err(fault)?;
            let mut config = client_config(&client);
            config.set("group.id", &id).set("enable.auto.commit", "false");
            let consumer: BaseConsumer = config.create().map_err(fault)?;
            let group = consumer.group_metadata().ok_or(KafkaError::Canceled).map_err(fault)?;
            let mark = last_mark(&consumer, &connected.topic, timeout).map_err(fault)?;
            connected.transaction = Some(Transaction { id, group, mark });
        }
        Ok(connected)
    }

    fn write(&self, messages: &mut dyn OutgoingMessages, mark: &str) -> Result<(), ProduceError> {
        let Some(transaction) = &self.transaction else {
            messages.send_all(&mut |message| self.send(message))?;
            return self.flush();
        };
        let outcome = self.write_transaction(transaction, messages, mark);
        if outcome.is_err() && self.producer.client().fatal_error().is_none() {
            // Readers need not wait until the transaction is too old. If this fails, the next producer does it.
            let _ = self.producer.abort_transaction(ABORT_TIME);
        }
        outcome
    }

    fn write_transaction(
        &self,
        transaction: &Transaction,
        messages: &mut dyn OutgoingMessages,
        mark: &str,
    ) -> Result<(), ProduceError> {
        let fault = |error| self.fault(&error, &transaction.id);
        self.producer.begin_transaction().map_err(fault)?;
        messages.send_all(&mut |message| self.send(message))?;
        self.flush()?;
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(&self.topic, MARK_PARTITION, Offset::Offset(0)).map_err(fault)?;
        for mut element in place.elements() {
            element.set_metadata(mark);
        }
        let offsets = self.producer.send_offsets_to_transaction(&place, &transaction.group, self.timeout);
        offsets.map_err(fault)?;
        self.producer.commit_transaction(self.timeout).map_err(fault)
    }

    /// Puts a message into the queue of the client. Waits while the queue has no room.
    fn send(&self, message: &OutgoingMessage<'_>) -> Result<(), ProduceError> {
        let OutgoingMessage { key, value, headers, partition, timestamp_ms } = message;
        let mut made = OwnedHeaders::new_with_capacity(headers.len());
        for (key, value) in headers {
            made = made.insert(Header { key, value: *value });
        }
        let mut record = BaseRecord {
            topic: &self.topic,
            partition: *partition,
            payload: *value,
            key: *key,
            timestamp: *timestamp_ms,
            headers: Some(made),
            delivery_opaque: (),
        };
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    self.producer.poll(QUEUE_PAUSE);
                    self.delivered()?;
                    record = back;
                }
                Err((error, _)) => return Err(self.fault(&error, &self.topic)),
            }
        }
    }

    /// Waits until all messages in the queue are stored, or were refused.
    fn flush(&self) -> Result<(), ProduceError> {
        loop {
            // SAFETY: the client lives as long as `self.producer`, and the function may be called from any thread. The
            // `flush` of the crate looks only every 100 ms whether all messages are stored.
            let flushed = unsafe { rd_kafka_flush(self.producer.client().native_ptr(), FLUSH_STEP_MS) };
            // Each message has a time limit, so the queue becomes empty.
            self.producer.poll(Duration::ZERO);
            self.delivered()?;
            if flushed == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Ok(());
            }
        }
    }

    fn delivered(&self) -> Result<(), ProduceError> {
        let undelivered = lock(&self.producer.context().undelivered).clone();
        undelivered.map_or(Ok(()), |error| Err(self.fault(&error, &self.topic)))
    }

    /// What an error of the client means. `subject` is what the servers refused: a transactional id, or a topic.
    fn fault(&self, error: &KafkaError, subject: &str) -> ProduceError {
        let fatal = self.producer.client().fatal_error().map(|(code, _)| code);
        let code = fatal.or_else(|| error.rdkafka_error_code());
        match (&self.transaction, code) {
            (Some(transaction), Some(code)) if is_fenced(code) => ProduceError::Fenced(transaction.id.clone()),
            _ => refused(error, lock(&self.producer.context().last).as_ref(), subject),
        }
    }
}

/// The mark of the last committed batch. `None` if no batch was committed. Waits while a transaction that has a mark is not
/// complete: until then the servers do not say which mark is the last.
#[expect(clippy::disallowed_methods, reason = "the library waits in real time")]
fn last_mark(consumer: &BaseConsumer, topic: &str, timeout: Duration) -> KafkaResult<Option<String>> {
    let until = Instant::now() + timeout;
    loop {
        let mut place = TopicPartitionList::new();
        place.add_partition(topic, MARK_PARTITION);
        let committed = consumer.committed_offsets(place, until.saturating_duration_since(Instant::now()))?;
        // The call is no error if the servers answer with an error in place of the mark.
        match committed.elements().iter().try_for_each(TopicPartitionListElem::error) {
            Err(error) if is_unstable(&error) && Instant::now() < until => {}
            Err(error) => return Err(error),
            Ok(()) => {
                let has_mark = |element: &&TopicPartitionListElem<'_>| {
                    matches!(element.offset(), Offset::Offset(_)) && !element.metadata().is_empty()
                };
                return Ok(committed.elements().iter().find(has_mark).map(|mark| mark.metadata().to_owned()));
            }
        }
    }
}

fn is_unstable(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnstableOffsetCommit)
}

/// Whether the code says that another producer has the transactional id.
const fn is_fenced(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
}

/// The error of a write that the client or the servers refused. `last` is the last error of a connection.
fn refused(error: &KafkaError, last: Option<&(KafkaError, String)>, subject: &str) -> ProduceError {
    use RDKafkaErrorCode as Code;
    // A wait that ended without an answer has its cause in the connection.
    let waited = matches!(
        error.rdkafka_error_code(),
        Some(
            Code::OperationTimedOut
                | Code::MessageTimedOut
                | Code::TimedOutQueue
                | Code::RequestTimedOut
                | Code::AllBrokersDown
                | Code::BrokerTransportFailure
        )
    );
    let (code, text) = match last.filter(|_| waited) {
        Some((cause, reason)) => (cause.rdkafka_error_code(), format!("{subject}: {reason}")),
        None => (error.rdkafka_error_code(), format!("{subject}: {}", words(error))),
    };
    let (persistence, help) = match code {
        Some(Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism) => {
            (Persistence::Permanent, "correct the user, the password or the mechanism of the connection")
        }
        Some(Code::SSL) => (Persistence::Permanent, "correct the certificates of the connection: see docs/kafka.md"),
        Some(
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed,
        ) => (Persistence::Permanent, "give the user of the connection the rights that docs/kafka.md names"),
        Some(Code::UnknownTopic | Code::UnknownTopicOrPartition) => (Persistence::Permanent, "make the topic"),
        Some(Code::UnknownPartition) => {
            (Persistence::Permanent, "name partitions that the topic has, or let the keys choose the partitions")
        }
        Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge) => (
            Persistence::Permanent,
            "raise `max.message.bytes` of the topic and `message.max.bytes` of the connection, or write less in a message",
        ),
        _ if matches!(error, KafkaError::ClientConfig(..)) => {
            (Persistence::Permanent, "correct the options of the connection: see docs/kafka.md")
        }
        _ => (Persistence::Transient, "are the servers of the connection up, and can this machine reach them?"),
    };
    ProduceError::Refused { text, help, persistence }
}

/// An error in words, without the name of its Rust type.
fn words(error: &KafkaError) -> String {
    match error {
        KafkaError::Transaction(error) => error.string(),
        KafkaError::ClientConfig(_, problem, key, _) => format!("{problem} (`{key}`)"),
        other => other.rdkafka_error_code().map_or_else(|| other.to_string(), |code| code.to_string()),
    }
}
