//! The host's end of a control socket.
//!
//! Owns the socket and the connections of clients. Each client is served by a future of its own. A host that cannot
//! listen runs without a control socket. Never stops the job: it hands requests to stop to the caller.

use super::lines::Lines;
use super::protocol::{self, Answer, Request};
use super::{ANSWER_BYTES_MAX, socket_place};
use crate::env::{Duplex, Env, LocalListener};
use crate::error::{Error, Persistence};
use crate::ingest::StopRequest;
use crate::listener::StatusListener;
use crate::shown::Shown as _;
use crate::state_reader::LiveStates;
use crate::time::Duration;
use crate::upgrade::{UpgradeControl, UpgradeStatus};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

/// The most clients at a time. Further clients wait until a client is gone.
const CLIENTS_MAX: usize = 8;
/// The longest request.
const REQUEST_BYTES_MAX: usize = 64 << 10;
/// How long a client may send nothing, or leave its answer unread.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause after a connection could not be accepted.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the end of a job waits until its clients have the answer.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// The answer that says how the job ended; `None` while the job runs.
type End = Option<Answer>;

/// The control socket of a running job, if the job has one.
pub struct Control {
    open: Option<Open>,
}

struct Open {
    env: Env,
    listener: Arc<dyn LocalListener>,
    stops: watch::Receiver<StopRequest>,
    end: watch::Sender<End>,
    /// The connections of clients that were told of the end.
    told: mpsc::Receiver<Box<dyn Duplex>>,
}

/// The connections of clients that wait until the host itself is gone. Dropping this value closes the connections.
pub struct Farewell {
    _connections: Vec<Box<dyn Duplex>>,
}

/// Serves clients.
#[derive(Clone)]
struct Server {
    env: Env,
    status: Arc<StatusListener>,
    states: LiveStates,
    upgrades: Arc<dyn UpgradeControl>,
    stop: Arc<watch::Sender<StopRequest>>,
    end: watch::Receiver<End>,
    told: mpsc::Sender<Box<dyn Duplex>>,
}

impl Control {
    /// Listens below `directory`, the directory of the job file. If that is impossible, logs a warning, and the job
    /// runs without a control socket.
    pub async fn start(
        env: &Env,
        (directory, job): (&Path, &str),
        status: Arc<StatusListener>,
        states: LiveStates,
        upgrades: Arc<dyn UpgradeControl>,
    ) -> Self {
        let (directory, name) = socket_place(directory, job);
        let listener: Arc<dyn LocalListener> = match env.local.listen(&directory, &name).await {
            Ok(Some(listener)) => listener.into(),
            Ok(None) => {
                tracing::warn!(
                    "another host runs job {job} of this directory: `host stop` and `host status` reach that one, \
                     signals reach this one"
                );
                return Self { open: None };
            }
            Err(error) => {
                tracing::warn!(
                    "cannot listen at {}: {error}; `host stop` and `host status` do not reach this host, signals do",
                    directory.join(&name).shown()
                );
                return Self { open: None };
            }
        };
        let (stop, stops) = watch::channel(StopRequest::None);
        let (end, ended) = watch::channel(None);
        let (tell, told) = mpsc::channel(CLIENTS_MAX);
        let server =
            Server { env: env.clone(), status, states, upgrades, stop: Arc::new(stop), end: ended, told: tell };
        env.control.spawn("control", Box::pin(server.accept(listener.clone())));
        Self { open: Some(Open { env: env.clone(), listener, stops, end, told }) }
    }

    /// Waits until a client requests a stop, or an immediate stop after a graceful one.
    pub async fn stop_requested(&mut self) -> StopRequest {
        if let Some(open) = &mut self.open
            && open.stops.changed().await.is_ok()
        {
            return *open.stops.borrow_and_update();
        }
        std::future::pending().await
    }

    /// Called when the job has ended. Removes the socket, and answers the clients that wait for the end.
    pub async fn finish(self, error: Option<String>) -> Farewell {
        let mut connections = Vec::new();
        if let Some(Open { env, listener, end, mut told, .. }) = self.open {
            listener.close();
            end.send_replace(Some(Answer::Ended { error }));
            let all = async {
                while let Some(connection) = told.recv().await {
                    connections.push(connection);
                }
            };
            tokio::select! {
                biased;
                () = all => {}
                () = env.clock.sleep_until(env.clock.now() + FAREWELL_MAX) => {}
            }
        }
        Farewell { _connections: connections }
    }
}

/// Waits until the job has ended, and returns how the job ended. `None` if the job was dropped.
async fn ended(end: &mut watch::Receiver<End>) -> End {
    end.wait_for(Option::is_some).await.ok()?.clone()
}

impl Server {
    async fn accept(mut self, listener: Arc<dyn LocalListener>) {
        let clients = Arc::new(Semaphore::new(CLIENTS_MAX));
        let mut end = self.end.clone();
        loop {
            let accepted = async {
                // The semaphore is never closed.
                let place = clients.clone().acquire_owned().await.ok();
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                biased;
                // This resolves also when the job is dropped.
                _ = ended(&mut end) => return,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok(stream) => {
                    let server = self.clone();
                    self.env.control.spawn(
                        "control client",
                        Box::pin(async move {
                            server.serve(stream).await;
                            drop(place);
                        }),
                    );
                }
                Err(error) => {
                    tracing::warn!("cannot accept a connection for control: {error}");
                    self.pause().await;
                }
            }
        }
    }

    async fn pause(&mut self) {
        let clock = &self.env.clock;
        tokio::select! {
            biased;
            _ = ended(&mut self.end) => {}
            () = clock.sleep_until(clock.now() + PAUSE) => {}
        }
    }

    /// Answers one client until the client is done, the job has ended, or the client is silent for too long.
    async fn serve(mut self, stream: Box<dyn Duplex>) {
        let clock = self.env.clock.clone();
        let mut lines = Lines::new(stream, REQUEST_BYTES_MAX);
        let mut waits_for_end = false;
        loop {
            let request = tokio::select! {
                biased;
                ended = ended(&mut self.end) => {
                    if let (true, Some(ended)) = (waits_for_end, ended)
                        && lines.write(&protocol::line(&ended), &*clock, PATIENCE).await.is_ok()
                    {
                        // This cannot fail: the channel has room for all clients.
                        let _ = self.told.try_send(lines.into_stream());
                    }
                    return;
                }
                request = lines.next() => request,
                () = clock.sleep_until(clock.now() + PATIENCE) => return,
            };
            let (answer, goes_on) = match request {
                Ok(Some(request)) => (self.answer(&request, &mut waits_for_end).await, true),
                Ok(None) => return,
                Err(error) => (Answer::Refused { error: error.to_string() }, false),
            };
            if lines.write(&bounded(&answer), &*clock, PATIENCE).await.is_err() || !goes_on {
                return;
            }
        }
    }

    async fn answer(&self, request: &[u8], waits_for_end: &mut bool) -> Answer {
        match protocol::read(request) {
            Ok(Request::Status) => {
                let mut status = self.status.status();
                status.operators = self.states.list();
                match serde_json::to_value(status) {
                    Ok(status) => Answer::Status { status },
                    Err(error) => Answer::Refused { error: error.to_string() },
                }
            }
            Ok(Request::Operators) => Answer::Operators { operators: self.states.list() },
            Ok(Request::KeyState { operator, key }) => {
                let found = self.looked_up(move |states| states.get(operator.as_deref(), &key)).await;
                match found.map(|found| found.map_err(Error::from)) {
                    Some(Ok(found)) => Answer::KeyState { found: Box::new(found) },
                    Some(Err(error)) => failed(error),
                    None => Answer::Failed {
                        error: "the state of the running job cannot be looked at: the look-up ended early".to_owned(),
                        help: "read the log of the host; `host state` reads the last snapshot if it is given the checkpoint \
                               directory in place of the job file"
                            .to_owned(),
                        is_temporary: true,
                    },
                }
            }
            Ok(Request::Stop { now }) => {
                *waits_for_end = true;
                let request = if now { StopRequest::Now } else { StopRequest::Graceful };
                self.status.stopping();
                self.stop.send_if_modified(|stop| {
                    let is_stronger = request > *stop;
                    *stop = request.max(*stop);
                    is_stronger
                });
                Answer::Stopping
            }
            Ok(Request::Upgrade { options }) => upgrade(self.upgrades.start(*options)),
            Ok(Request::UpgradeStatus) => upgrade(self.upgrades.status()),
            Ok(Request::UpgradeCommit { force }) => upgrade(self.upgrades.commit(force)),
            Ok(Request::UpgradeAbort) => upgrade(self.upgrades.abort()),
            Ok(Request::Rollback) => upgrade(self.upgrades.rollback()),
            Ok(Request::Set { key, value }) => match self.upgrades.set(&key, &value) {
                Ok(set) => Answer::Set { set },
                Err(error) => failed(error),
            },
            Err(error) => Answer::Refused { error },
        }
    }

    /// Looks at state on a background thread, because pages may have to be read from the disk. `None` if the look-up
    /// ended without a result.
    async fn looked_up<T: Send + 'static>(&self, look_up: impl FnOnce(&LiveStates) -> T + Send + 'static) -> Option<T> {
        let (tell, told) = oneshot::channel();
        let states = self.states.clone();
        let future = async move {
            // The client may be gone.
            let _ = tell.send(look_up(&states));
        };
        self.env.background.spawn("state look-up", Box::pin(future));
        told.await.ok()
    }
}

/// The answer to a request about an upgrade.
fn upgrade(outcome: Result<UpgradeStatus, Error>) -> Answer {
    match outcome {
        Ok(status) => Answer::Upgrade { status: Box::new(status) },
        Err(error) => failed(error),
    }
}

/// The answer to a request that is understood and cannot be answered.
fn failed(error: Error) -> Answer {
    Answer::Failed {
        is_temporary: error.persistence == Persistence::Transient,
        error: error.message,
        help: error.help.unwrap_or_default(),
    }
}

/// An answer as a line that clients accept.
pub(super) fn bounded(answer: &Answer) -> String {
    let line = protocol::line(answer);
    if line.len() < ANSWER_BYTES_MAX {
        return line;
    }
    protocol::line(&Answer::Failed {
        error: format!(
            "the answer has {} bytes, and an answer of a running job has at most {ANSWER_BYTES_MAX}",
            line.len()
        ),
        help: "read the state of the last snapshot: name the checkpoint directory in place of the job file".to_owned(),
        is_temporary: false,
    })
}
