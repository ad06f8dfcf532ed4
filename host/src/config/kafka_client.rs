//! The keys with which a client of Kafka is configured, for every table that has such a client.
//!
//! Owns the keys, and which settings of the client library a job file cannot change. `kafka_connection` reads the keys.

use std::collections::BTreeMap;

use super::kafka_settings::{KafkaOption, SaslMechanism};
use super::key::{Declared, Key};
use super::report::{Report, Reported};
use super::secret_place::SecretPlace;
use super::servers::Servers;
use super::shape::{Choice, FilePath, Flag, Shape, Word, each};
use super::subject::Subject;
use super::tree::{Node, Raw};

/// The keys of one table. [`kafka_client_keys`] makes them.
pub(super) struct KafkaClientKeys {
    pub(super) servers: Key<Servers>,
    pub(super) tls: Key<Flag>,
    pub(super) tls_ca: Key<FilePath>,
    pub(super) tls_certificate: Key<FilePath>,
    pub(super) tls_key: Key<SecretPlace>,
    pub(super) sasl_mechanism: Key<Choice<SaslMechanism>>,
    pub(super) user: Key<Word>,
    pub(super) password: Key<SecretPlace>,
    pub(super) options: Key<KafkaOptions>,
}

impl KafkaClientKeys {
    /// The keys, in the order of the documentation.
    pub(super) fn all(&'static self) -> [&'static dyn Declared; 9] {
        [
            &self.servers,
            &self.tls,
            &self.tls_ca,
            &self.tls_certificate,
            &self.tls_key,
            &self.sasl_mechanism,
            &self.user,
            &self.password,
            &self.options,
        ]
    }
}

/// Makes the keys for a table such as `sources.NAME`. If the table is a source, its type follows.
macro_rules! kafka_client_keys {
    ($section:literal $(, $source_type:literal)?) => {{
        use $crate::config::kafka_client::{KafkaClientKeys, KafkaOptions, MECHANISMS};
        use $crate::config::key::{Change, Key};
        use $crate::config::secret_place::SecretPlace;
        use $crate::config::servers::Servers;
        use $crate::config::shape::{FilePath, Flag, Word};
        use $crate::config::subject::Fallback;
        macro_rules! key {
            ($name:literal, $shape:expr, $fallback:expr, $doc:literal) => {
                Key::new(concat!($section, ".", $name), $shape, $fallback, $doc)
                    $(.of_type($source_type))?
                    .when_changed(Change::Harmless)
            };
        }
        KafkaClientKeys {
            servers: key!(
                "servers",
                Servers,
                Fallback::Required("127.0.0.1:9092"),
                "A broker of the cluster, or several separated by commas: the host asks any of them for the others. \
                 See [Kafka](kafka.md)."
            ),
            tls: key!(
                "tls",
                Flag,
                Fallback::Derived { doc: "true with `tls_ca` or `tls_certificate`, else false", example: "true" },
                "Whether connections use TLS."
            ),
            tls_ca: key!(
                "tls_ca",
                FilePath,
                Fallback::Derived { doc: "those of the system", example: "ca.pem" },
                "The PEM file with the certificates of the authorities that may have issued the certificates of the brokers."
            ),
            tls_certificate: key!(
                "tls_certificate",
                FilePath,
                Fallback::Derived { doc: "none", example: "client.pem" },
                "The PEM file with the certificate that the host shows to brokers, with `tls_key`."
            ),
            tls_key: key!(
                "tls_key",
                SecretPlace,
                Fallback::Derived { doc: "none", example: "file:client.key" },
                "The PEM file or the environment variable with the private key of `tls_certificate`."
            ),
            sasl_mechanism: key!(
                "sasl_mechanism",
                MECHANISMS,
                Fallback::Text("scram-sha-512"),
                "How the host shows the password of `user` to brokers."
            ),
            user: key!(
                "user",
                Word,
                Fallback::Derived { doc: "none", example: "millstream" },
                "The user as whom the host logs in by SASL, with `password`."
            ),
            password: key!(
                "password",
                SecretPlace,
                Fallback::Derived { doc: "none", example: "file:password.txt" },
                "The file or the environment variable with the password of `user`. A file is relative to the job file."
            ),
            options: key!(
                "options",
                KafkaOptions,
                Fallback::Empty,
                "Further settings of librdkafka, such as `{ \"fetch.min.bytes\" = \"100000\" }`. A value that is \
                 `env:NAME` or `file:PATH` is read from there."
            ),
        }
    }};
}
pub(super) use kafka_client_keys;

/// The mechanisms by name.
pub(super) const MECHANISMS: Choice<SaslMechanism> = Choice(&[
    ("plain", SaslMechanism::Plain),
    ("scram-sha-256", SaslMechanism::ScramSha256),
    ("scram-sha-512", SaslMechanism::ScramSha512),
]);

/// The shape of a table of settings of librdkafka.
pub(super) struct KafkaOptions;

/// The settings on which the guarantees of the host depend, and those that have keys of their own.
const OWNED: &[&str] = &[
    "allow.auto.create.topics",
    "assignor",
    "auto.commit.enable",
    "auto.offset.reset",
    "bootstrap.servers",
    "builtin.features",
    "check.crcs",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "isolation.level",
    "metadata.broker.list",
    "offset.store.method",
    "plugin.library.paths",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.key.location",
    "ssl.key.pem",
    "transactional.id",
];

/// Words in the names of settings that hold secrets.
const SECRET_WORDS: &[&str] = &["password", "secret", "oauthbearer.config", "private"];

impl Shape for KafkaOptions {
    type Value = BTreeMap<String, KafkaOption>;

    fn check(&self, subject: &Subject<'_>, node: &Node, report: &mut Report<'_>) -> Result<Self::Value, Reported> {
        let Raw::Table(table) = &node.raw else {
            let help = format!("write `{} = {{ \"fetch.min.bytes\" = \"100000\" }}`", subject.key);
            return Err(subject.wrong_type("a table of strings", help, node, report));
        };
        each(table, &subject.name(), "value", |subject, node| {
            let text = subject.text(node, report)?;
            let name = subject.key;
            if OWNED.contains(&name) {
                let message = format!("`{}` cannot be set: the host sets it", subject.name());
                let help = "remove it; keys of the table say how to connect, to log in and what to read".to_owned();
                return Err(report.error(&node.place, message, help));
            }
            if text.starts_with("env:") || text.starts_with("file:") {
                return SecretPlace.check(subject, node, report).map(KafkaOption::Secret);
            }
            if SECRET_WORDS.iter().any(|word| name.contains(word)) {
                // The message does not repeat what may be a secret.
                return SecretPlace.check(subject, node, report).map(KafkaOption::Secret);
            }
            Ok(KafkaOption::Plain(text.to_owned()))
        })
    }

    fn describe(&self) -> String {
        "table of strings".to_owned()
    }
}
