//! A receiver of the messages of a NATS JetStream stream: each message is acknowledged when the host does not lose its
//! records any more.
//!
//! Owns everything between a durable consumer and [`ReceiverContext::take_block`]. A reliable receiver: see [`Receiver`].
//! A message that was stored, and whose acknowledgement got lost, is recognised by its number, also after a crash of the
//! host if there is a write-ahead log. Never speaks to a server itself: `env` does.

mod error;
mod group;
mod number_set;
mod reading;
mod sequences;

pub use error::NatsError;

use self::reading::Reading;
use self::sequences::Sequences;
use super::Receiver;
use super::context::ReceiverContext;
use super::error::ReceiverError;
use super::payload::misfit;
use super::registry::MakeReceiver;
use crate::clients;
use crate::config::{DeliverFrom, NatsLogin, NatsSettings};
use crate::data::schema::RecordType;
use crate::env::{ConsumerPlace, Env, FirstMessage, Hidden, Login};
use async_trait::async_trait;
use std::path::Path;
use std::sync::Arc;

/// Makes receivers of the messages of a stream for the source `name` of a job, whose records are of type `rows`. Secrets
/// are read now.
///
/// # Errors
/// If a secret or the file of authorities cannot be read, or if messages cannot hold records of the type.
pub fn nats(
    env: &Env,
    (job, name): (&str, &str),
    settings: &NatsSettings,
    rows: &RecordType,
) -> Result<Arc<MakeReceiver>, NatsError> {
    if let Some(problem) = misfit(settings.format, rows) {
        return Err(NatsError::Type { name: name.to_owned(), ty: rows.to_string(), problem });
    }
    if let Some(path) = &settings.tls_ca {
        check_authorities(env, name, path)?;
    }
    let login = settings.login.as_ref().map(|login| read_login(env, name, login)).transpose()?;
    let place = ConsumerPlace {
        servers: settings.servers.clone(),
        login,
        tls: settings.tls,
        tls_ca: settings.tls_ca.clone(),
        stream: settings.stream.clone(),
        consumer: settings.consumer.clone().unwrap_or_else(|| consumer_of(job, name)),
        filter_subject: settings.filter_subject.clone(),
        first: match settings.deliver {
            DeliverFrom::All => FirstMessage::All,
            DeliverFrom::New => FirstMessage::New,
            DeliverFrom::Last => FirstMessage::Last,
            DeliverFrom::LastPerSubject => FirstMessage::LastPerSubject,
        },
        resume: None,
        ack_wait: settings.ack_wait,
        max_ack_pending: settings.max_ack_pending,
    };
    let (env, settings) = (env.clone(), settings.clone());
    // It outlives a panic of the receiver.
    let sequences = Arc::new(Sequences::default());
    Ok(Arc::new(move |_| {
        let (env, settings) = (env.clone(), settings.clone());
        Ok(Box::new(Nats { env, settings, place: place.clone(), sequences: sequences.clone() }))
    }))
}

/// The name of the consumer of a source. Different sources have different names: names of jobs and sources have neither
/// `=` nor `+`, and names of consumers have no `.`.
fn consumer_of(job: &str, source: &str) -> String {
    format!("millstream={job}={source}").replace('.', "+")
}

/// Checks that a file has certificates.
fn check_authorities(env: &Env, name: &str, path: &Path) -> Result<(), NatsError> {
    match clients::fault_of_certificates(env, path) {
        None => Ok(()),
        Some(problem) => Err(NatsError::Authorities { name: name.to_owned(), path: path.to_owned(), problem }),
    }
}

/// Reads the secret with which the host logs in.
fn read_login(env: &Env, name: &str, login: &NatsLogin) -> Result<Login, NatsError> {
    let (secret, key) = login.secret();
    let found = clients::read_secret(env, &format!("source `{name}`"), key, secret)?;
    let is_line = |text: &str| !text.contains(char::is_control);
    Ok(match login {
        NatsLogin::Password { user, .. } => {
            let help = "write the password into it, and nothing else";
            Login::Password(user.clone(), Hidden(found.text("password: one line of text", help, is_line)?))
        }
        NatsLogin::Token(_) => {
            let help = "write the token into it, and nothing else";
            Login::Token(Hidden(found.text("token: one line of text", help, is_line)?))
        }
        NatsLogin::Credentials(_) => {
            let help = "use a file such as `nsc generate creds` writes it";
            let is_fit = |text: &str| text.contains("-----BEGIN NATS USER JWT-----");
            Login::Credentials(Hidden(found.text("credentials of NATS", help, is_fit)?))
        }
        NatsLogin::NkeySeed(_) => {
            let help = "write the seed of a user into it, such as `nk -gen user` makes it";
            let is_fit = |text: &str| text.starts_with("SU") && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
            Login::NkeySeed(Hidden(found.text("seed of an NKey of a user", help, is_fit)?))
        }
    })
}

struct Nats {
    env: Env,
    settings: NatsSettings,
    place: ConsumerPlace,
    sequences: Arc<Sequences>,
}

#[async_trait]
impl Receiver for Nats {
    async fn run(&mut self, context: &ReceiverContext) -> Result<(), ReceiverError> {
        self.sequences.recall(context.known_keys());
        let place = ConsumerPlace { resume: self.sequences.resume(), ..self.place.clone() };
        let consumer = tokio::select! {
            biased;
            () = context.stopped() => return Ok(()),
            consumer = self.env.message_streams.consume(&place) => consumer,
        };
        let consumer = consumer.map_err(|error| {
            let servers = place.servers.join(", ");
            ReceiverError::new(format!("cannot read stream `{}` at {servers}: {error}", place.stream))
        })?;
        context.connected();
        let of_stream = self.sequences.of(consumer.stream());
        Reading::new(&self.env, context, &self.settings, consumer, of_stream).run().await
    }
}
