//! Events of a job, and the listeners that get them.
//!
//! Owns the events, with Spark's names, and the bus that delivers events to listeners. Posting an event never waits.
//! Listeners know only what events tell them: listeners never reach into the host.

mod absence;
mod accumulators;
mod attention;
mod event;
mod event_json;
mod event_log;
mod files;
mod info;
mod liveness;
mod log;
mod operator_state;
mod queue;
mod rates;
mod receivers;
mod stage_json;
mod status;
mod tasks;

pub use accumulators::{AccumulatorInfo, AccumulatorValue, Double};
pub use attention::Attention;
pub use event::Event;
pub use event_json::json_line;
pub use event_log::EventLog;
pub use files::{PassedOverCause, PassedOverInfo};
pub use info::{
    BatchInfo, GivenUpInfo, LagInfo, LinesInfo, OperatorSample, OutputOperationInfo, ReceiverInfo, RecoveryInfo,
    SampleInfo, SnapshotInfo, StageInfo, StageOperator, StageRows, StreamInputInfo, UpgradeInfo,
};
pub use liveness::Liveness;
pub use log::LogListener;
pub use operator_state::{OperatorState, operator_label};
pub use queue::{EventQueue, QUEUED_EVENTS_MAX, QueuedListener};
pub use rates::{MeasuredBatch, RateLimit, RateLimitInfo, RateReason};
pub use receivers::ReceiverReporter;
pub use status::{
    CheckpointStatus, CheckpointTrouble, Delay, FilesStatus, PassedOverStatus, RateStatus, ReceiverStatus, RunState,
    Status, StatusListener, Summary,
};
pub use tasks::{PluginUse, TASKS_MAX, TaskInfo, keep_tasks};

use crate::ids::RunId;
use std::sync::Arc;

/// A listener that gets every event. The actor that caused an event calls the listener, so a listener must neither wait
/// nor panic. A listener that has to wait is a [`QueuedListener`]. Events of one actor come in order.
pub trait StreamingListener: Send + Sync {
    /// Called when an event has happened.
    fn on_event(&self, event: &Event);

    /// Called when an event has happened in a run. A listener of several runs tells the runs apart here.
    fn on_event_of(&self, _run: RunId, event: &Event) {
        self.on_event(event);
    }
}

/// Delivers events to listeners. Clones deliver to the same listeners.
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

    /// Adds queues that get events as well.
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

    /// Delivers an event to all listeners.
    pub fn post(&self, event: &Event) {
        self.post_of(self.run, event);
    }

    /// Delivers an event of a run to all listeners.
    pub fn post_of(&self, run: RunId, event: &Event) {
        self.listeners.iter().for_each(|listener| listener.on_event_of(run, event));
        let mut queued = None;
        for queue in self.queues.iter().filter(|queue| queue.takes(event)) {
            queue.post(run, queued.get_or_insert_with(|| Arc::new(event.clone())).clone());
        }
    }

    /// Waits until the listeners with queues have handled all events that were posted, but only for a bounded time.
    pub async fn drain(&self) {
        futures::future::join_all(self.queues.iter().map(EventQueue::drain)).await;
    }
}
