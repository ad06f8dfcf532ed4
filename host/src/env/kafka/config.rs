//! The settings that all clients of Kafka have, and the words for settings that the library refuses.

use super::super::{Hidden, KafkaPlace, KafkaValue};
use crate::lock::lock;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use std::io;
use std::sync::Mutex;

/// The settings of a client that connects to a cluster.
pub(super) fn client_config(place: &KafkaPlace) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", place.servers.join(","));
    config.set("client.id", "millstream");
    // A broker that is back is found soon.
    config.set("reconnect.backoff.ms", "50");
    config.set("reconnect.backoff.max.ms", "1000");
    config.set("allow.auto.create.topics", "false");
    for (name, value) in &place.values {
        config.set(
            name,
            match value {
                KafkaValue::Plain(value) | KafkaValue::Secret(Hidden(value)) => value,
            },
        );
    }
    config
}

/// The error of a client that cannot be made. Never shows a secret.
pub(super) fn refused(place: &KafkaPlace, error: &KafkaError) -> io::Error {
    let problem = match error {
        KafkaError::ClientConfig(_, problem, name, _) => match place.values.get(name) {
            Some(KafkaValue::Secret(_)) => format!("the value of `{name}` is not valid"),
            _ => format!("`{name}`: {problem}"),
        },
        KafkaError::ClientCreation(problem) => problem.clone(),
        other => other.to_string(),
    };
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}

/// Remembers what the library says of the cluster.
#[derive(Default)]
pub(super) struct Context {
    /// The last error of a connection.
    last_error: Mutex<Option<String>>,
}

impl Context {
    /// What went wrong last.
    pub(super) fn last_error(&self) -> Option<String> {
        lock(&self.last_error).clone()
    }

    /// Remembers an error.
    pub(super) fn remember(&self, error: impl Into<String>) {
        *lock(&self.last_error) = Some(error.into());
    }
}

impl ClientContext for Context {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!("librdkafka: {facility}: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("librdkafka: {error}: {reason}");
        self.remember(reason);
    }
}

impl ConsumerContext for Context {}
