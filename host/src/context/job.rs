//! The parts of a job that all its runs share, and the list of the runs beside the first one.

use crate::block::RowStorage;
use crate::config::Settings;
use crate::env::Env;
use crate::graph::Graph;
use crate::ingest::StopRequest;
use crate::lock::lock;
use crate::memory::MemoryBudget;
use crate::run::RunStop;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;

/// The parts of a job that all its runs share.
pub(super) struct JobParts {
    pub(super) env: Env,
    pub(super) settings: Settings,
    /// The graph of the first run. It says as which type each source is read.
    pub(super) graph: Arc<Graph>,
    pub(super) budget: MemoryBudget,
    pub(super) storage: RowStorage,
}

/// Stops a run, and a channel that closes when the run has ended.
type RunHandle = (RunStop, watch::Receiver<()>);

/// The runs beside the first one that have not ended. Clones share one list.
#[derive(Clone, Default)]
pub(super) struct OtherRuns(Arc<Mutex<Vec<RunHandle>>>);

impl OtherRuns {
    fn lock(&self) -> MutexGuard<'_, Vec<RunHandle>> {
        lock(&self.0)
    }

    /// Asks all of these runs to stop.
    pub(super) fn stop(&self, request: StopRequest) {
        self.lock().iter().for_each(|(run, _)| run.stop(request));
    }

    /// Waits until all of these runs have ended, after the first run has ended. They process the batches that they were
    /// given, within the time of a graceful stop. With `at_once`, they stop at once.
    pub(super) async fn end(&self, at_once: bool) {
        let runs = std::mem::take(&mut *self.lock());
        let request = if at_once { StopRequest::Now } else { StopRequest::Graceful };
        runs.iter().for_each(|(run, _)| run.stop_by(request));
        for (_, mut ended) in runs {
            // Nothing is ever sent: the channel closes when the run ends.
            let _ = ended.changed().await;
        }
    }

    pub(super) fn add(&self, stop: RunStop, ended: watch::Receiver<()>) {
        let mut runs = self.lock();
        // The channel of a run that has ended is closed.
        runs.retain(|(_, ended)| ended.has_changed().is_ok());
        runs.push((stop, ended));
    }
}
