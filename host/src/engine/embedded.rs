//! The engine that runs in this process: tasks on the engine's threads, shuffles in the memory of the process.

use super::counted::StageUpdates;
use super::failure::{internal, not_kept, too_many_tasks, window_gap};
use super::fault::FaultInjector;
use super::join::JoinRoom;
use super::leaf::{Piece, Stores};
use super::plan::{Planner, Share};
use super::plugin_exec::LoadedPlugin;
use super::records::RecordStore;
use super::shuffle::ShuffleStore;
use super::split_reads::SplitReads;
use super::stage_info::StageTally;
use super::state::Slide;
use super::wanted::Wanted;
use super::{Engine, JobRequest};
use crate::block::{BlockStore, DataSetStore, RangeReaders, ReadPart, Storage};
use crate::encoding::Encoding;
use crate::env::{Env, catch_panic};
use crate::error::{Error, ErrorKind};
use crate::graph::{Intervals, Stage, StageInput, StageOutput, window_times};
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

/// The most partitions of a stage. The partitions of a union are the sum of those of its parents, so unions of unions
/// can have very many.
const PARTITIONS_MAX: usize = 100_000;

/// The most rows that are merged into one partition of a window. A single piece may have more.
const ROWS_OF_A_PARTITION: u64 = 1024 * 1024;

/// A reduce partition is large if it has more than an instance's memory divided by this.
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
    pub storage: Storage,
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
    /// How many attempts of a task may fail by causes outside the plugin.
    pub tries: u32,
    /// Makes tasks fail in tests.
    pub faults: Arc<dyn FaultInjector>,
    /// The listeners that are told of retries.
    pub listeners: ListenerBus,
    /// The sources whose missing files are left out of a batch.
    pub may_be_gone: BTreeSet<String>,
}

/// The stages that have run and the data sets that exist, each with its number of partitions.
#[derive(Default)]
struct Done {
    stages: BTreeMap<(Time, StageId), u32>,
    data_sets: BTreeMap<(Time, NodeId), u32>,
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
    intervals: Arc<Intervals>,
    parallelism: u32,
    pub(super) stores: Arc<Stores>,
    pub(super) context: Arc<TaskContext>,
    pub(super) slots: Semaphore,
    /// Permits to begin a task. A task returns its permit when it ends.
    beginning: Arc<Semaphore>,
    pub(super) tries: u32,
    /// Says whether the run is stopped.
    pub(super) cancel: Cancel,
    /// A reduce partition with more bytes than this is reduced in parts.
    large_bytes: u64,
    pub(super) faults: Arc<dyn FaultInjector>,
    pub(super) listeners: ListenerBus,
    /// The number of partitions of each stage that ran for a batch, and of each data set that exists.
    done: Mutex<Done>,
    /// The total of spilled bytes when the last batch was done.
    spilled_bytes: AtomicU64,
}

impl EmbeddedEngine {
    /// Makes an engine. No task runs yet.
    ///
    /// # Errors
    /// Returns an error if DataFusion refuses its settings.
    pub fn new(parts: EngineParts) -> Result<Self, Error> {
        let stores = Arc::new(Stores {
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
        let records = Arc::<RecordStore>::default();
        let config = SessionConfig::new()
            .with_extension(stores.clone())
            .with_extension(Arc::new(joins))
            .with_extension(Arc::new(stores.state.clone()))
            .with_extension(Arc::new(LoadedPlugin {
                plugin: parts.plugin,
                storage: stores.storage.clone(),
                records: records.clone(),
                variables: parts.variables.clone(),
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
            done: Mutex::default(),
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
        let mut done = self.shared.lock();
        done.stages.retain(|(time, _), _| *time > batch);
        done.data_sets.retain(|(time, node), _| *time > batch || is_needed(*node, *time));
    }
}

/// Merges the pieces of a window, which may be many and small, into about `parallelism` partitions. There are more
/// partitions if the rows are very many. Which pieces are merged depends on the data alone.
fn merge_pieces(pieces: Vec<Piece>, row_count: impl Fn(&Piece) -> u64, parallelism: u32) -> Vec<Vec<Piece>> {
    let total: u64 = pieces.iter().map(&row_count).sum();
    let share = total.div_ceil(u64::from(parallelism.max(1))).clamp(1, ROWS_OF_A_PARTITION);
    let mut merged: Vec<Vec<Piece>> = Vec::new();
    let mut rows = share;
    for piece in pieces {
        if rows >= share {
            merged.push(Vec::new());
            rows = 0;
        }
        rows += row_count(&piece);
        merged.last_mut().into_iter().for_each(|open| open.push(piece.clone()));
    }
    merged
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Done> {
        lock(&self.done)
    }

    /// Runs all tasks of a stage. Returns the number of tasks.
    async fn run_stage(shared: &Arc<Self>, stage: &Stage, request: &JobRequest) -> Result<u32, Error> {
        let shares = shared.shares(stage, request)?;
        let stage = Arc::new(stage.clone());
        let described = shares.iter().map(|share| TASK_BYTES + share.pieces.len() * size_of::<Piece>()).sum();
        let described = shared.stores.storage.descriptions(described);
        let _described = described.map_err(|error| too_many_tasks(request, &stage, shares.len(), &error))?;
        let partitions = u32::try_from(shares.len()).unwrap_or(u32::MAX);
        let clock = &shared.env.clock;
        let started = clock.monotonic();
        let mut tally = StageTally::new(&request.plan.graph, &stage, request, partitions, clock.now());
        let mut running = Vec::new();
        for (partition, share) in (0..).zip(shares) {
            // The task takes memory from here on, so it needs a permit.
            let begun = shared.beginning.clone().acquire_owned().await;
            let begun = begun.map_err(|_| internal(stage.id))?;
            let (send, receive) = oneshot::channel();
            let (shared, stage) = (shared.clone(), stage.clone());
            let task = TaskId { run: shared.run, batch: request.batch, stage: stage.id, partition };
            let (plan, write) = (request.plan.clone(), request.write.clone());
            let cancel = request.cancel.clone().unwrap_or_else(|| shared.stores.cancel.clone());
            let env = shared.env.clone();
            let branch = share.branch;
            let run = async move {
                let what = format!("the task of stage {}, partition {partition}", stage.id);
                let attempts =
                    shared.run_task(&plan, task, &stage, &share, Wanted { write: write.as_deref(), cancel: &cancel });
                let outcome = catch_panic(what, Some(task.batch), attempts).await;
                drop(begun);
                // The receiver is gone if another task of the job has failed.
                let _ = send.send(outcome);
            };
            env.engine.spawn("task", Box::pin(run));
            running.push((branch, receive));
        }
        let (mut failure, mut updates) = (None, StageUpdates::new(&shared.variables, request, &stage));
        for (branch, task) in running {
            match task.await {
                // All tasks are awaited, so that no task of this batch keeps running. Of several failures, the one with
                // the lowest partition number is reported.
                Ok(Ok((metrics, outcome))) => {
                    tally.add(branch, metrics);
                    let collected = outcome.and_then(|task| updates.add(task));
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
        let mut done = shared.lock();
        done.stages.insert((request.batch, stage.id), partitions);
        if let StageOutput::DataSet { node } = stage.output {
            done.data_sets.insert((request.batch, node), partitions);
        }
        Ok(partitions)
    }

    /// The inputs of each task of a stage: the tasks of the first branch, then those of the next branch.
    fn shares(&self, stage: &Stage, request: &JobRequest) -> Result<Vec<Share>, Error> {
        let (mut shares, mut starts) = (Vec::new(), Vec::new());
        for (branch, way) in stage.branches.iter().enumerate() {
            starts.push(u32::try_from(shares.len()).unwrap_or(u32::MAX));
            let pieces = self.pieces(stage.id, way.input, request)?;
            let partitions = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
            shares.extend(pieces.into_iter().map(|pieces| (branch, partitions, pieces)));
        }
        if shares.len() > PARTITIONS_MAX {
            let message = format!("stage {} of batch {} has {} partitions", stage.id, request.batch, shares.len());
            return Err(Error::new(ErrorKind::User, format!("{message}, which is more than {PARTITIONS_MAX}"))
                .help("unite fewer streams, or repartition them before"));
        }
        let starts: Arc<[u32]> = starts.into();
        let share = |(branch, partitions, pieces): (usize, u32, Vec<Piece>)| {
            let (leaving, is_anew) = match stage.branches.get(branch).map(|branch| branch.input) {
                Some(StageInput::Sliding { node, parent, length }) => {
                    let slide = self.slide(node, parent, length, request);
                    let leaves = |piece: &&Piece| matches!(piece, Piece::DataSet { batch, .. } if slide.leaves(*batch));
                    (pieces.iter().take_while(leaves).count(), slide.is_anew())
                }
                _ => (0, false),
            };
            Share { branch, pieces, leaving, is_anew, partitions, starts: starts.clone() }
        };
        Ok(shares.into_iter().map(share).collect())
    }

    /// The pieces of each partition of an input.
    fn pieces(&self, reader: StageId, input: StageInput, request: &JobRequest) -> Result<Vec<Vec<Piece>>, Error> {
        let batch = request.batch;
        let data_set = |node: NodeId, time: Time| self.lock().data_sets.get(&(time, node)).copied();
        let one_each = |pieces: &mut dyn Iterator<Item = Piece>| Ok(pieces.map(|piece| vec![piece]).collect());
        let buckets = |writer: StageId| {
            let maps = self.lock().stages.get(&(batch, writer)).copied().ok_or_else(|| internal(reader))?;
            match request.plan.stages.stage(writer).map(|stage| stage.output) {
                Some(StageOutput::Shuffle { partitions, .. }) => {
                    Ok((0..partitions).map(move |reduce| Piece::Buckets { stage: writer, maps, reduce }))
                }
                _ => Err(internal(writer)),
            }
        };
        match input {
            StageInput::Source { node } => {
                let partitions = request.input.get(&node).cloned().unwrap_or_default();
                one_each(&mut partitions.into_iter().map(Piece::Input))
            }
            StageInput::Load { node } => {
                let parts = request.plan.loaded.get(&node).cloned().ok_or_else(|| internal(reader))?;
                one_each(&mut parts.into_iter().map(Piece::Loaded))
            }
            StageInput::Shuffle { stage: writer, .. } => one_each(&mut buckets(writer)?),
            StageInput::Shuffles { node } => {
                let writers = request.plan.graph.node(node).and_then(|join| request.plan.stages.writers(join));
                let writers = writers.ok_or_else(|| internal(reader))?;
                let mut parents = writers.into_iter().map(buckets).collect::<Result<Vec<_>, _>>()?;
                let partition = || parents.iter_mut().map(Iterator::next).collect();
                Ok(std::iter::from_fn(partition).collect())
            }
            StageInput::DataSet { node } => {
                let partitions = data_set(node, batch).ok_or_else(|| internal(reader))?;
                one_each(&mut (0..partitions).map(|partition| Piece::DataSet { node, batch, partition }))
            }
            StageInput::Slice { node, of, time } => {
                let partitions = data_set(of, time).ok_or_else(|| not_kept(request, node, of, time))?;
                one_each(&mut (0..partitions).map(|partition| Piece::DataSet { node: of, batch: time, partition }))
            }
            StageInput::Coalesced { of: node, partitions: wanted, .. } => {
                let partitions = data_set(node, batch).ok_or_else(|| internal(reader))?;
                let wanted = wanted.clamp(1, partitions.max(1));
                let start = |at: u32| (u64::from(at) * u64::from(partitions) / u64::from(wanted)) as u32;
                let piece = |partition| Piece::DataSet { node, batch, partition };
                let share = |at: u32| (start(at)..start(at + 1)).map(piece).collect();
                Ok((0..wanted.min(partitions)).map(share).collect())
            }
            StageInput::State { of, .. } => {
                let version = self.stores.state.version(of).filter(|version| version.batch == batch);
                let partitions = version.ok_or_else(|| internal(reader))?.partitions.len();
                let partitions = u32::try_from(partitions).unwrap_or(u32::MAX);
                one_each(&mut (0..partitions).map(|partition| Piece::State { node: of, partition }))
            }
            StageInput::Sliding { node, parent, length } => {
                let stateful = request.plan.graph.node(node).and_then(|node| node.operation.stateful());
                let partitions = stateful.ok_or_else(|| internal(reader))?.partitions.unwrap_or(self.parallelism);
                let mut pieces = vec![Vec::new(); partitions as usize];
                for time in self.slide(node, parent, length, request).times() {
                    let there = data_set(parent, time).ok_or_else(|| window_gap(request, node, time))?;
                    // A batch without data may have no partitions.
                    for (partition, pieces) in (0..there).zip(&mut pieces) {
                        pieces.push(Piece::DataSet { node: parent, batch: time, partition });
                    }
                }
                Ok(pieces)
            }
            StageInput::Window { node, parent, length } => {
                let mut pieces = Vec::new();
                for time in window_times(length, self.intervals.slide(parent), batch, request.zero) {
                    let partitions = data_set(parent, time).ok_or_else(|| window_gap(request, node, time))?;
                    let piece = |partition| Piece::DataSet { node: parent, batch: time, partition };
                    pieces.extend((0..partitions).map(piece));
                }
                Ok(merge_pieces(pieces, |piece| self.row_count(piece), self.parallelism))
            }
        }
    }

    /// How a window moves on to the batch.
    fn slide(&self, node: NodeId, parent: NodeId, length: Duration, request: &JobRequest) -> Slide {
        let (slide, of_parent) = (self.intervals.slide(node), self.intervals.slide(parent));
        let before = self.stores.state.version(node).map(|version| version.batch);
        Slide { length, slide, of_parent, batch: request.batch, zero: request.zero, before }
    }

    fn row_count(&self, piece: &Piece) -> u64 {
        match piece {
            Piece::DataSet { node, batch, partition } => {
                self.stores.data_sets.get(*node, *batch, *partition).map_or(0, |rows| rows.row_count())
            }
            _ => 0,
        }
    }

    /// Whether the input of a reduction is too large to be given to one plugin instance at once. The answer depends on
    /// the size of the rows alone. It does not depend on whether the rows are in memory or on disk.
    pub(super) fn is_large(&self, batch: Time, share: &Share) -> bool {
        let bytes = |piece: &Piece| match piece {
            Piece::Buckets { stage, maps, reduce } => {
                let buckets = self.stores.shuffles.bucket(batch, *stage, *maps, *reduce).unwrap_or_default();
                buckets.iter().map(|rows| rows.bucket_size(*reduce as usize).bytes).sum()
            }
            _ => 0,
        };
        share.pieces.iter().map(bytes).sum::<u64>() > self.large_bytes
    }
}
