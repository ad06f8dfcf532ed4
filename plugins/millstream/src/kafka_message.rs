//! [`KafkaMessage`]: a row that says everything about the message that it becomes.

use crate::kafka::KafkaHeader;
use crate::record::Bytes;
use crate::text::Text;
use millstream_derive::Record;

/// A message for [`save_to_kafka`](crate::DStream::save_to_kafka), with headers, a partition or a time of its own.
///
/// ```
/// use millstream::{KafkaMessage, testing};
/// let job = testing::Job::new(|ctx| {
///     ctx.text_stream("lines")
///         .map(|line| KafkaMessage::of(&line).key("all").header("origin", "lines"))
///         .save_to_kafka("copies");
/// });
/// assert_eq!(job.batch("lines", ["a"]).run()[0].rows, ["(Some(616c6c),Some(61),[(origin,Some(6c696e6573))],None,None)"]);
/// ```
#[derive(Record, Clone, Debug, Default, PartialEq)]
pub struct KafkaMessage {
    /// The key. Messages with the same key go to the same partition.
    pub key: Option<Bytes>,
    /// The value. In a compacted topic, a message without a value removes its key.
    pub value: Option<Bytes>,
    /// The headers. The host adds the header `millstream-id`.
    pub headers: Vec<KafkaHeader>,
    /// The partition. `None` if the key chooses the partition, or, without a key, the client.
    pub partition: Option<i32>,
    /// The time of the message, in milliseconds since 1970. `None` for the time at which the host writes the message.
    pub timestamp_ms: Option<i64>,
}

impl KafkaMessage {
    /// A message with this value, and nothing else.
    pub fn of(value: impl AsRef<[u8]>) -> Self {
        Self { value: Some(Bytes(value.as_ref().to_vec())), ..Self::default() }
    }

    /// Sets the key.
    #[must_use]
    pub fn key(self, key: impl AsRef<[u8]>) -> Self {
        Self { key: Some(Bytes(key.as_ref().to_vec())), ..self }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<Text>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(KafkaHeader { key: name.into(), value: Some(Bytes(value.as_ref().to_vec())) });
        self
    }

    /// Sets the partition.
    #[must_use]
    pub fn partition(self, partition: i32) -> Self {
        Self { partition: Some(partition), ..self }
    }

    /// Sets the time, in milliseconds since 1970.
    #[must_use]
    pub fn timestamp_ms(self, timestamp_ms: i64) -> Self {
        Self { timestamp_ms: Some(timestamp_ms), ..self }
    }
}
