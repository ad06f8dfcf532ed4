//! A durable pull consumer of a stream.
//!
//! Owns what is asked of the server, and the meaning of the answers.

use super::super::{ConsumerPlace, FirstMessage, Message, MessageConsumer, PullLimits, Receipt, Verdict};
use super::connection::Connection;
use crate::time::Duration;
use async_nats::jetstream::consumer::pull::{BatchConfig, Config};
use async_nats::jetstream::consumer::{AckPolicy, Config as AnyConfig, Consumer, DeliverPolicy};
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::message::AckKind;
use async_nats::jetstream::{self, Context, Message as Delivered, stream::Stream};
use async_nats::{Message as Received, StatusCode, Subscriber};
use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Mutex;

/// What the server says when a message has more bytes than a pull asks for.
const TOO_LARGE: &str = "Message Size Exceeds MaxBytes";

/// How much longer than a pull lasts the client waits for what the server says at its end. What comes later belongs to the next
/// pull.
const GRACE: Duration = Duration::from_millis(50);

/// A consumer, with its connection.
pub(super) struct DurableConsumer {
    connection: Connection,
    context: Context,
    consumer: Consumer<Config>,
    /// See [`MessageConsumer::stream`].
    stream: String,
    /// The first part of the subjects to which the messages of a pull come.
    inbox: String,
    /// The messages of all pulls, and what the server says of the pulls.
    received: Mutex<Subscriber>,
    /// The number of the next pull.
    next: AtomicU64,
    /// Whether the next message is larger than the last pull has asked for.
    is_large: AtomicBool,
}

impl DurableConsumer {
    /// Finds the consumer, or makes it.
    pub(super) async fn open(connection: Connection, place: &ConsumerPlace) -> io::Result<Self> {
        let context = jetstream::new(connection.client.clone());
        let inbox = connection.client.new_inbox();
        let opened = async {
            let stream = context.get_stream(&place.stream).await;
            let stream = stream.map_err(|error| of_stream(place, &error))?;
            let identity = format!("{:x}", stream.cached_info().created.unix_timestamp_nanos());
            let consumer = found_or_made(&stream, &identity, place).await?;
            let received = connection.client.subscribe(format!("{inbox}.*")).await.map_err(io::Error::other)?;
            Ok((consumer, identity, received))
        };
        let (consumer, stream, received) = connection.unless_lost(opened).await?;
        Ok(Self {
            connection,
            context,
            consumer,
            stream,
            inbox,
            received: Mutex::new(received),
            next: AtomicU64::new(0),
            is_large: AtomicBool::new(false),
        })
    }

    /// The messages of a pull. The pull ends with its last message, or when the server says so, which `nats-server` 2.9.10
    /// does not always do.
    async fn pulled(&self, limits: PullLimits) -> io::Result<Vec<Message>> {
        let mut received = self.received.lock().await;
        let inbox = format!("{}.{}", self.inbox, self.next.fetch_add(1, Ordering::Relaxed));
        let (batch, max_bytes) =
            if self.is_large.swap(false, Ordering::Relaxed) { (1, 0) } else { (limits.messages, limits.bytes) };
        let request = BatchConfig { batch, max_bytes, expires: Some(limits.wait), ..BatchConfig::default() };
        self.consumer.request_batch(request, inbox.as_str().into()).await.map_err(io::Error::other)?;
        #[expect(clippy::disallowed_methods, reason = "the end of a request to a real server")]
        let end = tokio::time::sleep(limits.wait.saturating_add(GRACE));
        tokio::pin!(end);
        let mut messages = Vec::new();
        while messages.len() < batch {
            let next = tokio::select! {
                biased;
                next = received.next() => next.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted))?,
                () = &mut end => break,
            };
            match next.status {
                None | Some(StatusCode::OK) => messages.push(self.message(next)?),
                Some(status) if is_end(status, next.description.as_deref()) => {
                    if *next.subject == *inbox {
                        let is_large = messages.is_empty() && next.description.as_deref() == Some(TOO_LARGE);
                        self.is_large.store(is_large, Ordering::Relaxed);
                        break;
                    }
                    // An earlier pull, whose future was dropped.
                }
                Some(StatusCode::IDLE_HEARTBEAT) => {}
                Some(StatusCode::NO_RESPONDERS) => {
                    return Err(io::Error::new(io::ErrorKind::NotFound, "the server has no such consumer any more"));
                }
                Some(status) => {
                    let description = next.description.unwrap_or_default();
                    return Err(io::Error::other(format!("the server answers {status} {description}")));
                }
            }
        }
        Ok(messages)
    }

    fn message(&self, received: Received) -> io::Result<Message> {
        let delivered = Delivered { message: received, context: self.context.clone() };
        let sequence = delivered.info().map_err(io::Error::other)?.stream_sequence;
        let Received { subject, reply, payload, .. } = delivered.message;
        let receipt = Receipt(reply.map(|reply| reply.to_string()).unwrap_or_default());
        Ok(Message { sequence, subject: subject.to_string(), payload: payload.to_vec(), receipt })
    }
}

/// Whether a status ends a pull as it should: its time is over, or a further message has too many bytes.
fn is_end(status: StatusCode, description: Option<&str>) -> bool {
    match status {
        StatusCode::TIMEOUT | StatusCode::NOT_FOUND => true,
        StatusCode::REQUEST_TERMINATED => description == Some(TOO_LARGE),
        _ => false,
    }
}

impl MessageConsumer for DurableConsumer {
    fn stream(&self) -> &str {
        &self.stream
    }

    fn pull(&self, limits: PullLimits) -> BoxFuture<'_, io::Result<Vec<Message>>> {
        self.connection.unless_lost(self.pulled(limits)).boxed()
    }

    fn settle<'a>(&'a self, receipts: &'a [Receipt], verdict: Verdict) -> BoxFuture<'a, io::Result<()>> {
        let kind = move || match verdict {
            Verdict::Stored => AckKind::Ack,
            Verdict::GivenUp => AckKind::Term,
            Verdict::AtWork => AckKind::Progress,
        };
        let client = &self.connection.client;
        let settled = async move {
            let Some((Receipt(last), others)) = receipts.split_last() else { return Ok(()) };
            for Receipt(subject) in others {
                client.publish(subject.clone(), kind().into()).await.map_err(io::Error::other)?;
            }
            client.request(last.clone(), kind().into()).await.map(drop).map_err(io::Error::other)
        };
        self.connection.unless_lost(settled).boxed()
    }
}

/// Finds the consumer and gives it the settings of the place, or makes it.
async fn found_or_made(stream: &Stream, identity: &str, place: &ConsumerPlace) -> io::Result<Consumer<Config>> {
    let of_consumer = |error: &dyn std::fmt::Display| {
        io::Error::other(format!("consumer `{}` of stream `{}`: {error}", place.consumer, place.stream))
    };
    let filter_subject = place.filter_subject.clone().unwrap_or_default();
    let max_ack_pending = i64::from(place.max_ack_pending);
    let config = match stream.consumer_info(&place.consumer).await {
        Ok(info) => {
            if let Some(problem) = misfit(&info.config) {
                return Err(of_consumer(&problem));
            }
            let found = &info.config;
            let is_same = found.filter_subject == filter_subject
                && found.ack_wait == place.ack_wait
                && found.max_ack_pending == max_ack_pending;
            if is_same {
                return stream.get_consumer(&place.consumer).await.map_err(|error| of_consumer(&error));
            }
            let found = stream.get_consumer::<Config>(&place.consumer).await.map_err(|error| of_consumer(&error))?;
            found.cached_info().config.clone()
        }
        Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => AnyConfig {
            durable_name: Some(place.consumer.clone()),
            deliver_policy: first(identity, place),
            ack_policy: AckPolicy::Explicit,
            ..AnyConfig::default()
        },
        Err(error) => return Err(of_consumer(&error)),
    };
    let config = Config {
        durable_name: config.durable_name,
        description: config.description,
        deliver_policy: config.deliver_policy,
        ack_policy: config.ack_policy,
        ack_wait: place.ack_wait,
        filter_subject,
        max_ack_pending,
        replay_policy: config.replay_policy,
        sample_frequency: config.sample_frequency,
        max_waiting: config.max_waiting,
        inactive_threshold: config.inactive_threshold,
        num_replicas: config.num_replicas,
        memory_storage: config.memory_storage,
        ..Config::default()
    };
    stream.create_consumer(config).await.map_err(|error| of_consumer(&error))
}

/// Where a consumer begins that is made.
fn first(identity: &str, place: &ConsumerPlace) -> DeliverPolicy {
    match (&place.resume, place.first) {
        (Some((stream, sequence)), _) if stream == identity => {
            DeliverPolicy::ByStartSequence { start_sequence: *sequence }
        }
        (_, FirstMessage::All) => DeliverPolicy::All,
        (_, FirstMessage::New) => DeliverPolicy::New,
        (_, FirstMessage::Last) => DeliverPolicy::Last,
        (_, FirstMessage::LastPerSubject) => DeliverPolicy::LastPerSubject,
    }
}

/// Why a consumer cannot be used without losing messages. `None` if it can.
fn misfit(config: &AnyConfig) -> Option<String> {
    if config.deliver_subject.is_some() {
        return Some("it is a push consumer: name another one, or let the host make one".to_owned());
    }
    if config.ack_policy != AckPolicy::Explicit {
        return Some(
            "its acknowledgements are not explicit, so that messages could be lost: name another one, or let the host \
             make one"
                .to_owned(),
        );
    }
    (config.max_deliver > 0).then(|| {
        format!(
            "the server gives a message up after {} deliveries (max_deliver), so that messages could be lost: name \
             another one, or let the host make one",
            config.max_deliver
        )
    })
}

/// The error of a stream that cannot be opened.
fn of_stream(place: &ConsumerPlace, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("stream `{}`: {error}", place.stream))
}
