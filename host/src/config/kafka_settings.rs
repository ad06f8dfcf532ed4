//! The settings of clients of Kafka.

use super::secret::Secret;
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
