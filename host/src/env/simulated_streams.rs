//! Streams of messages behind the network of a simulated machine.
//!
//! Owns the streams, their consumers and the faults of the server. The server is not part of the machine: it goes on when
//! the machine stops. A message that is added appears at its time.

use super::memory_disk::MemoryDisk;
use super::virtual_clock::VirtualClock;
use super::{ConsumerPlace, FirstMessage, Message, MessageConsumer, MessageStreams, PullLimits, Receipt, Verdict};
use crate::lock::lock;
use crate::time::{Duration, Time};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

/// How long a client waits for the answer to a request.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The server of all streams. Clones are the same server.
#[derive(Clone)]
pub(super) struct SimulatedStreams {
    clock: VirtualClock,
    disk: MemoryDisk,
    server: Arc<Mutex<Server>>,
}

#[derive(Default)]
struct Server {
    streams: BTreeMap<String, Stream>,
    /// The span of time in which the server is away. Its connections end when the span begins.
    away: Option<(Time, Time)>,
    /// Of the verdicts that are sent, each of this number is lost. 0 if none is.
    loses: u64,
    /// The number of verdicts that were sent.
    verdicts: u64,
    /// When all consumers are removed. `None` if that has happened, or does not happen.
    removal: Option<Time>,
}

#[derive(Default)]
struct Stream {
    /// In the order of their times.
    messages: Vec<Stored>,
    consumers: BTreeMap<String, Consumer>,
}

#[derive(Clone)]
struct Stored {
    appears: Time,
    subject: String,
    payload: Vec<u8>,
}

/// What the server knows of a consumer.
struct Consumer {
    /// Distinguishes the consumer from an earlier one of the same name.
    made: Time,
    filter_subject: Option<String>,
    ack_wait: Duration,
    max_ack_pending: usize,
    /// The number of the first message that was not delivered yet.
    next: u64,
    /// The numbers of the messages that are delivered and not acknowledged, and when each is delivered again.
    pending: BTreeMap<u64, Time>,
}

impl SimulatedStreams {
    pub(super) fn new(clock: VirtualClock, disk: MemoryDisk) -> Self {
        Self { clock, disk, server: Arc::default() }
    }

    /// Adds a message. If there is no such stream, it is made.
    pub(super) fn add(&self, appears: Time, stream: &str, subject: &str, payload: Vec<u8>) {
        let mut server = lock(&self.server);
        let messages = &mut server.streams.entry(stream.to_owned()).or_default().messages;
        let appears = messages.last().map_or(appears, |last| last.appears.max(appears));
        messages.push(Stored { appears, subject: subject.to_owned(), payload });
    }

    pub(super) fn away(&self, from: Time, until: Time) {
        lock(&self.server).away = Some((from, until));
    }

    pub(super) fn lose(&self, every: u64) {
        lock(&self.server).loses = every;
    }

    pub(super) fn remove_consumers(&self, at: Time) {
        lock(&self.server).removal = Some(at);
    }

    fn now(&self) -> Time {
        self.clock.undisturbed()
    }

    fn opened(&self, place: &ConsumerPlace) -> io::Result<Arc<dyn MessageConsumer>> {
        let now = self.now();
        let mut server = lock(&self.server);
        let is_away = server.away.is_some_and(|(from, until)| (from..until).contains(&now));
        if self.disk.is_halted() || is_away {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        server.advance(now);
        let Some(stream) = server.streams.get_mut(&place.stream) else {
            let message = format!("stream `{}`: stream not found", place.stream);
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        };
        let identity = format!("{} of the simulation", place.stream);
        let next = stream.first(&identity, place, now);
        let consumer = stream.consumers.entry(place.consumer.clone()).or_insert_with(|| Consumer {
            made: now,
            filter_subject: None,
            ack_wait: Duration::ZERO,
            max_ack_pending: 0,
            next,
            pending: BTreeMap::new(),
        });
        consumer.filter_subject.clone_from(&place.filter_subject);
        consumer.ack_wait = place.ack_wait;
        consumer.max_ack_pending = place.max_ack_pending as usize;
        let made = consumer.made;
        let (streams, place) = (self.clone(), (place.stream.clone(), place.consumer.clone()));
        Ok(Arc::new(Connected { streams, place, identity, connected: now, made }))
    }
}

impl Server {
    /// Does what was due before `now`.
    fn advance(&mut self, now: Time) {
        if self.removal.take_if(|at| *at <= now).is_some() {
            self.streams.values_mut().for_each(|stream| stream.consumers.clear());
        }
    }
}

impl Stream {
    /// The number of the first message of a consumer that is made now.
    fn first(&self, identity: &str, place: &ConsumerPlace, now: Time) -> u64 {
        let there = self.messages.partition_point(|message| message.appears <= now) as u64;
        match (&place.resume, place.first) {
            (Some((stream, sequence)), _) if stream == identity => *sequence,
            (_, FirstMessage::All) => 1,
            (_, FirstMessage::New) => there + 1,
            // A simulated stream has one subject for this purpose.
            (_, FirstMessage::Last | FirstMessage::LastPerSubject) => there.max(1),
        }
    }
}

impl MessageStreams for SimulatedStreams {
    fn consume(&self, place: &ConsumerPlace) -> BoxFuture<'static, io::Result<Arc<dyn MessageConsumer>>> {
        std::future::ready(self.opened(place)).boxed()
    }
}

/// A connection to the server for one consumer.
struct Connected {
    streams: SimulatedStreams,
    /// The names of the stream and of the consumer.
    place: (String, String),
    identity: String,
    connected: Time,
    /// See [`Consumer::made`].
    made: Time,
}

impl Connected {
    /// Calls a function with the stream and what the server knows of the consumer.
    fn with<T>(&self, call: impl FnOnce(&[Stored], &mut Consumer) -> T) -> io::Result<T> {
        let now = self.streams.now();
        let mut server = lock(&self.streams.server);
        let has_left = server.away.is_some_and(|(from, _)| self.connected < from && from <= now);
        if self.streams.disk.is_halted() || has_left {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was closed"));
        }
        server.advance(now);
        let stream = server.streams.get_mut(&self.place.0);
        let parts = stream.and_then(|stream| Some((&stream.messages, stream.consumers.get_mut(&self.place.1)?)));
        match parts {
            Some((messages, consumer)) if consumer.made == self.made => Ok(call(messages, consumer)),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "the server has no such consumer any more")),
        }
    }

    /// When a message may come, or the connection may end.
    fn next_change(&self, until: Time) -> io::Result<Time> {
        let now = self.streams.now();
        let away = lock(&self.streams.server).away.map(|(from, _)| from);
        let removal = lock(&self.streams.server).removal;
        let next = self.with(|messages, consumer| {
            let appears = messages.iter().map(|message| message.appears).find(|appears| *appears > now);
            let again = consumer.pending.values().copied().min();
            [appears, again, away, removal].into_iter().flatten().filter(|at| *at > now).min()
        })?;
        Ok(next.map_or(until, |next| next.min(until)))
    }

    async fn pulled(&self, limits: PullLimits) -> io::Result<Vec<Message>> {
        let until = self.streams.now() + limits.wait;
        let (mut messages, mut bytes) = (Vec::new(), 0);
        loop {
            let now = self.streams.now();
            let is_full = self.with(|stored, consumer| {
                loop {
                    if messages.len() >= limits.messages {
                        return true;
                    }
                    let Some((sequence, message)) = consumer.deliverable(stored, now) else { return false };
                    if !messages.is_empty() && bytes + message.payload.len() > limits.bytes {
                        return true;
                    }
                    bytes += message.payload.len();
                    consumer.pending.insert(sequence, now + consumer.ack_wait);
                    consumer.next = consumer.next.max(sequence + 1);
                    let Stored { subject, payload, .. } = message.clone();
                    messages.push(Message { sequence, subject, payload, receipt: Receipt(sequence.to_string()) });
                }
            })?;
            if is_full || now >= until {
                return Ok(messages);
            }
            let next = self.next_change(until)?;
            self.streams.clock.sleep(next.since(now)).await;
        }
    }

    async fn told(&self, receipts: &[Receipt], verdict: Verdict) -> io::Result<()> {
        let now = self.streams.now();
        let mut is_last_lost = false;
        for Receipt(receipt) in receipts {
            let is_lost = {
                let mut server = lock(&self.streams.server);
                server.verdicts += 1;
                server.loses > 0 && server.verdicts.is_multiple_of(server.loses)
            };
            is_last_lost = is_lost;
            let sequence = receipt.parse().unwrap_or_default();
            self.with(|_, consumer| match verdict {
                _ if is_lost => {}
                Verdict::Stored | Verdict::GivenUp => drop(consumer.pending.remove(&sequence)),
                Verdict::AtWork => {
                    let ack_wait = consumer.ack_wait;
                    consumer.pending.entry(sequence).and_modify(|again| *again = now + ack_wait);
                }
            })?;
        }
        if is_last_lost {
            self.streams.clock.sleep(ANSWER_TIME).await;
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not answer"));
        }
        Ok(())
    }
}

impl Consumer {
    /// The next message to deliver, with its number. `None` if there is none now.
    fn deliverable<'a>(&self, stored: &'a [Stored], now: Time) -> Option<(u64, &'a Stored)> {
        let numbered = |sequence: u64| {
            let at = usize::try_from(sequence).ok()?.checked_sub(1)?;
            Some((sequence, stored.get(at)?))
        };
        if let Some((sequence, _)) = self.pending.iter().find(|(_, again)| **again <= now) {
            return numbered(*sequence);
        }
        if self.pending.len() >= self.max_ack_pending {
            return None;
        }
        let is_wanted =
            |message: &Stored| self.filter_subject.as_ref().is_none_or(|filter| fits(filter, &message.subject));
        let mut new = (self.next..).map_while(numbered).take_while(|(_, message)| message.appears <= now);
        new.find(|(_, message)| is_wanted(message))
    }
}

/// Whether a subject fits a pattern.
fn fits(pattern: &str, subject: &str) -> bool {
    let mut subject = subject.split('.');
    let mut pattern = pattern.split('.');
    loop {
        match (pattern.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some(wanted), Some(part)) if wanted == "*" || wanted == part => {}
            _ => return false,
        }
    }
}

impl MessageConsumer for Connected {
    fn stream(&self) -> &str {
        &self.identity
    }

    fn pull(&self, limits: PullLimits) -> BoxFuture<'_, io::Result<Vec<Message>>> {
        self.pulled(limits).boxed()
    }

    fn settle<'a>(&'a self, receipts: &'a [Receipt], verdict: Verdict) -> BoxFuture<'a, io::Result<()>> {
        self.told(receipts, verdict).boxed()
    }
}
