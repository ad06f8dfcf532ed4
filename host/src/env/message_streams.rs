//! Streams of messages that servers keep until a consumer has acknowledged them.
//!
//! Owns the traits. No method blocks the thread that calls it. Never knows the content of a message, and never decides
//! when a message is acknowledged.

use crate::time::Duration;
use futures::future::BoxFuture;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Connects to servers that keep streams of messages.
pub trait MessageStreams: Send + Sync {
    /// Connects to a server, and finds the durable consumer of a stream. If the consumer does not exist, it is made. A
    /// connection that is lost is not made again: the calls of the consumer fail from then on.
    ///
    /// # Errors
    /// If no server can be reached or lets the host in, if the stream does not exist, or if the consumer works in a way
    /// with which messages could be lost.
    fn consume(&self, place: &ConsumerPlace) -> BoxFuture<'static, io::Result<Arc<dyn MessageConsumer>>>;
}

/// A consumer of one stream. Clients of the same consumer share its messages. Dropping the value closes the connection.
pub trait MessageConsumer: Send + Sync {
    /// The text that distinguishes the stream from all others, also from an earlier stream of the same name.
    fn stream(&self) -> &str;

    /// Asks for messages, and returns those that came when there are as many as the limits allow, or when the time is
    /// over. If the future is dropped, messages that came are delivered again after the consumer's `ack_wait`. One call
    /// at a time.
    ///
    /// # Errors
    /// If the connection is lost, or if the server has no such consumer any more.
    fn pull(&self, limits: PullLimits) -> BoxFuture<'_, io::Result<Vec<Message>>>;

    /// Tells the server what became of messages, and waits until the server has answered for the last one. The server
    /// takes what it is told in order.
    ///
    /// # Errors
    /// If the server does not answer. The server may know of some of the messages then.
    fn settle<'a>(&'a self, receipts: &'a [Receipt], verdict: Verdict) -> BoxFuture<'a, io::Result<()>>;
}

/// A consumer, and how to reach it.
#[derive(Clone, Debug)]
pub struct ConsumerPlace {
    /// The servers, each as `host:port`. Any of them will do.
    pub servers: Vec<String>,
    /// What the host shows to the server.
    pub login: Option<Login>,
    /// Whether connections must use TLS.
    pub tls: bool,
    /// The PEM file with the certificates that may have issued that of the server. `None` if those of the system may.
    pub tls_ca: Option<PathBuf>,
    /// The name of the stream.
    pub stream: String,
    /// The name of the consumer.
    pub consumer: String,
    /// The pattern of the subjects of the messages. `None` for all messages of the stream.
    pub filter_subject: Option<String>,
    /// The first message of a consumer that is made.
    pub first: FirstMessage,
    /// Where a consumer of a certain stream begins that is made, in place of `first`: see [`MessageConsumer::stream`].
    pub resume: Option<(String, u64)>,
    /// How long the server waits for an acknowledgement before it delivers a message again.
    pub ack_wait: Duration,
    /// The most messages that are delivered and not acknowledged.
    pub max_ack_pending: u32,
}

/// What the host shows to a server.
#[derive(Clone, Debug)]
pub enum Login {
    /// A user and a password.
    Password(String, Hidden),
    /// A token.
    Token(Hidden),
    /// The content of a credentials file.
    Credentials(Hidden),
    /// The seed of an NKey.
    NkeySeed(Hidden),
}

/// A text that is never shown.
#[derive(Clone)]
pub struct Hidden(pub String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

/// The first message of a consumer that is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstMessage {
    /// The first message that the stream has.
    All,
    /// The first message that comes after the consumer was made.
    New,
    /// The last message that the stream has.
    Last,
    /// The last message of each subject that the stream has.
    LastPerSubject,
}

/// How much [`MessageConsumer::pull`] asks for.
#[derive(Clone, Copy, Debug)]
pub struct PullLimits {
    /// The most messages: at least 1.
    pub messages: usize,
    /// The most bytes of messages. A message that is larger comes alone.
    pub bytes: usize,
    /// How long to wait for messages.
    pub wait: Duration,
}

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    /// The number of the message in its stream, from 1.
    pub sequence: u64,
    /// The subject.
    pub subject: String,
    /// The content.
    pub payload: Vec<u8>,
    /// Stands for this delivery of the message.
    pub receipt: Receipt,
}

/// Stands for the delivery of a message to a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt(pub(super) String);

/// What became of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The messages are acknowledged, and are never delivered to this consumer again.
    Stored,
    /// The messages are never delivered to this consumer again, though nobody has processed them.
    GivenUp,
    /// The messages are still at work: the server waits for another `ack_wait`.
    AtWork,
}
