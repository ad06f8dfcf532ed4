//! What happens, told to whoever listens.
//!
//! Owns the events, with the names that Spark gives them, and the bus that hands them out. Listeners learn what they
//! know from here alone; they never reach into the host.

mod event;
mod log;

pub use event::{BatchInfo, Event, OutputOperationInfo};
pub use log::LogListener;

use std::sync::Arc;

/// Hears of every event, in order. Called from the actor that caused it, so it must not wait.
pub trait StreamingListener: Send + Sync {
    /// Something happened.
    fn on_event(&self, event: &Event);
}

/// Hands events to listeners.
#[derive(Clone, Default)]
pub struct ListenerBus {
    listeners: Arc<[Arc<dyn StreamingListener>]>,
}

impl ListenerBus {
    /// A bus to these listeners.
    pub fn new(listeners: Vec<Arc<dyn StreamingListener>>) -> Self {
        Self { listeners: listeners.into() }
    }

    /// Tells all listeners.
    pub fn post(&self, event: &Event) {
        self.listeners.iter().for_each(|listener| listener.on_event(event));
    }
}
