//! What a receiver reports of itself.
//!
//! Owns the [`ReceiverInfo`] of one receiver. Never decides when it connects or stops.

use super::{Event, ListenerBus, ReceiverInfo};
use crate::time::{Duration, Time};

/// Where receivers run as long as there is one process.
const DRIVER: &str = "driver";

/// Tells listeners of one receiver.
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

    /// It is connected.
    pub fn started(&mut self) {
        self.info.active = true;
        self.listeners.post(&Event::ReceiverStarted(self.info.clone()));
    }

    /// It lost its source, or did not reach it.
    pub fn failed(&mut self, now: Time, message: String, retry_in: Duration) {
        self.info.active = false;
        self.info.last_error_message = Some(message);
        self.info.last_error_time = Some(now);
        self.listeners.post(&Event::ReceiverError { receiver: self.info.clone(), retry_in });
    }

    /// It ended.
    pub fn stopped(&mut self) {
        self.info.active = false;
        self.listeners.post(&Event::ReceiverStopped(self.info.clone()));
    }
}
