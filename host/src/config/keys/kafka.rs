//! The keys of the sections `sources.NAME` with `type = "kafka"`.

use super::super::files::NamePatterns;
use super::super::kafka_client::{KafkaClientKeys, kafka_client_keys};
use super::super::kafka_settings::{KafkaFormat, OnBadKafkaMessage, OnDataLoss};
use super::super::kafka_topics::{EpochMs, Offsets, Partitions, Topics};
use super::super::key::{Change, Declared, Key};
use super::super::range::Count;
use super::super::shape::{Choice, Flag, Word};
use super::super::subject::Fallback;
use super::RATE_MAX;
use std::sync::LazyLock;

/// The names of the places where a source begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum StartWord {
    Earliest,
    Latest,
    Committed,
}

/// How the source connects.
pub(in super::super) static KAFKA_CLIENT: KafkaClientKeys = kafka_client_keys!("sources.NAME", "kafka");

/// The keys of this file, in the order of the documentation.
pub(super) static ALL: LazyLock<Vec<&'static dyn Declared>> =
    LazyLock::new(|| KAFKA_CLIENT.all().into_iter().chain(KEYS.iter().copied()).collect());

keys! {
    KAFKA_TOPICS: Topics = Key::new(
        "sources.NAME.topics",
        Topics,
        Fallback::Derived { doc: "none", example: "words" },
        "The topics whose partitions are read. One of `topics`, `topics_pattern` and `partitions` is given.",
    )
    .of_type("kafka");

    KAFKA_TOPICS_PATTERN: NamePatterns = Key::new(
        "sources.NAME.topics_pattern",
        NamePatterns,
        Fallback::Derived { doc: "none", example: "words-*" },
        "Patterns of the names of topics. Topics that are made later are found while the job runs.",
    )
    .of_type("kafka");

    KAFKA_PARTITIONS: Partitions = Key::new(
        "sources.NAME.partitions",
        Partitions,
        Fallback::Derived { doc: "none", example: "words/0, words/1" },
        "The partitions that are read, and no others.",
    )
    .of_type("kafka");

    KAFKA_START: Choice<StartWord> = Key::new(
        "sources.NAME.start",
        Choice(&[
            ("earliest", StartWord::Earliest),
            ("latest", StartWord::Latest),
            ("committed", StartWord::Committed),
        ]),
        Fallback::Text("earliest"),
        "Where a job begins that is started for the first time: with the first record of each partition; after the last one; \
         or where the consumer group is. A job with a checkpoint goes on where it was. Partitions that are found while the \
         job runs are read from their beginning.",
    )
    .spark("auto.offset.reset")
    .of_type("kafka")
    .when_changed(Change::Harmless);

    KAFKA_START_TIME: EpochMs = Key::new(
        "sources.NAME.start_time_ms",
        EpochMs,
        Fallback::Derived { doc: "none", example: "1767225600000" },
        "In place of `start`: the first record of each partition whose timestamp is not before this time.",
    )
    .of_type("kafka")
    .when_changed(Change::Harmless);

    KAFKA_START_OFFSETS: Offsets = Key::new(
        "sources.NAME.start_offsets",
        Offsets,
        Fallback::Derived { doc: "none", example: "{ \"words/0\" = 1000 }" },
        "In place of `start`: the offset at which each of these partitions begins. Other partitions begin at their first record.",
    )
    .of_type("kafka")
    .when_changed(Change::Harmless);

    KAFKA_GROUP: Word = Key::new(
        "sources.NAME.group",
        Word,
        Fallback::Derived { doc: "`millstream.JOB.SOURCE`", example: "word-count" },
        "The consumer group that is told, when a batch is done, how far the job has read, for programs that watch the lag. \
         With `start = \"committed\"`, it says where the job begins.",
    )
    .spark("group.id")
    .of_type("kafka")
    .when_changed(Change::Harmless);

    KAFKA_COMMIT_OFFSETS: Flag = Key::new(
        "sources.NAME.commit_offsets",
        Flag,
        Fallback::Flag(true),
        "Whether the consumer group is told how far the job has read.",
    )
    .of_type("kafka")
    .when_changed(Change::Harmless);

    KAFKA_FORMAT: Choice<KafkaFormat> = Key::new(
        "sources.NAME.format",
        Choice(&[("message", KafkaFormat::Message), ("json", KafkaFormat::Json)]),
        Fallback::Text("message"),
        "The record of a message: the value as text or bytes, or the whole message, as the plugin reads it; or the value as \
         JSON of the type that the plugin reads.",
    )
    .of_type("kafka");

    KAFKA_ON_DATA_LOSS: Choice<OnDataLoss> = Key::new(
        "sources.NAME.on_data_loss",
        Choice(&[("fail", OnDataLoss::Fail), ("skip", OnDataLoss::Skip)]),
        Fallback::Text("fail"),
        "What happens when the topic does not have records any more that a batch has to read: the batch fails; or it goes on \
         with the records that are there, and the number of the others is reported.",
    )
    .of_type("kafka")
    .when_changed(Change::Harmless);

    KAFKA_ON_BAD_MESSAGE: Choice<OnBadKafkaMessage> = Key::new(
        "sources.NAME.on_bad_message",
        Choice(&[("fail", OnBadKafkaMessage::Fail), ("skip", OnBadKafkaMessage::Skip)]),
        Fallback::Text("fail"),
        "What happens to a message whose value is no record: the batch fails, and the error names partition and offset; or \
         the message is left out, which is reported.",
    )
    .of_type("kafka");

    KAFKA_MAX_RATE: Count = Key::new(
        "sources.NAME.max_rate_per_partition",
        Count { min: 1, max: RATE_MAX },
        Fallback::Derived { doc: "none", example: "10000" },
        "The most records of a partition that batches take, per second.",
    )
    .spark("spark.streaming.kafka.maxRatePerPartition")
    .of_type("kafka")
    .when_changed(Change::Harmless);

    KAFKA_MIN_RATE: Count = Key::new(
        "sources.NAME.min_rate_per_partition",
        Count { min: 0, max: RATE_MAX },
        Fallback::Number(1),
        "However low backpressure sets the rate, a batch takes this many records of each partition that has them.",
    )
    .spark("spark.streaming.kafka.minRatePerPartition")
    .of_type("kafka")
    .when_changed(Change::Harmless);
}
