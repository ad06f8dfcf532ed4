//! What a job has in common with all its runs, and the runs beside the first one.

use crate::block::Storage;
use crate::config::Settings;
use crate::env::Env;
use crate::graph::Graph;
use crate::ingest::StopRequest;
use crate::lock::lock;
use crate::memory::MemoryBudget;
use crate::run::RunStop;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;

/// What a job has in common with all its runs.
pub(super) struct JobParts {
    pub(super) env: Env,
    pub(super) settings: Settings,
    /// The graph of the first run, which says as what its sources are read.
    pub(super) graph: Arc<Graph>,
    pub(super) budget: MemoryBudget,
    pub(super) storage: Storage,
}

/// How a run is asked to stop, and what closes when the run has ended.
type RunHandle = (RunStop, watch::Receiver<()>);

/// The runs beside the first one that have not ended. Clones know the same ones.
#[derive(Clone, Default)]
pub(super) struct OtherRuns(Arc<Mutex<Vec<RunHandle>>>);

impl OtherRuns {
    fn lock(&self) -> MutexGuard<'_, Vec<RunHandle>> {
        lock(&self.0)
    }

    /// Asks all of them to stop.
    pub(super) fn stop(&self, request: StopRequest) {
        self.lock().iter().for_each(|(run, _)| run.stop(request));
    }

    /// Waits until all of them have ended, after the first run has. They process what they were given, within the time of a
    /// graceful stop, unless they are to stop at once.
    pub(super) async fn end(&self, at_once: bool) {
        let runs = std::mem::take(&mut *self.lock());
        let request = if at_once { StopRequest::Now } else { StopRequest::Graceful };
        runs.iter().for_each(|(run, _)| run.stop_by(request));
        for (_, mut ended) in runs {
            // Nothing is ever sent: it ends with the run.
            let _ = ended.changed().await;
        }
    }

    pub(super) fn add(&self, stop: RunStop, ended: watch::Receiver<()>) {
        let mut runs = self.lock();
        // Of a run that has ended, the sender is gone.
        runs.retain(|(_, ended)| ended.has_changed().is_ok());
        runs.push((stop, ended));
    }
}
