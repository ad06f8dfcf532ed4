//! The keys of the sections `connections.NAME`, grouped by the type of the connection.

use super::super::connection_settings::Delivery;
use super::super::kafka_client::{KafkaClientKeys, kafka_client_keys};
use super::super::key::{Change, Declared, Key};
use super::super::range::Span;
use super::super::shape::{Choice, Word};
use super::super::subject::Fallback;
use super::super::topic_patterns::TopicPatterns;

/// The types of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum ConnectionType {
    Kafka,
}

keys! {
    CONNECTION_TYPE: Choice<ConnectionType> = Key::new(
        "connections.NAME.type",
        Choice(&[("kafka", ConnectionType::Kafka)]),
        Fallback::Required("kafka"),
        "What the connection leads to.",
    );

    CONNECTION_TOPICS: TopicPatterns = Key::new(
        "connections.NAME.topics",
        TopicPatterns,
        Fallback::Required("clean"),
        "The topics to which the plugin may write, separated by commas. In a name, `*` stands for any characters. The topics \
         have to exist. See [outputs](outputs.md#save_to_kafka).",
    )
    .of_type("kafka");

    CONNECTION_DELIVERY: Choice<Delivery> = Key::new(
        "connections.NAME.delivery",
        Choice(&[("transactional", Delivery::Transactional), ("idempotent", Delivery::Idempotent)]),
        Fallback::Text("transactional"),
        "How batches are written: each in a transaction, so that readers of committed messages see each batch once and whole; \
         or without transactions, which is faster, and after a crash writes the batch that was not finished again.",
    )
    .of_type("kafka");

    CONNECTION_TRANSACTIONAL_ID: Word = Key::new(
        "connections.NAME.transactional_id",
        Word,
        Fallback::Derived { doc: "`millstream.JOB`", example: "word-count" },
        "The beginning of the transactional ids. A dot and the name of the output follow. Two jobs that write to one cluster \
         need different ones.",
    )
    .of_type("kafka");

    CONNECTION_DELIVERY_TIMEOUT: Span = Key::new(
        "connections.NAME.delivery_timeout",
        Span { min_ms: 1000, max_ms: 15 * 60 * 1000 },
        Fallback::Text("60s"),
        "How long the brokers may take to store a batch before the attempt has failed. It is also the time after which the \
         brokers give up a transaction of a host that is gone.",
    )
    .of_type("kafka")
    .when_changed(Change::Harmless);
}

/// The keys with which the client of a connection is configured.
pub(in super::super) static CONNECTION_CLIENT: KafkaClientKeys = kafka_client_keys!("connections.NAME", "kafka");
