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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Facts, load};
    use crate::listener::{BatchInfo, StreamInputInfo};
    use crate::receiver::RateSettings;
    use crate::time::Duration;
    use std::collections::BTreeMap;

    const OTHER: RunId = RunId(1);

    /// A batch of 1000 records that took so many ms.
    fn completed(batch: u64, took_ms: u64) -> Event {
        let (batch_time, took) = (Time::from_ms(batch * 1000), Duration::from_millis(took_ms));
        let input = StreamInputInfo { stream_id: 0, name: "lines".to_owned(), num_records: 1000, description: None };
        Event::BatchCompleted(BatchInfo {
            batch_time,
            inputs: BTreeMap::from([(0, input)]),
            submission_time: batch_time,
            processing_start_time: Some(batch_time),
            processing_end_time: Some(batch_time + took),
            scheduling_delay: Some(Duration::ZERO),
            processing_delay: Some(took),
            output_operations: BTreeMap::new(),
        })
    }

    /// S12.20: when two runs process the batches of a job, rates follow the batches of the run that shows results, however
    /// fast the other run is.
    #[test]
    fn rates_follow_the_run_that_shows_results() {
        let job = "[job]\nname = \"job\"\nplugin = \"p.wasm\"\n[backpressure]\nenabled = true\n";
        let settings = load(job, "/jobs/job.toml".as_ref(), &[], &Facts { cpus: 1 }).unwrap();
        let rates = Rates::new(RateSettings::of(&settings), ListenerBus::default(), Time::default());
        let limit = rates.watch("lines");
        let handover = Arc::new(Handover::new(None));
        let job = ListenerBus::default();
        let relay = Relay { job, handover: handover.clone(), watcher: Watcher::default(), rates };
        let both = |batch, first_ms, other_ms| {
            relay.on_event_of(OTHER, &completed(batch, other_ms));
            relay.on_event_of(RunId::FIRST, &completed(batch, first_ms));
            *limit.borrow()
        };
        assert_eq!(both(1, 500, 20), None);
        assert_eq!(both(2, 500, 20), Some(2000));
        assert_eq!(both(3, 250, 2000), Some(4000));
        handover.open(Time::from_ms(3000));
        handover.hand_to(OTHER);
        assert_eq!(both(4, 250, 1000), Some(1000));
    }
}
