//! Clusters of Kafka.
//!
//! Owns the crate `rdkafka`: no other module uses it. The library has threads of its own, which keep connections, find the
//! leaders of partitions and fetch records ahead of their readers.

mod config;
mod consumer;
mod failure;
mod member;
mod partition_queue;
mod producer;

pub(super) use self::producer::KafkaProducers;

use self::consumer::Consumer;
use self::member::Member;
use super::{KafkaClusters, KafkaLog, KafkaMember, KafkaPlace};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::io;
use std::sync::Arc;

/// Makes clients of clusters of Kafka.
pub(super) struct Kafka;

impl KafkaClusters for Kafka {
    fn log(&self, place: &KafkaPlace, group: &str) -> io::Result<Arc<dyn KafkaLog>> {
        Ok(Arc::new(Consumer::new(place, group)?))
    }

    fn join(
        &self,
        place: &KafkaPlace,
        group: &str,
        topics: &[String],
    ) -> BoxFuture<'static, io::Result<Arc<dyn KafkaMember>>> {
        let (place, group, topics) = (place.clone(), group.to_owned(), topics.to_vec());
        async move { Ok(Arc::new(Member::join(place, group, topics).await?) as Arc<dyn KafkaMember>) }.boxed()
    }
}

#[cfg(test)]
pub(super) mod tests;
