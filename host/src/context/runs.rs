//! The runs of a job that have not ended, and how a run ends whose results are not shown.
//!
//! Owns the answer to the question which run the job ends with: the run that shows its results. Other runs end without
//! ending the job.

use crate::env::Clock;
use crate::error::{Error, ErrorKind};
use crate::ids::RunId;
use crate::ingest::StopRequest;
use crate::lock::lock;
use crate::output::Handover;
use crate::run::{Ended, RunHoldings, RunStop};
use crate::time::Time;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{oneshot, watch};

/// How a run has ended, and what the run still holds.
pub(super) type RunEnd = (Ended, RunHoldings);

/// A run that has not ended.
struct Entry {
    id: RunId,
    stop: RunStop,
    /// A channel that closes when the run has ended.
    is_over: watch::Receiver<()>,
    /// Gets the end of the run if the job ends with this run. `None` for the first run, for whose end the job waits from
    /// the beginning.
    end: Option<oneshot::Receiver<RunEnd>>,
}

/// The runs of a job that have not ended. Clones share one list.
#[derive(Clone)]
pub(super) struct Runs {
    list: Arc<Mutex<List>>,
    handover: Arc<Handover>,
}

#[derive(Default)]
struct List {
    entries: Vec<Entry>,
    /// Whether the job ends, because the run that shows its results has ended.
    job_ends: bool,
}

impl Runs {
    /// Makes an empty list.
    pub(super) fn new(handover: Arc<Handover>) -> Self {
        Self { list: Arc::default(), handover }
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        lock(&self.list)
    }

    /// Which run shows the results of each batch.
    pub(super) fn handover(&self) -> &Arc<Handover> {
        &self.handover
    }

    /// Adds a run.
    pub(super) fn add(
        &self,
        id: RunId,
        stop: RunStop,
        is_over: watch::Receiver<()>,
        end: Option<oneshot::Receiver<RunEnd>>,
    ) {
        self.lock().entries.push(Entry { id, stop, is_over, end });
    }

    /// Asks all runs to stop, unless they were asked for the same or a stronger stop before.
    pub(super) fn stop_by(&self, request: StopRequest) {
        self.lock().entries.iter().for_each(|run| run.stop.stop_by(request));
    }

    /// Records that a run has processed its last batch. Returns whether the job ends with this run.
    pub(super) fn has_ended(&self, id: RunId) -> bool {
        let mut list = self.lock();
        let is_owner = self.handover.owner() == id;
        list.job_ends |= is_owner;
        if !is_owner {
            list.entries.retain(|run| run.id != id);
        }
        is_owner
    }

    /// A channel that closes when a run has ended. `None` if it has ended, or if it is not a run of this job.
    pub(super) fn is_over(&self, id: RunId) -> Option<watch::Receiver<()>> {
        self.lock().entries.iter().find(|run| run.id == id).map(|run| run.is_over.clone())
    }

    /// Hands the job over to a run, whose results are shown from the open batches on. The decision must be durable.
    /// Returns the last batch before that. `None` if nothing is open, or if the run or the job has ended.
    pub(super) fn hand_to(&self, id: RunId) -> Option<Time> {
        let list = self.lock();
        let goes_on = !list.job_ends && list.entries.iter().any(|run| run.id == id);
        goes_on.then(|| self.handover.hand_to(id)).flatten()
    }

    /// Waits for the end of the job, after a run has ended with which the job does not end: waits for the end of the run
    /// that shows results at that time.
    ///
    /// # Errors
    /// Returns an error if that run ended without a word.
    pub(super) async fn end(&self) -> Result<(RunId, RunEnd), Error> {
        loop {
            let owner = self.handover.owner();
            let end = self.lock().entries.iter_mut().find(|run| run.id == owner).and_then(|run| run.end.take());
            let ended = match end {
                Some(end) => end.await.ok(),
                None => None,
            };
            match ended {
                Some(ended) => return Ok((owner, ended)),
                None if self.handover.owner() == owner => {
                    let message = format!("{owner} ended without a word");
                    return Err(Error::new(ErrorKind::Internal, message).help("please report this"));
                }
                // The run has handed over to another run before it ended.
                None => {}
            }
        }
    }

    /// Waits until all runs but `owner` have ended, after the job has made its last batch. They process the batches that
    /// they were given, within the time of a graceful stop. With `at_once`, they stop at once.
    pub(super) async fn end_others(&self, owner: RunId, at_once: bool) {
        let runs = std::mem::take(&mut self.lock().entries);
        let request = if at_once { StopRequest::Now } else { StopRequest::Graceful };
        let others = || runs.iter().filter(|run| run.id != owner);
        others().for_each(|run| run.stop.stop_by(request));
        for run in others() {
            // Nothing is ever sent: the channel closes when the run ends.
            let _ = run.is_over.clone().changed().await;
        }
    }
}

/// Ends a run with which the job does not end. The job goes on even if a part of the run does not end.
pub(super) async fn end_beside((ended, mut holdings): RunEnd, clock: &dyn Clock) -> Result<(), Error> {
    holdings.release_batches().await;
    holdings.finish(&ended, clock, std::future::ready(())).await
}
