//! Takes the batches of an ingest for a run.
//!
//! Owns the queue from the batch clock to the run's scheduler, and the progress that the run records when it takes a
//! batch. Never runs a batch.

use crate::checkpoint::Durable;
use crate::graph::Graph;
use crate::ingest::{BatchTaker, GivenBatch, NotTaken, Purpose};
use crate::listener::{Event, ListenerBus};
use crate::scheduler::{Checkpoints, JobSet};
use crate::time::Time;
use crate::tracker::Allocated;
use futures::future::BoxFuture;
use std::sync::{Arc, OnceLock};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// The run's interface to the batch clock.
pub struct RunTaker {
    /// The graph, which says what the sources of a batch are.
    graph: Arc<Graph>,
    /// The listeners that are told of submitted batches.
    listeners: ListenerBus,
    /// Records the progress of the run. `None` if the run writes no checkpoints.
    checkpoints: Option<Checkpoints>,
    /// The queue from which the scheduler takes batches.
    batches: mpsc::Sender<JobSet>,
    /// The first batch that the run did not get, because too many batches waited.
    left_behind: Arc<OnceLock<Time>>,
}

impl RunTaker {
    /// Makes a taker that puts batches of a run with this graph into a queue. `left_behind` is set to the first batch
    /// that did not fit.
    pub fn new(
        graph: Arc<Graph>,
        listeners: ListenerBus,
        batches: mpsc::Sender<JobSet>,
        left_behind: Arc<OnceLock<Time>>,
    ) -> Self {
        Self { graph, listeners, checkpoints: None, batches, left_behind }
    }

    /// Makes the same taker, which also records the batches that it takes in `checkpoints`.
    #[must_use]
    pub fn keeping(self, checkpoints: Option<Checkpoints>) -> Arc<dyn BatchTaker> {
        Arc::new(Self { checkpoints, ..self })
    }

    /// Makes the form of the batch that the scheduler uses.
    fn job_set(&self, given: GivenBatch) -> JobSet {
        JobSet::new(&self.graph, given)
    }

    fn tell(&self, set: &JobSet) {
        if set.purpose == Purpose::Run {
            self.listeners.post(&Event::BatchSubmitted(set.info.clone()));
        }
    }
}

impl BatchTaker for RunTaker {
    fn generated(&self, batch: Time, allocated: &Allocated) {
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.generated(batch, allocated);
        }
    }

    fn passed_over(&self, from: Time, through: Time, durable: Option<Durable>) {
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.passed_over(from, through, durable);
        }
    }

    fn take(&self, given: GivenBatch) -> BoxFuture<'_, bool> {
        let set = self.job_set(given);
        self.tell(&set);
        Box::pin(async move { self.batches.send(set).await.is_ok() })
    }

    fn take_at_once(&self, given: GivenBatch) -> Result<(), NotTaken> {
        let room = self.batches.try_reserve().map_err(|error| match error {
            TrySendError::Full(()) => NotTaken::Full,
            TrySendError::Closed(()) => NotTaken::Ended,
        })?;
        let set = self.job_set(given);
        self.tell(&set);
        room.send(set);
        Ok(())
    }

    fn left_behind(&self, batch: Time) {
        // This is called once: the run gets no batch after this one.
        let _ = self.left_behind.set(batch);
    }
}
