//! Topics of Kafka: partitioned logs that brokers keep, and that clients read by position.
//!
//! Owns the traits. No method blocks the thread that calls it. Never decides what is read, and never remembers how far a
//! job has come.

use super::{Hidden, PullLimits};
use crate::time::Time;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Makes clients of clusters of Kafka.
pub trait KafkaClusters: Send + Sync {
    /// Makes a client that reads partitions. It connects in the background. `group` is the consumer group for
    /// [`KafkaLog::commit`] and [`KafkaLog::committed`]; the client never joins the group.
    ///
    /// # Errors
    /// If a setting of the client is not valid.
    fn log(&self, place: &KafkaPlace, group: &str) -> io::Result<Arc<dyn KafkaLog>>;

    /// Joins a consumer group for these topics. A group whose members have committed nothing begins at the first record of
    /// each partition.
    ///
    /// # Errors
    /// If a setting of the client is not valid, if no broker answers, or if there is no such topic.
    fn join(
        &self,
        place: &KafkaPlace,
        group: &str,
        topics: &[String],
    ) -> BoxFuture<'static, io::Result<Arc<dyn KafkaMember>>>;
}

/// A member of a consumer group. Dropping the value leaves the group.
pub trait KafkaMember: Send + Sync {
    /// Waits for records of the partitions that the group has given to this member, and returns those that came when there
    /// are as many as the limits allow, or when the time is over. The records of a partition come in order. If the future is
    /// dropped, records that came are lost to this member. One call at a time.
    ///
    /// # Errors
    /// If no broker can be reached any more, or if the member may not read.
    fn poll(&self, limits: PullLimits) -> BoxFuture<'_, io::Result<Vec<GroupRecord>>>;

    /// Tells the group how far partitions were read: for each, the offset of the next record. Other members get the records
    /// from there on if this member leaves. A partition that was given to another member meanwhile is passed over.
    ///
    /// # Errors
    /// If the cluster does not take it.
    fn commit(&self, offsets: Offsets) -> BoxFuture<'static, io::Result<()>>;
}

/// A record that a member of a group has got.
#[derive(Clone, Debug)]
pub struct GroupRecord {
    /// The partition.
    pub partition: TopicPartition,
    /// The position in the partition.
    pub offset: i64,
    /// See [`LogRecord::timestamp_ms`].
    pub timestamp_ms: Option<i64>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The headers, in order.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl GroupRecord {
    /// The same record, borrowed.
    pub fn as_record(&self) -> LogRecord<'_> {
        LogRecord {
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: self.headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref())).collect(),
        }
    }
}

/// A cluster, and how to reach it.
#[derive(Clone, Debug)]
pub struct KafkaPlace {
    /// The brokers that are asked for the others, each as `host:port`.
    pub servers: Vec<String>,
    /// Settings of the client library, by their names.
    pub values: BTreeMap<String, KafkaValue>,
}

/// The value of a setting of the client library.
#[derive(Clone, Debug)]
pub enum KafkaValue {
    /// A value that may be shown.
    Plain(String),
    /// A value that is never shown.
    Secret(Hidden),
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The name of the topic.
    pub topic: String,
    /// The number of the partition.
    pub number: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}

/// A place in a partition that the brokers know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogPlace {
    /// The first record that the partition has.
    Start,
    /// After the last record that may be read: transactions that are still open are not.
    End,
    /// The first record whose timestamp is not before this time, or else the end.
    Since(Time),
}

/// A client that reads partitions.
pub trait KafkaLog: Send + Sync {
    /// The topics of the cluster, each with the number of its partitions. With `wanted`, only these topics; topics that do
    /// not exist are left out.
    ///
    /// # Errors
    /// If the cluster does not answer.
    fn topics(&self, wanted: Option<Vec<String>>) -> BoxFuture<'static, io::Result<BTreeMap<String, i32>>>;

    /// The offset of a place in each of these partitions. Partitions that do not exist are left out.
    ///
    /// # Errors
    /// If the cluster does not answer.
    fn offsets(&self, of: Vec<(TopicPartition, LogPlace)>) -> BoxFuture<'static, io::Result<Offsets>>;

    /// The offset that the group has committed for each of these partitions. Partitions without one are left out.
    ///
    /// # Errors
    /// If the cluster does not answer.
    fn committed(&self, of: Vec<TopicPartition>) -> BoxFuture<'static, io::Result<Offsets>>;

    /// Tells the group how far partitions were read: for each, the offset of the next record.
    ///
    /// # Errors
    /// If the cluster does not take it.
    fn commit(&self, offsets: Offsets) -> BoxFuture<'static, io::Result<()>>;

    /// Gives the committed records of a partition from offset `from` on to `take`, in order, until `take` returns false or
    /// no more records have come. Waits until there is something to give, or until it is known that there is nothing up
    /// to a later offset. Returns the offset after the last record that was given, or that later offset. Reading goes on
    /// fastest where the last reader of the partition has stopped.
    ///
    /// # Errors
    /// See [`LogFault`].
    fn read<'a>(
        &'a self,
        partition: &'a TopicPartition,
        from: i64,
        take: &'a mut TakeRecord<'a>,
    ) -> BoxFuture<'a, Result<i64, LogFault>>;
}

/// Offsets by partition.
pub type Offsets = BTreeMap<TopicPartition, i64>;

/// Takes a record. Returns whether it takes another one; a record for which it returns false is not taken.
pub type TakeRecord<'a> = dyn FnMut(&LogRecord<'_>) -> bool + Send + 'a;

/// A record of a partition.
#[derive(Clone, Debug)]
pub struct LogRecord<'a> {
    /// The position in the partition.
    pub offset: i64,
    /// The time that the record has from its producer or its broker, in milliseconds since the Unix epoch. `None` if it
    /// has none.
    pub timestamp_ms: Option<i64>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// The headers, in order.
    pub headers: Vec<(&'a [u8], Option<&'a [u8]>)>,
}

/// Why records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// The partition has no record at this offset, and will not have it: older records were removed, or the topic is
    /// another one.
    #[error("the partition does not have the offset any more")]
    OutOfRange,
    /// There is no such partition.
    #[error("there is no such partition")]
    NoPartition,
    /// The brokers do not give the records now.
    #[error(transparent)]
    Io(#[from] io::Error),
}
