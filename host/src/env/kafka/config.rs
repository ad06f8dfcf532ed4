//! The settings that all clients of Kafka have.

use super::super::{Hidden, KafkaPlace, KafkaValue};
use rdkafka::config::ClientConfig;

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
