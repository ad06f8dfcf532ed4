//! The batch clock: makes a batch at each multiple of the interval, and the last one when the job stops.
//!
//! Owns batch times. They are multiples of the interval, in order, without gaps; they never go back.

use super::job_set::JobSet;
use crate::env::Env;
use crate::graph::Graph;
use crate::listener::{Event, ListenerBus};
use crate::time::{Duration, Time};
use crate::tracker::TrackerHandle;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// How a run is asked to stop. Later requests are stronger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopRequest {
    /// It is not.
    #[default]
    None,
    /// After everything that was received is processed.
    Graceful,
    /// At once.
    Now,
}

/// When to make batches.
#[derive(Clone, Debug)]
pub struct GeneratorSettings {
    /// The batch interval.
    pub interval: Duration,
    /// Stop gracefully after this many batches.
    pub stop_after: Option<u64>,
    /// Stop gracefully when nothing more can come.
    pub stop_when_idle: bool,
}

/// What a generator works with.
pub struct GeneratorParts {
    /// Time.
    pub env: Env,
    /// Gives batches their data.
    pub tracker: TrackerHandle,
    /// The graph.
    pub graph: Arc<Graph>,
    /// Hears of batches that are submitted.
    pub listeners: ListenerBus,
}

/// The actor.
pub struct JobGenerator {
    parts: GeneratorParts,
    settings: GeneratorSettings,
    batches: mpsc::Sender<JobSet>,
    stop: watch::Receiver<StopRequest>,
}

impl JobGenerator {
    /// An actor that sends each batch to `batches` until `stop` says otherwise.
    pub fn new(
        parts: GeneratorParts,
        settings: GeneratorSettings,
        batches: mpsc::Sender<JobSet>,
        stop: watch::Receiver<StopRequest>,
    ) -> Self {
        Self { parts, settings, batches, stop }
    }

    /// Makes batches until the job stops. When it returns, the last batch was sent.
    pub async fn run(mut self) {
        let interval = self.settings.interval;
        let mut next = self.parts.env.clock.now().next_multiple(interval);
        let mut made = 0u64;
        loop {
            let limit_reached = self.settings.stop_after.is_some_and(|limit| made >= limit);
            let stop = if limit_reached { StopRequest::Graceful } else { self.wait_until(next).await };
            match stop {
                StopRequest::Now => return,
                StopRequest::Graceful => return self.finish(next).await,
                StopRequest::None => {}
            }
            if !self.make(next).await {
                return;
            }
            made += 1;
            next = next + interval;
            if self.settings.stop_when_idle && self.parts.tracker.is_idle().await {
                return;
            }
        }
    }

    /// Waits for a batch time, or for a request to stop.
    async fn wait_until(&mut self, time: Time) -> StopRequest {
        let stop = &mut self.stop;
        tokio::select! {
            biased;
            changed = stop.wait_for(|stop| *stop != StopRequest::None) => match changed {
                Ok(request) => *request,
                Err(_) => StopRequest::Now,
            },
            () = self.parts.env.clock.sleep_until(time) => StopRequest::None,
        }
    }

    /// Lets receivers store and report what they hold, then makes the last batch of it. Batches go on meanwhile: a
    /// receiver may wait for the room that a batch frees.
    async fn finish(mut self, mut next: Time) {
        let tracker = self.parts.tracker.clone();
        let stopping = tracker.stop_receivers();
        tokio::pin!(stopping);
        let has_data = loop {
            let batch_is_due = tokio::select! {
                biased;
                has_data = &mut stopping => break has_data,
                is_due = self.wait_for_last(next) => is_due,
            };
            if !batch_is_due || !self.make(next).await {
                return;
            }
            next = next + self.settings.interval;
        };
        if has_data && self.wait_for_last(next).await {
            self.make(next).await;
        }
    }

    /// Waits for the time of the last batch. False if the run is to stop at once.
    async fn wait_for_last(&mut self, time: Time) -> bool {
        let stop = &mut self.stop;
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop == StopRequest::Now) => false,
            () = self.parts.env.clock.sleep_until(time) => true,
        }
    }

    /// Gives a batch its data and queues it. False if nobody takes batches any more.
    async fn make(&self, batch: Time) -> bool {
        let allocation = self.parts.tracker.allocate(batch).await;
        let clock = &self.parts.env.clock;
        let set = JobSet::new(&self.parts.graph, batch, allocation, clock.now(), clock.monotonic());
        self.parts.listeners.post(&Event::BatchSubmitted(set.info.clone()));
        self.batches.send(set).await.is_ok()
    }
}
