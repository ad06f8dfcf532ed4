//! Starting a job, and its end: the actors are made, wired and, when the last batch is done, let go.
//!
//! Owns the order of it. What an actor does it never knows.

use super::checkpoint::{Opened, Resumption, on_trouble};
use super::ending::{Deadline, Ended};
use super::sources::{ReceiverSource, Sources};
use super::store_claims::StoreClaims;
use super::{RunOptions, StreamingContext, arguments, grants};
use crate::block::{BlockStore, Storage};
use crate::checkpoint::{AllocationLog, AllocationWriter, Trouble};
use crate::config::{OnMissingFile, Settings, SourceSettings};
use crate::driver::Drivers;
use crate::engine::{EmbeddedEngine, Engine, EngineParts, JobPlan};
use crate::env::{Clock, Env, Panic, advice, persistence};
use crate::error::{Error, ErrorKind};
use crate::graph::{Graph, Intervals, StageGraph};
use crate::listener::{Event, ListenerBus, RecoveryInfo};
use crate::memory::MemoryBudget;
use crate::output::{DriverFiles, OutputClaims};
use crate::plugin::{Cancel, Plugin};
use crate::receiver;
use crate::scheduler::{
    CatchUp, CheckpointParts, Checkpoints, GeneratorParts, GeneratorSettings, JobGenerator, JobScheduler,
    SchedulerParts, StopRequest,
};
use crate::time::{Duration, Time};
use crate::tracker::{AllocationHistory, ReceiverTracker, TrackerHandle};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// How many batches may wait for the scheduler before the batch clock waits too.
const QUEUED_BATCHES_MAX: usize = 1000;
/// How many stored blocks may wait for the tracker before receivers wait.
const REPORTED_BLOCKS_MAX: usize = 64;
/// How long a run that ends waits for its last checkpoint.
const LAST_CHECKPOINT: Duration = Duration::from_secs(10);

/// A job that runs.
pub struct Running {
    stop: Arc<watch::Sender<StopRequest>>,
    cancel: Cancel,
    ended: oneshot::Receiver<Result<(), Error>>,
}

impl StreamingContext {
    /// Starts receiving and processing. Nothing can be added any more.
    ///
    /// # Errors
    /// When the engine cannot be set up, or the checkpoint directory does not fit the job or is in use.
    pub fn start(mut self, options: RunOptions) -> Result<Running, Error> {
        let found = match &self.settings.job.checkpoint {
            Some(_) => {
                let found = self.resumption(options.start_from, options.catch_up)?;
                found.resume_inputs(&mut self.sources.inputs)?;
                Some(found)
            }
            None => None,
        };
        self.check_data()?;
        let opened =
            found.map(|found| found.claim(&self.env, || self.resumption(options.start_from, options.catch_up)));
        let opened = opened.transpose()?;
        let claims = self.claim_outputs();
        if let (Err(_), Some(opened)) = (&claims, &opened) {
            opened.ownership.release();
        }
        let claims = claims?;
        if let Some(opened) = &opened {
            // What was done between the first look and the claim counts.
            opened.resumption.resume_inputs(&mut self.sources.inputs)?;
        }
        let Self { env, settings, plugin, graph, intervals, budget, storage, outputs, sources, .. } = self;
        let cancel = plugin.cancel();
        let stages = Arc::new(StageGraph::cut_ahead(&graph, settings.job.parallelism));
        let listeners = options.listeners.clone();
        let (engine, store) = engine(&env, &settings, &plugin, &intervals, (budget, storage.clone()), &options)?;
        listeners.post(&Event::StreamingStarted {
            job: settings.job.name.clone(),
            time: env.clock.now(),
            batch_interval: settings.job.batch_interval,
        });
        let resumed = Resumed::start(&env, &settings, &graph, &intervals, &listeners, opened)?;
        let Resumed { history, checkpoints, zero, first, catch_up } = resumed;
        let tracker = start_tracker(&env, &store, sources, &listeners, history);
        let checkpoints = checkpoints.map(|start| start(tracker.clone()));
        let (stop, stopping) = watch::channel(StopRequest::None);
        let stop = Arc::new(stop);
        let (batches, queued) = mpsc::channel(QUEUED_BATCHES_MAX);
        let generator_settings = GeneratorSettings {
            first,
            catch_up,
            interval: settings.job.batch_interval,
            stop_after: options.stop_after,
            stop_when_idle: options.stop_when_idle,
        };
        let generator_parts = GeneratorParts {
            env: env.clone(),
            tracker: tracker.clone(),
            graph: graph.clone(),
            listeners: listeners.clone(),
            checkpoints: checkpoints.clone(),
        };
        let generator = JobGenerator::new(generator_parts, generator_settings, batches, stopping.clone());
        let plan = Arc::new(JobPlan { graph, stages, calls: Arc::default(), loaded: Arc::default() });
        let drivers = drivers(&env, &engine, (plugin, storage), &settings, &plan, &intervals);
        let parts = SchedulerParts {
            env: env.clone(),
            engine,
            tracker: tracker.clone(),
            plan,
            drivers,
            intervals,
            outputs,
            listeners: listeners.clone(),
            on_error: settings.job.on_error,
            batch_interval: settings.job.batch_interval,
            zero,
            checkpoints: checkpoints.clone(),
        };
        let scheduler = JobScheduler::new(parts, stopping.clone());
        let deadline = Deadline {
            stop: Arc::downgrade(&stop),
            stopping,
            cancel: cancel.clone(),
            clock: env.clock.clone(),
            timeout: settings.job.stop_timeout,
            overdue: stop_took_too_long(&settings),
            panics: env.panics.clone(),
        };
        let control = env.control.clone();
        let is_kept = settings.job.checkpoint.is_some();
        let holdings = Holdings { env, store, tracker, checkpoints, listeners, claims, is_kept };
        let (end, ended) = oneshot::channel();
        control.spawn("job generator", Box::pin(generator.run()));
        control.spawn(
            "job scheduler",
            Box::pin(async move {
                let outcome = holdings.let_go(deadline.keep(scheduler.run(queued)).await).await;
                // Nobody awaits the end: the program is going away.
                let _ = end.send(outcome);
            }),
        );
        Ok(Running { stop, cancel, ended })
    }
}

impl StreamingContext {
    /// Takes the places of the outputs for this run.
    fn claim_outputs(&self) -> Result<(OutputClaims, StoreClaims), Error> {
        let Self { env, settings, graph, outputs, .. } = self;
        let on_disks = OutputClaims::take(env, &settings.job.name, graph, &grants(settings))?;
        Ok((on_disks, StoreClaims::take(env, &settings.job.name, outputs.store_places())?))
    }
}

/// The engine, and where received blocks are.
fn engine(
    env: &Env,
    settings: &Settings,
    plugin: &Arc<Plugin>,
    intervals: &Arc<Intervals>,
    (budget, storage): (MemoryBudget, Storage),
    options: &RunOptions,
) -> Result<(Arc<dyn Engine>, BlockStore), Error> {
    let blocks = BlockStore::new(storage.clone(), settings.receiver.store_limit_bytes);
    let parts = EngineParts {
        env: env.clone(),
        job: settings.job.name.clone(),
        arguments: arguments(settings),
        intervals: intervals.clone(),
        parallelism: settings.job.parallelism,
        plugin: plugin.clone(),
        blocks: blocks.clone(),
        storage,
        budget,
        encodings: settings.sources.iter().map(|(name, source)| (name.clone(), source.encoding())).collect(),
        slots: settings.engine.threads as usize,
        tries: settings.engine.task_retries,
        faults: options.faults.clone(),
        listeners: options.listeners.clone(),
        may_be_gone: sources_whose_files_may_be_gone(settings),
    };
    Ok((Arc::new(EmbeddedEngine::new(parts)?), blocks))
}

/// The sources of which a batch leaves out files that are gone.
fn sources_whose_files_may_be_gone(settings: &Settings) -> BTreeSet<String> {
    let skips = |source: &SourceSettings| {
        matches!(source, SourceSettings::TextFiles { on_missing_file: OnMissingFile::Skip, .. })
    };
    settings.sources.iter().filter(|(_, source)| skips(source)).map(|(name, _)| name.clone()).collect()
}

/// What runs driver functions, if the graph has any.
fn drivers(
    env: &Env,
    engine: &Arc<dyn Engine>,
    (plugin, storage): (Arc<Plugin>, Storage),
    settings: &Settings,
    plan: &Arc<JobPlan>,
    intervals: &Arc<Intervals>,
) -> Option<Arc<Drivers>> {
    let has_functions = plan.graph.nodes().iter().any(|node| node.operation.is_driver());
    let drivers = Drivers {
        env: env.clone(),
        engine: engine.clone(),
        plugin,
        job: settings.job.name.clone(),
        arguments: arguments(settings).into(),
        plan: plan.clone(),
        files: DriverFiles::new(env.disk.clone(), &settings.job.name, grants(settings), storage.clone()),
        storage,
        intervals: intervals.clone(),
        default_partitions: settings.job.parallelism,
        time: settings.limits.driver_time,
    };
    has_functions.then(|| Arc::new(drivers))
}

/// Starts the receivers, and the tracker that hears of their blocks.
fn start_tracker(
    env: &Env,
    store: &BlockStore,
    sources: Sources,
    listeners: &ListenerBus,
    history: Option<AllocationHistory>,
) -> TrackerHandle {
    let (reports, reported) = mpsc::channel(REPORTED_BLOCKS_MAX);
    let start = |source: ReceiverSource| {
        let ReceiverSource { settings, make, options } = source;
        receiver::start(env, settings, make, options, store.clone(), reports.clone(), listeners.clone())
    };
    let receivers = sources.receivers.into_iter().map(start).collect();
    ReceiverTracker::start(env, store.clone(), sources.inputs, receivers, reported, listeners.clone(), history)
}

type StartCheckpoints = Box<dyn FnOnce(TrackerHandle) -> Checkpoints>;

/// What a job goes on with.
struct Resumed {
    history: Option<AllocationHistory>,
    checkpoints: Option<StartCheckpoints>,
    zero: Option<Time>,
    first: Time,
    catch_up: CatchUp,
}

impl Resumed {
    /// Starts the log, and tells what is done first.
    fn start(
        env: &Env,
        settings: &Settings,
        graph: &Graph,
        intervals: &Arc<Intervals>,
        listeners: &ListenerBus,
        opened: Option<Opened>,
    ) -> Result<Self, Error> {
        let Some(Opened { store, ownership, resumption }) = opened else {
            let first = env.clock.now().next_multiple(settings.job.batch_interval);
            return Ok(Self { history: None, checkpoints: None, zero: None, first, catch_up: CatchUp::default() });
        };
        let catch_up = resumption.catch_up(graph, intervals);
        let Resumption { run, description, progress, last_number, kept, record, plan, allocated, lost, .. } =
            resumption;
        let goes_on = record.last().is_some() || !resumption.is_new;
        let trouble =
            |what| Trouble::new(env.clock.clone(), listeners.clone(), on_trouble(settings), what, store.describe());
        let last_batch = record.last();
        let mut log = AllocationLog::new(store.clone(), record, ownership.epoch());
        log.begin().map_err(|error| {
            let place = store.describe();
            let message = format!("cannot begin the allocation log in checkpoint directory {place}: {error}");
            Error::new(ErrorKind::Unavailable, message).help(advice(&error, &place)).lasting(persistence(&error))
        })?;
        listeners.post(&Event::CheckpointOpened { run: run.clone(), epoch: ownership.epoch() });
        if goes_on {
            listeners.post(&Event::RecoveryStarted(RecoveryInfo {
                run: run.clone(),
                zero: plan.zero,
                restored: plan.restore.len() as u64,
                rerun: plan.rerun.clone(),
                missed: plan.missed,
            }));
        }
        for (batch, source, records) in lost {
            listeners.post(&Event::RecordsLost { source, batch, records });
        }
        let writer = AllocationWriter::start(env, log, trouble("the allocation log"));
        let history = AllocationHistory { writer, allocated, last_batch };
        let (trouble, owner_trouble) = (trouble("a checkpoint"), trouble("the owner"));
        let (env, intervals) = (env.clone(), intervals.clone());
        let checkpoints: StartCheckpoints = Box::new(move |tracker| {
            Checkpoints::start(CheckpointParts {
                env,
                store,
                ownership,
                run,
                description,
                progress,
                last_number,
                kept,
                intervals,
                tracker,
                trouble,
                owner_trouble,
            })
        });
        let first = resumption.left_out.map_or(plan.next, |(_, through)| through + settings.job.batch_interval);
        Ok(Self { history: Some(history), checkpoints: Some(checkpoints), zero: Some(plan.zero), first, catch_up })
    }
}

/// What a run holds until it ends.
struct Holdings {
    env: Env,
    store: BlockStore,
    tracker: TrackerHandle,
    checkpoints: Option<Checkpoints>,
    listeners: ListenerBus,
    claims: (OutputClaims, StoreClaims),
    is_kept: bool,
}

impl Holdings {
    /// Gives everything back, tells that the run has ended, and returns what it ends with.
    async fn let_go(self, ended: Ended) -> Result<(), Error> {
        let Self { env, store, tracker, checkpoints, listeners, claims, is_kept } = self;
        let is_abandoned = ended.is_abandoned;
        store.close();
        if !is_abandoned {
            tracker.stop_receivers_now().await;
        }
        let outcome = finish(checkpoints, &*env.clock, ended).await;
        if !is_abandoned {
            tracker.finish_files().await;
        }
        let outcome = tell_panic(env.panics.found(), &listeners, is_kept).and(outcome);
        if is_abandoned {
            // What may still write keeps its places until this process is gone.
            std::mem::forget(claims);
        } else {
            drop(claims);
        }
        let error = outcome.as_ref().err().map(|error| error.message.clone());
        listeners.post(&Event::StreamingStopped { time: env.clock.now(), error });
        listeners.drain().await;
        outcome
    }
}

/// Waits for the last checkpoint. What ended the run before that is what it ends with.
async fn finish(checkpoints: Option<Checkpoints>, clock: &dyn Clock, ended: Ended) -> Result<(), Error> {
    let Ended { outcome, is_abandoned } = ended;
    // What may still write must not lose the directory to another host before this process is gone.
    let Some(checkpoints) = checkpoints.filter(|_| !is_abandoned) else { return outcome };
    let written = tokio::select! {
        biased;
        written = checkpoints.finish() => written,
        () = clock.sleep_until(clock.now() + LAST_CHECKPOINT) => {
            let message = "the last checkpoint could not be written in time";
            Err(Error::new(ErrorKind::Unavailable, message)
                .help("nothing is lost: the next start runs again what it does not know to be done"))
        }
    };
    outcome.and(written)
}

impl Running {
    /// Asks the run to stop. A graceful stop processes what was received; a second request, or [`StopRequest::Now`],
    /// stops at once.
    pub fn stop(&self, request: StopRequest) {
        let again = *self.stop.borrow() == StopRequest::Graceful;
        let request = if again { StopRequest::Now } else { request };
        if request == StopRequest::Now {
            self.cancel.cancel();
        }
        self.stop.send_if_modified(|stop| {
            let stronger = request > *stop;
            *stop = request.max(*stop);
            stronger
        });
    }

    /// Waits until the run ends, by a stop or by an error.
    ///
    /// # Errors
    /// What ended it.
    pub async fn await_termination(&mut self) -> Result<(), Error> {
        (&mut self.ended).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Internal, "the job scheduler ended without a word").help("please report this"))
        })
    }
}

/// What a run ends with whose graceful stop takes too long.
pub fn stop_took_too_long(settings: &Settings) -> Error {
    let seconds = settings.job.stop_timeout.as_secs_f64();
    let rest = if settings.job.checkpoint.is_some() { "waits for the next start" } else { "is lost" };
    let message =
        format!("the graceful stop took longer than job.stop_timeout = {seconds} s: what was not processed yet {rest}");
    Error::new(ErrorKind::Unavailable, message).help("raise job.stop_timeout, or make batches cheaper")
}

/// Tells that host code has panicked, if it has. That is what the run ends with then: other failures follow from it.
fn tell_panic(panic: Option<Panic>, listeners: &ListenerBus, is_kept: bool) -> Result<(), Error> {
    let Some(panic) = panic else { return Ok(()) };
    let error = defect(&panic, is_kept);
    let Panic { what, batch, message } = panic;
    listeners.post(&Event::HostPanicked { what, batch, message });
    Err(error)
}

/// The error of a run whose host panicked.
fn defect(panic: &Panic, is_kept: bool) -> Error {
    let batch = panic.batch.map_or_else(String::new, |batch| format!(", at batch {batch}"));
    let message = format!("defect of the host{batch}: {panic}");
    let help = match (is_kept, panic.batch) {
        (true, Some(batch)) => format!("please report this; batch {batch} does not count as done: start the job again"),
        (true, None) => "please report this; start the job again, and it goes on where it was".to_owned(),
        (false, _) => "please report this".to_owned(),
    };
    Error::new(ErrorKind::Internal, message).help(help)
}
