//! The client end of a control socket: `host stop`, `host status` and `host state`.

use super::lines::Lines;
use super::protocol::{self, Answer, Request};
use super::{ANSWER_BYTES_MAX, socket_place};
use crate::env::{Clock, Env};
use crate::time::Duration;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// How long a host may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a host cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("it does not run")]
    NotRunning,
    /// The socket belongs to another user.
    #[error("it is not yours: {0}")]
    NotAllowed(io::Error),
    /// The host listens and does not answer.
    #[error("it does not answer")]
    Silent,
    /// The connection broke.
    #[error("the connection to it broke: {0}")]
    Broken(io::Error),
    /// The host refuses the request.
    #[error("it refuses the request: {0}")]
    Refused(String),
    /// The host sends something that is no answer.
    #[error("its answer cannot be understood: {0}")]
    Strange(String),
}

/// A connection to a host.
pub struct Client {
    lines: Lines,
    clock: Arc<dyn Clock>,
}

impl Client {
    /// Connects to the host of a job, by the directory of its job file and its name.
    ///
    /// # Errors
    /// Returns an error if no connection can be made, for example because no host listens there.
    pub async fn connect(env: &Env, directory: &Path, job: &str) -> Result<Self, ClientError> {
        let (directory, name) = socket_place(directory, job);
        Self::connect_to(env, &directory, &name).await
    }

    /// Connects to the host that listens at a socket of this name in a directory.
    ///
    /// # Errors
    /// Returns an error if no connection can be made, for example because no host listens there.
    pub async fn connect_to(env: &Env, directory: &Path, name: &str) -> Result<Self, ClientError> {
        let stream = env.local.connect(directory, name).await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning,
            io::ErrorKind::PermissionDenied => ClientError::NotAllowed(error),
            io::ErrorKind::WouldBlock => ClientError::Silent,
            _ => ClientError::Broken(error),
        })?;
        Ok(Self { lines: Lines::new(stream, ANSWER_BYTES_MAX), clock: env.clock.clone() })
    }

    /// Sends a request.
    ///
    /// # Errors
    /// Returns an error if the host does not take the request.
    pub async fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        let sent = self.lines.write(&protocol::line(request), &*self.clock, PATIENCE).await;
        sent.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => ClientError::Silent,
            _ => ClientError::Broken(error),
        })
    }

    /// The next answer. `None` if the host is gone. The future can be dropped, and `next` called again.
    ///
    /// # Errors
    /// Returns an error if the host sends no answer for some time, or sends something that is no answer.
    pub async fn next(&mut self) -> Result<Option<Answer>, ClientError> {
        let line = tokio::select! {
            biased;
            line = self.lines.next() => line.map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => ClientError::Strange(error.to_string()),
                _ => ClientError::Broken(error),
            })?,
            () = self.clock.sleep_until(self.clock.now() + PATIENCE) => return Err(ClientError::Silent),
        };
        let Some(line) = line else { return Ok(None) };
        match protocol::read(&line) {
            Ok(Answer::Refused { error }) => Err(ClientError::Refused(error)),
            Ok(answer) => Ok(Some(answer)),
            Err(error) => Err(ClientError::Strange(error)),
        }
    }

    /// Waits until the host is gone, however long that takes. Ignores everything that the host still sends.
    pub async fn gone(mut self) {
        while let Ok(Some(_)) = self.lines.next().await {}
    }
}
