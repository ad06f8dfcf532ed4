//! The start and the end of a job. One ingest and its first run are started together, and released when the last batch
//! is done.
//!
//! Owns the order of these steps. Never knows what the actors do.

use super::checkpoint::{Opened, Resumption, on_trouble};
use super::job::{JobParts, JobRun};
use super::received::Received;
use super::relay::{Relay, Watcher};
use super::runs::{RunEnd, Runs, end_beside};
use super::{RunOptions, StreamingContext, grants};
use crate::block::{BlockStore, RangeReaders};
use crate::checkpoint::{AllocationLog, AllocationWriter, Ownership, Trouble, remove_unless};
use crate::config::{LiveSettings, Settings};
use crate::engine::FaultInjector;
use crate::env::{Env, Panic, Priority, advice, persistence};
use crate::error::{Error, ErrorKind};
use crate::graph::{Beginning, Graph, Intervals, Needs};
use crate::ids::RunId;
use crate::ingest::{CatchUp, ClockSettings, Ingest, IngestHandle, IngestParts, Rates, StopRequest};
use crate::listener::{Event, ListenerBus, RecoveryInfo};
use crate::memory::MemoryBudget;
use crate::output::Handover;
use crate::receiver::RateSettings;
use crate::run::{Claims, Run, RunInput, RunParts};
use crate::scheduler::{CheckpointParts, Checkpoints};
use crate::state::StateStore;
use crate::state_reader::LiveStates;
use crate::time::Time;
use crate::tracker::{AllocationHistory, BlockLog, TrackerHandle};
use std::sync::{Arc, Mutex};
use tokio::sync::{oneshot, watch};

/// A job that is running.
pub struct Running {
    pub(super) job: Arc<JobParts>,
    /// Stops the batch clock.
    requests: Arc<watch::Sender<StopRequest>>,
    ended: oneshot::Receiver<Result<(), Error>>,
}

impl StreamingContext {
    /// Starts to receive and process data. After this, nothing can be added to the job.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be set up, or if the checkpoint directory does not fit the job or is in
    /// use.
    pub fn start(mut self, options: RunOptions) -> Result<Running, Error> {
        let (mut opened, claims) = self.open(&options)?;
        let (env, settings, graph) = (self.env.clone(), self.settings.clone(), self.graph.clone());
        let (mut sources, intervals) = (std::mem::take(&mut self.sources), self.intervals.clone());
        let (budget, storage) = (self.memory.budget.clone(), self.memory.storage.clone());
        let listeners = options.listeners.clone();
        let handed_over = opened.as_ref().and_then(|opened| opened.ownership.handed_over());
        let handover = Arc::new(Handover::new(handed_over.map(|handed_over| handed_over.after())));
        let watcher = Watcher::default();
        let rates = Rates::new(RateSettings::of(&settings), listeners.clone(), env.clock.now());
        let (of_relay, watched) = (handover.clone(), watcher.clone());
        let relay = Relay { job: listeners.clone(), handover: of_relay, watcher: watched, rates: rates.clone() };
        let of_run = ListenerBus::new(vec![Arc::new(relay)]);
        let blocks = BlockStore::new(storage.clone(), settings.receiver.store_limit_bytes);
        let received = opened.as_mut().map(|opened| opened.received(&env, &settings, &sources, &blocks)).transpose()?;
        if let Some(received) = &received {
            received.number_blocks(&mut sources);
        }
        let live = options.live.clone().unwrap_or_else(|| Arc::new(LiveSettings::new(&settings)));
        let of_job = OfJob {
            handover: handover.clone(),
            listeners: of_run.clone(),
            blocks: blocks.clone(),
            ranges: sources.ranges(),
            faults: options.faults.clone(),
            live: live.clone(),
        };
        let FirstRun { run, mut parts, state } = FirstRun::make(self, opened.as_ref(), of_job)?;
        listeners.post(&Event::StreamingStarted {
            job: settings.job.name.clone(),
            time: env.clock.now(),
            batch_interval: settings.job.batch_interval,
        });
        let of_plugin = (&graph, &intervals, state.clone());
        let opened = opened.zip(received);
        let resumed = Resumed::start(&env, &settings, of_plugin, (&listeners, &of_run), opened)?;
        let Resumed { history, ownership, checkpoints, beginning, needs, first, catch_up } = resumed;
        let ingest_parts =
            IngestParts { env: env.clone(), blocks, sources, listeners: listeners.clone(), rates, history, ownership };
        let ingest = Ingest::start(ingest_parts);
        let tracker = ingest.handle().tracker().clone();
        parts.checkpoints = checkpoints.map(|start| start(tracker.clone()));
        let clock_settings = ClockSettings {
            first,
            catch_up,
            interval: settings.job.batch_interval,
            stop_after: options.stop_after,
            stop_when_idle: options.stop_when_idle,
        };
        let (taker, batches) = run.taker();
        let taker = taker.keeping(parts.checkpoints.clone());
        let beginning = beginning.unwrap_or_else(|| Beginning::at(first - settings.job.batch_interval));
        let checkpoints = parts.checkpoints.clone();
        let done = clock_settings.catch_up.first().unwrap_or(first) - settings.job.batch_interval;
        let input = RunInput { batches, tracker, beginning: Some(beginning), done, needs, checkpoints };
        let (processed, holdings_of_run) = run.process(input);
        let control = env.control.clone();
        let (requests, requested) = watch::channel(StopRequest::None);
        let requests = Arc::new(requests);
        let ingest = ingest.make_batches(clock_settings, taker, requested);
        let runs = Runs::new(handover);
        let (lives, is_over) = watch::channel(());
        runs.add(RunId::FIRST, parts.stop.clone(), is_over, None);
        let has_checkpoints = settings.job.checkpoint.is_some();
        let job = Arc::new(JobParts {
            env: env.clone(),
            settings,
            budget,
            storage,
            beginning,
            ingest: ingest.clone(),
            listeners: listeners.clone(),
            watcher,
            claims: claims.clone(),
            runs: runs.clone(),
            live,
            set: Mutex::default(),
            states: LiveStates::new(&graph, state),
            graph,
            owner: Mutex::new(parts),
        });
        let holdings = Holdings { env, ingest, runs, claims, listeners, has_checkpoints, requests: requests.clone() };
        let (end, ended) = oneshot::channel();
        control.spawn(
            "job scheduler",
            Box::pin(async move {
                let outcome = holdings.let_go((processed.await, holdings_of_run), lives).await;
                // Nobody waits for the end: the program is about to end.
                let _ = end.send(outcome);
            }),
        );
        Ok(Running { job, requests, ended })
    }

    /// Takes over the checkpoint directory, if the job has one, and the places of the outputs. Makes the inputs go on where
    /// they were.
    fn open(&mut self, options: &RunOptions) -> Result<(Option<Opened>, Claims), Error> {
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
        if let Some(opened) = &opened {
            opened.remove_trials();
        }
        let claims = Claims::default();
        let claimed = self.claim_outputs(&claims);
        if let (Err(_), Some(opened)) = (&claimed, &opened) {
            opened.ownership.release();
        }
        claimed?;
        if let Some(opened) = &opened {
            // The plan that was made after the claim counts: the last owner may have written after the first reading.
            opened.resumption.resume_inputs(&mut self.sources.inputs)?;
        }
        Ok((opened, claims))
    }

    /// Claims the places of the outputs for this job.
    fn claim_outputs(&self, claims: &Claims) -> Result<(), Error> {
        let Self { env, settings, graph, outputs, .. } = self;
        claims.add(env, &settings.job.name, graph, &grants(settings), outputs)
    }
}

/// The parts of a job that its first run uses.
struct OfJob {
    handover: Arc<Handover>,
    listeners: ListenerBus,
    blocks: BlockStore,
    ranges: RangeReaders,
    faults: Arc<dyn FaultInjector>,
    live: Arc<LiveSettings>,
}

/// The run with which a job begins.
struct FirstRun {
    run: Run,
    /// The parts that the job needs. They have no checkpoints yet.
    parts: JobRun,
    state: StateStore,
}

impl FirstRun {
    /// Puts the run together, with the state that it had when the job was stopped.
    fn make(context: StreamingContext, opened: Option<&Opened>, of_job: OfJob) -> Result<Self, Error> {
        let StreamingContext { env, settings, plugin, described, graph, intervals, memory, outputs, .. } = context;
        let OfJob { handover, listeners, blocks, ranges, faults, live } = of_job;
        let storage = memory.storage.clone();
        let state = StateStore::new(storage.clone());
        if let Some(opened) = opened {
            opened.resumption.restore_state(&graph, &intervals, settings.job.parallelism, &state)?;
        }
        let (states, outputs) = (LiveStates::new(&graph, state.clone()), Arc::new(outputs));
        let (id, priority) = (RunId::FIRST, Priority::default());
        let parts = RunParts {
            env: env.with_priority(&priority),
            id,
            plugin: plugin.clone(),
            graph: graph.clone(),
            intervals,
            memory,
            state: state.clone(),
            outputs: outputs.clone(),
            live: live.clone(),
            handover,
            grants: grants(&settings),
            blocks,
            ranges,
            faults,
            listeners,
        };
        let run = Run::new(&settings, parts)?;
        let (stop, done, tap) = (run.stop(), run.done(), run.tap());
        let directory = opened.map(|opened| opened.resumption.run.clone());
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
        Ok(Self { run, parts, state })
    }
}

type StartCheckpoints = Box<dyn FnOnce(TrackerHandle) -> Checkpoints>;

/// The parts of a job that a checkpoint directory provides.
struct Resumed {
    history: Option<AllocationHistory>,
    ownership: Option<Arc<Ownership>>,
    checkpoints: Option<StartCheckpoints>,
    beginning: Option<Beginning>,
    needs: Needs,
    first: Time,
    catch_up: CatchUp,
}

impl Resumed {
    /// Starts the allocation log, and reports how the job is resumed.
    fn start(
        env: &Env,
        settings: &Settings,
        (graph, intervals, state): (&Arc<Graph>, &Arc<Intervals>, StateStore),
        (listeners, of_run): (&ListenerBus, &ListenerBus),
        opened: Option<(Opened, Received)>,
    ) -> Result<Self, Error> {
        let Some((Opened { store, ownership, resumption }, mut received)) = opened else {
            let first = env.clock.now().next_multiple(settings.job.batch_interval);
            let catch_up = CatchUp::default();
            let (history, ownership, checkpoints, beginning, needs) = Default::default();
            return Ok(Self { history, ownership, checkpoints, beginning, needs, first, catch_up });
        };
        let catch_up = resumption.catch_up(graph, intervals);
        let unallocated = std::mem::take(&mut received.unallocated);
        let recovered = received.recovered();
        let block_log = received.log(settings, &resumption, ownership.epoch());
        let Resumption { run, description, progress, snapshots, needs, last_number, kept, .. } = resumption;
        let Resumption { record, plan, allocated, lost, .. } = resumption;
        let goes_on = record.last().is_some() || !resumption.is_new;
        let beginning = Some(description.beginning());
        let trouble = |what, listeners: &ListenerBus| {
            Trouble::new(env.clock.clone(), listeners.clone(), on_trouble(settings), what, store.describe())
        };
        let last_batch = record.last();
        let mut log = AllocationLog::new(store.clone(), record, ownership.epoch());
        log.begin().map_err(|error| {
            let place = store.describe();
            let message = format!("cannot begin the allocation log in checkpoint directory {place}: {error}");
            Error::new(ErrorKind::Unavailable, message).help(advice(&error, &place)).lasting(persistence(&error))
        })?;
        // Snapshots that no checkpoint names are not needed: no checkpoint followed them, or they could not be removed
        // in time.
        let _ = remove_unless(&*store, &run, |epoch, time_ms| kept.names(epoch, time_ms));
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
        recovered.iter().for_each(|recovered| listeners.post(recovered));
        for (batch, source, records) in lost {
            listeners.post(&Event::RecordsLost { source, batch, records });
        }
        let writer = AllocationWriter::start(env, log, trouble("the allocation log", listeners));
        let received = block_log.map(|log| {
            let (is_on, trouble) = (settings.receiver.write_ahead_log, trouble("the write-ahead log", listeners));
            BlockLog { log, is_on, trouble, ownership: ownership.clone() }
        });
        let history = AllocationHistory { writer, allocated, last_batch, unallocated, received };
        let snapshot_trouble = trouble("a snapshot of state", of_run);
        let (trouble, owner_trouble) = (trouble("a checkpoint", of_run), trouble("the owner", of_run));
        let (env, graph, intervals, owner) = (env.clone(), graph.clone(), intervals.clone(), ownership.clone());
        let checkpoints: StartCheckpoints = Box::new(move |tracker| {
            Checkpoints::start(CheckpointParts {
                env,
                store,
                ownership,
                id: RunId::FIRST,
                run,
                description,
                progress,
                snapshots,
                graph,
                state,
                snapshot_trouble,
                last_number,
                kept,
                intervals,
                tracker,
                trouble,
                owner_trouble,
            })
        });
        let first = resumption.left_out.map_or(plan.next, |(_, through)| through + settings.job.batch_interval);
        let (history, ownership) = (Some(history), Some(owner));
        Ok(Self { history, ownership, checkpoints: Some(checkpoints), beginning, needs, first, catch_up })
    }
}

/// The resources that a job holds until it ends.
struct Holdings {
    env: Env,
    ingest: IngestHandle,
    runs: Runs,
    claims: Claims,
    listeners: ListenerBus,
    has_checkpoints: bool,
    requests: Arc<watch::Sender<StopRequest>>,
}

impl Holdings {
    /// Waits for the end of the run that shows results, after the first run has ended. Releases all resources, and reports
    /// that the job has ended. Returns the outcome of the job, which is the outcome of that run. `lives` is dropped when
    /// the first run has ended.
    async fn let_go(self, first: RunEnd, lives: watch::Sender<()>) -> Result<(), Error> {
        let Self { env, ingest, runs, claims, listeners, has_checkpoints, requests } = self;
        let (owner, (ended, mut run)) = if runs.has_ended(RunId::FIRST) {
            (RunId::FIRST, first)
        } else {
            // The first run has handed over. Its outcome does not matter to the job.
            let _ = end_beside(first, &*env.clock).await;
            drop(lives);
            runs.end().await?
        };
        // If the run ended by itself, nobody has asked the batch clock to stop.
        requests.send_replace(StopRequest::Now);
        let is_abandoned = ended.is_abandoned;
        if is_abandoned {
            runs.stop_by(StopRequest::Now);
            ingest.blocks().close();
        } else {
            runs.end_others(owner, ended.outcome.is_err()).await;
            ingest.close().await;
        }
        let outcome = run.finish(&ended, &*env.clock, ingest.release()).await;
        if !is_abandoned {
            ingest.finish_files().await;
        }
        let outcome = tell_panic(env.panics.found(), &listeners, has_checkpoints).and(outcome);
        if is_abandoned {
            // Code of the run may still write. No other job may write to the same places until this process ends.
            std::mem::forget(claims);
        }
        let error = outcome.as_ref().err().map(|error| error.message.clone());
        listeners.post(&Event::StreamingStopped { time: env.clock.now(), error });
        listeners.drain().await;
        outcome
    }
}

impl Running {
    /// Asks the job to stop, with all its runs. A graceful stop processes all data that was received. A second request,
    /// or [`StopRequest::Now`], stops the job at once.
    pub fn stop(&self, request: StopRequest) {
        let mut asked = request;
        self.requests.send_modify(|requested| {
            asked = if *requested == StopRequest::Graceful { StopRequest::Now } else { request.max(*requested) };
            *requested = asked;
        });
        self.job.runs.stop_by(asked);
    }

    /// The ingest that gives data to the runs of the job.
    pub fn ingest(&self) -> &IngestHandle {
        &self.job.ingest
    }

    /// The state of the run whose results are shown.
    pub fn states(&self) -> &LiveStates {
        &self.job.states
    }

    /// The memory of the job.
    pub fn memory(&self) -> &MemoryBudget {
        &self.job.budget
    }

    /// Waits until the job ends, because it was stopped or because of an error.
    ///
    /// # Errors
    /// Returns the error that ended the job.
    pub async fn await_termination(&mut self) -> Result<(), Error> {
        (&mut self.ended).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Internal, "the job scheduler ended without a word").help("please report this"))
        })
    }
}

/// Reports a panic of host code. Returns the panic as an error, if there was one: the run ends with this error, because
/// other failures follow from the panic.
fn tell_panic(panic: Option<Panic>, listeners: &ListenerBus, has_checkpoints: bool) -> Result<(), Error> {
    let Some(panic) = panic else { return Ok(()) };
    let error = defect(&panic, has_checkpoints);
    let Panic { what, batch, message } = panic;
    listeners.post(&Event::HostPanicked { what, batch, message });
    Err(error)
}

/// The error of a run in which host code panicked.
fn defect(panic: &Panic, has_checkpoints: bool) -> Error {
    let batch = panic.batch.map_or_else(String::new, |batch| format!(", at batch {batch}"));
    let message = format!("defect of the host{batch}: {panic}");
    let help = match (has_checkpoints, panic.batch) {
        (true, Some(batch)) => format!("please report this; batch {batch} does not count as done: start the job again"),
        (true, None) => "please report this; start the job again, and it goes on where it was".to_owned(),
        (false, _) => "please report this".to_owned(),
    };
    Error::new(ErrorKind::Internal, message).help(help)
}
