//! What a producer of messages does, in each world that has brokers.

use super::super::kafka::tests::Broker;
use super::super::{
    KafkaPlace, MessageProducer, OutgoingMessage, OutgoingMessages, ProduceError, ProducerPlace, SendOne, Simulation,
};
use super::{World, in_each_world};
use crate::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What administrators do, and what readers see.
pub(in super::super) trait Cluster: Send + Sync {
    fn address(&self) -> String;
    /// Makes a topic.
    fn topic(&self, partitions: i32) -> String;
    /// The values and headers of the committed messages of a topic.
    fn written(&self, topic: &str) -> Vec<(String, Vec<(String, String)>)>;
}

impl Cluster for &'static Broker {
    fn address(&self) -> String {
        Broker::address(self).to_owned()
    }
    fn topic(&self, partitions: i32) -> String {
        Broker::topic(self, partitions)
    }
    fn written(&self, topic: &str) -> Vec<(String, Vec<(String, String)>)> {
        let records = self.read_back(topic).into_iter();
        records.map(|record| (record.value.unwrap_or_default(), record.headers)).collect()
    }
}

impl Cluster for Arc<Simulation> {
    fn address(&self) -> String {
        "kafka:9092".to_owned()
    }
    fn topic(&self, _: i32) -> String {
        "topic".to_owned()
    }
    fn written(&self, topic: &str) -> Vec<(String, Vec<(String, String)>)> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let messages = self.topics().remove(topic).unwrap_or_default().into_iter();
        let headers = |of: Vec<(String, Vec<u8>)>| of.into_iter().map(|(name, value)| (name, text(value))).collect();
        messages.map(|message| (text(message.value.unwrap_or_default()), headers(message.headers))).collect()
    }
}

pub(super) fn real() -> Option<Arc<dyn Cluster>> {
    Some(Arc::new(Broker::shared()?))
}

pub(super) fn simulated(simulation: &Arc<Simulation>) -> Arc<dyn Cluster> {
    Arc::new(simulation.clone())
}

/// Messages of these values. With `fails`, the last of them cannot be made.
struct Values {
    values: Vec<&'static str>,
    fails: bool,
}

impl OutgoingMessages for Values {
    fn send_all(&mut self, send: &mut SendOne<'_>) -> Result<(), ProduceError> {
        for value in &self.values {
            let headers = vec![("h", Some(value.as_bytes()))];
            send(&OutgoingMessage { value: Some(value.as_bytes()), headers, ..OutgoingMessage::default() })?;
        }
        if self.fails {
            let error = crate::error::Error::new(crate::error::ErrorKind::Internal, "no message");
            return Err(ProduceError::Messages(error));
        }
        Ok(())
    }
}

async fn open(world: &World, place: &KafkaPlace, topic: &str, id: Option<&str>) -> Arc<dyn MessageProducer> {
    let place = ProducerPlace {
        client: place.clone(),
        topic: topic.to_owned(),
        transactional_id: id.map(|id| format!("{id} of {topic}")),
        timeout: Duration::from_secs(30),
    };
    world.env.message_producers.open(&place).await.unwrap()
}

async fn write(producer: &dyn MessageProducer, values: &[&'static str], mark: &str) -> Result<(), ProduceError> {
    producer.write(Box::new(Values { values: values.to_vec(), fails: false }), mark).await
}

#[test]
fn a_write_is_seen_whole_with_its_mark_and_the_last_producer_of_an_id_is_the_only_one() {
    in_each_world(async |world: Arc<World>| {
        let Some(cluster) = (world.producers)() else { return };
        let (place, topic) =
            (KafkaPlace { servers: vec![cluster.address()], values: BTreeMap::new() }, cluster.topic(1));
        let open = async |id: Option<&str>| open(&world, &place, &topic, id).await;
        let first = open(Some("id")).await;
        assert_eq!(first.mark(), None);
        write(&*first, &["a", "b"], "one").await.unwrap();
        write(&*first, &["c"], "two").await.unwrap();
        // A write that cannot be made leaves nothing behind, and ends its producer.
        let half = first.write(Box::new(Values { values: vec!["x"], fails: true }), "half").await;
        assert!(matches!(half, Err(ProduceError::Messages(_))), "{half:?}");
        let second = open(Some("id")).await;
        assert_eq!(second.mark().as_deref(), Some("two"));
        let third = open(Some("id")).await;
        let fenced = write(&*second, &["y"], "fenced").await;
        assert!(matches!(&fenced, Err(ProduceError::Fenced(id)) if id.starts_with("id of ")), "{fenced:?}");
        write(&*third, &["d"], "three").await.unwrap();
        assert_eq!(open(Some("other")).await.mark(), None);
        let plain = open(None).await;
        write(&*plain, &["e"], "").await.unwrap();
        assert_eq!(plain.mark(), None);
        assert_eq!(open(Some("id")).await.mark().as_deref(), Some("three"));
        let header = |value: &str| vec![("h".to_owned(), value.to_owned())];
        let expected = ["a", "b", "c", "d", "e"].map(|value| (value.to_owned(), header(value)));
        assert_eq!(cluster.written(&topic), expected);
    });
}
