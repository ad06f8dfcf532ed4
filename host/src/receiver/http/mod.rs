//! A receiver of HTTP requests: clients push records, and get an answer when the host does not lose them any more.
//!
//! Owns the crate `hyper`, and everything between a connection and [`ReceiverContext::take_block`]. A reliable receiver:
//! see [`Receiver`]. Requests are served by the receiver's own future, so that connections end with the receiver. Only
//! records that are on their way into the store go on.

mod answer;
mod connection;
mod error;
mod fate;
mod groups;
mod keys;
mod refusals;
mod requests;
mod room;
mod secret;
mod tls;

pub use error::HttpError;

use self::connection::{Activity, serve};
use self::groups::Groups;
use self::keys::Keys;
use self::refusals::Refusals;
use self::requests::Requests;
use self::room::Room;
use self::secret::Token;
use self::tls::Tls;
use super::Receiver;
use super::context::ReceiverContext;
use super::error::ReceiverError;
use super::payload::misfit;
use super::registry::MakeReceiver;
use crate::config::HttpSettings;
use crate::data::schema::RecordType;
use crate::env::{Duplex, Env, Listener};
use crate::time::Duration;
use async_trait::async_trait;
use futures::stream::{FuturesUnordered, StreamExt as _};
use std::sync::{Arc, Mutex};

/// The most connections for each request that may be received at a time.
const CONNECTIONS_PER_REQUEST: usize = 4;
/// The pause after the system could not accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Makes receivers of the requests that clients send to the source `name`, whose records are of type `rows`. Token and
/// certificate are read now.
///
/// # Errors
/// If the token or the certificate cannot be read, or if requests cannot hold records of the type.
pub fn http(env: &Env, name: &str, settings: &HttpSettings, rows: &RecordType) -> Result<Arc<MakeReceiver>, HttpError> {
    if let Some(problem) = misfit(settings.format, rows) {
        return Err(HttpError::Type { name: name.to_owned(), ty: rows.to_string(), problem });
    }
    let token = settings.token.as_ref().map(|secret| Token::read(env, name, secret)).transpose()?;
    let tls = settings.tls.as_ref().map(|files| Tls::read(&*env.disk, name, files)).transpose()?;
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
        let HttpSettings { address, max_requests, max_body_bytes, .. } = self.settings;
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
        let most = CONNECTIONS_PER_REQUEST * max_requests as usize;
        self.serve_all(context, listener, &Arc::new(requests), most).await;
        Ok(())
    }
}

impl Http {
    /// Serves at most `most` connections at a time until the receiver has to stop, and finishes the requests that have
    /// begun.
    async fn serve_all(
        &self,
        context: &ReceiverContext,
        listener: Box<dyn Listener>,
        requests: &Arc<Requests>,
        most: usize,
    ) {
        let mut connections = FuturesUnordered::new();
        let mut activities: Vec<Arc<Activity>> = Vec::new();
        loop {
            let next = tokio::select! {
                biased;
                () = context.stopped() => break,
                Some(()) = connections.next(), if !connections.is_empty() => None,
                next = accepted(context, &*listener) => next,
            };
            // A connection that has ended holds its activity no more.
            activities.retain(|activity| Arc::strong_count(activity) > 1);
            let Some(connection) = next else { continue };
            if activities.len() >= most && !make_room(&activities) {
                // All connections have requests. The client tries again.
                continue;
            }
            let activity = Arc::new(Activity::new(self.env.clock.monotonic()));
            activities.push(activity.clone());
            connections.push(serve(connection, self.tls.clone(), requests.clone(), activity));
        }
        drop(listener);
        while let Some(()) = connections.next().await {}
    }
}

/// The next connection. `None` after a pause, if the system could not accept one.
async fn accepted(context: &ReceiverContext, listener: &dyn Listener) -> Option<Box<dyn Duplex>> {
    match listener.accept().await {
        Ok(connection) => Some(connection),
        Err(_) => {
            context.sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Closes the connection that has waited longest for a request. Returns false if none waits.
fn make_room(activities: &[Arc<Activity>]) -> bool {
    let idle = activities.iter().filter_map(|activity| Some((activity.idle_since()?, activity)));
    let longest = idle.min_by_key(|(since, _)| *since);
    longest.map(|(_, activity)| activity.close_if_idle()).is_some()
}
