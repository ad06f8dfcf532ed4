//! How a run takes the batches of an ingest.
//!
//! Owns the queue from the batch clock to the run's scheduler, and what the run notes of each batch on its way. Never runs a
//! batch.

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

/// The run's side of the batch clock.
pub struct RunTaker {
    /// Says what the sources of a batch are.
    graph: Arc<Graph>,
    /// Hears of batches that are submitted.
    listeners: ListenerBus,
    /// Keeps what is needed to go on after a crash. `None` if the run does not want that.
    checkpoints: Option<Checkpoints>,
    /// Where the scheduler takes them from.
    batches: mpsc::Sender<JobSet>,
    /// The first batch that the run did not get, because too many waited.
    left_behind: Arc<OnceLock<Time>>,
}

impl RunTaker {
    /// Puts batches of a run with this graph into a queue, and notes in `left_behind` the first that did not fit.
    pub fn new(
        graph: Arc<Graph>,
        listeners: ListenerBus,
        batches: mpsc::Sender<JobSet>,
        left_behind: Arc<OnceLock<Time>>,
    ) -> Self {
        Self { graph, listeners, checkpoints: None, batches, left_behind }
    }

    /// The same, which notes in `checkpoints` what it takes.
    #[must_use]
    pub fn keeping(self, checkpoints: Option<Checkpoints>) -> Arc<dyn BatchTaker> {
        Arc::new(Self { checkpoints, ..self })
    }

    /// The batch as the scheduler sees it.
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
        // It is told once: the run gets no further batch.
        let _ = self.left_behind.set(batch);
    }
}
