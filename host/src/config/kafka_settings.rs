//! The settings of clients of Kafka, and of the sources that read topics.

use super::secret::Secret;
use crate::time::{Duration, Time};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How a client of Kafka connects: the same for sources and outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaClientSettings {
    /// The brokers that are asked for the others of their cluster, each as `host:port`. There is at least one.
    pub servers: Vec<String>,
    /// Whether connections use TLS.
    pub tls: bool,
    /// The PEM file with the certificates that may have issued those of the brokers. `None` if those of the system may.
    pub tls_ca: Option<PathBuf>,
    /// The PEM file with the certificate of the client, and the place of its private key. `None` if it shows none.
    pub tls_client: Option<(PathBuf, Secret)>,
    /// The user as whom the client logs in. `None` if the brokers let everybody in.
    pub login: Option<KafkaLogin>,
    /// Further settings of the client library, by their names there. They replace those that follow from other keys.
    pub options: BTreeMap<String, KafkaOption>,
}

/// How a client of Kafka logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaLogin {
    /// The mechanism of SASL.
    pub mechanism: SaslMechanism,
    /// The name of the user.
    pub user: String,
    /// The place of the password.
    pub password: Secret,
}

/// The mechanisms of SASL with a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// The password is sent as it is.
    Plain,
    /// SCRAM with SHA-256.
    ScramSha256,
    /// SCRAM with SHA-512.
    ScramSha512,
}

/// The value of a setting of the client library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KafkaOption {
    /// The value itself.
    Plain(String),
    /// The place of the value.
    Secret(Secret),
}

impl KafkaClientSettings {
    /// The places of secrets, each with the key that names the place.
    pub fn secrets(&self) -> Vec<(&Secret, String)> {
        let key = self.tls_client.iter().map(|(_, key)| (key, "tls_key".to_owned()));
        let password = self.login.iter().map(|login| (&login.password, "password".to_owned()));
        let options = self.options.iter().filter_map(|(name, option)| match option {
            KafkaOption::Plain(_) => None,
            KafkaOption::Secret(secret) => Some((secret, format!("option {name}"))),
        });
        key.chain(password).chain(options).collect()
    }
}

/// The settings of a source of type `kafka`, whose batches are ranges of offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSettings {
    /// How the host connects.
    pub client: KafkaClientSettings,
    /// The partitions that are read.
    pub topics: KafkaTopics,
    /// Where a job begins that is started for the first time.
    pub start: KafkaStart,
    /// The consumer group to which positions are told. `None` if the name follows from job and source.
    pub group: Option<String>,
    /// Whether the group is told of positions when batches are done.
    pub commits_offsets: bool,
    /// The records of a message.
    pub format: KafkaFormat,
    /// What happens when records that a batch has to read are gone.
    pub on_data_loss: OnDataLoss,
    /// What happens to a message that is no record.
    pub on_bad_message: OnBadKafkaMessage,
    /// The most records of a partition a second. `None` if there is no such limit.
    pub max_rate_per_partition: Option<u32>,
    /// The fewest records of a partition that a batch takes, whatever backpressure says, if there are as many.
    pub min_rate_per_partition: u32,
}

/// The partitions that a source reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KafkaTopics {
    /// All partitions of these topics.
    Named(Vec<String>),
    /// All partitions of all topics whose names fit one of these patterns.
    Patterns(Vec<String>),
    /// These partitions: topic and number.
    Assigned(Vec<(String, i32)>),
}

/// Where a source begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KafkaStart {
    /// At the first record that a partition has.
    Earliest,
    /// After the last record that a partition has when it is found.
    Latest,
    /// Where the consumer group is. A partition without a position of the group begins at its first record.
    Committed,
    /// At the first record whose timestamp is not before this time.
    Since(Time),
    /// At these offsets, by topic and partition. Other partitions begin at their first record.
    Offsets(BTreeMap<(String, i32), i64>),
}

/// The records of a message of Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaFormat {
    /// The record is the value, or the key and the value, or all that the broker knows of the message, as the plugin
    /// asks for it.
    Message,
    /// The value is one record as JSON.
    Json,
}

/// What happens when records that a batch has to read are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDataLoss {
    /// The batch fails.
    Fail,
    /// The batch goes on with the records that are there. The others are reported and counted.
    Skip,
}

/// What happens to a message that is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnBadKafkaMessage {
    /// The batch fails.
    Fail,
    /// The message is left out, reported and counted.
    Skip,
}

/// The settings of a source of type `kafka-receiver`: a member of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaReceiverSettings {
    /// How the host connects.
    pub client: KafkaClientSettings,
    /// The topics.
    pub topics: Vec<String>,
    /// The consumer group.
    pub group: String,
    /// The records of a message.
    pub format: KafkaFormat,
    /// What happens to a message that is no record. With [`OnBadKafkaMessage::Fail`], the receiver stops.
    pub on_bad_message: OnBadKafkaMessage,
    /// The pause before the receiver is started again: 1 ms to 1 h.
    pub restart_delay: Duration,
}
