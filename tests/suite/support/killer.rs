//! Ends the life of a simulated host.

use super::simulated::Death;
use host::listener::{Event, StreamingListener};
use std::sync::{Mutex, PoisonError};

/// Ends a life of the host after a batch.
pub struct Killer {
    batches_left: Mutex<usize>,
    kill: tokio::sync::watch::Sender<bool>,
}

impl Killer {
    /// Makes a listener, and the receiver of the message that the life has to end.
    pub fn new(death: Option<&Death>) -> (Self, tokio::sync::watch::Receiver<bool>) {
        let (kill, killed) = tokio::sync::watch::channel(false);
        let batches = if let Some(Death::AfterBatch(batches)) = death { *batches } else { usize::MAX };
        (Self { batches_left: Mutex::new(batches), kill }, killed)
    }
}

impl StreamingListener for Killer {
    fn on_event(&self, event: &Event) {
        if let Event::BatchCompleted(_) = event {
            let mut left = self.batches_left.lock().unwrap_or_else(PoisonError::into_inner);
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.kill.send_replace(true);
            }
        }
    }
}
