//! One plugin at work on the batches of an ingest.
//!
//! Owns what belongs to a plugin and not to the job: its graph, engine, driver functions, outputs, scheduler, checkpoints and
//! memory, and whether it is stopped. A job has one run, and may have another one beside it on the same ingest. Never knows
//! where batches come from, nor other runs.

mod ending;
mod store_claims;
mod taker;

pub use ending::Ended;
pub use taker::RunTaker;

use self::ending::Deadline;
use self::store_claims::StoreClaims;
use crate::block::{BlockStore, Storage};
use crate::config::{OnError, OnMissingFile, Settings, SourceSettings};
use crate::driver::Drivers;
use crate::engine::{EmbeddedEngine, Engine, EngineParts, FaultInjector, JobPlan};
use crate::env::{Clock, Env};
use crate::error::{Error, ErrorKind};
use crate::grants::Grants;
use crate::graph::{Graph, Intervals, StageGraph};
use crate::ids::RunId;
use crate::ingest::StopRequest;
use crate::listener::ListenerBus;
use crate::memory::{InstanceMemory, MemoryBudget};
use crate::output::{DriverFiles, OutputClaims, Outputs};
use crate::plugin::{Cancel, Plugin};
use crate::scheduler::{Checkpoints, JobScheduler, JobSet, SchedulerParts};
use crate::time::{Duration, Time};
use crate::tracker::TrackerHandle;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, watch};

/// How many batches may wait for a run.
const QUEUED_BATCHES_MAX: usize = 1000;
/// How long a run that ends waits for its last checkpoint.
const LAST_CHECKPOINT: Duration = Duration::from_secs(10);

/// The memory of a run.
pub struct RunMemory {
    /// What its operators take from.
    pub budget: MemoryBudget,
    /// Where its shuffles and data sets are.
    pub storage: Storage,
    /// What is set aside for its plugin instances.
    pub instances: InstanceMemory,
}

impl RunMemory {
    /// What is set aside for the plugin instances of a run with these settings, in bytes: one for each thread, and one for
    /// driver functions.
    pub fn instance_bytes(settings: &Settings) -> u64 {
        settings.limits.memory_bytes.saturating_mul(u64::from(settings.engine.threads) + 1)
    }
}

/// What a run is made of.
pub struct RunParts {
    /// Time, and where its tasks run.
    pub env: Env,
    /// Its number on the ingest.
    pub id: RunId,
    /// The plugin.
    pub plugin: Arc<Plugin>,
    /// The graph that the plugin described.
    pub graph: Arc<Graph>,
    /// When the nodes of the graph are computed.
    pub intervals: Arc<Intervals>,
    /// Its memory.
    pub memory: RunMemory,
    /// What is done with its rows.
    pub outputs: Outputs,
    /// Whether it shows nothing: its driver functions write no files, and what a batch has read does not depend on it.
    pub is_withheld: bool,
    /// What its plugin may read and write.
    pub grants: Grants,
    /// The places of its outputs.
    pub claims: Claims,
    /// Where the ingest has received blocks.
    pub blocks: BlockStore,
    /// What a test makes fail.
    pub faults: Arc<dyn FaultInjector>,
    /// Who hears of its events.
    pub listeners: ListenerBus,
}

/// The places of a run's outputs, which no other run writes to. Dropped when the run ends, they are given back.
#[derive(Default)]
pub struct Claims {
    _on_disks: OutputClaims,
    _in_stores: StoreClaims,
}

impl Claims {
    /// Takes the places of the outputs of a run.
    ///
    /// # Errors
    /// When another run has one of them.
    pub fn take(env: &Env, job: &str, graph: &Graph, grants: &Grants, outputs: &Outputs) -> Result<Self, Error> {
        let on_disks = OutputClaims::take(env, job, graph, grants)?;
        Ok(Self { _on_disks: on_disks, _in_stores: StoreClaims::take(env, job, outputs.store_places())? })
    }
}

/// Asks a run to stop. Clones ask the same run.
#[derive(Clone)]
pub struct RunStop {
    requests: Arc<watch::Sender<StopRequest>>,
    cancel: Cancel,
}

impl RunStop {
    /// Asks the run to stop. [`StopRequest::Graceful`] gives it `job.stop_timeout` to process what it was given, which only
    /// ends if it gets no more batches; a second request, or [`StopRequest::Now`], stops it at once.
    pub fn stop(&self, request: StopRequest) {
        let again = *self.requests.borrow() == StopRequest::Graceful;
        self.stop_by(if again { StopRequest::Now } else { request });
    }

    /// Asks the run to stop, unless it was asked for this or more before.
    pub fn stop_by(&self, request: StopRequest) {
        if request == StopRequest::Now {
            self.cancel.cancel();
        }
        self.raise(request);
    }

    fn raise(&self, request: StopRequest) {
        self.requests.send_if_modified(|stop| {
            let stronger = request > *stop;
            *stop = request.max(*stop);
            stronger
        });
    }

    /// Hears what the run is asked for.
    pub fn requested(&self) -> watch::Receiver<StopRequest> {
        self.requests.subscribe()
    }
}

/// A run that was put together, and runs nothing yet.
pub struct Run {
    env: Env,
    id: RunId,
    engine: Arc<dyn Engine>,
    plan: Arc<JobPlan>,
    drivers: Option<Arc<Drivers>>,
    intervals: Arc<Intervals>,
    outputs: Outputs,
    is_withheld: bool,
    listeners: ListenerBus,
    on_error: OnError,
    batch_interval: Duration,
    stop: RunStop,
    /// The same requests, as they are heard: subscribed to before anybody can ask.
    stopping: watch::Receiver<StopRequest>,
    deadline: Deadline,
    left_behind: Arc<OnceLock<Time>>,
    instances: InstanceMemory,
    claims: Claims,
}

/// The batches that wait for a run.
pub struct QueuedBatches(mpsc::Receiver<JobSet>);

/// What a run works on.
pub struct RunInput {
    /// Its batches.
    pub batches: QueuedBatches,
    /// Releases them.
    pub tracker: TrackerHandle,
    /// When the first of them begins. `None` if that follows from the first that comes.
    pub zero: Option<Time>,
    /// Keeps what is needed to go on after a crash. `None` if the run keeps nothing.
    pub checkpoints: Option<Checkpoints>,
}

/// What a run holds until everything else of the job that it needs has ended.
pub struct RunHoldings {
    id: RunId,
    tracker: TrackerHandle,
    checkpoints: Option<Checkpoints>,
    _instances: InstanceMemory,
    claims: Claims,
}

impl Run {
    /// Puts a run together.
    ///
    /// # Errors
    /// When the engine cannot be set up.
    pub fn new(settings: &Settings, parts: RunParts) -> Result<Self, Error> {
        let RunParts { env, id, graph, intervals, outputs, is_withheld, grants, claims, listeners, .. } = parts;
        let cancel = Cancel::default();
        let plugin = Arc::new(parts.plugin.for_run(cancel.clone()));
        let stages = Arc::new(StageGraph::cut_ahead(&graph, settings.job.parallelism));
        let RunMemory { budget, storage, instances } = parts.memory;
        let arguments: Vec<(String, String)> = settings.job.args.clone().into_iter().collect();
        let engine_parts = EngineParts {
            env: env.clone(),
            run: id,
            job: settings.job.name.clone(),
            arguments: arguments.clone(),
            intervals: intervals.clone(),
            parallelism: settings.job.parallelism,
            plugin: plugin.clone(),
            blocks: parts.blocks,
            storage: storage.clone(),
            budget,
            encodings: settings.sources.iter().map(|(name, source)| (name.clone(), source.encoding())).collect(),
            slots: settings.engine.threads as usize,
            tries: settings.engine.task_attempts,
            faults: parts.faults,
            listeners: listeners.clone(),
            may_be_gone: sources_whose_files_may_be_gone(settings),
        };
        let engine: Arc<dyn Engine> = Arc::new(EmbeddedEngine::new(engine_parts)?);
        let plan = Arc::new(JobPlan { graph, stages, calls: Arc::default(), loaded: Arc::default() });
        let files = DriverFiles::new(env.disk.clone(), &settings.job.name, grants, storage.clone());
        let drivers = Drivers {
            env: env.clone(),
            engine: engine.clone(),
            plugin,
            job: settings.job.name.clone(),
            arguments: arguments.into(),
            plan: plan.clone(),
            files: if is_withheld { files.withheld() } else { files },
            storage,
            intervals: intervals.clone(),
            default_partitions: settings.job.parallelism,
            time: settings.limits.driver_time,
        };
        let has_functions = plan.graph.nodes().iter().any(|node| node.operation.is_driver());
        let drivers = has_functions.then(|| Arc::new(drivers));
        let (requests, stopping) = watch::channel(StopRequest::None);
        let stop = RunStop { requests: Arc::new(requests), cancel: cancel.clone() };
        let deadline = Deadline {
            stop: Arc::downgrade(&stop.requests),
            stopping: stopping.clone(),
            cancel,
            clock: env.clock.clone(),
            timeout: settings.job.stop_timeout,
            overdue: stop_took_too_long(settings),
            panics: env.panics.clone(),
        };
        Ok(Self {
            env,
            id,
            engine,
            plan,
            drivers,
            intervals,
            outputs,
            is_withheld,
            listeners,
            on_error: settings.job.on_error,
            batch_interval: settings.job.batch_interval,
            stop,
            stopping,
            deadline,
            left_behind: Arc::default(),
            instances,
            claims,
        })
    }

    /// Asks this run to stop, also before it runs.
    pub fn stop(&self) -> RunStop {
        self.stop.clone()
    }

    /// What takes this run's batches from a batch clock, and where they wait.
    pub fn taker(&self) -> (RunTaker, QueuedBatches) {
        let (batches, queued) = mpsc::channel(QUEUED_BATCHES_MAX);
        let (graph, listeners) = (self.plan.graph.clone(), self.listeners.clone());
        let taker = RunTaker::new(graph, listeners, batches, self.left_behind.clone());
        (taker, QueuedBatches(queued))
    }

    /// Runs batches until no more come, the run is stopped, or an output fails for good. Returns this as a future, and what
    /// the run holds until its end.
    pub fn process(self, input: RunInput) -> (impl Future<Output = Ended> + Send, RunHoldings) {
        let RunInput { batches, tracker, zero, checkpoints } = input;
        let Self { stop, stopping, deadline, left_behind, .. } = self;
        let holdings = RunHoldings {
            id: self.id,
            tracker: tracker.clone(),
            checkpoints: checkpoints.clone(),
            _instances: self.instances,
            claims: self.claims,
        };
        let parts = SchedulerParts {
            env: self.env,
            run: self.id,
            engine: self.engine,
            tracker,
            plan: self.plan,
            drivers: self.drivers,
            intervals: self.intervals,
            outputs: self.outputs,
            is_withheld: self.is_withheld,
            listeners: self.listeners,
            on_error: self.on_error,
            batch_interval: self.batch_interval,
            zero,
            checkpoints,
        };
        let scheduler = JobScheduler::new(parts, stopping);
        let processed = async move {
            // Nothing else asks this run to stop if it is left behind.
            let _stop = stop;
            let mut ended = deadline.keep(scheduler.run(batches.0)).await;
            if let Some(batch) = left_behind.get() {
                ended.outcome = ended.outcome.and_then(|()| Err(fell_behind(*batch)));
            }
            ended
        };
        (processed, holdings)
    }
}

impl RunHoldings {
    /// Lets go of the batches that the run was given. What still computes for a run that was stopped may find that they are
    /// gone, and then fails.
    pub async fn release_batches(&self) {
        self.tracker.run_ended(self.id).await;
    }

    /// Waits for the last checkpoint, and then for `release`, which gives back what this run was the last to need. Lets go of
    /// the batches that the run was given. What ended the run before that is what it ends with.
    pub async fn finish(
        &mut self,
        ended: &Ended,
        clock: &dyn Clock,
        release: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        if ended.is_abandoned {
            // What may still write must not lose the directory to another host before this process is gone.
            return ended.outcome.clone();
        }
        self.release_batches().await;
        let Some(checkpoints) = self.checkpoints.take() else { return ended.outcome.clone() };
        let written = async {
            checkpoints.finish().await?;
            release.await;
            Ok(())
        };
        let written = tokio::select! {
            biased;
            written = written => written,
            () = clock.sleep_until(clock.now() + LAST_CHECKPOINT) => {
                let message = "the last checkpoint could not be written in time";
                Err(Error::new(ErrorKind::Unavailable, message)
                    .help("nothing is lost: the next start runs again what it does not know to be done"))
            }
        };
        ended.outcome.clone().and(written)
    }

    /// Gives back the places of the outputs. What may still write keeps them until this process is gone.
    pub fn let_go(self, is_abandoned: bool) {
        if is_abandoned {
            std::mem::forget(self.claims);
        }
    }
}

/// What a run ends with that did not keep up with the batches of its ingest.
fn fell_behind(batch: Time) -> Error {
    let message = format!("the run fell behind by {QUEUED_BATCHES_MAX} batches, and gets none from batch {batch} on");
    Error::new(ErrorKind::Unavailable, message).help("give it more time for each batch, or make its batches cheaper")
}

/// What a run ends with whose graceful stop takes too long.
pub fn stop_took_too_long(settings: &Settings) -> Error {
    let seconds = settings.job.stop_timeout.as_secs_f64();
    let rest = if settings.job.checkpoint.is_some() { "waits for the next start" } else { "is lost" };
    let message =
        format!("the graceful stop took longer than job.stop_timeout = {seconds} s: what was not processed yet {rest}");
    Error::new(ErrorKind::Unavailable, message).help("raise job.stop_timeout, or make batches cheaper")
}

/// The sources of which a batch leaves out files that are gone.
fn sources_whose_files_may_be_gone(settings: &Settings) -> BTreeSet<String> {
    let skips = |source: &SourceSettings| {
        matches!(source, SourceSettings::TextFiles { on_missing_file: OnMissingFile::Skip, .. })
    };
    settings.sources.iter().filter(|(_, source)| skips(source)).map(|(name, _)| name.clone()).collect()
}
