//! One connection of a client: HTTP/1.1, and how long the client may do nothing.
//!
//! Owns when a connection is closed: after a time without a request, when the client leaves an answer unread, when newer
//! connections need its place, and when the service stops. A connection whose request is being answered is closed only
//! if the client does not read.

use super::Service;
use super::message::Body;
use super::tls::Tls;
use super::watched::{Stuck, Watched};
use crate::env::{Clock, Duplex};
use crate::lock::lock;
use crate::time::Duration;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// The largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The largest buffer of a connection, in bytes.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// How long a connection without a request stays open when the service has to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// What a connection is doing, as others see it.
#[derive(Default)]
pub(super) struct Activity {
    state: Mutex<State>,
    close: Notify,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    /// Whether a request is being received or answered.
    is_busy: bool,
    /// How many requests have begun or ended. So two equal states of a connection have nothing between them.
    changes: u64,
    /// When the last request ended, or the connection began.
    since: Duration,
}

impl Activity {
    pub(super) fn new(now: Duration) -> Self {
        Self { state: Mutex::new(State { since: now, ..State::default() }), close: Notify::new() }
    }

    /// Since when the connection waits for a request; `None` if it does not.
    pub(super) fn idle_since(&self) -> Option<Duration> {
        let state = *lock(&self.state);
        (!state.is_busy).then_some(state.since)
    }

    /// Closes the connection, if it still waits for a request.
    pub(super) fn close_if_idle(&self) {
        self.close.notify_one();
    }

    fn change(&self, is_busy: bool, now: Duration) {
        let mut state = lock(&self.state);
        *state = State { is_busy, changes: state.changes + 1, since: now };
    }

    fn state(&self) -> State {
        *lock(&self.state)
    }
}

/// What serves a connection.
pub(super) struct Served {
    pub(super) service: Arc<dyn Service>,
    pub(super) clock: Arc<dyn Clock>,
    /// How long the client may do nothing.
    pub(super) patience: Duration,
    pub(super) activity: Arc<Activity>,
}

/// A request that is received or answered. Dropping the value ends it.
struct Busy {
    activity: Arc<Activity>,
    clock: Arc<dyn Clock>,
}

impl Busy {
    fn new(activity: &Arc<Activity>, clock: &Arc<dyn Clock>) -> Self {
        activity.change(true, clock.monotonic());
        Self { activity: activity.clone(), clock: clock.clone() }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.activity.change(false, self.clock.monotonic());
    }
}

/// Serves a connection until it ends.
pub(super) async fn serve(connection: Box<dyn Duplex>, tls: Option<Tls>, served: Served) {
    let Served { service, clock, patience, activity } = served;
    let connection = match tls {
        None => connection,
        Some(tls) => tokio::select! {
            biased;
            accepted = tls.accept(connection) => match accepted {
                Ok(connection) => connection,
                // The client speaks no TLS, or does not trust the certificate.
                Err(_) => return,
            },
            () = clock.sleep(patience) => return,
            () = activity.close.notified() => return,
            () = service.stopped() => return,
        },
    };
    let stuck = Stuck::default();
    let connection = Watched { connection, clock: clock.clone(), stuck: stuck.clone() };
    let answers = service_fn(|request| {
        let (service, busy) = (service.clone(), Busy::new(&activity, &clock));
        async move {
            let (head, body) = hyper::Request::into_parts(request);
            let answer = service.answer(head, Body(body)).await;
            Ok::<_, Infallible>(answer.into_sent(busy))
        }
    });
    let served = http1::Builder::new()
        .half_close(true)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(connection), answers);
    let mut served = pin!(served);
    let mut is_stopping = false;
    loop {
        let before = activity.state();
        let pause = if is_stopping { STOP_PATIENCE } else { patience };
        tokio::select! {
            biased;
            // An error is one of the client, or of the network: it has got an answer, or is gone.
            _ = &mut served => return,
            () = service.stopped(), if !is_stopping => {
                is_stopping = true;
                served.as_mut().graceful_shutdown();
            }
            () = clock.sleep(pause) => {
                let is_idle = !before.is_busy && activity.state() == before;
                let is_stuck = stuck.since().is_some_and(|since| clock.monotonic().saturating_sub(since) >= pause);
                if is_idle || is_stuck {
                    return;
                }
            }
            () = activity.close.notified() => {
                if !activity.state().is_busy {
                    return;
                }
            }
        }
    }
}
