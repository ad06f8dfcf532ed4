//! The engine that runs in this process: tasks on the engine's threads, shuffles in the memory of the process.

use super::counted::StageUpdates;
use super::failure::{internal, too_many_tasks};
use super::fault::FaultInjector;
use super::join::JoinRoom;
use super::leaf::{InputPiece, LeafStores};
use super::plan::Planner;
use super::plugin_task::LoadedPlugin;
use super::records::RecordStore;
use super::sampler::Sampler;
use super::shuffle::ShuffleStore;
use super::split_reads::SplitReads;
use super::stage_info::StageTally;
use super::state::StateRoom;
use super::wanted::Wanted;
use super::{Engine, JobRequest};
use crate::block::{BlockStore, DataSetStore, RangeReaders, ReadPart, RowStorage};
use crate::encoding::Encoding;
use crate::env::{Env, catch_panic};
use crate::error::{Error, ErrorKind};
use crate::graph::{Intervals, Stage, StageOutput};
use crate::ids::{NodeId, RunId, StageId, TaskId};
use crate::listener::{Event, ListenerBus};
use crate::lock::lock;
use crate::memory::MemoryBudget;
use crate::plugin::{Cancel, Plugin, RecordedCall};
use crate::state::StateStore;
use crate::time::{Duration, Time};
use crate::variables::SharedVariables;
use datafusion_execution::TaskContext;
use datafusion_execution::config::SessionConfig;
use datafusion_execution::runtime_env::RuntimeEnvBuilder;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{Semaphore, oneshot};

/// A reduce partition is large if it has more bytes than the memory of an instance divided by this number.
const LARGE_SHARE: u64 = 4;

/// The bytes that a task takes before it reads anything: its inputs, its position among the tasks, and its outcome.
const TASK_BYTES: usize = 512;

/// How many tasks may exist for each slot. There are more tasks than slots because a task that waits for its next
/// attempt gives its slot to another task.
const TASKS_A_SLOT: usize = 16;

/// The parts from which an engine is made.
pub struct EngineParts {
    /// The environment on which tasks run.
    pub env: Env,
    /// The run for which the engine computes.
    pub run: RunId,
    /// The job's name.
    pub job: String,
    /// The job's arguments.
    pub arguments: Vec<(String, String)>,
    /// The times at which the nodes of the graph are computed.
    pub intervals: Arc<Intervals>,
    /// The number of partitions of a window, unless its rows are very many.
    pub parallelism: u32,
    /// The plugin.
    pub plugin: Arc<Plugin>,
    /// The accumulators and broadcast variables of the run.
    pub variables: Arc<SharedVariables>,
    /// The store of received blocks.
    pub blocks: BlockStore,
    /// The storage of shuffles and data sets.
    pub storage: RowStorage,
    /// The state of stateful nodes.
    pub state: StateStore,
    /// The memory budget of the operators.
    pub budget: MemoryBudget,
    /// For each source, the encoding of its files that have no byte order mark. UTF-8 if a source is not in the map.
    pub encodings: BTreeMap<String, Encoding>,
    /// The readers of the sources that are read by ranges.
    pub ranges: RangeReaders,
    /// The number of tasks that run at the same time.
    pub slots: usize,
    /// Says how many attempts of a task may fail by causes outside the plugin. This can change while the job runs.
    pub tries: Arc<dyn Fn() -> u32 + Send + Sync>,
    /// Makes tasks fail in tests.
    pub faults: Arc<dyn FaultInjector>,
    /// How often the operators of each stage are timed. `None` if nobody wants to see their times.
    pub sample_interval: Option<Duration>,
    /// The listeners that are told of stages, retries and samples.
    pub listeners: ListenerBus,
    /// The sources whose missing files are left out of a batch.
    pub may_be_gone: BTreeSet<String>,
}

/// The stages that have run and the data sets that exist, each with its number of partitions.
#[derive(Default)]
pub(super) struct Computed {
    pub(super) stages: BTreeMap<(Time, StageId), u32>,
    pub(super) data_sets: BTreeMap<(Time, NodeId), u32>,
}

/// Runs tasks on the engine's executor.
pub struct EmbeddedEngine {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) env: Env,
    run: RunId,
    records: Arc<RecordStore>,
    pub(super) variables: Arc<SharedVariables>,
    pub(super) planner: Planner,
    pub(super) intervals: Arc<Intervals>,
    pub(super) parallelism: u32,
    pub(super) stores: Arc<LeafStores>,
    pub(super) context: Arc<TaskContext>,
    pub(super) slots: Semaphore,
    /// Permits to begin a task. A task returns its permit when it ends.
    beginning: Arc<Semaphore>,
    pub(super) tries: Arc<dyn Fn() -> u32 + Send + Sync>,
    /// Says whether the run is stopped.
    pub(super) cancel: Cancel,
    /// A reduce partition with more bytes than this is reduced in parts.
    pub(super) large_bytes: u64,
    pub(super) faults: Arc<dyn FaultInjector>,
    pub(super) listeners: ListenerBus,
    /// The number of partitions of each stage that ran for a batch, and of each data set that exists.
    computed: Mutex<Computed>,
    /// The total of spilled bytes when the last batch was done.
    spilled_bytes: AtomicU64,
}

impl EmbeddedEngine {
    /// Makes an engine. No task runs yet.
    ///
    /// # Errors
    /// Returns an error if DataFusion refuses its settings.
    pub fn new(parts: EngineParts) -> Result<Self, Error> {
        let stores = Arc::new(LeafStores {
            storage: parts.storage,
            blocks: parts.blocks,
            data_sets: DataSetStore::default(),
            shuffles: ShuffleStore::default(),
            state: parts.state,
            disk: parts.env.disk.clone(),
            budget: parts.budget.clone(),
            encodings: parts.encodings,
            ranges: parts.ranges,
            listeners: parts.listeners.clone(),
            splits: SplitReads::new(parts.listeners.clone(), parts.may_be_gone),
            cancel: parts.plugin.cancel(),
        });
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(parts.budget.pool())
            .build_arc()
            .map_err(|error| Error::new(ErrorKind::Internal, format!("cannot set up the engine: {error}")))?;
        let cancel = parts.plugin.cancel();
        let large_bytes = parts.plugin.limits().memory_bytes / LARGE_SHARE;
        let joins = JoinRoom::new(stores.storage.clone(), &parts.budget, parts.slots);
        let state_room = StateRoom::new(&parts.budget, parts.slots);
        let records = Arc::<RecordStore>::default();
        let config = SessionConfig::new()
            .with_extension(stores.clone())
            .with_extension(Arc::new(joins))
            .with_extension(Arc::new(state_room))
            .with_extension(Arc::new(stores.state.clone()))
            .with_extension(Arc::new(LoadedPlugin {
                plugin: parts.plugin,
                storage: stores.storage.clone(),
                records: records.clone(),
                variables: parts.variables.clone(),
                priority: parts.env.priority.clone(),
                clock: parts.env.clock.clone(),
                sampler: parts
                    .sample_interval
                    .map(|interval| Sampler::new(interval, parts.env.clock.clone(), parts.listeners.clone())),
            }));
        let context = Arc::new(TaskContext::new(
            None,
            parts.job.clone(),
            config,
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            runtime,
        ));
        let planner = Planner { job: parts.job, arguments: parts.arguments.into() };
        let shared = Shared {
            env: parts.env,
            run: parts.run,
            records,
            variables: parts.variables,
            planner,
            intervals: parts.intervals,
            parallelism: parts.parallelism,
            stores,
            context,
            slots: Semaphore::new(parts.slots.max(1)),
            beginning: Arc::new(Semaphore::new(parts.slots.saturating_mul(TASKS_A_SLOT).max(1))),
            tries: parts.tries,
            cancel,
            large_bytes,
            faults: parts.faults,
            listeners: parts.listeners,
            computed: Mutex::default(),
            spilled_bytes: AtomicU64::new(0),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Engine for EmbeddedEngine {
    fn run(&self, request: JobRequest) -> BoxFuture<'_, Result<u32, Error>> {
        Box::pin(async move {
            let mut partitions = 0;
            for id in &request.job.stages {
                let stage = request.plan.stages.stage(*id).ok_or_else(|| internal(*id))?;
                let ran = self.shared.lock().stages.contains_key(&(request.batch, *id));
                if ran && stage.output != StageOutput::Result {
                    continue;
                }
                partitions = Shared::run_stage(&self.shared, stage, &request).await?;
            }
            Ok(partitions)
        })
    }

    fn record(&self, batch: Time, calls: &[RecordedCall]) {
        self.shared.records.put(batch, calls);
    }

    fn records_read(&self, batch: Time) -> BTreeMap<String, u64> {
        self.shared.stores.splits.records(batch)
    }

    fn newly_read(&self, batch: Time) -> Vec<ReadPart> {
        self.shared.stores.splits.take_new(batch)
    }

    fn nothing(&self, batch: Time, nodes: &[NodeId]) {
        self.shared.lock().data_sets.extend(nodes.iter().map(|node| ((batch, *node), 0)));
    }

    fn forget(&self, batch: Time, needed_after: &BTreeMap<NodeId, Time>) {
        let spilled = self.shared.stores.storage.spilled_bytes();
        let bytes = spilled - self.shared.spilled_bytes.swap(spilled, Ordering::Relaxed);
        if bytes > 0 {
            self.shared.listeners.post(&Event::DataSpilled { batch, bytes });
        }
        let accumulators = self.shared.variables.end_batch();
        if !accumulators.is_empty() {
            self.shared.listeners.post(&Event::AccumulatorsUpdated { batch, accumulators });
        }
        self.shared.records.forget(batch);
        self.shared.stores.splits.forget(batch);
        self.shared.stores.shuffles.forget(batch);
        let is_needed = |node: NodeId, time: Time| needed_after.get(&node).is_some_and(|after| time > *after);
        self.shared.stores.data_sets.retain(|node, time| time > batch || is_needed(node, time));
        let mut computed = self.shared.lock();
        computed.stages.retain(|(time, _), _| *time > batch);
        computed.data_sets.retain(|(time, node), _| *time > batch || is_needed(*node, *time));
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Computed> {
        lock(&self.computed)
    }

    /// Runs all tasks of a stage. Returns the number of tasks.
    async fn run_stage(shared: &Arc<Self>, stage: &Stage, request: &JobRequest) -> Result<u32, Error> {
        let task_inputs = shared.task_inputs(stage, request)?;
        let stage = Arc::new(stage.clone());
        let described =
            task_inputs.iter().map(|task_input| TASK_BYTES + task_input.pieces.len() * size_of::<InputPiece>()).sum();
        let described = shared.stores.storage.descriptions(described);
        let _described = described.map_err(|error| too_many_tasks(request, &stage, task_inputs.len(), &error))?;
        let partitions = u32::try_from(task_inputs.len()).unwrap_or(u32::MAX);
        let clock = &shared.env.clock;
        let started = clock.monotonic();
        let mut tally = StageTally::new(&request.plan.graph, &stage, request, partitions, clock.now());
        let mut running = Vec::new();
        for (partition, task_input) in (0..).zip(task_inputs) {
            // The task takes memory from here on, so it needs a permit.
            let begun = shared.beginning.clone().acquire_owned().await;
            let begun = begun.map_err(|_| internal(stage.id))?;
            let (send, receive) = oneshot::channel();
            let (shared, stage) = (shared.clone(), stage.clone());
            let task = TaskId { run: shared.run, batch: request.batch, stage: stage.id, partition };
            let (plan, write) = (request.plan.clone(), request.write.clone());
            let cancel = request.cancel.clone().unwrap_or_else(|| shared.stores.cancel.clone());
            let env = shared.env.clone();
            let branch = task_input.branch;
            let run = async move {
                let what = format!("the task of stage {}, partition {partition}", stage.id);
                let attempts = shared.run_task(
                    &plan,
                    task,
                    &stage,
                    &task_input,
                    Wanted { write: write.as_deref(), cancel: &cancel },
                );
                let outcome = catch_panic(what, Some(task.batch), attempts).await;
                drop(begun);
                // The receiver is gone if another task of the job has failed.
                let _ = send.send(outcome);
            };
            env.engine.spawn("task", Box::pin(run));
            running.push((branch, receive));
        }
        let (mut failure, mut updates) = (None, StageUpdates::new(&shared.variables, request, &stage));
        for (partition, (branch, task)) in (0..).zip(running) {
            match task.await {
                // All tasks are awaited, so that no task of this batch keeps running. Of several failures, the one with
                // the lowest partition number is reported.
                Ok(Ok((run, outcome))) => {
                    let ended = outcome.as_ref().map(|(metrics, _)| *metrics).map_err(|error| error.message.as_str());
                    tally.add(partition, branch, run, ended);
                    let collected = outcome.and_then(|(_, task)| updates.add(task));
                    failure = failure.or(collected.err());
                }
                Ok(Err(panic)) => {
                    let error = Error::from(&panic);
                    shared.env.panics.report(panic);
                    failure = failure.or(Some(error));
                }
                Err(_) => failure = failure.or(Some(internal(stage.id))),
            }
        }
        let failure = failure.or_else(|| updates.count().err());
        let reason = failure.as_ref().map(|error: &Error| error.message.clone());
        let info = tally.finish(clock.now(), clock.monotonic().saturating_sub(started), reason);
        shared.listeners.post(&Event::StageCompleted(info));
        let stateful = stage.stateful();
        if let Some(failure) = failure {
            // The state stays as it was after the batch before.
            stateful.iter().for_each(|node| shared.stores.state.discard(*node));
            return Err(failure);
        }
        stateful.iter().for_each(|node| drop(shared.stores.state.commit(*node, request.batch, partitions)));
        let mut computed = shared.lock();
        computed.stages.insert((request.batch, stage.id), partitions);
        if let StageOutput::DataSet { node } = stage.output {
            computed.data_sets.insert((request.batch, node), partitions);
        }
        Ok(partitions)
    }
}
