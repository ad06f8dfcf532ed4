//! Topics behind the network of a simulated machine, as producers write to them.
//!
//! Owns the messages that readers of committed messages see, the transactional ids with their marks, and the faults of the
//! brokers. The brokers are not part of the machine: they go on when the machine stops.

use super::memory_disk::MemoryDisk;
use super::virtual_clock::VirtualClock;
use super::{MessageProducer, MessageProducers, OutgoingMessage, OutgoingMessages, ProduceError, ProducerPlace};
use crate::error::Persistence;
use crate::lock::lock;
use crate::time::{Duration, Time};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// How long a write takes.
const WRITE_TIME: Duration = Duration::from_millis(1);

/// A message that was written to a simulated topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrittenMessage {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The names and values of the headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The partition that the message asked for.
    pub partition: Option<i32>,
    /// The time that the message asked for, in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
}

/// The brokers. Clones are the same brokers.
#[derive(Clone)]
pub(super) struct SimulatedProducers {
    clock: VirtualClock,
    disk: MemoryDisk,
    brokers: Arc<Mutex<Brokers>>,
}

#[derive(Default)]
struct Brokers {
    topics: BTreeMap<String, Vec<WrittenMessage>>,
    ids: BTreeMap<String, TransactionalId>,
    /// The span of time in which nobody can connect or write.
    away: Option<(Time, Time)>,
    /// Of the writes, each of this number fails: by turns before it is stored, and after. 0 if none fails.
    fails: u64,
    /// The number of writes.
    writes: u64,
}

#[derive(Clone, Default)]
struct TransactionalId {
    /// The number of producers that were connected with the id.
    epoch: u64,
    mark: Option<String>,
}

impl SimulatedProducers {
    pub(super) fn new(clock: VirtualClock, disk: MemoryDisk) -> Self {
        Self { clock, disk, brokers: Arc::default() }
    }

    pub(super) fn topics(&self) -> BTreeMap<String, Vec<WrittenMessage>> {
        lock(&self.brokers).topics.clone()
    }

    pub(super) fn away(&self, from: Time, until: Time) {
        lock(&self.brokers).away = Some((from, until));
    }

    pub(super) fn fail(&self, every: u64) {
        lock(&self.brokers).fails = every;
    }

    /// Fails if the brokers cannot be reached.
    fn reach(&self) -> Result<(), ProduceError> {
        let now = self.clock.undisturbed();
        let is_away = lock(&self.brokers).away.is_some_and(|(from, until)| (from..until).contains(&now));
        if self.disk.is_halted() || is_away { Err(unreachable("the brokers are away")) } else { Ok(()) }
    }
}

fn unreachable(text: &str) -> ProduceError {
    let persistence = Persistence::Transient;
    ProduceError::Refused { text: text.to_owned(), help: "wait until the brokers are back", persistence }
}

impl MessageProducers for SimulatedProducers {
    fn open(&self, place: &ProducerPlace) -> BoxFuture<'static, Result<Arc<dyn MessageProducer>, ProduceError>> {
        let (producers, place) = (self.clone(), place.clone());
        async move {
            producers.reach()?;
            let id = place.transactional_id.map(|id| {
                let mut brokers = lock(&producers.brokers);
                let known = brokers.ids.entry(id.clone()).or_default();
                known.epoch += 1;
                (id, known.clone())
            });
            Ok(Arc::new(SimulatedProducer { producers, topic: place.topic, id }) as Arc<dyn MessageProducer>)
        }
        .boxed()
    }
}

struct SimulatedProducer {
    producers: SimulatedProducers,
    topic: String,
    /// The transactional id, as it was when the producer was connected.
    id: Option<(String, TransactionalId)>,
}

impl MessageProducer for SimulatedProducer {
    fn mark(&self) -> Option<String> {
        self.id.as_ref().and_then(|(_, id)| id.mark.clone())
    }

    fn write(&self, mut messages: Box<dyn OutgoingMessages>, mark: &str) -> BoxFuture<'_, Result<(), ProduceError>> {
        let mark = mark.to_owned();
        async move {
            let mut written = Vec::new();
            messages.send_all(&mut |message| {
                written.push(copied(message));
                Ok(())
            })?;
            self.producers.clock.sleep(WRITE_TIME).await;
            self.producers.reach()?;
            let mut brokers = lock(&self.producers.brokers);
            brokers.writes += 1;
            let (writes, fails) = (brokers.writes, brokers.fails);
            let fault = (fails > 0 && writes % fails == 0).then(|| (writes / fails) % 2 == 1);
            if fault == Some(true) {
                return Err(unreachable("the connection ended before the messages were stored"));
            }
            if let Some((name, id)) = &self.id {
                let known = brokers.ids.entry(name.clone()).or_default();
                if known.epoch != id.epoch {
                    return Err(ProduceError::Fenced(name.clone()));
                }
                known.mark = Some(mark);
            }
            brokers.topics.entry(self.topic.clone()).or_default().append(&mut written);
            match fault {
                Some(false) => Err(unreachable("the connection ended before the answer came")),
                _ => Ok(()),
            }
        }
        .boxed()
    }
}

fn copied(message: &OutgoingMessage<'_>) -> WrittenMessage {
    let OutgoingMessage { key, value, headers, partition, timestamp_ms } = message;
    WrittenMessage {
        key: key.map(<[u8]>::to_vec),
        value: value.map(<[u8]>::to_vec),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), value.unwrap_or_default().to_vec())).collect(),
        partition: *partition,
        timestamp_ms: *timestamp_ms,
    }
}
