//! The messages from a job to the program that has started its process: a service manager, or a supervisor.
//!
//! Owns the words. Never decides when a message is sent.

use crate::env::NotifySocket;
use std::io;

/// The job runs.
pub(super) const READY: &str = "READY=1";
/// The job stops, as somebody wants it.
pub(super) const STOPPING: &str = "STOPPING=1";
/// The job makes progress, or has nothing to do.
pub(super) const ALIVE: &str = "WATCHDOG=1";
/// The job owns its checkpoint directory: from here on, a restart goes on with its run. This message is for supervisors.
/// Service managers ignore messages that begin with `X_`.
pub(super) const OWNS_CHECKPOINTS: &str = "X_MILLSTREAM_OWNS_CHECKPOINTS=1";

/// A message that says in words what the job does.
pub(super) fn status(text: &str) -> String {
    format!("STATUS={text}")
}

/// The service manager, if there is one that can be reached. Otherwise the log says why not.
pub(super) fn manager(found: io::Result<Option<NotifySocket>>) -> Option<NotifySocket> {
    found.unwrap_or_else(|error| {
        tracing::warn!("the service manager is told nothing: NOTIFY_SOCKET cannot be used: {error}");
        None
    })
}

/// Sends a message, if there is a service manager. Returns false if the message could not be sent.
pub(super) fn tell(manager: Option<&NotifySocket>, message: &str) -> bool {
    manager.is_none_or(|manager| {
        let sent = manager.tell(message);
        if let Err(error) = &sent {
            tracing::debug!("the service manager cannot be told {message:?}: {error}");
        }
        sent.is_ok()
    })
}
