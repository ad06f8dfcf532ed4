//! Reads the keys with which a client of Kafka is configured.
//!
//! Owns the rules between these keys. Never reads a secret or a certificate.

use std::path::{Path, PathBuf};

use super::kafka_client::KafkaClientKeys;
use super::kafka_settings::{KafkaClientSettings, KafkaLogin, KafkaOption, SaslMechanism};
use super::key::Declared as _;
use super::report::Reported;
use super::secret::Secret;
use super::sections::{Reader, Section};
use super::servers::is_here;

/// Reads the keys of a client.
pub(super) fn read(
    table: &Section<'_>,
    keys: &KafkaClientKeys,
    directory: &Path,
    reader: &mut Reader<'_, '_>,
) -> Result<KafkaClientSettings, Reported> {
    let servers = reader.read(table, &keys.servers);
    let tls = read_tls(table, keys, reader);
    let tls_ca = reader.given(table, &keys.tls_ca);
    let tls_client = read_certificate(table, keys, directory, reader);
    let login = read_login(table, keys, directory, reader);
    let options = reader.read(table, &keys.options);
    let (servers, login, tls) = (servers?, login?, tls?);
    if !tls
        && login.as_ref().is_some_and(|login| login.mechanism == SaslMechanism::Plain)
        && servers.iter().any(|server| !is_here(server))
        && let Some(given) = reader.given(table, &keys.servers)?
    {
        let message = format!(
            "{} is reached without TLS, so that the network can read the password; set `tls = true`",
            given.text
        );
        reader.report.warn(&given.place, &message);
    }
    let below = |(name, option)| match option {
        KafkaOption::Secret(secret) => (name, KafkaOption::Secret(secret.below(directory))),
        plain @ KafkaOption::Plain(_) => (name, plain),
    };
    Ok(KafkaClientSettings {
        servers,
        tls,
        tls_ca: tls_ca?.map(|given| directory.join(given.value)),
        tls_client: tls_client?,
        login,
        options: options?.into_iter().map(below).collect(),
    })
}

/// Whether connections use TLS.
fn read_tls(table: &Section<'_>, keys: &KafkaClientKeys, reader: &mut Reader<'_, '_>) -> Result<bool, Reported> {
    let tls = reader.given(table, &keys.tls);
    let files = [reader.given(table, &keys.tls_ca)?, reader.given(table, &keys.tls_certificate)?];
    let file = files.into_iter().flatten().next();
    match (tls?, file) {
        (Some(tls), Some(file)) if !tls.value => {
            let message = format!("{} is given, but tls = false", file.text);
            Err(reader.report.error(&file.place, message, "remove one of the two".to_owned()))
        }
        (Some(tls), _) => Ok(tls.value),
        (None, file) => Ok(file.is_some()),
    }
}

/// The certificate that the host shows, and the place of its key.
fn read_certificate(
    table: &Section<'_>,
    keys: &KafkaClientKeys,
    directory: &Path,
    reader: &mut Reader<'_, '_>,
) -> Result<Option<(PathBuf, Secret)>, Reported> {
    let (certificate, key) = (reader.given(table, &keys.tls_certificate), reader.given(table, &keys.tls_key));
    let (given, other) = match (certificate?, key?) {
        (Some(certificate), Some(key)) => {
            return Ok(Some((directory.join(certificate.value), key.value.below(directory))));
        }
        (None, None) => return Ok(None),
        (Some(certificate), None) => ((certificate.place, "tls_certificate"), "tls_key = \"file:client.key\""),
        (None, Some(key)) => ((key.place, "tls_key"), "tls_certificate = \"client.pem\""),
    };
    let ((place, name), missing) = (given, other.split(' ').next().unwrap_or_default());
    let message = format!("`{name}` is given without `{missing}`");
    Err(reader.report.error(&place, message, format!("add `{other}`")))
}

/// The user as whom the host logs in.
fn read_login(
    table: &Section<'_>,
    keys: &KafkaClientKeys,
    directory: &Path,
    reader: &mut Reader<'_, '_>,
) -> Result<Option<KafkaLogin>, Reported> {
    let mechanism = reader.given(table, &keys.sasl_mechanism)?;
    let used = reader.read(table, &keys.sasl_mechanism)?;
    let (user, password) = (reader.given(table, &keys.user), reader.given(table, &keys.password));
    let (place, message, help) = match (user?, password?, mechanism) {
        (Some(user), Some(password), _) => {
            let password = password.value.below(directory);
            return Ok(Some(KafkaLogin { mechanism: used, user: user.value, password }));
        }
        (None, None, None) => return Ok(None),
        (Some(user), None, _) => {
            let help = format!("add `password = {}`", keys.password.fallback().example());
            (user.place, "`user` is given without `password`".to_owned(), help)
        }
        (None, Some(password), _) => {
            let help = format!("add `user = {}`", keys.user.fallback().example());
            (password.place, "`password` is given without `user`".to_owned(), help)
        }
        (None, None, Some(mechanism)) => {
            let help = "add `user` and `password`, or remove it".to_owned();
            (mechanism.place, format!("{} is given without `user`", mechanism.text), help)
        }
    };
    Err(reader.report.error(&place, message, help))
}
