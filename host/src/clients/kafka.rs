//! The settings of a client of Kafka, from the keys of a table.
//!
//! Owns which setting of the client library follows from which key. Settings that depend on what the client is for are
//! those of `env`.

use super::certificates::fault_of_certificates;
use super::secret::{SecretError, read};
use crate::config::{KafkaClientSettings, KafkaOption, SaslMechanism};
use crate::env::{Env, Hidden, KafkaPlace, KafkaValue};
use crate::error::{Error, ErrorKind};
use crate::shown::Shown as _;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Why the settings of a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum KafkaClientError {
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A file of certificates cannot be used.
    #[error("{of}: its `{key}`, {}, cannot be used: {problem}", path.shown())]
    Certificates {
        /// The table: ``source `lines` ``.
        of: String,
        /// The key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with the file.
        problem: String,
    },
}

/// How a client of Kafka connects. `of` is the table with the settings, for people: ``source `lines` ``. Secrets are read
/// now.
///
/// # Errors
/// If a secret or a file of certificates cannot be read.
pub fn kafka_client(env: &Env, of: &str, settings: &KafkaClientSettings) -> Result<KafkaPlace, KafkaClientError> {
    let KafkaClientSettings { servers, tls, tls_ca, tls_client, login, options } = settings;
    let mut values: BTreeMap<String, KafkaValue> = BTreeMap::new();
    let mut set = |name: &str, value| drop(values.insert(name.to_owned(), value));
    let protocol = match (login, tls) {
        (None, false) => "plaintext",
        (None, true) => "ssl",
        (Some(_), false) => "sasl_plaintext",
        (Some(_), true) => "sasl_ssl",
    };
    set("security.protocol", KafkaValue::Plain(protocol.to_owned()));
    if let Some(path) = tls_ca {
        check_certificates(env, of, "tls_ca", path)?;
        set("ssl.ca.location", KafkaValue::Plain(path.to_string_lossy().into_owned()));
    }
    if let Some((path, key)) = tls_client {
        check_certificates(env, of, "tls_certificate", path)?;
        set("ssl.certificate.location", KafkaValue::Plain(path.to_string_lossy().into_owned()));
        let help = "use the private key of `tls_certificate` in a PEM file";
        let is_fit = |text: &str| text.contains("PRIVATE KEY-----");
        let key = read(env, of, "tls_key", key)?.text("private key", help, is_fit)?;
        set("ssl.key.pem", KafkaValue::Secret(Hidden(key + "\n")));
    }
    if let Some(login) = login {
        let mechanism = match login.mechanism {
            SaslMechanism::Plain => "PLAIN",
            SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
            SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
        };
        set("sasl.mechanism", KafkaValue::Plain(mechanism.to_owned()));
        set("sasl.username", KafkaValue::Plain(login.user.clone()));
        let help = "write the password into it, and nothing else";
        let is_line = |text: &str| !text.contains(char::is_control);
        let password = read(env, of, "password", &login.password)?.text("password: one line of text", help, is_line)?;
        set("sasl.password", KafkaValue::Secret(Hidden(password)));
    }
    for (name, option) in options {
        let value = match option {
            KafkaOption::Plain(value) => KafkaValue::Plain(value.clone()),
            KafkaOption::Secret(secret) => {
                let found = read(env, of, &format!("options.{name}"), secret)?;
                let help = "write the value of the option into it, and nothing else";
                KafkaValue::Secret(Hidden(found.text("text", help, |_| true)?))
            }
        };
        set(name, value);
    }
    Ok(KafkaPlace { servers: servers.clone(), values })
}

/// Checks that a file has certificates.
fn check_certificates(env: &Env, of: &str, key: &'static str, path: &Path) -> Result<(), KafkaClientError> {
    match fault_of_certificates(env, path) {
        None => Ok(()),
        Some(problem) => Err(KafkaClientError::Certificates { of: of.to_owned(), key, path: path.to_owned(), problem }),
    }
}

impl From<KafkaClientError> for Error {
    fn from(error: KafkaClientError) -> Self {
        match error {
            KafkaClientError::Secret(error) => error.into(),
            certificates @ KafkaClientError::Certificates { .. } => {
                let help = "it is a PEM file of certificates, whose path is relative to the job file, and the host must be \
                            allowed to read it";
                Self::new(ErrorKind::User, certificates.to_string()).help(help)
            }
        }
    }
}
