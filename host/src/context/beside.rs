//! A second run of a job, beside its first one, on the same ingest.
//!
//! Owns how such a run is made, attached at a batch boundary and detached. Owns also that the end of the job waits for
//! the run. A run beside the first one shows no results. Never decides whether such a run replaces the first run.

use super::checkpoint::{on_trouble, store};
use super::fit::JobFacts;
use super::job::JobParts;
use super::{Program, Running, grants};
use crate::block::RowStorage;
use crate::checkpoint::{Retention, RunProgress, Trouble, new_run, run_names};
use crate::data::schema::RecordType;
use crate::engine::{FaultInjector, NoFaults};
use crate::error::{Error, ErrorKind};
use crate::graph::{Graph, Intervals, Needs, Node};
use crate::ids::RunId;
use crate::ingest::{Backlog, IngestHandle, StopRequest, check_sources};
use crate::listener::{Event, ListenerBus};
use crate::memory::MemoryBudget;
use crate::output::{Output, Outputs, Withheld};
use crate::run::{Claims, Run, RunInput, RunMemory, RunParts, RunStop};
use crate::scheduler::{CheckpointParts, Checkpoints};
use crate::shown::Shown as _;
use crate::state::StateStore;
use crate::time::Time;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

/// Makes the output that replaces an output of the plugin. Gets the node of the output and the type of its rows.
pub type MakeOutput = dyn Fn(&Node, &RecordType) -> Arc<dyn Output> + Send + Sync;

/// What happens to the rows of a run that shows no results.
#[derive(Clone, Default)]
pub enum OtherOutputs {
    /// The rows are computed and thrown away.
    #[default]
    Withheld,
    /// Each output that has rows is replaced by an output that this function makes.
    Replaced(Arc<MakeOutput>),
}

/// Options of a run beside the first one.
#[derive(Clone)]
pub struct OtherOptions {
    /// What happens to the rows of the run.
    pub outputs: OtherOutputs,
    /// The run's own memory budget, in bytes. `None` if the run uses the budget of the job.
    pub memory_bytes: Option<u64>,
    /// Whether the run writes checkpoints, so that it can be resumed after a crash. They go to a run directory of its
    /// own. The job must have a checkpoint directory.
    pub has_checkpoints: bool,
    /// The listeners that are told of the run's events.
    pub listeners: ListenerBus,
    /// Makes parts of the host fail in tests.
    pub faults: Arc<dyn FaultInjector>,
}

impl Default for OtherOptions {
    fn default() -> Self {
        Self {
            outputs: OtherOutputs::default(),
            memory_bytes: None,
            has_checkpoints: false,
            listeners: ListenerBus::default(),
            faults: Arc::new(NoFaults),
        }
    }
}

/// A run beside the first one.
pub struct OtherRun {
    id: RunId,
    after: Time,
    ingest: IngestHandle,
    stop: RunStop,
    ended: oneshot::Receiver<Result<(), Error>>,
}

impl OtherRun {
    /// The number of the run.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// The last batch before the run begins: the run gets every batch after this one.
    pub fn after(&self) -> Time {
        self.after
    }

    /// Gives the run no more batches. The run ends when it has processed the batches that it was given. Returns the
    /// time of the last batch that it can have been given. `None` if the job makes no more batches.
    pub async fn detach(&self) -> Option<Time> {
        self.ingest.detach(self.id).await
    }

    /// Stops the run at once, whatever it is doing. The first run is not affected.
    pub fn cancel(&self) {
        self.stop.stop(StopRequest::Now);
    }

    /// Waits until the run has ended: because it was detached or cancelled, because the job has ended, or because of an
    /// error.
    ///
    /// # Errors
    /// Returns the error that ended the run.
    pub async fn await_termination(&mut self) -> Result<(), Error> {
        (&mut self.ended).await.unwrap_or_else(|_| {
            let message = format!("{} ended without a word", self.id);
            Err(Error::new(ErrorKind::Internal, message).help("please report this"))
        })
    }
}

type StartCheckpoints = Box<dyn FnOnce(Time) -> Checkpoints + Send>;

impl JobParts {
    fn memory(&self, own_bytes: Option<u64>) -> Result<RunMemory, Error> {
        let bytes = RunMemory::instance_bytes(&self.settings);
        let no_room = |error| {
            let message = format!("there is not enough memory for a second run: {error}");
            Error::new(ErrorKind::User, message).help("raise engine.memory, or lower limits.memory or engine.threads")
        };
        let Some(own_bytes) = own_bytes else {
            let instances = self.budget.set_aside(bytes).map_err(no_room)?;
            return Ok(RunMemory { budget: self.budget.clone(), storage: self.storage.clone(), instances });
        };
        let budget = MemoryBudget::new(own_bytes, 0).map_err(no_room)?;
        let instances = budget.set_aside(bytes).map_err(no_room)?;
        let storage = RowStorage::new(&budget, self.env.disk.clone(), super::spill_settings(&self.settings));
        Ok(RunMemory { budget, storage, instances })
    }

    /// Checks that the ingest of this job brings the data that a graph reads.
    fn check(&self, graph: &Graph) -> Result<(), Error> {
        check_sources(graph, &self.settings)?;
        for (source, node) in graph.sources() {
            let brought =
                self.graph.sources().find(|(name, _)| *name == source).and_then(|(_, node)| node.rows.as_ref());
            if brought != node.rows.as_ref() {
                let shown = |ty: Option<&RecordType>| ty.map(ToString::to_string).unwrap_or_default();
                let message = format!(
                    "the plugin reads {} from source `{source}`, which is read as {} already",
                    shown(node.rows.as_ref()),
                    shown(brought)
                );
                return Err(Error::new(ErrorKind::User, message)
                    .help("read the source as the running plugin does, or stop the job and start it anew"));
            }
        }
        Ok(())
    }

    /// Makes the function that starts the checkpoints of a run. The function is called when the batch before the run's
    /// first batch is known.
    fn checkpoints(
        &self,
        id: RunId,
        facts: &JobFacts<'_>,
        ingest: &IngestHandle,
        (graph, intervals, state): (&Arc<Graph>, &Arc<Intervals>, StateStore),
        listeners: &ListenerBus,
    ) -> Result<StartCheckpoints, Error> {
        let store = store(&self.env, &self.settings)?;
        let ownership = ingest.ownership().cloned().ok_or_else(|| {
            let message = format!("job {} writes to no checkpoint directory", self.settings.job.name);
            Error::new(ErrorKind::Internal, message).help("please report this")
        })?;
        let run = new_run(&run_names(&*store)?, facts.plugin_digest);
        let place = store.describe();
        let (policy, clock) = (on_trouble(&self.settings), self.env.clock.clone());
        let trouble = |what| Trouble::new(clock.clone(), listeners.clone(), policy, what, place.clone());
        let snapshot_trouble = trouble("a snapshot of state");
        let (trouble, owner_trouble) = (trouble("a checkpoint"), trouble("the owner"));
        let describe = facts.describe();
        let (env, graph, intervals) = (self.env.clone(), graph.clone(), intervals.clone());
        let tracker = ingest.tracker().clone();
        Ok(Box::new(move |after| {
            Checkpoints::start(CheckpointParts {
                env,
                store,
                ownership,
                id,
                run,
                description: describe(after),
                progress: RunProgress::after(Some(after)),
                snapshots: Vec::new(),
                graph,
                state,
                snapshot_trouble,
                last_number: 0,
                kept: Retention::default(),
                intervals,
                tracker,
                trouble,
                owner_trouble,
            })
        }))
    }
}

impl Running {
    /// Starts a second run of this job, with a plugin that has described its graph. The run gets each batch from the
    /// next one on, with the same data as the first run, and shows no results. If too many batches wait for the run, it
    /// gets no more batches and ends with an error. So the first run never waits for it.
    ///
    /// The plugin must have been loaded for this run, since a loaded plugin has room for the instances of one run.
    ///
    /// # Errors
    /// Returns an error if the plugin does not read the data that the job brings, if there is not enough memory for the
    /// run, or if the job makes no more batches.
    pub async fn attach(&self, program: Program, options: OtherOptions) -> Result<OtherRun, Error> {
        let (job, ingest) = (&self.job, &self.ingest);
        let Program { plugin, described, graph } = program;
        job.check(&graph)?;
        let subject = job.settings.job.plugin.shown().into_owned();
        let intervals = Intervals::of(&graph, job.settings.job.batch_interval);
        let intervals = Arc::new(intervals.map_err(|errors| super::graph_error(&subject, &errors))?);
        let graph = Arc::new(graph);
        let id = ingest.number_run();
        let listeners = options.listeners.of_run(id);
        let facts = JobFacts {
            env: &job.env,
            settings: &job.settings,
            plugin_digest: plugin.digest(),
            nodes: &described,
            graph: &graph,
            intervals: &intervals,
        };
        let memory = job.memory(options.memory_bytes)?;
        let state = StateStore::new(memory.storage.clone());
        let of_run = (&graph, &intervals, state.clone());
        let start =
            options.has_checkpoints.then(|| job.checkpoints(id, &facts, ingest, of_run, &listeners)).transpose()?;
        let make: &dyn Fn(&Node, &RecordType) -> Arc<dyn Output> = match &options.outputs {
            OtherOutputs::Withheld => &|_, _| Arc::new(Withheld),
            OtherOutputs::Replaced(make) => &**make,
        };
        let parts = RunParts {
            env: job.env.clone(),
            id,
            plugin,
            intervals,
            memory,
            state,
            outputs: Outputs::replaced(&graph, make),
            graph,
            is_withheld: true,
            grants: grants(&job.settings),
            claims: Claims::default(),
            blocks: ingest.blocks().clone(),
            ranges: ingest.ranges().clone(),
            faults: options.faults,
            listeners: listeners.clone(),
        };
        let run = Run::new(&job.settings, parts)?;
        let stop = run.stop();
        let (taker, batches) = run.taker();
        let (started, checkpoints) = oneshot::channel();
        let has_checkpoints = start.is_some();
        let make = Box::new(move |after| {
            let checkpoints = start.map(|start| start(after));
            // The caller may not wait for the run any more. Then the run is detached again.
            let _ = started.send(checkpoints.clone());
            taker.keeping(checkpoints)
        });
        let after = ingest.attach(id, Backlog::LeaveBehind, has_checkpoints, make).await.ok_or_else(no_more_batches)?;
        let checkpoints = checkpoints.await.unwrap_or_default();
        listeners.post(&Event::StreamingStarted {
            job: job.settings.job.name.clone(),
            time: job.env.clock.now(),
            batch_interval: job.settings.job.batch_interval,
        });
        let input = RunInput {
            batches,
            tracker: ingest.tracker().clone(),
            zero: Some(after),
            needs: Needs::default(),
            checkpoints,
        };
        let (processed, mut holdings) = run.process(input);
        let (end, ended) = oneshot::channel();
        let (lives, is_over) = watch::channel(());
        self.others.add(stop.clone(), is_over);
        let clock = job.env.clock.clone();
        let run = async move {
            let ended = processed.await;
            // The job goes on even if a part of this run does not end.
            holdings.release_batches().await;
            let outcome = holdings.finish(&ended, &*clock, std::future::ready(())).await;
            holdings.let_go(ended.is_abandoned);
            let error = outcome.as_ref().err().map(|error| error.message.clone());
            listeners.post(&Event::StreamingStopped { time: clock.now(), error });
            drop(lives);
            // Nobody has to wait for a run that shows no results.
            let _ = end.send(outcome);
        };
        job.env.control.spawn("job scheduler", Box::pin(run));
        Ok(OtherRun { id, after, ingest: ingest.clone(), stop, ended })
    }
}

fn no_more_batches() -> Error {
    Error::new(ErrorKind::Unavailable, "the job makes no more batches").help("start the job again first")
}
