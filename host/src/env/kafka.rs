//! Clusters of Kafka.
//!
//! Owns the crate `rdkafka`: no other module uses it. The library has threads of its own, which keep connections and find the
//! leaders of partitions.

mod config;
mod producer;

pub(super) use self::producer::KafkaProducers;

#[cfg(test)]
pub(super) mod tests;
