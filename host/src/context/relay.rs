//! Passes the events of a run on to the listeners of the job, as long as the run shows its results.
//!
//! Owns which events of a run are events of the job. A run whose results are not shown is told of to the watcher of the
//! runs alone.

use crate::ids::RunId;
use crate::ingest::Rates;
use crate::listener::{Event, ListenerBus, StreamingListener};
use crate::lock::lock;
use crate::output::Handover;
use crate::time::Time;
use std::sync::{Arc, Mutex};

/// The listener that gets the events of all runs of a job, whether their results are shown or not. Clones share one
/// listener.
#[derive(Clone, Default)]
pub(super) struct Watcher(Arc<Mutex<Option<Arc<dyn StreamingListener>>>>);

impl Watcher {
    /// Sets the listener. `None` if nobody listens.
    pub(super) fn set(&self, listener: Option<Arc<dyn StreamingListener>>) {
        *lock(&self.0) = listener;
    }
}

/// Passes events of runs on.
pub(super) struct Relay {
    pub(super) job: ListenerBus,
    pub(super) handover: Arc<Handover>,
    pub(super) watcher: Watcher,
    /// The rates of the receivers, which follow the batches whose results are shown.
    pub(super) rates: Rates,
}

impl StreamingListener for Relay {
    fn on_event(&self, event: &Event) {
        self.on_event_of(RunId::FIRST, event);
    }

    fn on_event_of(&self, run: RunId, event: &Event) {
        let watcher = lock(&self.watcher.0).clone();
        if let Some(watcher) = watcher {
            watcher.on_event_of(run, event);
        }
        let is_shown = match batch_of(event) {
            Some(batch) => self.handover.shows_now(run, batch),
            None => self.handover.owner() == run,
        };
        if is_shown {
            self.job.post_of(run, event);
            if let Event::BatchCompleted(info) = event {
                self.rates.completed(info);
            }
        }
    }
}

/// The batch that an event of a run is about. `None` if the event is about the run as a whole.
fn batch_of(event: &Event) -> Option<Time> {
    match event {
        Event::BatchSubmitted(info) | Event::BatchStarted(info) | Event::BatchCompleted(info) => Some(info.batch_time),
        Event::OutputOperationStarted(info) | Event::OutputOperationCompleted(info) => Some(info.batch_time),
        Event::StageCompleted(info) => Some(info.batch_time),
        Event::TaskRetried { task, .. } => Some(task.batch),
        Event::AccumulatorsUpdated { batch, .. } | Event::DataSpilled { batch, .. } => Some(*batch),
        Event::FallingBehind(lag) | Event::CaughtUp(lag) => Some(lag.batch_time),
        _ => None,
    }
}
