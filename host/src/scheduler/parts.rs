//! The parts of a run that its scheduler uses.
//!
//! Owns [`SchedulerParts`]. Never runs anything.

use super::checkpoints::Checkpoints;
use super::state_tap::StateTap;
use crate::config::LiveSettings;
use crate::driver::Drivers;
use crate::engine::{Engine, JobPlan};
use crate::env::Env;
use crate::graph::{Beginning, Intervals, Needs, OutputJob};
use crate::ids::RunId;
use crate::listener::ListenerBus;
use crate::output::{Handover, Outputs};
use crate::time::{Duration, Time};
use crate::tracker::TrackerHandle;
use std::sync::Arc;
use tokio::sync::watch;

/// The parts of a run that its scheduler uses.
pub struct SchedulerParts {
    /// The environment, with the clock and the terminal.
    pub env: Env,
    /// The number of the run.
    pub run: RunId,
    /// The engine that runs the stages.
    pub engine: Arc<dyn Engine>,
    /// The tracker, which releases the data of a batch.
    pub tracker: TrackerHandle,
    /// The graph, with its stages and jobs.
    pub plan: Arc<JobPlan>,
    /// Runs driver functions. `None` if the graph has none.
    pub drivers: Option<Arc<Drivers>>,
    /// The times at which the nodes of the graph are computed.
    pub intervals: Arc<Intervals>,
    /// The outputs of the run.
    pub outputs: Arc<Outputs>,
    /// Which run shows the results of each batch.
    pub handover: Arc<Handover>,
    /// The listeners that are told of all events of batches.
    pub listeners: ListenerBus,
    /// The settings that can change while the job runs. They say what happens to the run when an output fails.
    pub live: Arc<LiveSettings>,
    /// The batch interval.
    pub batch_interval: Duration,
    /// When the run began. `None` if that is not known yet.
    pub beginning: Option<Beginning>,
    /// What the run needs to compute again when it is resumed.
    pub needs: Needs,
    /// Records the progress of the run. `None` if the run writes no checkpoints.
    pub checkpoints: Option<Checkpoints>,
    /// The last batch that is done. Before the first batch of the run, this is the batch before it.
    pub done: watch::Sender<Time>,
    /// Takes the state of the run for another run.
    pub tap: Arc<StateTap>,
}

impl SchedulerParts {
    /// The jobs of nodes whose rows later windows read, and that are computed in this batch.
    pub(super) fn kept(&self, batch: Time, zero: Time) -> impl Iterator<Item = &OutputJob> {
        let is_due = move |job: &&OutputJob| self.intervals.is_due(job.output, batch, zero);
        self.plan.stages.kept.iter().filter(is_due)
    }
}
