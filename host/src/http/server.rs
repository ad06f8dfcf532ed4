//! Serves all connections of a listener, a bounded number at a time.
//!
//! Owns which connection makes room for a newer one: the one that has waited longest for a request.

use super::Service;
use super::connection::{Activity, Served, serve};
use super::tls::Tls;
use crate::env::{Clock, Duplex, Listener};
use crate::time::Duration;
use futures::stream::{FuturesUnordered, StreamExt as _};
use std::sync::Arc;

/// The pause after the system could not accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What clients may take.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// The most connections at a time.
    pub connections: usize,
    /// How long a connection may stay open without a request, and how long a client may leave an answer unread.
    pub patience: Duration,
}

/// Serves at most a number of connections at a time until the service has to stop, and finishes the requests that have
/// begun.
pub async fn serve_all(
    listener: Box<dyn Listener>,
    tls: Option<Tls>,
    service: Arc<dyn Service>,
    clock: Arc<dyn Clock>,
    limits: ServerLimits,
) {
    let mut connections = FuturesUnordered::new();
    let mut activities: Vec<Arc<Activity>> = Vec::new();
    loop {
        let next = tokio::select! {
            biased;
            () = service.stopped() => break,
            Some(()) = connections.next(), if !connections.is_empty() => None,
            next = accepted(&*clock, &*listener) => next,
        };
        // A connection that has ended holds its activity no more.
        activities.retain(|activity| Arc::strong_count(activity) > 1);
        let Some(connection) = next else { continue };
        if activities.len() >= limits.connections && !make_room(&activities) {
            // All connections have requests. The client tries again.
            continue;
        }
        let activity = Arc::new(Activity::new(clock.monotonic()));
        activities.push(activity.clone());
        let served = Served { service: service.clone(), clock: clock.clone(), patience: limits.patience, activity };
        connections.push(serve(connection, tls.clone(), served));
    }
    drop(listener);
    while let Some(()) = connections.next().await {}
}

/// The next connection. `None` after a pause, if the system could not accept one.
async fn accepted(clock: &dyn Clock, listener: &dyn Listener) -> Option<Box<dyn Duplex>> {
    match listener.accept().await {
        Ok(connection) => Some(connection),
        Err(_) => {
            clock.sleep(ACCEPT_PAUSE).await;
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
