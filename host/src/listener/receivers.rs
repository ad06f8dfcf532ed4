//! Reports of one receiver to the listeners.
//!
//! Owns the [`ReceiverInfo`] of one receiver. Never decides when it connects or stops.

use super::{Event, ListenerBus, ReceiverInfo};
use crate::time::{Duration, Time};

/// The location of all receivers: the host's own process.
const DRIVER: &str = "driver";

/// Reports the events of one receiver to listeners.
#[derive(Clone)]
pub struct ReceiverReporter {
    listeners: ListenerBus,
    info: ReceiverInfo,
}

impl ReceiverReporter {
    /// For the receiver of the source with this number and name.
    pub fn new(listeners: ListenerBus, stream_id: u32, name: &str) -> Self {
        let info = ReceiverInfo {
            stream_id,
            name: name.to_owned(),
            active: false,
            location: DRIVER.to_owned(),
            last_error_message: None,
            last_error_time: None,
        };
        Self { listeners, info }
    }

    /// The receiver is connected.
    pub fn started(&mut self) {
        self.info.active = true;
        self.listeners.post(&Event::ReceiverStarted(self.info.clone()));
    }

    /// The receiver lost its source, or did not reach it. It tries again after `retry_in`, or never if that is `None`.
    pub fn failed(&mut self, now: Time, message: String, retry_in: Option<Duration>) {
        self.info.active = false;
        self.tell_error(now, message, retry_in);
    }

    /// The receiver reports an error and continues.
    pub fn erred(&mut self, now: Time, message: String) {
        self.tell_error(now, message, None);
    }

    fn tell_error(&mut self, now: Time, message: String, retry_in: Option<Duration>) {
        self.info.last_error_message = Some(message);
        self.info.last_error_time = Some(now);
        self.listeners.post(&Event::ReceiverError { receiver: self.info.clone(), retry_in });
    }

    /// The receiver ended.
    pub fn stopped(&mut self) {
        self.info.active = false;
        self.listeners.post(&Event::ReceiverStopped(self.info.clone()));
    }
}
