//! Clusters of Kafka: how they are reached.

use super::Hidden;
use std::collections::BTreeMap;

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
