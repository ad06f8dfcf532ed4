//! What happens while the checkpoint directory cannot be written: outputs wait, or the job stops.
//!
//! Owns the pause between tries and what is told. Never writes anything itself.

use crate::env::Clock;
use crate::error::{Error, ErrorKind};
use crate::listener::{Event, ListenerBus};
use crate::time::Duration;
use std::io;
use std::sync::Arc;

/// The pause before something is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// What to do when something cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTrouble {
    /// Try again until it can.
    Wait,
    /// End the run.
    Stop,
}

/// One thing that is written again and again, and may fail.
#[derive(Clone)]
pub struct Trouble {
    clock: Arc<dyn Clock>,
    listeners: ListenerBus,
    policy: OnTrouble,
    /// What is written, as in `the allocation log`.
    what: &'static str,
    /// Where, for messages.
    place: String,
    failing: bool,
}

impl Trouble {
    /// No trouble yet with `what` in the checkpoint directory `place`.
    pub fn new(
        clock: Arc<dyn Clock>,
        listeners: ListenerBus,
        policy: OnTrouble,
        what: &'static str,
        place: String,
    ) -> Self {
        Self { clock, listeners, policy, what, place, failing: false }
    }

    /// Tells of something else that has to do with it.
    pub fn tell(&self, event: &Event) {
        self.listeners.post(event);
    }

    /// It could be written.
    pub fn over(&mut self) {
        if std::mem::take(&mut self.failing) {
            self.listeners.post(&Event::CheckpointResumed { what: self.what.to_owned() });
        }
    }

    /// It could not. Returns when it is to be tried again.
    ///
    /// # Errors
    /// When the run has to end instead.
    pub async fn wait(&mut self, error: &io::Error) -> Result<(), Error> {
        let message = format!("cannot write {} in checkpoint directory {}: {error}", self.what, self.place);
        self.wait_for(message).await
    }

    /// As [`Trouble::wait`], with what is to be told.
    ///
    /// # Errors
    /// When the run has to end instead.
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
