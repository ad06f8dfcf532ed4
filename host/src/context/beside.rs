//! A second run of a job, beside its first one, on the same ingest.
//!
//! Owns how such a run is put together, attached at a batch boundary and detached, and that the job's end waits for it. A run
//! beside the first one shows nothing. Never decides whether one of them takes the other's place.

use super::checkpoint::{on_trouble, store};
use super::fit::JobFacts;
use super::job::JobParts;
use super::{Program, Running, grants};
use crate::block::Storage;
use crate::checkpoint::{Retention, RunProgress, Trouble, new_run, run_names};
use crate::data::schema::RecordType;
use crate::engine::{FaultInjector, NoFaults};
use crate::error::{Error, ErrorKind};
use crate::graph::{Graph, Intervals, Node};
use crate::ids::RunId;
use crate::ingest::{Backlog, IngestHandle, StopRequest, check_sources};
use crate::listener::{Event, ListenerBus};
use crate::memory::MemoryBudget;
use crate::output::{Output, Outputs, Withheld};
use crate::run::{Claims, Run, RunInput, RunMemory, RunParts, RunStop};
use crate::scheduler::{CheckpointParts, Checkpoints};
use crate::shown::Shown as _;
use crate::time::Time;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

/// Makes what takes the place of an output, for a node and the type of its rows.
pub type MakeOutput = dyn Fn(&Node, &RecordType) -> Arc<dyn Output> + Send + Sync;

/// What becomes of the rows of a run that shows nothing.
#[derive(Clone, Default)]
pub enum OtherOutputs {
    /// They are computed and forgotten.
    #[default]
    Withheld,
    /// Each output that has rows is replaced by what this makes for it and the type of its rows.
    Replaced(Arc<MakeOutput>),
}

/// What a run beside the first one can be given.
#[derive(Clone)]
pub struct OtherOptions {
    /// What becomes of its rows.
    pub outputs: OtherOutputs,
    /// A memory budget of its own, in bytes. `None` if it takes from the job's.
    pub memory_bytes: Option<u64>,
    /// Whether it keeps what is needed to go on after a crash, in a run directory of its own. This needs a job with a
    /// checkpoint directory.
    pub is_kept: bool,
    /// Who hears of its events.
    pub listeners: ListenerBus,
    /// What a test makes fail.
    pub faults: Arc<dyn FaultInjector>,
}

impl Default for OtherOptions {
    fn default() -> Self {
        Self {
            outputs: OtherOutputs::default(),
            memory_bytes: None,
            is_kept: false,
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
    /// Its number.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// The last batch that it does not get: it gets every batch after this one.
    pub fn after(&self) -> Time {
        self.after
    }

    /// Gives it no more batches. It ends when it has processed those that it was given. Returns the time of the last batch
    /// that it can have been given. `None` if the job makes no more batches.
    pub async fn detach(&self) -> Option<Time> {
        self.ingest.detach(self.id).await
    }

    /// Stops it at once, wherever it is. The first run does not notice.
    pub fn cancel(&self) {
        self.stop.stop(StopRequest::Now);
    }

    /// Waits until it has ended: after it was detached or cancelled, with the job, or by an error.
    ///
    /// # Errors
    /// What ended it.
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
        let storage = Storage::new(&budget, self.env.disk.clone(), super::spill_settings(&self.settings));
        Ok(RunMemory { budget, storage, instances })
    }

    /// Whether a graph reads what the ingest of this job brings.
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

    /// What starts the checkpoints of a run in a directory of its own, once it is known after which batch it begins.
    fn checkpoints(
        &self,
        id: RunId,
        facts: &JobFacts<'_>,
        ingest: &IngestHandle,
        intervals: &Arc<Intervals>,
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
        let (trouble, owner_trouble) = (trouble("a checkpoint"), trouble("the owner"));
        let describe = facts.describe();
        let (env, intervals, tracker) = (self.env.clone(), intervals.clone(), ingest.tracker().clone());
        Ok(Box::new(move |after| {
            Checkpoints::start(CheckpointParts {
                env,
                store,
                ownership,
                id,
                run,
                description: describe(after),
                progress: RunProgress::after(Some(after)),
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
    /// Starts a second run of this job with a plugin that was asked for its graph. It gets each batch from the next one on,
    /// with the same data as the first run, and shows nothing. If too many batches wait for it, it gets none any more and
    /// ends with an error: the first run never waits for it.
    ///
    /// The plugin must have been loaded for this run, since a loaded plugin has room for the instances of one run.
    ///
    /// # Errors
    /// When the plugin does not read what the job brings, there is no memory for the run, or the job makes no more batches.
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
        let start = options.is_kept.then(|| job.checkpoints(id, &facts, ingest, &intervals, &listeners)).transpose()?;
        let make: &dyn Fn(&Node, &RecordType) -> Arc<dyn Output> = match &options.outputs {
            OtherOutputs::Withheld => &|_, _| Arc::new(Withheld),
            OtherOutputs::Replaced(make) => &**make,
        };
        let parts = RunParts {
            env: job.env.clone(),
            id,
            plugin,
            intervals,
            memory: job.memory(options.memory_bytes)?,
            outputs: Outputs::replaced(&graph, make),
            graph,
            is_withheld: true,
            grants: grants(&job.settings),
            claims: Claims::default(),
            blocks: ingest.blocks().clone(),
            faults: options.faults,
            listeners: listeners.clone(),
        };
        let run = Run::new(&job.settings, parts)?;
        let stop = run.stop();
        let (taker, batches) = run.taker();
        let (started, checkpoints) = oneshot::channel();
        let is_kept = start.is_some();
        let make = Box::new(move |after| {
            let checkpoints = start.map(|start| start(after));
            // Whoever waits for the run may be gone: then it is detached again.
            let _ = started.send(checkpoints.clone());
            taker.keeping(checkpoints)
        });
        let after = ingest.attach(id, Backlog::LeaveBehind, is_kept, make).await.ok_or_else(no_more_batches)?;
        let checkpoints = checkpoints.await.unwrap_or_default();
        listeners.post(&Event::StreamingStarted {
            job: job.settings.job.name.clone(),
            time: job.env.clock.now(),
            batch_interval: job.settings.job.batch_interval,
        });
        let input = RunInput { batches, tracker: ingest.tracker().clone(), zero: Some(after), checkpoints };
        let (processed, mut holdings) = run.process(input);
        let (end, ended) = oneshot::channel();
        let (lives, is_over) = watch::channel(());
        self.others.add(stop.clone(), is_over);
        let clock = job.env.clock.clone();
        let run = async move {
            let ended = processed.await;
            // The job goes on, also if something of this run does.
            holdings.release_batches().await;
            let outcome = holdings.finish(&ended, &*clock, std::future::ready(())).await;
            holdings.let_go(ended.is_abandoned);
            let error = outcome.as_ref().err().map(|error| error.message.clone());
            listeners.post(&Event::StreamingStopped { time: clock.now(), error });
            drop(lives);
            // Nobody has to wait for a run that shows nothing.
            let _ = end.send(outcome);
        };
        job.env.control.spawn("job scheduler", Box::pin(run));
        Ok(OtherRun { id, after, ingest: ingest.clone(), stop, ended })
    }
}

fn no_more_batches() -> Error {
    Error::new(ErrorKind::Unavailable, "the job makes no more batches").help("start the job again first")
}
