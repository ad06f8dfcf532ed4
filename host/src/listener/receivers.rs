//! Reports of one receiver to the listeners.
//!
//! Owns the [`ReceiverInfo`] of one receiver. Never decides when the receiver connects or stops.

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
    /// Makes the reporter for the receiver of the source with this number and name.
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

    /// Reports that the receiver is connected.
    pub fn started(&mut self) {
        self.info.active = true;
        self.listeners.post(&Event::ReceiverStarted(self.info.clone()));
    }

    /// Reports that the receiver lost its source, or did not reach it. The receiver tries again after `retry_in`. If
    /// `retry_in` is `None`, it does not try again.
    pub fn failed(&mut self, now: Time, message: String, retry_in: Option<Duration>) {
        self.info.active = false;
        self.tell_error(now, message, retry_in);
    }

    /// Reports an error of the receiver, which continues.
    pub fn erred(&mut self, now: Time, message: String) {
        self.tell_error(now, message, None);
    }

    fn tell_error(&mut self, now: Time, message: String, retry_in: Option<Duration>) {
        self.info.last_error_message = Some(message);
        self.info.last_error_time = Some(now);
        self.listeners.post(&Event::ReceiverError { receiver: self.info.clone(), retry_in });
    }

    /// Reports that the receiver has ended.
    pub fn stopped(&mut self) {
        self.info.active = false;
        self.listeners.post(&Event::ReceiverStopped(self.info.clone()));
    }
}
