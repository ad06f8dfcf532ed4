//! A client that reads partitions from given offsets.
//!
//! Owns one consumer, with all partitions that were ever read assigned to it, and a queue for each. The library fetches
//! ahead of the last reader of a partition, at most [`PREFETCH_KIB`] a partition. If two readers read a partition at different
//! places, as two runs of a job do, there is a second consumer, so that neither disturbs the other. Any further reader moves
//! the consumer that was not used for longest.

use super::super::{KafkaLog, KafkaPlace, LogFault, LogPlace, Offsets, TakeRecord, TopicPartition};
use super::config::{Context, client_config, refused};
use super::failure::{failed, fault};
use super::partition_queue::{Content, Fetched, PartitionQueue};
use crate::lock::lock;
use crate::time::Duration;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};

/// How long to wait for the answer of the cluster to a question.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(10);
/// How long a reader waits for records that have to be there.
const READ_TIME: Duration = Duration::from_secs(60);
/// How long a reader waits before it looks again, though nobody has said that there is something.
const LOOK_TIME: Duration = Duration::from_millis(500);
/// How much of each partition the library fetches ahead of its reader. This memory is not part of the host's budget.
const PREFETCH_KIB: u32 = 8 * 1024;

/// How many consumers there are at most.
const CONSUMERS_MAX: usize = 2;

/// The settings of this client. Options of the job file replace those that guarantees do not depend on.
const SETTINGS: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    ("isolation.level", "read_committed"),
    ("auto.offset.reset", "error"),
    ("check.crcs", "true"),
];

/// The settings of this client that options may replace.
const TUNED: &[(&str, &str)] = &[
    // The end of a partition is known when the broker has waited so long for more.
    ("fetch.wait.max.ms", "50"),
    // A reader that has emptied its queue does not wait long for more.
    ("fetch.queue.backoff.ms", "5"),
];

/// A client that reads partitions.
pub(super) struct Consumer {
    config: ClientConfig,
    place: KafkaPlace,
    /// At least one.
    members: Mutex<Members>,
    /// The first one, for questions.
    consumer: Arc<BaseConsumer<Context>>,
}

/// The consumers.
struct Members {
    all: Vec<Arc<Fetcher>>,
    /// Grows with each use.
    uses: u64,
}

/// A consumer with its partitions.
struct Fetcher {
    assigned: Mutex<BTreeMap<TopicPartition, Use>>,
    /// Dropped last: the library waits at the end of a consumer until its queues and records are freed.
    consumer: Arc<BaseConsumer<Context>>,
}

/// A partition of a consumer.
#[derive(Clone)]
struct Use {
    assigned: Arc<tokio::sync::Mutex<Assigned>>,
    /// The number of the last use.
    last: u64,
}

/// A partition that the consumer fetches.
struct Assigned {
    /// What was taken out of the queue and was given to nobody yet. Dropped before the queue, which holds the consumer.
    fetched: VecDeque<Fetched>,
    queue: PartitionQueue,
    /// The offset after the last record that was given, or the offset at which the consumer began.
    given: i64,
    /// There are no records from `given` to this offset.
    position: i64,
    /// A position of the library up to this offset says nothing: it may be from before the consumer moved, and it is one too
    /// far after the library has said where the partition ends.
    stale: i64,
    /// Whether the consumer fetches nothing any more.
    is_broken: bool,
}

impl Consumer {
    /// Makes a client.
    pub(super) fn new(place: &KafkaPlace, group: &str) -> io::Result<Self> {
        let mut config = client_config(place);
        for (name, value) in TUNED.iter().filter(|(name, _)| !place.values.contains_key(*name)) {
            config.set(*name, *value);
        }
        if !place.values.contains_key("queued.max.messages.kbytes") {
            config.set("queued.max.messages.kbytes", PREFETCH_KIB.to_string());
        }
        for (name, value) in SETTINGS {
            config.set(*name, *value);
        }
        // The library assigns nothing without a group.
        config.set("group.id", group);
        let first = Fetcher::new(&config, place)?;
        let consumer = first.consumer.clone();
        let members = Mutex::new(Members { all: vec![Arc::new(first)], uses: 0 });
        Ok(Self { config, place: place.clone(), members, consumer })
    }

    /// Asks the cluster, on a thread that may wait.
    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&BaseConsumer<Context>) -> KafkaResult<T> + Send + 'static,
    ) -> BoxFuture<'static, io::Result<T>> {
        let consumer = self.consumer.clone();
        async move {
            let asked = tokio::task::spawn_blocking(move || {
                hear_errors(&consumer);
                question(&consumer).map_err(|error| failed(consumer.context(), &error))
            });
            asked.await.map_err(io::Error::other)?
        }
        .boxed()
    }

    /// The consumer whose last reader of the partition has stopped at `from`; or else one that nobody reads the partition
    /// from; or else the one from which nobody has read it for longest.
    fn choose(&self, partition: &TopicPartition, from: i64) -> Result<(Arc<Fetcher>, Use), LogFault> {
        let mut members = lock(&self.members);
        members.uses += 1;
        let now = members.uses;
        let known = |fetcher: &Arc<Fetcher>| lock(&fetcher.assigned).get(partition).cloned();
        let continues = |at: &Use| at.assigned.try_lock().is_ok_and(|assigned| assigned.continues(from));
        let is_next = |fetcher: &&Arc<Fetcher>| known(fetcher).is_some_and(|at| continues(&at));
        let mut chosen = members.all.iter().find(is_next).cloned();
        chosen = chosen.or_else(|| members.all.iter().find(|fetcher| known(fetcher).is_none()).cloned());
        if chosen.is_none() && members.all.len() < CONSUMERS_MAX {
            let fetcher = Arc::new(Fetcher::new(&self.config, &self.place).map_err(LogFault::Io)?);
            members.all.push(fetcher.clone());
            chosen = Some(fetcher);
        }
        let oldest = || members.all.iter().min_by_key(|fetcher| known(fetcher).map_or(0, |at| at.last)).cloned();
        let fetcher = chosen.or_else(oldest).ok_or(LogFault::NoPartition)?;
        let at = fetcher.used(partition, from, now)?;
        Ok((fetcher, at))
    }

    async fn read_next(
        &self,
        partition: &TopicPartition,
        from: i64,
        take: &mut TakeRecord<'_>,
    ) -> Result<i64, LogFault> {
        let (fetcher, at) = self.choose(partition, from)?;
        let mut assigned = at.assigned.lock().await;
        fetcher.read_next(partition, from, &mut assigned, take).await
    }
}

impl Fetcher {
    fn new(config: &ClientConfig, place: &KafkaPlace) -> io::Result<Self> {
        let consumer = config.create_with_context(Context::default()).map_err(|error| refused(place, &error))?;
        Ok(Self { assigned: Mutex::default(), consumer: Arc::new(consumer) })
    }

    /// The state of a partition, which is assigned if it is new.
    fn used(&self, partition: &TopicPartition, from: i64, now: u64) -> Result<Use, LogFault> {
        let mut all = lock(&self.assigned);
        if let Some(at) = all.get_mut(partition) {
            at.last = now;
            return Ok(at.clone());
        }
        // The queue comes first, so that no record is fetched into another one.
        let queue = PartitionQueue::of(&self.consumer, partition).ok_or(LogFault::NoPartition)?;
        self.assign(partition, from)?;
        let assigned =
            Assigned { queue, fetched: VecDeque::new(), given: from, position: from, stale: from, is_broken: false };
        let at = Use { assigned: Arc::new(tokio::sync::Mutex::new(assigned)), last: now };
        all.insert(partition.clone(), at.clone());
        Ok(at)
    }

    fn assign(&self, partition: &TopicPartition, from: i64) -> Result<(), LogFault> {
        let list = list([(partition, Offset::Offset(from))]);
        let assigned = list.and_then(|list| self.consumer.incremental_assign(&list));
        assigned.map_err(|error| failed(self.consumer.context(), &error).into())
    }

    /// Lets the consumer fetch from another offset.
    fn move_to(&self, partition: &TopicPartition, assigned: &mut Assigned, from: i64) -> Result<(), LogFault> {
        assigned.stale = self.library_position(partition).unwrap_or(assigned.stale).max(assigned.stale).max(from);
        assigned.fetched.clear();
        if assigned.is_broken {
            let old = list([(partition, Offset::Invalid)]);
            // It may not be assigned any more.
            let _ = old.and_then(|old| self.consumer.incremental_unassign(&old));
            self.assign(partition, from)?;
        } else {
            // The call does not wait: what was fetched before is dropped when it is taken out of the queue.
            let sought = self.consumer.seek(&partition.topic, partition.number, Offset::Offset(from), Duration::ZERO);
            sought.map_err(|error| failed(self.consumer.context(), &error))?;
        }
        (assigned.given, assigned.position, assigned.is_broken) = (from, from, false);
        Ok(())
    }

    /// The offset after the last record or marker that was taken out of the queue of a partition, as the library knows it.
    fn library_position(&self, partition: &TopicPartition) -> Option<i64> {
        let positions = self.consumer.position().ok()?;
        match positions.find_partition(&partition.topic, partition.number)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }

    async fn read_next(
        &self,
        partition: &TopicPartition,
        from: i64,
        assigned: &mut Assigned,
        take: &mut TakeRecord<'_>,
    ) -> Result<i64, LogFault> {
        if !assigned.continues(from) {
            self.move_to(partition, assigned, from)?;
        }
        // The reader may know that there is nothing before.
        assigned.given = from;
        assigned.position = assigned.position.max(from);
        let filled = assigned.queue.filled.clone();
        loop {
            let given = self.give(assigned, take)?;
            if given || assigned.position > from {
                return Ok(assigned.position);
            }
            assigned.queue.take(&mut assigned.fetched);
            if !assigned.fetched.is_empty() {
                continue;
            }
            // Markers of transactions are no records, but the position is behind them.
            if let Some(position) = self.library_position(partition).filter(|position| *position > assigned.stale)
                && position > assigned.position
            {
                assigned.position = position;
                return Ok(position);
            }
            hear_errors(&self.consumer);
            let _ = tokio::time::timeout(LOOK_TIME, filled.notified()).await;
        }
    }

    /// Gives what was taken out of the queue. Returns whether the taker has taken anything, or takes no more.
    fn give(&self, assigned: &mut Assigned, take: &mut TakeRecord<'_>) -> Result<bool, LogFault> {
        let mut has_given = false;
        while let Some(next) = assigned.fetched.front() {
            let fault = match next.content() {
                // From before the consumer moved.
                Content::Record(record) if record.offset < assigned.given => None,
                Content::Record(record) => {
                    if !take(&record) {
                        assigned.position = assigned.position.max(record.offset);
                        return Ok(true);
                    }
                    has_given = true;
                    assigned.given = record.offset + 1;
                    assigned.position = assigned.position.max(assigned.given);
                    None
                }
                Content::End(offset) => {
                    assigned.position = assigned.position.max(offset);
                    assigned.stale = assigned.stale.max(offset + 1);
                    None
                }
                Content::Error(code, said) => fault(self.consumer.context(), code, &said),
            };
            if has_given && fault.is_some() {
                // It is found again by the next reader.
                return Ok(true);
            }
            assigned.fetched.pop_front();
            if let Some(fault) = fault {
                assigned.is_broken = true;
                assigned.fetched.clear();
                return Err(fault);
            }
        }
        Ok(has_given)
    }
}

impl Assigned {
    /// Whether the next record of a reader that begins at `from` is the next one of the queue.
    fn continues(&self, from: i64) -> bool {
        !self.is_broken && (self.given..=self.position).contains(&from)
    }
}

/// Hears what the library has to say about the cluster.
fn hear_errors(consumer: &BaseConsumer<Context>) {
    while let Some(event) = consumer.poll(Duration::ZERO) {
        if let Err(error) = event {
            consumer.context().remember(error.to_string());
        }
    }
}

/// A list of partitions with offsets.
pub(super) fn list<'a>(
    partitions: impl IntoIterator<Item = (&'a TopicPartition, Offset)>,
) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in partitions {
        list.add_partition_offset(&partition.topic, partition.number, offset)?;
    }
    Ok(list)
}

/// The offsets of a list. Partitions without one are left out.
fn offsets(list: &TopicPartitionList) -> Offsets {
    let elements = list.elements();
    let of = elements.iter().filter_map(|element| match (element.error(), element.offset()) {
        (Ok(()), Offset::Offset(offset)) => {
            Some((TopicPartition { topic: element.topic().to_owned(), number: element.partition() }, offset))
        }
        _ => None,
    });
    of.collect()
}

/// The partitions of a list that have an error in place of an answer.
fn unanswered(list: &TopicPartitionList) -> BTreeSet<TopicPartition> {
    let elements = list.elements();
    let of = elements.iter().filter(|element| element.error().is_err());
    of.map(|element| TopicPartition { topic: element.topic().to_owned(), number: element.partition() }).collect()
}

impl KafkaLog for Consumer {
    fn topics(&self, wanted: Option<Vec<String>>) -> BoxFuture<'static, io::Result<BTreeMap<String, i32>>> {
        self.ask(move |consumer| {
            let asked: Vec<Option<String>> = match wanted {
                None => vec![None],
                Some(wanted) => wanted.into_iter().map(Some).collect(),
            };
            let mut topics = BTreeMap::new();
            for topic in asked {
                let metadata = consumer.fetch_metadata(topic.as_deref(), ANSWER_TIME)?;
                let is_there = |topic: &&rdkafka::metadata::MetadataTopic| topic.error().is_none();
                topics.extend(metadata.topics().iter().filter(is_there).map(|topic| {
                    (topic.name().to_owned(), i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX))
                }));
            }
            Ok(topics)
        })
    }

    fn offsets(&self, of: Vec<(TopicPartition, LogPlace)>) -> BoxFuture<'static, io::Result<Offsets>> {
        if of.is_empty() {
            return std::future::ready(Ok(Offsets::new())).boxed();
        }
        self.ask(move |consumer| {
            let place = |place: &LogPlace| match place {
                LogPlace::Start => Offset::Beginning,
                LogPlace::End => Offset::End,
                LogPlace::Since(time) => Offset::Offset(i64::try_from(time.as_ms()).unwrap_or(i64::MAX)),
            };
            let asked = list(of.iter().map(|(partition, at)| (partition, place(at))))?;
            let answer = consumer.offsets_for_times(asked, ANSWER_TIME)?;
            let (mut found, unanswered) = (offsets(&answer), unanswered(&answer));
            // A time after the last record is answered by no offset.
            let is_missing = |(partition, place): &&(TopicPartition, LogPlace)| {
                matches!(place, LogPlace::Since(_)) && !found.contains_key(partition) && !unanswered.contains(partition)
            };
            let missing: Vec<_> = of.iter().filter(is_missing).map(|(partition, _)| partition).collect();
            if !missing.is_empty() {
                let asked = list(missing.into_iter().map(|partition| (partition, Offset::End)))?;
                found.extend(offsets(&consumer.offsets_for_times(asked, ANSWER_TIME)?));
            }
            Ok(found)
        })
    }

    fn committed(&self, of: Vec<TopicPartition>) -> BoxFuture<'static, io::Result<Offsets>> {
        self.ask(move |consumer| {
            let asked = list(of.iter().map(|partition| (partition, Offset::Invalid)))?;
            let committed = consumer.committed_offsets(asked, ANSWER_TIME)?;
            // A partition with an error may have an offset.
            committed.elements().iter().try_for_each(|element| element.error())?;
            Ok(offsets(&committed))
        })
    }

    fn commit(&self, offsets: Offsets) -> BoxFuture<'static, io::Result<()>> {
        self.ask(move |consumer| {
            let told = list(offsets.iter().map(|(partition, offset)| (partition, Offset::Offset(*offset))))?;
            consumer.commit(&told, CommitMode::Sync)
        })
    }

    fn read<'a>(
        &'a self,
        partition: &'a TopicPartition,
        from: i64,
        take: &'a mut TakeRecord<'a>,
    ) -> BoxFuture<'a, Result<i64, LogFault>> {
        async move {
            match tokio::time::timeout(READ_TIME, self.read_next(partition, from, take)).await {
                Ok(read) => read,
                Err(_) => {
                    let last = self.consumer.context().last_error().map(|last| format!("; {last}")).unwrap_or_default();
                    let message = format!("no record came in {} s{last}", READ_TIME.as_secs());
                    Err(io::Error::new(io::ErrorKind::TimedOut, message).into())
                }
            }
        }
        .boxed()
    }
}
