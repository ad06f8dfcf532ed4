//! What happens while the checkpoint directory cannot be written: outputs wait, or the run ends.
//!
//! Owns the pause between attempts, and the messages. Never writes to the directory itself.

use crate::env::Clock;
use crate::error::{Error, ErrorKind};
use crate::listener::{Event, ListenerBus};
use crate::time::Duration;
use std::io;
use std::sync::Arc;

/// The pause before the next attempt.
const PAUSE: Duration = Duration::from_secs(1);

/// What a run does when the checkpoint directory cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTrouble {
    /// Try again until writing succeeds.
    Wait,
    /// End the run.
    Stop,
}

/// The retries of one thing that is written repeatedly.
#[derive(Clone)]
pub struct Trouble {
    clock: Arc<dyn Clock>,
    listeners: ListenerBus,
    policy: OnTrouble,
    /// The thing that is written, as in `the allocation log`.
    what: &'static str,
    /// The checkpoint directory, for messages.
    place: String,
    failing: bool,
}

impl Trouble {
    /// Starts without trouble. `what` is written to the checkpoint directory `place`.
    pub fn new(
        clock: Arc<dyn Clock>,
        listeners: ListenerBus,
        policy: OnTrouble,
        what: &'static str,
        place: String,
    ) -> Self {
        Self { clock, listeners, policy, what, place, failing: false }
    }

    /// Sends an event that is related to this trouble.
    pub fn tell(&self, event: &Event) {
        self.listeners.post(event);
    }

    /// Records that writing succeeded.
    pub fn over(&mut self) {
        if std::mem::take(&mut self.failing) {
            self.listeners.post(&Event::CheckpointResumed { what: self.what.to_owned() });
        }
    }

    /// Records that writing failed. Returns when it is time for the next attempt.
    ///
    /// # Errors
    /// Returns an error if the run has to end instead.
    pub async fn wait(&mut self, error: &io::Error) -> Result<(), Error> {
        let message = format!("cannot write {} in checkpoint directory {}: {error}", self.what, self.place);
        self.wait_for(message).await
    }

    /// Like [`Trouble::wait`], with a message.
    ///
    /// # Errors
    /// Returns an error if the run has to end instead.
    pub async fn wait_for(&mut self, message: String) -> Result<(), Error> {
        if self.policy == OnTrouble::Stop {
            return Err(Error::new(ErrorKind::Unavailable, message)
                .help("nothing is lost: start the job again when the directory can be written"));
        }
        if !std::mem::replace(&mut self.failing, true) {
            self.listeners.post(&Event::CheckpointFailed { what: self.what.to_owned(), error: message });
        }
        self.clock.sleep_until(self.clock.now() + PAUSE).await;
        Ok(())
    }
}
