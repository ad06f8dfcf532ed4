//! Reads the keys of a source of type `nats`.
//!
//! Owns the rules between these keys: there is at most one way to log in, and a password needs its user. Never reads a
//! secret or a certificate.

use std::path::Path;

use super::key::{Declared as _, Key};
use super::keys;
use super::quote::listed;
use super::report::Reported;
use super::secret::Secret;
use super::secret_place::SecretPlace;
use super::sections::{Given, Reader, Section};
use super::servers::is_here;
use super::settings::{NatsLogin, NatsSettings};

/// Reads the keys of a source of type `nats`.
pub(super) fn read(
    table: &Section<'_>,
    directory: &Path,
    reader: &mut Reader<'_, '_>,
) -> Result<NatsSettings, Reported> {
    let servers = reader.read(table, &keys::NATS_SERVERS);
    let stream = reader.read(table, &keys::NATS_STREAM);
    let consumer = reader.given(table, &keys::NATS_CONSUMER);
    let filter_subject = reader.given(table, &keys::NATS_FILTER);
    let deliver = reader.read(table, &keys::NATS_DELIVER);
    let format = reader.read(table, &keys::NATS_FORMAT);
    let login = read_login(table, directory, reader);
    let tls = read_tls(table, reader);
    let tls_ca = reader.given(table, &keys::NATS_TLS_CA);
    let ack_wait = reader.read(table, &keys::NATS_ACK_WAIT);
    let max_ack_pending = reader.read(table, &keys::NATS_MAX_ACK_PENDING);
    let on_bad_message = reader.read(table, &keys::NATS_ON_BAD_MESSAGE);
    let restart_delay = reader.read(table, &keys::NATS_RESTART_DELAY);
    let (servers, login, tls) = (servers?, login?, tls?);
    warn_of_plain_secrets(table, &servers, login.as_ref(), tls, reader)?;
    Ok(NatsSettings {
        servers,
        stream: stream?,
        consumer: consumer?.map(|given| given.value),
        filter_subject: filter_subject?.map(|given| given.value),
        deliver: deliver?,
        format: format?,
        login,
        tls,
        tls_ca: tls_ca?.map(|given| directory.join(given.value)),
        ack_wait: ack_wait?,
        max_ack_pending: max_ack_pending?,
        on_bad_message: on_bad_message?,
        restart_delay: restart_delay?,
    })
}

/// Reads the way to log in. There may be none.
fn read_login(
    table: &Section<'_>,
    directory: &Path,
    reader: &mut Reader<'_, '_>,
) -> Result<Option<NatsLogin>, Reported> {
    let user = reader.given(table, &keys::NATS_USER);
    let mut secret = |key: &Key<SecretPlace>| -> Result<Option<Given<Secret>>, Reported> { reader.given(table, key) };
    let (password, token) = (secret(&keys::NATS_PASSWORD), secret(&keys::NATS_TOKEN));
    let (credentials, nkey_seed) = (secret(&keys::NATS_CREDENTIALS), secret(&keys::NATS_NKEY_SEED));
    let (user, password, token) = (user?, password?, token?);
    let (credentials, nkey_seed) = (credentials?, nkey_seed?);
    let place = user.as_ref().map(|user| user.place.clone());
    let secrets = [&password, &token, &credentials, &nkey_seed];
    let Some(place) = place.or_else(|| secrets.into_iter().flatten().next().map(|given| given.place.clone())) else {
        return Ok(None);
    };
    let names = ["password", "token", "credentials", "nkey_seed"];
    let given: Vec<String> = names
        .into_iter()
        .zip(secrets)
        .filter(|(_, given)| given.is_some())
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    if given.len() > 1 {
        let message = format!("a connection logs in in one way, but there are {}", listed(&given, "and"));
        return Err(reader.report.error(&place, message, "keep the way that the server asks for".to_owned()));
    }
    let below = |given: Given<Secret>| given.value.below(directory);
    match (user, password) {
        (Some(user), Some(password)) => {
            return Ok(Some(NatsLogin::Password { user: user.value, password: below(password) }));
        }
        (Some(_), None) => {
            let example = keys::NATS_PASSWORD.fallback().example();
            let help = format!("add `password = {example}`; a token, credentials and an NKey go without a user");
            return Err(reader.report.error(&place, "`user` is given without `password`".to_owned(), help));
        }
        (None, Some(_)) => {
            let help = format!("add `user = {}`", keys::NATS_USER.fallback().example());
            return Err(reader.report.error(&place, "`password` is given without `user`".to_owned(), help));
        }
        (None, None) => {}
    }
    let of = |given: Option<Given<Secret>>, login: fn(Secret) -> NatsLogin| given.map(|given| login(below(given)));
    let login = of(token, NatsLogin::Token).or_else(|| of(credentials, NatsLogin::Credentials));
    Ok(login.or_else(|| of(nkey_seed, NatsLogin::NkeySeed)))
}

/// Whether connections must use TLS.
fn read_tls(table: &Section<'_>, reader: &mut Reader<'_, '_>) -> Result<bool, Reported> {
    let (tls, ca) = (reader.given(table, &keys::NATS_TLS), reader.given(table, &keys::NATS_TLS_CA));
    match (tls?, ca?) {
        (Some(tls), Some(ca)) if !tls.value => {
            let message = format!("{} is given, but tls = false", ca.text);
            Err(reader.report.error(&ca.place, message, "remove one of the two".to_owned()))
        }
        (Some(tls), _) => Ok(tls.value),
        (None, ca) => Ok(ca.is_some()),
    }
}

/// Warns if the network can read a password or a token. The other ways to log in sign what the server sends.
fn warn_of_plain_secrets(
    table: &Section<'_>,
    servers: &[String],
    login: Option<&NatsLogin>,
    tls: bool,
    reader: &mut Reader<'_, '_>,
) -> Result<(), Reported> {
    let what = match login {
        Some(NatsLogin::Password { .. }) => "password",
        Some(NatsLogin::Token(_)) => "token",
        Some(NatsLogin::Credentials(_) | NatsLogin::NkeySeed(_)) | None => return Ok(()),
    };
    if !tls
        && servers.iter().any(|server| !is_here(server))
        && let Some(given) = reader.given(table, &keys::NATS_SERVERS)?
    {
        let message =
            format!("{} is reached without TLS, so that the network can read the {what}; set `tls = true`", given.text);
        reader.report.warn(&given.place, &message);
    }
    Ok(())
}
