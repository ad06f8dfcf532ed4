//! Producers of messages: what the host needs from Kafka to write the rows of batches.
//!
//! Owns the traits, and what a message and the place of a producer are. A write is all messages of one batch. Never knows
//! a job, a batch or rows.

use super::KafkaPlace;
use crate::error::{Error, Persistence};
use crate::time::Duration;
use futures::future::BoxFuture;
use std::sync::Arc;

/// The most bytes that wait in the queue of a producer.
pub const PRODUCER_QUEUE_BYTES: usize = 32 << 20;

/// Connects producers.
pub trait MessageProducers: Send + Sync {
    /// Connects a producer. A producer with a transactional id gives up what an earlier producer with this id has begun
    /// and not committed. From then on, the earlier producer can write nothing any more.
    fn open(&self, place: &ProducerPlace) -> BoxFuture<'static, Result<Arc<dyn MessageProducer>, ProduceError>>;
}

/// A connection that writes to one topic.
pub trait MessageProducer: Send + Sync {
    /// The mark of the last write that was committed with the transactional id, by whatever producer, when this producer
    /// was connected. `None` if there is none, or if the producer has no transactional id.
    fn mark(&self) -> Option<String>;

    /// Writes messages, and waits until the servers have stored all of them. A producer with a transactional id makes all
    /// of them visible at once, together with `mark`. The outcome of a write that fails is not known, and the producer
    /// cannot be used any more: the mark of the next producer tells the outcome. Without a transactional id, some of the
    /// messages of a write that fails may be visible.
    fn write(&self, messages: Box<dyn OutgoingMessages>, mark: &str) -> BoxFuture<'_, Result<(), ProduceError>>;
}

/// The messages of one write.
pub trait OutgoingMessages: Send {
    /// Gives all messages to `send`, in order.
    ///
    /// # Errors
    /// The first error of `send`, or [`ProduceError::Messages`] if a message cannot be made.
    fn send_all(&mut self, send: &mut SendOne<'_>) -> Result<(), ProduceError>;
}

/// A function that takes one message.
pub type SendOne<'a> = dyn FnMut(&OutgoingMessage<'_>) -> Result<(), ProduceError> + 'a;

/// A message that is about to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutgoingMessage<'a> {
    /// The key, which chooses the partition unless `partition` does. `None` if there is none.
    pub key: Option<&'a [u8]>,
    /// The value. `None` if there is none: such a message removes its key from a compacted topic.
    pub value: Option<&'a [u8]>,
    /// The names and values of the headers, in order. The value is `None` if the header has none.
    pub headers: Vec<(&'a str, Option<&'a [u8]>)>,
    /// The partition. `None` if the key chooses the partition, or, without a key, the client.
    pub partition: Option<i32>,
    /// The time of the message, in milliseconds since 1970. `None` for the time at which the client takes the message.
    pub timestamp_ms: Option<i64>,
}

/// Where and how a producer writes.
#[derive(Clone, Debug)]
pub struct ProducerPlace {
    /// How to reach the servers.
    pub client: KafkaPlace,
    /// The topic.
    pub topic: String,
    /// The transactional id. `None` for a producer that writes without transactions.
    pub transactional_id: Option<String>,
    /// How long the servers may take to store a write.
    pub timeout: Duration,
}

/// Why messages were not written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProduceError {
    /// Another producer was connected with the same transactional id later.
    #[error("another producer has taken over transactional id `{0}`")]
    Fenced(String),
    /// The client or the servers refused the write.
    #[error("{text}")]
    Refused {
        /// The message of the client or of the servers.
        text: String,
        /// What the reader can do.
        help: &'static str,
        /// Whether the servers may accept the write later.
        persistence: Persistence,
    },
    /// A message could not be made.
    #[error("{}", .0.message)]
    Messages(Error),
}
