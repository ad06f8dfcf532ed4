//! The keys of the sections `sources.NAME` with `type = "kafka-receiver"`.

use super::super::kafka_client::{KafkaClientKeys, kafka_client_keys};
use super::super::kafka_settings::{KafkaFormat, OnBadKafkaMessage};
use super::super::kafka_topics::Topics;
use super::super::key::{Change, Declared, Key};
use super::super::range::Span;
use super::super::shape::{Choice, Word};
use super::super::subject::Fallback;
use super::HOUR_MS;
use std::sync::LazyLock;

/// How the source connects.
pub(in super::super) static KAFKA_RECEIVER_CLIENT: KafkaClientKeys =
    kafka_client_keys!("sources.NAME", "kafka-receiver");

/// The keys of this file, in the order of the documentation.
pub(super) static ALL: LazyLock<Vec<&'static dyn Declared>> =
    LazyLock::new(|| KAFKA_RECEIVER_CLIENT.all().into_iter().chain(KEYS.iter().copied()).collect());

keys! {
    KAFKA_RECEIVER_TOPICS: Topics = Key::new(
        "sources.NAME.topics",
        Topics,
        Fallback::Required("words"),
        "The topics that are read. They have to exist.",
    )
    .of_type("kafka-receiver");

    KAFKA_RECEIVER_GROUP: Word = Key::new(
        "sources.NAME.group",
        Word,
        Fallback::Required("word-count"),
        "The consumer group that the receiver joins. The group divides the partitions among its members: several sources of \
         one job, or of several, receive in parallel. A new group begins with the first record of each partition.",
    )
    .spark("group.id")
    .of_type("kafka-receiver");

    KAFKA_RECEIVER_FORMAT: Choice<KafkaFormat> = Key::new(
        "sources.NAME.format",
        Choice(&[("message", KafkaFormat::Message), ("json", KafkaFormat::Json)]),
        Fallback::Text("message"),
        "The record of a message, as for sources of type `kafka`.",
    )
    .of_type("kafka-receiver");

    KAFKA_RECEIVER_ON_BAD_MESSAGE: Choice<OnBadKafkaMessage> = Key::new(
        "sources.NAME.on_bad_message",
        Choice(&[("fail", OnBadKafkaMessage::Fail), ("skip", OnBadKafkaMessage::Skip)]),
        Fallback::Text("skip"),
        "What happens to a message whose value is no record: the message is left out, which is reported; or the receiver \
         stops, and the job goes on without it.",
    )
    .of_type("kafka-receiver")
    .when_changed(Change::Harmless);

    KAFKA_RECEIVER_RESTART_DELAY: Span = Key::new(
        "sources.NAME.restart_delay",
        Span { min_ms: 1, max_ms: HOUR_MS },
        Fallback::Text("2s"),
        "How long to wait before joining the group again after an error.",
    )
    .spark("spark.streaming.receiverRestartDelay")
    .of_type("kafka-receiver")
    .when_changed(Change::Harmless);
}
