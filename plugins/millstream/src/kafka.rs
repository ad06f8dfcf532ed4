//! [`KafkaRecord`]: a message of Kafka with all that the broker knows of it.

use crate::chain::{Chain, Cut, Map};
use crate::context::StreamingContext;
use crate::flow::{DStream, Flow};
use crate::kind::Kind;
use crate::record::Bytes;
use crate::text::Text;
use millstream_derive::Record;

/// A message of a topic of Kafka. Spark: `ConsumerRecord`.
///
/// The type has the columns that a source of type `kafka` has. A struct of yours with some of these fields can be read
/// from such a source, too, with `ctx.stream`; `key` and `value` may also be `Text`.
#[doc(alias = "ConsumerRecord")]
#[derive(Record, Clone, PartialEq, Eq, Debug)]
pub struct KafkaRecord {
    /// The key. `None` if the message has none.
    pub key: Option<Bytes>,
    /// The value. `None` if the message has none, which a compacted topic takes for the removal of the key.
    pub value: Option<Bytes>,
    /// The topic.
    pub topic: Text,
    /// The number of the partition.
    pub partition: i32,
    /// The position in the partition.
    pub offset: i64,
    /// The time of the message, in milliseconds since 1970, from its producer or its broker. `None` if it has none.
    pub timestamp_ms: Option<i64>,
    /// The headers, in order.
    pub headers: Vec<KafkaHeader>,
}

/// A header of a message of Kafka.
#[derive(Record, Clone, PartialEq, Eq, Debug)]
pub struct KafkaHeader {
    /// The name.
    pub key: Text,
    /// The value. `None` if the header has none.
    pub value: Option<Bytes>,
}

impl KafkaRecord {
    /// Makes a message of a test: without a key, at offset 0 of partition 0 of the topic `test`.
    pub fn of_value(value: impl AsRef<[u8]>) -> Self {
        Self {
            key: None,
            value: Some(Bytes(value.as_ref().to_vec())),
            topic: Text::from("test"),
            partition: 0,
            offset: 0,
            timestamp_ms: None,
            headers: Vec::new(),
        }
    }

    /// The key as text. Bytes that are not UTF-8 are replaced by `U+FFFD`. A message without a key has an empty one.
    pub fn key_text(&self) -> Text {
        text(self.key.as_ref())
    }

    /// The value as text. Bytes that are not UTF-8 are replaced by `U+FFFD`. A message without a value has an empty one.
    pub fn value_text(&self) -> Text {
        text(self.value.as_ref())
    }

    /// The value of the first header of a name. `None` if there is no such header, or if it has no value.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let header = self.headers.iter().find(|header| *header.key == *name)?;
        header.value.as_ref().map(|value| value.0.as_slice())
    }
}

fn text(bytes: Option<&Bytes>) -> Text {
    Text::from(String::from_utf8_lossy(bytes.map_or(&[] as &[u8], |bytes| bytes.0.as_slice())).into_owned())
}

impl StreamingContext {
    /// Makes a stream of whole messages from the source of type `kafka` that the job file calls `source`. Spark:
    /// `KafkaUtils.createDirectStream`.
    ///
    /// A program that needs only the values as text reads them with [`text_stream`](Self::text_stream), and keys and values
    /// with `ctx.stream::<(Option<Text>, Text)>(source)`: both are faster.
    ///
    /// ```
    /// use millstream::{KafkaRecord, testing};
    /// let printed = testing::Job::new(|ctx| { ctx.kafka_stream("words").values().print(); })
    ///     .batch("words", [KafkaRecord::of_value("to be")])
    ///     .run();
    /// assert_eq!(printed[0].rows, ["to be"]);
    /// ```
    #[doc(alias = "createDirectStream")]
    pub fn kafka_stream(&self, source: &str) -> DStream<KafkaRecord, Cut<KafkaRecord>> {
        self.stream(source)
    }
}

impl<C: Chain<Out = KafkaRecord>, S> Flow<KafkaRecord, C, S> {
    /// Gives the values alone, as text.
    pub fn values(&self) -> Flow<Text, impl Chain<Out = Text> + use<C, S>, S> {
        self.then(Kind::Values, Map::new(|record: KafkaRecord| record.value_text()))
    }
}
