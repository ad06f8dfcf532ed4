//! The parts of a job that all its runs share, and the parts of one run that the job needs while the run goes on.

use super::relay::Watcher;
use super::runs::Runs;
use crate::block::RowStorage;
use crate::config::{LiveSettings, Settings};
use crate::env::{Env, Priority};
use crate::error::{Error, ErrorKind};
use crate::graph::{Beginning, DescribedNode, Graph};
use crate::ids::RunId;
use crate::ingest::IngestHandle;
use crate::listener::ListenerBus;
use crate::memory::MemoryBudget;
use crate::output::Outputs;
use crate::plugin::Plugin;
use crate::run::{Claims, RunStop};
use crate::scheduler::{Checkpoints, StateTap};
use crate::state_reader::LiveStates;
use crate::time::Time;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// The parts of a job that all its runs share.
pub(super) struct JobParts {
    pub(super) env: Env,
    /// The settings with which the job was started.
    pub(super) settings: Settings,
    /// The graph of the first run. It says as which type each source is read.
    pub(super) graph: Arc<Graph>,
    pub(super) budget: MemoryBudget,
    pub(super) storage: RowStorage,
    /// When the first run began.
    pub(super) beginning: Beginning,
    pub(super) ingest: IngestHandle,
    /// The listeners that are told of the events of the job.
    pub(super) listeners: ListenerBus,
    /// The listener that is told of the events of all runs.
    pub(super) watcher: Watcher,
    /// The claims to the places of the outputs of all runs.
    pub(super) claims: Claims,
    /// The runs that have not ended.
    pub(super) runs: Runs,
    /// The settings that can change while the job runs, for the code that stops the job.
    pub(super) live: Arc<LiveSettings>,
    /// The keys that were set while the job runs, with their values as TOML or text.
    pub(super) set: Mutex<Vec<(String, String)>>,
    /// The state of the run that shows results, for people.
    pub(super) states: LiveStates,
    /// The run that shows results.
    pub(super) owner: Mutex<JobRun>,
}

/// The parts of a run that the job needs while the run goes on. Clones are parts of the same run.
#[derive(Clone)]
pub(super) struct JobRun {
    pub(super) id: RunId,
    pub(super) plugin: Arc<Plugin>,
    pub(super) described: Vec<DescribedNode>,
    pub(super) graph: Arc<Graph>,
    /// The settings of the run.
    pub(super) settings: Settings,
    pub(super) outputs: Arc<Outputs>,
    /// The state of the run.
    pub(super) states: LiveStates,
    pub(super) priority: Priority,
    /// Records the progress of the run. `None` if the run writes no checkpoints.
    pub(super) checkpoints: Option<Checkpoints>,
    pub(super) stop: RunStop,
    /// The settings of the run that can change while the job runs.
    pub(super) live: Arc<LiveSettings>,
    /// The name of the run's directory. `None` if the run writes no checkpoints.
    pub(super) directory: Option<String>,
    /// The storage for the rows of the run.
    pub(super) storage: RowStorage,
    /// Takes the state of the run for another run.
    pub(super) tap: Arc<StateTap>,
    /// The last batch that is done; before the first batch of the run, the batch before it. The channel closes when the
    /// run has ended.
    pub(super) done: watch::Receiver<Time>,
}

/// The error of a run that cannot join a job, because the job is about to end.
pub(super) fn no_more_batches() -> Error {
    Error::new(ErrorKind::Unavailable, "the job makes no more batches").help("start the job again first")
}
