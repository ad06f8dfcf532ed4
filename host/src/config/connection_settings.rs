//! The settings of connections, which outputs use.

use super::kafka_settings::KafkaClientSettings;
use crate::time::Duration;

/// The settings of one table `[connections.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionSettings {
    /// Topics of Kafka.
    Kafka(KafkaConnection),
}

/// The settings of a connection of type `kafka`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaConnection {
    /// How the host connects.
    pub client: KafkaClientSettings,
    /// The topics to which the plugin may write: names, in which `*` stands for any characters. There is at least one.
    pub topics: Vec<String>,
    /// How batches are written.
    pub delivery: Delivery,
    /// The beginning of the transactional ids. `None` if they follow from the job.
    pub transactional_id: Option<String>,
    /// How long the brokers may take to store a batch: 1 s to 15 min.
    pub delivery_timeout: Duration,
}

/// How batches are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Each batch in a transaction.
    Transactional,
    /// Without transactions.
    Idempotent,
}
