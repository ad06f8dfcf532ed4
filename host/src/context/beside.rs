//! A second run of a job, beside the run that shows its results, on the same ingest.
//!
//! Owns how such a run is made, attached at a batch boundary and detached, and how it ends. Never decides whether the run
//! takes the job over: see `upgrade.rs`.

use super::carry::Carry;
use super::checkpoint::{on_trouble, store};
use super::fit::{JobFacts, check_state};
use super::job::{JobParts, JobRun, no_more_batches};
use super::relay::Relay;
use super::runs::end_beside;
use super::{Program, Running, grants};
use crate::block::RowStorage;
use crate::checkpoint::{Retention, RunProgress, Trouble, begin_trial, new_run, run_names};
use crate::config::{LiveSettings, Settings};
use crate::data::schema::RecordType;
use crate::engine::{FaultInjector, NoFaults};
use crate::env::{Priority, advice, persistence};
use crate::error::{Error, ErrorKind};
use crate::graph::{Beginning, Graph, Intervals};
use crate::ids::{NodeId, RunId};
use crate::ingest::{Backlog, Joining, StopRequest, check_sources};
use crate::listener::{Event, ListenerBus, StreamingListener};
use crate::lock::lock;
use crate::memory::MemoryBudget;
use crate::output::{Granted, MakeObserver, Outputs};
use crate::run::{Run, RunInput, RunMemory, RunParts};
use crate::scheduler::{CheckpointParts, Checkpoints};
use crate::shown::Shown as _;
use crate::state::StateStore;
use crate::state_reader::LiveStates;
use crate::time::Time;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

/// Options of a run beside the run that shows results.
#[derive(Clone)]
pub struct OtherOptions {
    /// Makes the observers of the run's outputs. `None` if nobody observes them.
    pub observe: Option<Arc<MakeObserver>>,
    /// The settings of the run. `None` if they are those with which the job was started.
    pub settings: Option<Settings>,
    /// The run's own memory budget, in bytes. `None` if the run uses the budget of the job.
    pub memory_bytes: Option<u64>,
    /// Whether the run writes checkpoints, so that it can be resumed after a crash. They go to a run directory of its
    /// own. The job must have a checkpoint directory.
    pub has_checkpoints: bool,
    /// Whether the tasks of the run have low priority at first.
    pub has_low_priority: bool,
    /// The listeners that are told of the run's events, whether its results are shown or not.
    pub listeners: Vec<Arc<dyn StreamingListener>>,
    /// Makes parts of the host fail in tests.
    pub faults: Arc<dyn FaultInjector>,
}

impl Default for OtherOptions {
    fn default() -> Self {
        Self {
            observe: None,
            settings: None,
            memory_bytes: None,
            has_checkpoints: false,
            has_low_priority: false,
            listeners: Vec::new(),
            faults: Arc::new(NoFaults),
        }
    }
}

/// A run beside the run that shows results.
pub struct OtherRun {
    pub(super) job: Arc<JobParts>,
    pub(super) run: JobRun,
    /// The intervals of the run's graph.
    pub(super) intervals: Arc<Intervals>,
    /// The nodes that have taken state over, with the number of their keys.
    pub(super) carried: Vec<(NodeId, u64)>,
    after: Time,
    /// The run has the data of the batches after this time.
    pub(super) data_after: Time,
    ended: oneshot::Receiver<Result<(), Error>>,
    /// How the run has ended. `None` if that is not known yet.
    outcome: Option<Result<(), Error>>,
}

impl OtherRun {
    /// The number of the run.
    pub fn id(&self) -> RunId {
        self.run.id
    }

    /// The last batch before the run begins: the run gets every batch after this one.
    pub fn after(&self) -> Time {
        self.after
    }

    /// Gives the run no more batches. The run ends when it has processed the batches that it was given. Returns the
    /// time of the last batch that it can have been given. `None` if the job makes no more batches.
    pub async fn detach(&self) -> Option<Time> {
        self.job.ingest.detach(self.run.id).await
    }

    /// Stops the run at once, whatever it is doing. Other runs are not affected.
    pub fn cancel(&self) {
        self.run.stop.stop(StopRequest::Now);
    }

    /// Waits until the run has ended: because it was detached or cancelled, because the job has ended, or because of an
    /// error.
    ///
    /// # Errors
    /// Returns the error that ended the run.
    pub async fn await_termination(&mut self) -> Result<(), Error> {
        if let Some(outcome) = &self.outcome {
            return outcome.clone();
        }
        let outcome = (&mut self.ended).await.unwrap_or_else(|_| {
            let message = format!("{} ended without a word", self.run.id);
            Err(Error::new(ErrorKind::Internal, message).help("please report this"))
        });
        self.outcome = Some(outcome.clone());
        outcome
    }
}

/// Starts the checkpoints of a run, when it is known when the run begins and which batch was made last.
type StartCheckpoints = Box<dyn FnOnce(Beginning, Time) -> Checkpoints + Send>;

impl JobParts {
    fn memory(&self, settings: &Settings, own_bytes: Option<u64>) -> Result<RunMemory, Error> {
        let bytes = RunMemory::instance_bytes(settings);
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
        let storage = RowStorage::new(&budget, self.env.disk.clone(), super::spill_settings(settings));
        Ok(RunMemory { budget, storage, instances })
    }

    /// Checks that the ingest of this job brings the data that a graph reads.
    pub(super) fn check(&self, graph: &Graph, settings: &Settings) -> Result<(), Error> {
        check_sources(graph, settings)?;
        check_state(graph, settings)?;
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

    /// Chooses the directory of a run, and makes the function that starts its checkpoints.
    fn checkpoints(
        &self,
        id: RunId,
        facts: &JobFacts<'_>,
        (graph, intervals, state): (&Arc<Graph>, &Arc<Intervals>, StateStore),
        listeners: &ListenerBus,
    ) -> Result<(String, StartCheckpoints), Error> {
        let store = store(&self.env, &self.settings)?;
        let ownership = self.ingest.ownership().cloned().ok_or_else(|| {
            let message = format!("job {} writes to no checkpoint directory", self.settings.job.name);
            Error::new(ErrorKind::Internal, message).help("please report this")
        })?;
        let run = new_run(&run_names(&*store)?, facts.plugin_digest);
        let place = store.describe();
        // Before anything else is in the directory, so that the next start removes it whatever happens.
        begin_trial(&*store, &run).map_err(|error| {
            let message = format!("cannot begin run {run} in {place}: {error}");
            Error::new(ErrorKind::Unavailable, message).help(advice(&error, &place)).lasting(persistence(&error))
        })?;
        let (policy, clock) = (on_trouble(&self.settings), self.env.clock.clone());
        let trouble = |what| Trouble::new(clock.clone(), listeners.clone(), policy, what, place.clone());
        let snapshot_trouble = trouble("a snapshot of state");
        let (trouble, owner_trouble) = (trouble("a checkpoint"), trouble("the owner"));
        let describe = facts.describe();
        let (env, graph, intervals) = (self.env.clone(), graph.clone(), intervals.clone());
        let (tracker, directory) = (self.ingest.tracker().clone(), run.clone());
        let start = move |beginning: Beginning, last: Time| {
            Checkpoints::start(CheckpointParts {
                env,
                store,
                ownership,
                id,
                run,
                description: describe(beginning),
                progress: RunProgress::after(Some(last)),
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
        };
        Ok((directory, Box::new(start)))
    }

    /// The listeners of a run: those of the job as long as the run shows results, and `others` always.
    fn listeners_of(&self, id: RunId, others: Vec<Arc<dyn StreamingListener>>) -> ListenerBus {
        let handover = self.runs.handover().clone();
        let rates = self.ingest.rates().clone();
        let relay = Relay { job: self.listeners.clone(), handover, watcher: self.watcher.clone(), rates };
        let listeners = std::iter::once(Arc::new(relay) as Arc<dyn StreamingListener>).chain(others);
        ListenerBus::new(listeners.collect()).of_run(id)
    }
}

impl Running {
    /// Starts a second run of this job, with a plugin that has described its graph. The run gets each batch from the
    /// next one on, with the same data as the other runs, and shows no results. If too many batches wait for the run, it
    /// gets no more batches and ends with an error. So the other runs never wait for it.
    ///
    /// The plugin must have been loaded for this run, since a loaded plugin has room for the instances of one run.
    ///
    /// # Errors
    /// Returns an error if the plugin does not read the data that the job brings, if there is not enough memory for the
    /// run, or if the job makes no more batches.
    pub async fn attach(&self, program: Program, options: OtherOptions) -> Result<OtherRun, Error> {
        attach(&self.job, program, options, None).await
    }
}

/// A run that was put together and has not joined the job.
struct NewRun {
    run: Run,
    /// The parts that the job needs. They have no checkpoints yet.
    parts: JobRun,
    intervals: Arc<Intervals>,
    state: StateStore,
    start: Option<StartCheckpoints>,
    listeners: ListenerBus,
}

impl NewRun {
    /// Puts a run together.
    fn make(job: &JobParts, program: Program, options: OtherOptions) -> Result<Self, Error> {
        let Program { plugin, described, graph, .. } = program;
        let settings = options.settings.unwrap_or_else(|| job.settings.clone());
        job.check(&graph, &settings)?;
        let subject = settings.job.plugin.shown().into_owned();
        let intervals = Intervals::of(&graph, settings.job.batch_interval);
        let intervals = Arc::new(intervals.map_err(|errors| super::graph_error(&subject, &errors))?);
        let graph = Arc::new(graph);
        let id = job.ingest.number_run();
        let listeners = job.listeners_of(id, options.listeners);
        let facts = JobFacts {
            env: &job.env,
            settings: &settings,
            plugin_digest: plugin.digest(),
            nodes: &described,
            graph: &graph,
            intervals: &intervals,
        };
        let memory = job.memory(&settings, options.memory_bytes)?;
        let storage = memory.storage.clone();
        let grants = grants(&settings);
        let granted = Granted { grants: &grants, connections: &settings.connections };
        let outputs = Arc::new(Outputs::open(&job.env, &settings.job.name, &graph, granted, &storage)?);
        job.claims.add(&job.env, &settings.job.name, &graph, &grants, &outputs)?;
        outputs.observe(options.observe.as_deref());
        let state = StateStore::new(storage.clone());
        let states = LiveStates::new(&graph, state.clone());
        let of_run = (&graph, &intervals, state.clone());
        let start = options.has_checkpoints.then(|| job.checkpoints(id, &facts, of_run, &listeners)).transpose()?;
        let (directory, start) = start.unzip();
        let live = Arc::new(LiveSettings::new(&settings));
        let priority = Priority::beside(lock(&job.owner).priority.precedence());
        priority.set_low(options.has_low_priority);
        let parts = RunParts {
            env: job.env.with_priority(&priority),
            id,
            plugin: plugin.clone(),
            intervals: intervals.clone(),
            memory,
            state: state.clone(),
            outputs: outputs.clone(),
            live: live.clone(),
            graph: graph.clone(),
            handover: job.runs.handover().clone(),
            grants,
            blocks: job.ingest.blocks().clone(),
            ranges: job.ingest.ranges().clone(),
            faults: options.faults,
            listeners: listeners.clone(),
        };
        let run = Run::new(&settings, parts)?;
        let (stop, done, tap) = (run.stop(), run.done(), run.tap());
        let checkpoints = None;
        let parts = JobRun {
            id,
            plugin,
            described,
            graph,
            settings,
            outputs,
            states,
            priority,
            checkpoints,
            stop,
            live,
            directory,
            storage,
            tap,
            done,
        };
        Ok(Self { run, parts, intervals, state, start, listeners })
    }
}

/// Starts a second run of a job, which takes over the state that `carry` names.
pub(super) async fn attach(
    job: &Arc<JobParts>,
    program: Program,
    options: OtherOptions,
    carry: Option<Carry>,
) -> Result<OtherRun, Error> {
    let NewRun { run, mut parts, intervals, state, start, listeners } = NewRun::make(job, program, options)?;
    let (ingest, id) = (&job.ingest, parts.id);
    let (taker, batches) = run.taker();
    let (started, begun) = oneshot::channel();
    let tapped = carry.clone();
    let (can_restart, zero) = (start.is_some(), job.beginning.zero);
    let make = Box::new(move |after, data_after| {
        let checkpoints = start.map(|start| start(Beginning { zero, data_after }, after));
        let versions = tapped.map(|carry| carry.tap.after(after));
        // The caller may not wait for the run any more. Then the run is detached again.
        let _ = started.send((checkpoints.clone(), versions, data_after));
        taker.keeping(checkpoints)
    });
    let (backlog, reach) = (Backlog::LeaveBehind, intervals.reach_of_all());
    let joining = Joining { run: id, backlog, can_restart, reach, make };
    let after = ingest.attach(joining).await.ok_or_else(no_more_batches)?;
    let (checkpoints, versions, data_after) = begun.await.map_err(|_| no_more_batches())?;
    parts.checkpoints.clone_from(&checkpoints);
    let has_carried = carry.is_some();
    let carried = match carry.zip(versions) {
        Some((carry, versions)) => carry.take_over(&parts, versions.await.ok(), after, &state).await,
        None => Ok(Vec::new()),
    };
    if carried.is_err() {
        ingest.detach(id).await;
        ingest.tracker().run_ended(id).await;
    }
    let carried = carried?;
    listeners.post(&Event::StreamingStarted {
        job: parts.settings.job.name.clone(),
        time: job.env.clock.now(),
        batch_interval: parts.settings.job.batch_interval,
    });
    let (beginning, carried_at) = (Beginning { zero, data_after }, [after]);
    let input = RunInput {
        batches,
        tracker: ingest.tracker().clone(),
        beginning: Some(beginning),
        done: data_after,
        needs: intervals.needs(after, beginning, if has_carried { &carried_at } else { &[] }),
        checkpoints,
    };
    let ended = process(job, &parts, run, input, listeners);
    Ok(OtherRun { job: job.clone(), run: parts, intervals, carried, after, data_after, ended, outcome: None })
}

/// Lets a run process its batches. Returns a channel that gets the outcome of the run.
fn process(
    job: &JobParts,
    parts: &JobRun,
    run: Run,
    input: RunInput,
    listeners: ListenerBus,
) -> oneshot::Receiver<Result<(), Error>> {
    let id = parts.id;
    let (processed, holdings) = run.process(input);
    let (end, ended) = oneshot::channel();
    let (end_job, job_end) = oneshot::channel();
    let (lives, is_over) = watch::channel(());
    job.runs.add(id, parts.stop.clone(), is_over, Some(job_end));
    let (runs, clock) = (job.runs.clone(), job.env.clock.clone());
    let process = async move {
        let ended = processed.await;
        if runs.has_ended(id) {
            let outcome = ended.outcome.clone();
            // The end of the job takes the run over.
            let _ = end_job.send((ended, holdings));
            let _ = end.send(outcome);
            return;
        }
        let outcome = end_beside((ended, holdings), &*clock).await;
        let error = outcome.as_ref().err().map(|error| error.message.clone());
        listeners.post(&Event::StreamingStopped { time: clock.now(), error });
        drop(lives);
        // Nobody has to wait for a run that shows no results.
        let _ = end.send(outcome);
    };
    job.env.control.spawn("job scheduler", Box::pin(process));
    ended
}
