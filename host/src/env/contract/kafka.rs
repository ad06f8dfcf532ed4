//! [`KafkaLog`](super::super::KafkaLog): partitions are read by position, and positions mean the same in both worlds. In the
//! real world, the cluster is one broker of Apache Kafka, if it is installed.

use super::super::kafka::tests::Broker;
use super::super::{KafkaLog, KafkaPlace, LogFault, LogPlace, Offsets, Simulation, TopicPartition};
use super::{World, in_each_world};
use crate::time::{Duration, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What producers and administrators do.
pub(super) trait Cluster: Send + Sync {
    fn address(&self) -> String;
    /// Makes a topic.
    fn topic(&self, partitions: i32) -> String;
    /// Gives a topic more partitions.
    fn grow(&self, topic: &str, partitions: i32);
    fn send(&self, of: &TopicPartition, key: Option<&[u8]>, value: Option<&[u8]>);
    /// Sends the values `v0`, `v1` and so on.
    fn send_values(&self, of: &TopicPartition, count: u32);
    /// Sends values in a transaction that is committed, which ends with a marker.
    fn transaction(&self, of: &TopicPartition, values: &[&str]);
    /// Removes the records before an offset.
    fn remove(&self, of: &TopicPartition, before: i64);
}

impl Cluster for &'static Broker {
    fn address(&self) -> String {
        Broker::address(self).to_owned()
    }
    fn topic(&self, partitions: i32) -> String {
        Broker::topic(self, partitions)
    }
    fn grow(&self, topic: &str, partitions: i32) {
        self.grow_topic(topic, partitions);
    }
    fn send(&self, of: &TopicPartition, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.send_record(&of.topic, of.number, key, value, &[]);
    }
    fn send_values(&self, of: &TopicPartition, count: u32) {
        Broker::send(self, &of.topic, of.number, (0..count).map(|number| format!("v{number}")));
    }
    fn transaction(&self, of: &TopicPartition, values: &[&str]) {
        Broker::transaction(self, &of.topic, of.number, values, true);
    }
    fn remove(&self, of: &TopicPartition, before: i64) {
        self.remove_records(&of.topic, of.number, before);
    }
}

/// A cluster of a simulation.
struct Simulated {
    simulation: Arc<Simulation>,
    next: AtomicU32,
}

impl Cluster for Simulated {
    fn address(&self) -> String {
        "kafka:9092".to_owned()
    }
    fn topic(&self, partitions: i32) -> String {
        let name = format!("topic-{}", self.next.fetch_add(1, Ordering::Relaxed));
        self.grow(&name, partitions);
        name
    }
    fn grow(&self, topic: &str, partitions: i32) {
        self.simulation.kafka_topic(topic, usize::try_from(partitions).unwrap());
    }
    fn send(&self, of: &TopicPartition, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.simulation.kafka_record(Time::default(), of, key, value);
    }
    fn send_values(&self, of: &TopicPartition, count: u32) {
        (0..count).for_each(|number| self.send(of, None, Some(format!("v{number}").as_bytes())));
    }
    fn transaction(&self, of: &TopicPartition, values: &[&str]) {
        values.iter().for_each(|value| self.send(of, None, Some(value.as_bytes())));
        self.simulation.kafka_marker(Time::default(), of);
    }
    fn remove(&self, of: &TopicPartition, before: i64) {
        self.simulation.kafka_removes(Time::default(), of, before);
    }
}

pub(super) fn real() -> Option<Arc<dyn Cluster>> {
    Some(Arc::new(Broker::shared()?))
}

pub(super) fn simulated(simulation: &Arc<Simulation>) -> Arc<dyn Cluster> {
    Arc::new(Simulated { simulation: simulation.clone(), next: AtomicU32::new(0) })
}

/// Runs a test in each world that has a cluster.
fn in_each_cluster<F: Future<Output = ()> + Send + 'static>(
    test: impl Fn(Arc<World>, Arc<dyn Cluster>, Arc<dyn KafkaLog>) -> F + Copy + Send + 'static,
) {
    in_each_world(move |world| async move {
        let Some(cluster) = (world.kafka)() else { return };
        let place = KafkaPlace { servers: vec![cluster.address()], values: BTreeMap::new() };
        let log = world.env.kafka.log(&place, "group-of-the-contract").unwrap();
        test(world, cluster, log).await;
    });
}

fn partition(topic: &str, number: i32) -> TopicPartition {
    TopicPartition { topic: topic.to_owned(), number }
}

async fn offset(log: &dyn KafkaLog, of: &TopicPartition, place: LogPlace) -> i64 {
    log.offsets(vec![(of.clone(), place)]).await.unwrap()[of]
}

/// Waits until a partition ends at an offset. A broker writes markers after it has answered.
async fn ends_at(world: &World, log: &dyn KafkaLog, of: &TopicPartition, end: i64) {
    while offset(log, of, LogPlace::End).await < end {
        world.pause(Duration::from_millis(10)).await;
    }
}

/// The values from an offset up to another, however many calls that takes.
async fn values(log: &dyn KafkaLog, of: &TopicPartition, from: i64, until: i64) -> Result<Vec<String>, LogFault> {
    let (mut position, mut values) = (from, Vec::new());
    while position < until {
        let mut take = |record: &super::super::LogRecord<'_>| {
            let is_before = record.offset < until;
            if is_before {
                values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
            }
            is_before
        };
        let next = log.read(of, position, &mut take).await?;
        assert!(next > position);
        position = next;
    }
    Ok(values)
}

#[test]
fn a_partition_is_read_by_position_as_often_as_one_likes() {
    in_each_cluster(async |_: Arc<World>, cluster: Arc<dyn Cluster>, log: Arc<dyn KafkaLog>| {
        let of = partition(&cluster.topic(2), 1);
        cluster.send_values(&of, 20);
        assert_eq!(offset(&*log, &of, LogPlace::Start).await, 0);
        assert_eq!(offset(&*log, &of, LogPlace::End).await, 20);
        assert_eq!(offset(&*log, &partition(&of.topic, 0), LogPlace::End).await, 0);
        let expected = |from: i64, until: i64| (from..until).map(|number| format!("v{number}")).collect::<Vec<_>>();
        for (from, until) in [(0, 20), (0, 5), (5, 20), (19, 20), (3, 4), (4, 9), (9, 9), (2, 3)] {
            assert_eq!(values(&*log, &of, from, until).await.unwrap(), expected(from, until), "{from} to {until}");
        }
        // What comes later is read where the reader has stopped.
        cluster.send(&of, Some(b"k"), None);
        let mut seen = Vec::new();
        let mut take = |record: &super::super::LogRecord<'_>| {
            seen.push((record.offset, record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec)));
            true
        };
        assert_eq!(log.read(&of, 20, &mut take).await.unwrap(), 21);
        assert_eq!(seen, [(20, Some(b"k".to_vec()), None)]);
    });
}

#[test]
fn two_readers_of_a_partition_do_not_disturb_each_other() {
    in_each_cluster(async |_: Arc<World>, cluster: Arc<dyn Cluster>, log: Arc<dyn KafkaLog>| {
        let of = partition(&cluster.topic(1), 0);
        cluster.send_values(&of, 50);
        let expected = |from: i64, until: i64| (from..until).map(|number| format!("v{number}")).collect::<Vec<_>>();
        let (first, second) = tokio::join!(values(&*log, &of, 0, 50), values(&*log, &of, 20, 45));
        assert_eq!((first.unwrap(), second.unwrap()), (expected(0, 50), expected(20, 45)));
    });
}

#[test]
fn a_marker_at_the_end_does_not_hold_up_a_reader() {
    in_each_cluster(async |world: Arc<World>, cluster: Arc<dyn Cluster>, log: Arc<dyn KafkaLog>| {
        let of = partition(&cluster.topic(1), 0);
        cluster.transaction(&of, &["a", "b"]);
        ends_at(&world, &*log, &of, 3).await;
        assert_eq!(values(&*log, &of, 0, 3).await.unwrap(), ["a", "b"]);
        assert_eq!(values(&*log, &of, 2, 3).await.unwrap(), [""; 0]);
        cluster.transaction(&of, &["c"]);
        ends_at(&world, &*log, &of, 5).await;
        assert_eq!(values(&*log, &of, 3, 5).await.unwrap(), ["c"]);
        assert_eq!(values(&*log, &of, 1, 5).await.unwrap(), ["b", "c"]);
    });
}

#[test]
fn records_that_are_gone_are_a_fault_and_reading_goes_on_elsewhere() {
    in_each_cluster(async |_: Arc<World>, cluster: Arc<dyn Cluster>, log: Arc<dyn KafkaLog>| {
        let of = partition(&cluster.topic(1), 0);
        cluster.send_values(&of, 10);
        cluster.remove(&of, 4);
        assert_eq!(offset(&*log, &of, LogPlace::Start).await, 4);
        for _ in 0..2 {
            let gone = values(&*log, &of, 2, 6).await;
            assert!(matches!(gone, Err(LogFault::OutOfRange)), "{gone:?}");
            let beyond = values(&*log, &of, 30, 31).await;
            assert!(matches!(beyond, Err(LogFault::OutOfRange)), "{beyond:?}");
            assert_eq!(values(&*log, &of, 4, 6).await.unwrap(), ["v4", "v5"]);
        }
    });
}

#[test]
fn topics_and_partitions_are_found() {
    in_each_cluster(async |world: Arc<World>, cluster: Arc<dyn Cluster>, log: Arc<dyn KafkaLog>| {
        let topic = cluster.topic(2);
        let wanted = || Some(vec![topic.clone(), "no-such-topic".to_owned()]);
        assert_eq!(log.topics(wanted()).await.unwrap(), BTreeMap::from([(topic.clone(), 2)]));
        cluster.grow(&topic, 3);
        while log.topics(wanted()).await.unwrap()[&topic] < 3 {
            world.pause(Duration::from_millis(20)).await;
        }
        assert_eq!(log.topics(None).await.unwrap()[&topic], 3);
        let of = partition(&topic, 2);
        cluster.send(&of, None, Some(b"new"));
        assert_eq!(values(&*log, &of, 0, 1).await.unwrap(), ["new"]);
    });
}

#[test]
fn a_group_is_told_of_offsets_and_remembers_them() {
    in_each_cluster(async |_: Arc<World>, cluster: Arc<dyn Cluster>, log: Arc<dyn KafkaLog>| {
        let topic = cluster.topic(2);
        let both = || vec![partition(&topic, 0), partition(&topic, 1)];
        assert_eq!(log.committed(both()).await.unwrap(), Offsets::new());
        for offset in [3, 7] {
            let told = Offsets::from([(partition(&topic, 1), offset)]);
            log.commit(told.clone()).await.unwrap();
            assert_eq!(log.committed(both()).await.unwrap(), told);
        }
    });
}
