//! One connection of a client: HTTP/1.1, and how long the client may do nothing.
//!
//! Owns when a connection is closed: after a time without a request, when newer connections need its place, and when the
//! receiver stops. A connection whose request is being answered is never closed.

use super::answer::Answer;
use super::requests::Requests;
use super::tls::Tls;
use crate::env::Duplex;
use crate::lock::lock;
use crate::time::Duration;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// The largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The largest buffer of a connection, in bytes.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// How long a connection without a request stays open when the receiver has to stop.
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

/// Serves a connection until it ends.
pub(super) async fn serve(
    connection: Box<dyn Duplex>,
    tls: Option<Tls>,
    requests: Arc<Requests>,
    activity: Arc<Activity>,
) {
    let clock = requests.env.clock.clone();
    let connection = match tls {
        None => connection,
        Some(tls) => tokio::select! {
            biased;
            accepted = tls.accept(connection) => match accepted {
                Ok(connection) => connection,
                // The client speaks no TLS, or does not trust the certificate.
                Err(_) => return,
            },
            () = clock.sleep(requests.settings.request_timeout) => return,
            () = activity.close.notified() => return,
            () = requests.context.stopped() => return,
        },
    };
    let service = service_fn(|request| {
        let (requests, activity) = (requests.clone(), activity.clone());
        activity.change(true, requests.env.clock.monotonic());
        async move {
            let answer = requests.answer(request).await;
            activity.change(false, requests.env.clock.monotonic());
            Ok::<_, Infallible>(response(answer))
        }
    });
    let served = http1::Builder::new()
        .half_close(true)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(connection), service);
    let mut served = pin!(served);
    let mut is_stopping = false;
    loop {
        let before = activity.state();
        let patience = if is_stopping { STOP_PATIENCE } else { requests.settings.request_timeout };
        tokio::select! {
            biased;
            // An error is one of the client, or of the network: it has got an answer, or is gone.
            _ = &mut served => return,
            () = requests.context.stopped(), if !is_stopping => {
                is_stopping = true;
                served.as_mut().graceful_shutdown();
            }
            () = clock.sleep(patience) => {
                if !before.is_busy && activity.state() == before {
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

/// The answer in the form in which it is sent.
fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some((name, value)) = answer.header
        && let Ok(value) = HeaderValue::from_str(&value)
    {
        headers.insert(name, value);
    }
    response
}
