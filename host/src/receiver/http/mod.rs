//! A receiver of HTTP requests: clients push records, and get an answer when the host does not lose them any more.
//!
//! Owns everything between a request and [`ReceiverContext::take_block`]. A reliable receiver: see [`Receiver`]. Requests
//! are served by the receiver's own future, so that connections end with the receiver. Only records that are on their
//! way into the store go on.

mod answer;
mod error;
mod fate;
mod groups;
mod keys;
mod refusals;
mod requests;
mod room;

pub use error::HttpError;

use self::groups::Groups;
use self::keys::Keys;
use self::refusals::Refusals;
use self::requests::Requests;
use self::room::Room;
use super::Receiver;
use super::context::ReceiverContext;
use super::error::ReceiverError;
use super::payload::misfit;
use super::registry::MakeReceiver;
use crate::config::HttpSettings;
use crate::data::schema::RecordType;
use crate::env::Env;
use crate::http::{ServerLimits, Tls, Token, serve_all};
use async_trait::async_trait;
use std::sync::{Arc, Mutex};

/// The most connections for each request that may be received at a time.
const CONNECTIONS_PER_REQUEST: usize = 4;

/// Makes receivers of the requests that clients send to the source `name`, whose records are of type `rows`. Token and
/// certificate are read now.
///
/// # Errors
/// If the token or the certificate cannot be read, or if requests cannot hold records of the type.
pub fn http(env: &Env, name: &str, settings: &HttpSettings, rows: &RecordType) -> Result<Arc<MakeReceiver>, HttpError> {
    if let Some(problem) = misfit(settings.format, rows) {
        return Err(HttpError::Type { name: name.to_owned(), ty: rows.to_string(), problem });
    }
    let subject = format!("source `{name}`");
    let token = settings.token.as_ref().map(|secret| Token::read(env, &subject, secret)).transpose()?;
    let tls = settings.tls.as_ref().map(|files| Tls::read(&*env.disk, &subject, files)).transpose()?;
    let (env, settings) = (env.clone(), settings.clone());
    // They outlive a panic of the receiver.
    let keys = Arc::new(Keys::default());
    Ok(Arc::new(move |_| {
        let (env, settings) = (env.clone(), settings.clone());
        Ok(Box::new(Http { env, settings, token: token.clone(), tls: tls.clone(), keys: keys.clone() }))
    }))
}

struct Http {
    env: Env,
    settings: HttpSettings,
    token: Option<Token>,
    tls: Option<Tls>,
    keys: Arc<Keys>,
}

#[async_trait]
impl Receiver for Http {
    async fn run(&mut self, context: &ReceiverContext) -> Result<(), ReceiverError> {
        let HttpSettings { address, max_requests, max_body_bytes, request_timeout, .. } = self.settings;
        self.keys.recall(context.known_keys());
        let listener = self.env.network.listen(address).await;
        let listener =
            listener.map_err(|error| ReceiverError::new(format!("cannot take requests at {address}: {error}")))?;
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        context.listens(format!("{scheme}://{}{}", listener.address(), self.settings.path));
        let requests = Requests {
            env: self.env.clone(),
            context: context.clone(),
            settings: self.settings.clone(),
            token: self.token.clone(),
            keys: self.keys.clone(),
            room: Room::new(context.store().clone(), max_requests, max_body_bytes),
            groups: Groups::new(&self.env, context, self.settings.max_wait),
            refusals: Mutex::new(Refusals::default()),
        };
        let connections = CONNECTIONS_PER_REQUEST * max_requests as usize;
        let limits = ServerLimits { connections, patience: request_timeout };
        serve_all(listener, self.tls.clone(), Arc::new(requests), self.env.clock.clone(), limits).await;
        Ok(())
    }
}
