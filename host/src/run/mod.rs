//! A run: one plugin that processes the batches of an ingest.
//!
//! Owns the parts that belong to a plugin and not to the job: graph, engine, driver functions, outputs, scheduler,
//! checkpoints, memory, and the requests to stop. A job has one run, and may have a second run beside it on the same
//! ingest. Never knows where batches come from, and never knows about other runs.

mod ending;
mod store_claims;
mod taker;

pub use ending::Ended;
pub use taker::RunTaker;

use self::ending::Deadline;
use self::store_claims::StoreClaims;
use crate::block::{BlockStore, RangeReaders, RowStorage};
use crate::config::{LiveSettings, OnMissingFile, Settings, SourceSettings};
use crate::driver::Drivers;
use crate::engine::{EmbeddedEngine, Engine, EngineParts, FaultInjector, JobPlan};
use crate::env::{Clock, Env};
use crate::error::{Error, ErrorKind};
use crate::grants::Grants;
use crate::graph::{Beginning, Graph, Intervals, Needs, StageGraph};
use crate::ids::RunId;
use crate::ingest::StopRequest;
use crate::listener::ListenerBus;
use crate::lock::lock;
use crate::memory::{InstanceMemory, MemoryBudget};
use crate::output::{DriverFiles, Handover, OutputClaims, Outputs};
use crate::plugin::{Cancel, Plugin};
use crate::scheduler::{Checkpoints, JobScheduler, JobSet, SchedulerParts, StateTap};
use crate::state::StateStore;
use crate::time::{Duration, Time};
use crate::tracker::TrackerHandle;
use crate::variables::SharedVariables;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::{mpsc, watch};

/// The most batches that may wait for a run.
const QUEUED_BATCHES_MAX: usize = 1000;
/// How long a run waits for its last checkpoint when it ends.
const LAST_CHECKPOINT: Duration = Duration::from_secs(10);

/// The memory of a run.
pub struct RunMemory {
    /// The memory budget of the operators.
    pub budget: MemoryBudget,
    /// The storage for shuffles and data sets.
    pub storage: RowStorage,
    /// The memory that is set aside for plugin instances.
    pub instances: InstanceMemory,
}

impl RunMemory {
    /// How much memory is set aside for the plugin instances of a run with these settings, in bytes: for one instance
    /// on each thread, and for one instance of driver functions.
    pub fn instance_bytes(settings: &Settings) -> u64 {
        settings.limits.memory_bytes.saturating_mul(u64::from(settings.engine.threads) + 1)
    }
}

/// The parts from which a run is made.
pub struct RunParts {
    /// The environment: time, and the executor of tasks.
    pub env: Env,
    /// The number of the run on its ingest.
    pub id: RunId,
    /// The plugin.
    pub plugin: Arc<Plugin>,
    /// The graph that the plugin described.
    pub graph: Arc<Graph>,
    /// The times at which the nodes of the graph are computed.
    pub intervals: Arc<Intervals>,
    /// The memory of the run.
    pub memory: RunMemory,
    /// The state of the run, as it is before the first batch.
    pub state: StateStore,
    /// The outputs of the run.
    pub outputs: Arc<Outputs>,
    /// The settings that can change while the job runs.
    pub live: Arc<LiveSettings>,
    /// Which run of the job shows the results of each batch.
    pub handover: Arc<Handover>,
    /// The grants: what the plugin may read and write.
    pub grants: Grants,
    /// The store of the blocks that the ingest has received.
    pub blocks: BlockStore,
    /// The readers of the sources that are read by ranges, by name.
    pub ranges: RangeReaders,
    /// Makes parts of the host fail in tests.
    pub faults: Arc<dyn FaultInjector>,
    /// The listeners that are told of the run's events.
    pub listeners: ListenerBus,
}

/// The claims to the places of the outputs of a job's runs. No other job can write to these places. The claims are given
/// back when the last clone of this value is dropped, at the end of the job.
#[derive(Clone, Default)]
pub struct Claims(Arc<Mutex<(OutputClaims, StoreClaims)>>);

impl Claims {
    /// Claims the places of the outputs of a run, except places that the job has claimed before.
    ///
    /// # Errors
    /// Returns an error if another job has one of the places.
    pub fn add(&self, env: &Env, job: &str, graph: &Graph, grants: &Grants, outputs: &Outputs) -> Result<(), Error> {
        let (on_disks, in_stores) = &mut *lock(&self.0);
        on_disks.add(env, job, graph, grants)?;
        in_stores.add(env, job, outputs.store_places())
    }
}

/// Asks a run to stop. Clones ask the same run.
#[derive(Clone)]
pub struct RunStop {
    requests: Arc<watch::Sender<StopRequest>>,
    cancel: Cancel,
}

impl RunStop {
    /// Asks the run to stop. With [`StopRequest::Graceful`], the run has `job.stop_timeout` to process the batches that
    /// it was given. It ends in this time only if it gets no more batches. A second request, or [`StopRequest::Now`],
    /// stops the run at once.
    pub fn stop(&self, request: StopRequest) {
        let again = *self.requests.borrow() == StopRequest::Graceful;
        self.stop_by(if again { StopRequest::Now } else { request });
    }

    /// Asks the run to stop, unless it was asked for the same or a stronger stop before.
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

    /// The receiver of the requests to stop.
    pub fn requested(&self) -> watch::Receiver<StopRequest> {
        self.requests.subscribe()
    }
}

/// A run that was put together and has not begun to run batches.
pub struct Run {
    env: Env,
    id: RunId,
    engine: Arc<dyn Engine>,
    plan: Arc<JobPlan>,
    drivers: Option<Arc<Drivers>>,
    intervals: Arc<Intervals>,
    outputs: Arc<Outputs>,
    handover: Arc<Handover>,
    listeners: ListenerBus,
    live: Arc<LiveSettings>,
    batch_interval: Duration,
    stop: RunStop,
    /// The receiver of the requests to stop. It is subscribed before anybody can send a request.
    stopping: watch::Receiver<StopRequest>,
    deadline: Deadline,
    left_behind: Arc<OnceLock<Time>>,
    done: watch::Sender<Time>,
    tap: Arc<StateTap>,
    instances: InstanceMemory,
}

/// The batches that wait for a run.
pub struct QueuedBatches(mpsc::Receiver<JobSet>);

/// The inputs of a run.
pub struct RunInput {
    /// The batches of the run.
    pub batches: QueuedBatches,
    /// The tracker, which releases the data of batches.
    pub tracker: TrackerHandle,
    /// When the run began. `None` if the first batch that arrives decides this.
    pub beginning: Option<Beginning>,
    /// The batch before the first batch that the run gets, whether that one is new, runs again, or is restored.
    pub done: Time,
    /// What the run needs to compute again when it is resumed.
    pub needs: Needs,
    /// Records the progress of the run. `None` if the run writes no checkpoints.
    pub checkpoints: Option<Checkpoints>,
}

/// The resources that a run holds until everything else of the job that the run needs has ended.
pub struct RunHoldings {
    id: RunId,
    tracker: TrackerHandle,
    checkpoints: Option<Checkpoints>,
    _instances: InstanceMemory,
}

/// How often operators are timed. `None` if nobody sees their times.
fn sample_interval(settings: &Settings) -> Option<Duration> {
    let is_seen = settings.ui.address.is_some() || settings.otlp.server.is_some();
    Some(settings.ui.sample_interval).filter(|interval| is_seen && !interval.is_zero())
}

impl Run {
    /// Puts a run together.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be set up.
    pub fn new(settings: &Settings, parts: RunParts) -> Result<Self, Error> {
        let RunParts { env, id, graph, intervals, outputs, live, handover, grants, listeners, .. } = parts;
        let cancel = Cancel::default();
        let RunMemory { budget, storage, instances } = parts.memory;
        let tap = Arc::new(StateTap::new(parts.state.clone(), intervals.stateful().collect()));
        let variables = Arc::new(SharedVariables::new(storage.clone(), settings.limits.result_size_bytes));
        let plugin = Arc::new(parts.plugin.for_run(cancel.clone(), variables.clone()));
        let stages = Arc::new(StageGraph::cut_ahead(&graph, settings.job.parallelism));
        let arguments: Vec<(String, String)> = settings.job.args.clone().into_iter().collect();
        let of_engine = live.clone();
        let engine_parts = EngineParts {
            env: env.clone(),
            run: id,
            job: settings.job.name.clone(),
            arguments: arguments.clone(),
            intervals: intervals.clone(),
            parallelism: settings.job.parallelism,
            plugin: plugin.clone(),
            variables: variables.clone(),
            blocks: parts.blocks,
            ranges: parts.ranges.clone(),
            storage: storage.clone(),
            state: parts.state,
            budget,
            encodings: settings.sources.iter().map(|(name, source)| (name.clone(), source.encoding())).collect(),
            slots: settings.engine.threads as usize,
            tries: Arc::new(move || of_engine.task_attempts()),
            faults: parts.faults,
            sample_interval: sample_interval(settings),
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
            files,
            ranges: parts.ranges,
            storage,
            variables,
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
            live: live.clone(),
            has_checkpoints: settings.job.checkpoint.is_some(),
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
            handover,
            listeners,
            live,
            batch_interval: settings.job.batch_interval,
            stop,
            stopping,
            deadline,
            left_behind: Arc::default(),
            done: watch::Sender::new(Time::default()),
            tap,
            instances,
        })
    }

    /// Makes a handle that asks this run to stop. The handle can be used before the run begins.
    pub fn stop(&self) -> RunStop {
        self.stop.clone()
    }

    /// Takes the state of this run for another run.
    pub fn tap(&self) -> Arc<StateTap> {
        self.tap.clone()
    }

    /// The last batch of this run that is done; before the first batch of the run, the batch before it. The channel closes
    /// when the run has ended.
    pub fn done(&self) -> watch::Receiver<Time> {
        self.done.subscribe()
    }

    /// Makes the taker that takes batches from a batch clock, and the queue in which they wait.
    pub fn taker(&self) -> (RunTaker, QueuedBatches) {
        let (batches, queued) = mpsc::channel(QUEUED_BATCHES_MAX);
        let (graph, listeners) = (self.plan.graph.clone(), self.listeners.clone());
        let taker = RunTaker::new(graph, listeners, batches, self.left_behind.clone());
        (taker, QueuedBatches(queued))
    }

    /// Runs batches until no more come, the run is stopped, or an output fails for good. Returns a future that does
    /// this, and the resources that the run holds until its end.
    pub fn process(self, input: RunInput) -> (impl Future<Output = Ended> + Send, RunHoldings) {
        let RunInput { batches, tracker, beginning, done, needs, checkpoints } = input;
        self.tap.batch_done(done);
        self.done.send_replace(done);
        let Self { stop, stopping, deadline, left_behind, .. } = self;
        let holdings = RunHoldings {
            id: self.id,
            tracker: tracker.clone(),
            checkpoints: checkpoints.clone(),
            _instances: self.instances,
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
            handover: self.handover,
            listeners: self.listeners,
            live: self.live,
            batch_interval: self.batch_interval,
            beginning,
            needs,
            checkpoints,
            done: self.done,
            tap: self.tap,
        };
        let scheduler = JobScheduler::new(parts, stopping);
        let processed = async move {
            // The handle is kept, because nothing else can ask this run to stop if the run is left behind.
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
    /// Releases the data of the batches that the run was given. Computations of a run that was stopped may still be
    /// running. They find that the data is gone, and fail.
    pub async fn release_batches(&self) {
        self.tracker.run_ended(self.id).await;
    }

    /// Waits for the last checkpoint, and then for `release`, which releases resources that only this run still needed.
    /// Releases the data of the batches that the run was given. If the run had ended with an error before this, returns
    /// that error.
    pub async fn finish(
        &mut self,
        ended: &Ended,
        clock: &dyn Clock,
        release: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        if ended.is_abandoned {
            // Code that may still write must not lose the directory to another host before this process has ended.
            return ended.outcome.clone();
        }
        self.release_batches().await;
        let Some(checkpoints) = self.checkpoints.take() else { return ended.outcome.clone() };
        let written = async {
            checkpoints.finish(ended.outcome.is_err()).await?;
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
}

/// The error of a run that did not keep up with the batches of its ingest.
fn fell_behind(batch: Time) -> Error {
    let message = format!("the run fell behind by {QUEUED_BATCHES_MAX} batches, and gets none from batch {batch} on");
    Error::new(ErrorKind::Unavailable, message).help("give it more time for each batch, or make its batches cheaper")
}

/// The error of a run whose graceful stop takes too long.
pub fn stop_took_too_long(timeout: Duration, has_checkpoints: bool) -> Error {
    let seconds = timeout.as_secs_f64();
    let rest = if has_checkpoints { "waits for the next start" } else { "is lost" };
    let message =
        format!("the graceful stop took longer than job.stop_timeout = {seconds} s: what was not processed yet {rest}");
    Error::new(ErrorKind::Unavailable, message).help("raise job.stop_timeout, or make batches cheaper")
}

/// The sources whose missing files are left out of a batch.
fn sources_whose_files_may_be_gone(settings: &Settings) -> BTreeSet<String> {
    let skips = |source: &SourceSettings| {
        matches!(source, SourceSettings::TextFiles { on_missing_file: OnMissingFile::Skip, .. })
    };
    settings.sources.iter().filter(|(_, source)| skips(source)).map(|(name, _)| name.clone()).collect()
}
