//! The limits of the rates of all receivers of a job, and of its inputs that have a rate.
//!
//! Owns a rate controller for each receiver. The controllers get the completed batches of the run that shows results.
//! Each limit that changes goes to its receiver and, as an event, to the listeners. Never slows a receiver down.

use crate::listener::{BatchInfo, Event, ListenerBus, RateLimit, RateLimitInfo};
use crate::lock::lock;
use crate::receiver::{CompletedBatch, RateController, RateSettings};
use crate::time::Time;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// The rates of the receivers of a job. Clones share them.
#[derive(Clone)]
pub struct Rates {
    listeners: ListenerBus,
    settings: RateSettings,
    since: Time,
    /// The receivers, by the name of the source.
    receivers: Arc<Mutex<BTreeMap<String, Limited>>>,
}

struct Limited {
    stream_id: u32,
    /// Whether it is a receiver, for which the job file has a largest rate.
    is_receiver: bool,
    controller: RateController,
    send: watch::Sender<Option<u64>>,
    /// The limit that listeners know. `None` if they know none, and there is none.
    told: Option<RateLimit>,
}

impl Rates {
    /// Makes the rates of a job that starts at the time `since`, and has no receivers yet.
    pub fn new(settings: RateSettings, listeners: ListenerBus, since: Time) -> Self {
        Self { listeners, settings, since, receivers: Arc::default() }
    }

    /// Makes the rates of a job of a test, which has no limits.
    #[cfg(test)]
    pub(crate) fn unlimited() -> Self {
        let job = "[job]\nname = \"job\"\nplugin = \"p.wasm\"\n";
        let facts = crate::config::Facts { cpus: 1 };
        let settings = crate::config::load(job, "/jobs/job.toml".as_ref(), &[], &facts).unwrap();
        Self::new(RateSettings::of(&settings), ListenerBus::default(), Time::default())
    }

    /// Adds a receiver of a test. Returns its limit.
    #[cfg(test)]
    pub(crate) fn watch(&self, source: &str) -> watch::Receiver<Option<u64>> {
        let (send, limit) = watch::channel(None);
        self.add(source, 0, send);
        limit
    }

    /// Adds a receiver, and limits its rate.
    pub(super) fn add(&self, source: &str, stream_id: u32, send: watch::Sender<Option<u64>>) {
        self.add_limited(source, stream_id, send, true);
    }

    /// Adds an input without a receiver, and limits its rate.
    pub(super) fn add_input(&self, source: &str, stream_id: u32, send: watch::Sender<Option<u64>>) {
        self.add_limited(source, stream_id, send, false);
    }

    fn add_limited(&self, source: &str, stream_id: u32, send: watch::Sender<Option<u64>>, is_receiver: bool) {
        let controller = RateController::new(of(is_receiver, &self.settings), self.since);
        let mut limited = Limited { stream_id, is_receiver, controller, send, told: None };
        limited.tell(source, &self.listeners);
        lock(&self.receivers).insert(source.to_owned(), limited);
    }

    /// Takes a batch that was completed, with results that were shown.
    pub fn completed(&self, info: &BatchInfo) {
        // A batch that failed says nothing about how long it would have taken.
        if info.outputs_failed() > 0 {
            return;
        }
        let (Some(ended), Some(processing_delay), Some(scheduling_delay)) =
            (info.processing_end_time, info.processing_delay, info.scheduling_delay)
        else {
            return;
        };
        let batch = info.batch_time;
        let mut receivers = lock(&self.receivers);
        for input in info.inputs.values() {
            let Some(limited) = receivers.get_mut(&input.name) else { continue };
            let records = input.num_records;
            limited.controller.completed(&CompletedBatch { batch, ended, records, processing_delay, scheduling_delay });
            limited.tell(&input.name, &self.listeners);
        }
    }

    /// Takes the settings that can be changed while the job runs.
    pub fn set(&self, settings: &RateSettings) {
        for (source, limited) in lock(&self.receivers).iter_mut() {
            limited.controller.set(&of(limited.is_receiver, settings));
            limited.tell(source, &self.listeners);
        }
    }
}

/// The settings of a receiver or an input.
fn of(is_receiver: bool, settings: &RateSettings) -> RateSettings {
    RateSettings { max_rate: settings.max_rate.filter(|_| is_receiver), ..*settings }
}

impl Limited {
    /// Tells the receiver and the listeners of the limit, unless they know it. Listeners are not told of a batch that
    /// changes nothing.
    fn tell(&mut self, source: &str, listeners: &ListenerBus) {
        let limit = self.controller.limit();
        let is_known = match &self.told {
            Some(told) => told.rate == limit.rate && told.reason.word() == limit.reason.word(),
            None => limit.rate.is_none(),
        };
        if is_known {
            return;
        }
        self.send.send_replace(limit.rate);
        self.told = Some(limit.clone());
        listeners.post(&Event::RateLimitChanged(RateLimitInfo {
            stream_id: self.stream_id,
            source: source.to_owned(),
            limit,
        }));
    }
}
