//! A cluster of Kafka behind the network of a simulated machine.
//!
//! Owns the topics, their groups and the faults of the cluster. The cluster is not part of the machine: it goes on when
//! the machine stops. A record that is added appears at its time.

use super::memory_disk::MemoryDisk;
use super::virtual_clock::VirtualClock;
use super::{
    GroupRecord, KafkaClusters, KafkaLog, KafkaMember, KafkaPlace, LogFault, LogPlace, LogRecord, Offsets, PullLimits,
    TakeRecord, TopicPartition,
};
use crate::lock::lock;
use crate::time::{Duration, Time};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

/// How long a client waits for the answer to a question.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// How long a reader waits for records.
const READ_TIME: Duration = Duration::from_secs(60);

/// The cluster. Clones are the same one.
#[derive(Clone)]
pub(super) struct SimulatedKafka {
    clock: VirtualClock,
    disk: MemoryDisk,
    cluster: Arc<Mutex<Cluster>>,
}

#[derive(Default)]
struct Cluster {
    topics: BTreeMap<String, Vec<Partition>>,
    committed: BTreeMap<(String, TopicPartition), i64>,
    /// The span of time in which no broker answers.
    away: Option<(Time, Time)>,
    /// Records before an offset that are removed at a time.
    removals: Vec<(Time, TopicPartition, i64)>,
}

#[derive(Default)]
struct Partition {
    /// In the order of their times. The place of an entry is its offset.
    entries: Vec<Entry>,
    start: i64,
}

struct Entry {
    appears: Time,
    /// `None` for the marker of a transaction, which takes an offset and is no record.
    record: Option<Record>,
}

struct Record {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

impl SimulatedKafka {
    pub(super) fn new(clock: VirtualClock, disk: MemoryDisk) -> Self {
        Self { clock, disk, cluster: Arc::default() }
    }

    /// Makes a topic, or gives it more partitions.
    pub(super) fn topic(&self, topic: &str, partitions: usize) {
        let mut cluster = lock(&self.cluster);
        let of_topic = cluster.topics.entry(topic.to_owned()).or_default();
        of_topic.resize_with(partitions.max(of_topic.len()), Partition::default);
    }

    /// Adds a record. If the partition does not exist, it is made.
    pub(super) fn add(&self, appears: Time, of: &TopicPartition, key: Option<Vec<u8>>, value: Option<Vec<u8>>) {
        self.entry(appears, of, Some(Record { key, value }));
    }

    /// Adds the marker of a transaction.
    pub(super) fn add_marker(&self, appears: Time, of: &TopicPartition) {
        self.entry(appears, of, None);
    }

    fn entry(&self, appears: Time, of: &TopicPartition, record: Option<Record>) {
        let number = usize::try_from(of.number).unwrap_or(0);
        self.topic(&of.topic, number + 1);
        let mut cluster = lock(&self.cluster);
        let partition = cluster.topics.get_mut(&of.topic).and_then(|partitions| partitions.get_mut(number));
        let Some(partition) = partition else { return };
        let appears = partition.entries.last().map_or(appears, |last| last.appears.max(appears));
        partition.entries.push(Entry { appears, record });
    }

    pub(super) fn away(&self, from: Time, until: Time) {
        lock(&self.cluster).away = Some((from, until));
    }

    pub(super) fn remove_before(&self, at: Time, of: &TopicPartition, offset: i64) {
        lock(&self.cluster).removals.push((at, of.clone(), offset));
    }

    pub(super) fn committed_by(&self, group: &str, of: &TopicPartition) -> Option<i64> {
        lock(&self.cluster).committed.get(&(group.to_owned(), of.clone())).copied()
    }

    /// Calls a function with the cluster as it is now. `Err` with the time at which the cluster is back if it is away, or
    /// `None` if it does not come back.
    fn with<T>(&self, call: impl FnOnce(&mut Cluster, Time) -> T) -> Result<T, Option<Time>> {
        let now = self.clock.undisturbed();
        let mut cluster = lock(&self.cluster);
        if self.disk.is_halted() {
            return Err(None);
        }
        if let Some((_, until)) = cluster.away.filter(|(from, until)| (*from..*until).contains(&now)) {
            return Err(Some(until));
        }
        let (due, later) = std::mem::take(&mut cluster.removals).into_iter().partition(|(at, ..)| *at <= now);
        cluster.removals = later;
        for (_, of, offset) in due as Vec<(Time, TopicPartition, i64)> {
            if let Some(partition) = cluster.partition_mut(&of) {
                partition.start = partition.start.max(offset);
            }
        }
        Ok(call(&mut cluster, now))
    }

    /// The answer to a question, for which a client waits while the cluster is away.
    async fn ask<T>(&self, call: impl Fn(&mut Cluster, Time) -> T) -> io::Result<T> {
        let patience = self.clock.undisturbed() + ANSWER_TIME;
        loop {
            match self.with(&call) {
                Ok(answer) => return Ok(answer),
                Err(Some(back)) if back <= patience => self.wait(back).await,
                Err(_) => {
                    self.wait(patience).await;
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "all brokers are down"));
                }
            }
        }
    }

    async fn wait(&self, until: Time) {
        self.clock.sleep(until.since(self.clock.undisturbed())).await;
    }
}

impl Cluster {
    fn partition(&self, of: &TopicPartition) -> Option<&Partition> {
        self.topics.get(&of.topic)?.get(usize::try_from(of.number).ok()?)
    }

    fn partition_mut(&mut self, of: &TopicPartition) -> Option<&mut Partition> {
        self.topics.get_mut(&of.topic)?.get_mut(usize::try_from(of.number).ok()?)
    }
}

impl Partition {
    fn end(&self, now: Time) -> i64 {
        let there = self.entries.partition_point(|entry| entry.appears <= now);
        i64::try_from(there).unwrap_or(i64::MAX).max(self.start)
    }

    fn place(&self, place: LogPlace, now: Time) -> i64 {
        match place {
            LogPlace::Start => self.start,
            LogPlace::End => self.end(now),
            LogPlace::Since(time) => {
                let before = self.entries.partition_point(|entry| entry.appears < time);
                i64::try_from(before).unwrap_or(i64::MAX).clamp(self.start, self.end(now))
            }
        }
    }
}

impl KafkaClusters for SimulatedKafka {
    fn log(&self, _: &KafkaPlace, group: &str) -> io::Result<Arc<dyn KafkaLog>> {
        Ok(Arc::new(SimulatedLog { kafka: self.clone(), group: group.to_owned() }))
    }

    fn join(
        &self,
        _: &KafkaPlace,
        group: &str,
        topics: &[String],
    ) -> BoxFuture<'static, io::Result<Arc<dyn KafkaMember>>> {
        let (kafka, group, topics) = (self.clone(), group.to_owned(), topics.to_vec());
        async move {
            let missing =
                kafka.ask(|cluster, _| topics.iter().find(|topic| !cluster.topics.contains_key(*topic)).cloned());
            if let Some(topic) = missing.await? {
                return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no topic {topic}")));
            }
            let joined = kafka.clock.undisturbed();
            let member = SimulatedMember { kafka, group, topics, positions: Mutex::default(), joined };
            Ok(Arc::new(member) as Arc<dyn KafkaMember>)
        }
        .boxed()
    }
}

/// A member of a group. In a simulation, each member reads all partitions.
struct SimulatedMember {
    kafka: SimulatedKafka,
    group: String,
    topics: Vec<String>,
    /// The next offset of each partition.
    positions: Mutex<Offsets>,
    joined: Time,
}

impl SimulatedMember {
    /// The records that are there now, within limits. `None` if the connection is lost.
    fn come(&self, limits: PullLimits) -> Option<Vec<GroupRecord>> {
        let read = self.kafka.with(|cluster, now| {
            let was_away = cluster.away.is_some_and(|(from, _)| self.joined < from && from <= now);
            let mut positions = lock(&self.positions);
            let mut records: Vec<GroupRecord> = Vec::new();
            for topic in &self.topics {
                let count = cluster.topics.get(topic).map_or(0, Vec::len);
                for number in (0..).take(count) {
                    let of = TopicPartition { topic: topic.clone(), number };
                    let committed = cluster.committed.get(&(self.group.clone(), of.clone())).copied();
                    let Some(partition) = cluster.partition(&of) else { continue };
                    let from = *positions.entry(of.clone()).or_insert_with(|| committed.unwrap_or(0));
                    let mut take = |record: &LogRecord<'_>| {
                        let is_taken = records.len() < limits.messages;
                        if is_taken {
                            records.push(owned(&of, record));
                        }
                        is_taken
                    };
                    let next = give(partition, from.max(partition.start), partition.end(now), &mut take);
                    positions.insert(of, next);
                }
            }
            (!was_away).then_some(records)
        });
        read.ok().flatten()
    }

    async fn polled(&self, limits: PullLimits) -> io::Result<Vec<GroupRecord>> {
        /// How often a member looks for records.
        const LOOK: Duration = Duration::from_millis(10);
        let until = self.kafka.clock.undisturbed() + limits.wait;
        loop {
            let Some(records) = self.come(limits) else {
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "all brokers are down"));
            };
            let now = self.kafka.clock.undisturbed();
            if !records.is_empty() || now >= until {
                return Ok(records);
            }
            self.kafka.wait((now + LOOK).min(until)).await;
        }
    }
}

fn owned(of: &TopicPartition, record: &LogRecord<'_>) -> GroupRecord {
    GroupRecord {
        partition: of.clone(),
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        headers: Vec::new(),
    }
}

impl KafkaMember for SimulatedMember {
    fn poll(&self, limits: PullLimits) -> BoxFuture<'_, io::Result<Vec<GroupRecord>>> {
        self.polled(limits).boxed()
    }

    fn commit(&self, offsets: Offsets) -> BoxFuture<'static, io::Result<()>> {
        committed(self.kafka.clone(), self.group.clone(), offsets)
    }
}

/// Notes the offsets of a group.
fn committed(kafka: SimulatedKafka, group: String, offsets: Offsets) -> BoxFuture<'static, io::Result<()>> {
    async move {
        kafka
            .ask(|cluster, _| {
                let told = offsets.iter().map(|(partition, offset)| ((group.clone(), partition.clone()), *offset));
                cluster.committed.extend(told);
            })
            .await
    }
    .boxed()
}

struct SimulatedLog {
    kafka: SimulatedKafka,
    group: String,
}

impl SimulatedLog {
    async fn read_next(
        &self,
        partition: &TopicPartition,
        from: i64,
        take: &mut TakeRecord<'_>,
    ) -> Result<i64, LogFault> {
        let kafka = &self.kafka;
        let patience = kafka.clock.undisturbed() + READ_TIME;
        loop {
            let read = kafka.with(|cluster, now| {
                let found = cluster.partition(partition).ok_or(LogFault::NoPartition)?;
                let end = found.end(now);
                if from < found.start || from > end {
                    return Err(LogFault::OutOfRange);
                }
                let next = found.entries.get(usize::try_from(end).unwrap_or(usize::MAX)).map(|entry| entry.appears);
                Ok((give(found, from, end, take), next))
            });
            let wait = match read {
                Ok(Ok((position, _))) if position > from => return Ok(position),
                Ok(Ok((_, next))) => next,
                Ok(Err(fault)) => return Err(fault),
                Err(back) => back,
            };
            match wait.filter(|at| *at <= patience) {
                Some(at) => kafka.wait(at).await,
                None => {
                    kafka.wait(patience).await;
                    let message = format!("no record came in {} s", READ_TIME.as_secs());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, message).into());
                }
            }
        }
    }
}

/// Gives the records of a partition from an offset to its end. Returns the offset after them.
fn give(partition: &Partition, from: i64, end: i64, take: &mut TakeRecord<'_>) -> i64 {
    for offset in from..end {
        let Some(entry) = partition.entries.get(usize::try_from(offset).unwrap_or(usize::MAX)) else { continue };
        let Some(Record { key, value }) = &entry.record else { continue };
        let record = LogRecord {
            offset,
            timestamp_ms: i64::try_from(entry.appears.as_ms()).ok(),
            key: key.as_deref(),
            value: value.as_deref(),
            headers: Vec::new(),
        };
        if !take(&record) {
            return offset;
        }
    }
    end
}

impl KafkaLog for SimulatedLog {
    fn topics(&self, wanted: Option<Vec<String>>) -> BoxFuture<'static, io::Result<BTreeMap<String, i32>>> {
        let kafka = self.kafka.clone();
        async move {
            kafka
                .ask(|cluster, _| {
                    let is_wanted = |topic: &String| wanted.as_ref().is_none_or(|wanted| wanted.contains(topic));
                    let topics = cluster.topics.iter().filter(|(topic, _)| is_wanted(topic));
                    topics
                        .map(|(topic, partitions)| (topic.clone(), i32::try_from(partitions.len()).unwrap_or(i32::MAX)))
                        .collect()
                })
                .await
        }
        .boxed()
    }

    fn offsets(&self, of: Vec<(TopicPartition, LogPlace)>) -> BoxFuture<'static, io::Result<Offsets>> {
        let kafka = self.kafka.clone();
        async move {
            kafka
                .ask(|cluster, now| {
                    let found = of.iter().filter_map(|(partition, place)| {
                        Some((partition.clone(), cluster.partition(partition)?.place(*place, now)))
                    });
                    found.collect()
                })
                .await
        }
        .boxed()
    }

    fn committed(&self, of: Vec<TopicPartition>) -> BoxFuture<'static, io::Result<Offsets>> {
        let (kafka, group) = (self.kafka.clone(), self.group.clone());
        async move {
            kafka
                .ask(|cluster, _| {
                    let offset =
                        |partition: &TopicPartition| cluster.committed.get(&(group.clone(), partition.clone()));
                    of.iter().filter_map(|partition| Some((partition.clone(), *offset(partition)?))).collect()
                })
                .await
        }
        .boxed()
    }

    fn commit(&self, offsets: Offsets) -> BoxFuture<'static, io::Result<()>> {
        committed(self.kafka.clone(), self.group.clone(), offsets)
    }

    fn read<'a>(
        &'a self,
        partition: &'a TopicPartition,
        from: i64,
        take: &'a mut TakeRecord<'a>,
    ) -> BoxFuture<'a, Result<i64, LogFault>> {
        self.read_next(partition, from, take).boxed()
    }
}
