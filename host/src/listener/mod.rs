//! What happens, told to whoever listens.
//!
//! Owns the events, with the names that Spark gives them, and the bus that hands them out. Posting an event never waits.
//! Listeners learn what they know from here alone; they never reach into the host.

mod absence;
mod event;
mod event_log;
mod files;
mod info;
mod log;
mod queue;
mod receivers;
mod status;

pub use event::Event;
pub use event_log::{EventLog, json_line};
pub use files::{PassedOverCause, PassedOverInfo};
pub use info::{
    BatchInfo, LagInfo, LinesInfo, OutputOperationInfo, ReceiverInfo, RecoveryInfo, StageInfo, StageOperator,
    StageRows, StreamInputInfo,
};
pub use log::LogListener;
pub use queue::{EventQueue, QUEUED_EVENTS_MAX, QueuedListener};
pub use receivers::ReceiverReporter;
pub use status::{
    CheckpointStatus, CheckpointTrouble, Delay, FilesStatus, PassedOverStatus, ReceiverStatus, RunState, Status,
    StatusListener,
};

use crate::ids::RunId;
use std::sync::Arc;

/// Hears of every event. Called from the actor that caused it, so it must neither wait nor panic: one that has to wait is
/// a [`QueuedListener`]. Events of one actor come in order.
pub trait StreamingListener: Send + Sync {
    /// Something happened.
    fn on_event(&self, event: &Event);

    /// Something happened in a run. A listener that hears of several runs tells them apart here.
    fn on_event_of(&self, _run: RunId, event: &Event) {
        self.on_event(event);
    }
}

/// Hands events to listeners. Clones have the same ones.
#[derive(Clone, Default)]
pub struct ListenerBus {
    listeners: Arc<[Arc<dyn StreamingListener>]>,
    queues: Arc<[EventQueue]>,
    /// The run whose events these are.
    run: RunId,
}

impl ListenerBus {
    /// A bus to these listeners.
    pub fn new(listeners: Vec<Arc<dyn StreamingListener>>) -> Self {
        Self { listeners: listeners.into(), queues: Arc::default(), run: RunId::FIRST }
    }

    /// Hands events to these queues as well.
    #[must_use]
    pub fn with_queues(mut self, queues: Vec<EventQueue>) -> Self {
        self.queues = queues.into();
        self
    }

    /// A bus to the same listeners, for the events of a run.
    #[must_use]
    pub fn of_run(&self, run: RunId) -> Self {
        Self { run, ..self.clone() }
    }

    /// Tells all listeners.
    pub fn post(&self, event: &Event) {
        self.listeners.iter().for_each(|listener| listener.on_event_of(self.run, event));
        self.queues.iter().for_each(|queue| queue.post(event));
    }

    /// Waits until the listeners behind queues have heard of everything that was posted, or are too slow.
    pub async fn drain(&self) {
        futures::future::join_all(self.queues.iter().map(EventQueue::drain)).await;
    }
}
