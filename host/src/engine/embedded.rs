//! The engine in this process: tasks on the engine's threads, shuffles in its memory.

use super::fault::FaultInjector;
use super::leaf::{Piece, SplitsRead, Stores};
use super::plan::{Planner, Share, describe, key_type};
use super::plugin_exec::LoadedPlugin;
use super::retry::{Cause, Next, after_failure};
use super::shuffle::ShuffleStore;
use super::task::{Attempt, AttemptError};
use super::{Engine, JobPlan, JobRequest};
use crate::block::{BlockStore, DataSetStore};
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::graph::{Stage, StageInput, StageOutput};
use crate::ids::{NodeId, StageId, TaskId};
use crate::listener::{Event, ListenerBus};
use crate::memory::MemoryBudget;
use crate::plugin::Plugin;
use crate::time::Time;
use arrow::array::RecordBatch;
use datafusion_execution::TaskContext;
use datafusion_execution::config::SessionConfig;
use datafusion_execution::runtime_env::RuntimeEnvBuilder;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, oneshot};

/// The most partitions of a stage: unions of unions add them up.
const PARTITIONS_MAX: usize = 100_000;

/// What an engine is made of.
pub struct EngineParts {
    /// Runs its tasks.
    pub env: Env,
    /// The job's name.
    pub job: String,
    /// The job's arguments.
    pub arguments: Vec<(String, String)>,
    /// The plugin.
    pub plugin: Arc<Plugin>,
    /// Where received blocks are.
    pub blocks: BlockStore,
    /// What shuffles and data sets take from.
    pub budget: MemoryBudget,
    /// How many tasks run at a time.
    pub slots: usize,
    /// How many attempts causes outside the plugin may cost.
    pub tries: u32,
    /// What a test makes fail.
    pub faults: Arc<dyn FaultInjector>,
    /// Hears of retries.
    pub listeners: ListenerBus,
}

/// Runs tasks on the engine's executor.
pub struct EmbeddedEngine {
    shared: Arc<Shared>,
}

struct Shared {
    env: Env,
    planner: Planner,
    stores: Arc<Stores>,
    context: Arc<TaskContext>,
    slots: Semaphore,
    tries: u32,
    faults: Arc<dyn FaultInjector>,
    listeners: ListenerBus,
    /// How many partitions each stage had that ran for a batch.
    done: Mutex<BTreeMap<(Time, StageId), u32>>,
}

impl EmbeddedEngine {
    /// Puts an engine together. It runs nothing yet.
    ///
    /// # Errors
    /// When DataFusion refuses its settings.
    pub fn new(parts: EngineParts) -> Result<Self, Error> {
        let stores = Arc::new(Stores {
            blocks: parts.blocks,
            data_sets: DataSetStore::new(&parts.budget),
            shuffles: ShuffleStore::new(&parts.budget),
            disk: parts.env.disk.clone(),
            listeners: parts.listeners.clone(),
            splits_read: Mutex::default(),
        });
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(parts.budget.pool())
            .build_arc()
            .map_err(|error| Error::new(ErrorKind::Internal, format!("cannot set up the engine: {error}")))?;
        let config =
            SessionConfig::new().with_extension(stores.clone()).with_extension(Arc::new(LoadedPlugin(parts.plugin)));
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
            planner,
            stores,
            context,
            slots: Semaphore::new(parts.slots.max(1)),
            tries: parts.tries,
            faults: parts.faults,
            listeners: parts.listeners,
            done: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Engine for EmbeddedEngine {
    fn run(&self, request: JobRequest) -> BoxFuture<'_, Result<Vec<Vec<RecordBatch>>, Error>> {
        Box::pin(async move {
            let mut rows = Vec::new();
            for id in &request.job.stages {
                let stage = request.plan.stages.stage(*id).ok_or_else(|| internal(*id))?;
                let ran = self.shared.lock().contains_key(&(request.batch, *id));
                if ran && stage.output != StageOutput::Result {
                    continue;
                }
                rows = Shared::run_stage(&self.shared, stage, &request).await?;
            }
            Ok(rows)
        })
    }

    fn records_read(&self, batch: Time) -> BTreeMap<String, u64> {
        let mut records = BTreeMap::new();
        for ((time, ..), (source, rows)) in &*self.shared.splits_read() {
            if *time == batch {
                *records.entry(source.clone()).or_default() += rows;
            }
        }
        records
    }

    fn forget(&self, batch: Time) {
        self.shared.splits_read().retain(|(time, ..), _| *time != batch);
        self.shared.stores.shuffles.forget(batch);
        self.shared.stores.data_sets.forget(batch);
        self.shared.lock().retain(|(time, _), _| *time != batch);
    }
}

fn internal(stage: StageId) -> Error {
    Error::new(ErrorKind::Internal, format!("stage {stage} is not in the stage graph")).help("please report this")
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Time, StageId), u32>> {
        // No code runs between a panic and the next use that could leave the map half changed.
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn splits_read(&self) -> MutexGuard<'_, SplitsRead> {
        self.stores.splits_read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs all tasks of a stage and returns their rows, by partition.
    async fn run_stage(
        shared: &Arc<Self>,
        stage: &Stage,
        request: &JobRequest,
    ) -> Result<Vec<Vec<RecordBatch>>, Error> {
        let shares = shared.shares(stage, request)?;
        let partitions = u32::try_from(shares.len()).unwrap_or(u32::MAX);
        let mut running = Vec::new();
        for (partition, share) in (0..).zip(shares) {
            let (send, receive) = oneshot::channel();
            let (shared, stage) = (shared.clone(), stage.clone());
            let task = TaskId { batch: request.batch, stage: stage.id, partition };
            let (plan, rows_wanted) = (request.plan.clone(), request.rows_wanted);
            let env = shared.env.clone();
            let run = async move {
                let outcome = shared.run_task(&plan, task, &stage, &share, rows_wanted).await;
                // The job is given up when another of its tasks has failed.
                let _ = send.send(outcome);
            };
            env.engine.spawn("task", Box::pin(run));
            running.push(receive);
        }
        let mut rows = Vec::new();
        let mut failure = None;
        for (partition, task) in running.into_iter().enumerate() {
            match task.await {
                Ok(Ok(partition_rows)) => rows.push(partition_rows),
                // All tasks are awaited, so that none of this batch runs on; the first failure by partition is told.
                Ok(Err(error)) => failure = failure.or(Some(error)),
                Err(_) => {
                    let message = format!("the task of stage {}, partition {partition} panicked", stage.id);
                    failure = failure.or(Some(Error::new(ErrorKind::Internal, message).help("please report this")));
                }
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        shared.lock().insert((request.batch, stage.id), partitions);
        Ok(rows)
    }

    /// What each partition of a stage reads: those of its first branch, then those of the next.
    fn shares(&self, stage: &Stage, request: &JobRequest) -> Result<Vec<Share>, Error> {
        let (mut pieces, mut starts) = (Vec::new(), Vec::new());
        for (branch, way) in stage.branches.iter().enumerate() {
            starts.push(u32::try_from(pieces.len()).unwrap_or(u32::MAX));
            let of_branch = self.pieces(stage.id, way.input, request)?;
            pieces.extend(of_branch.into_iter().map(|piece| (branch, piece)));
        }
        if pieces.len() > PARTITIONS_MAX {
            let message = format!("stage {} of batch {} has {} partitions", stage.id, request.batch, pieces.len());
            return Err(Error::new(ErrorKind::User, format!("{message}, which is more than {PARTITIONS_MAX}"))
                .help("unite fewer streams, or repartition them before"));
        }
        let starts: Arc<[u32]> = starts.into();
        Ok(pieces.into_iter().map(|(branch, piece)| Share { branch, piece, starts: starts.clone() }).collect())
    }

    fn pieces(&self, reader: StageId, input: StageInput, request: &JobRequest) -> Result<Vec<Piece>, Error> {
        let partitions_of = |wanted: &dyn Fn(&Stage) -> bool| {
            let writer = request.plan.stages.stages.iter().find(|stage| wanted(stage)).map(|stage| stage.id);
            writer.and_then(|id| self.lock().get(&(request.batch, id)).copied()).ok_or_else(|| internal(reader))
        };
        match input {
            StageInput::Source { node } => {
                let partitions = request.input.get(&node).cloned().unwrap_or_default();
                Ok(partitions.into_iter().map(Piece::Input).collect())
            }
            StageInput::Shuffle { stage: writer, .. } => {
                let maps = partitions_of(&|stage| stage.id == writer)?;
                let Some(StageOutput::Shuffle { partitions, .. }) =
                    request.plan.stages.stage(writer).map(|stage| stage.output)
                else {
                    return Err(internal(writer));
                };
                Ok((0..partitions).map(|reduce| Piece::Buckets { stage: writer, maps, reduce }).collect())
            }
            StageInput::DataSet { node } => {
                let partitions = partitions_of(&|stage| stage.output == StageOutput::DataSet { node })?;
                let piece = |partition| Piece::DataSet { node, partitions: partition..partition + 1 };
                Ok((0..partitions).map(piece).collect())
            }
            StageInput::Coalesced { of, partitions: wanted, .. } => {
                let partitions = partitions_of(&|stage| stage.output == StageOutput::DataSet { node: of })?;
                let wanted = wanted.clamp(1, partitions.max(1));
                let start = |at: u32| (u64::from(at) * u64::from(partitions) / u64::from(wanted)) as u32;
                let piece = |at: u32| Piece::DataSet { node: of, partitions: start(at)..start(at + 1) };
                Ok((0..wanted.min(partitions)).map(piece).collect())
            }
        }
    }

    /// Runs a task until it succeeds or has failed for good.
    async fn run_task(
        &self,
        job: &JobPlan,
        task: TaskId,
        stage: &Stage,
        share: &Share,
        rows_wanted: usize,
    ) -> Result<Vec<RecordBatch>, Error> {
        let _slot = self.slots.acquire().await;
        let key_type = key_type(&job.graph, stage);
        let (mut traced, mut outside) = (false, 0);
        for number in 0.. {
            let plan = self.planner.plan(job, stage, task, share, traced).ok_or_else(|| internal(stage.id))?;
            let attempt = Attempt {
                task,
                number,
                stage,
                plan,
                context: self.context.clone(),
                stores: &self.stores,
                faults: &*self.faults,
                rows_wanted,
                key_type: key_type.as_ref(),
            };
            let error = match attempt.run().await {
                Ok(rows) => return Ok(rows),
                Err(error) => error,
            };
            outside += u32::from(error.cause == Cause::Outside);
            match after_failure(error.cause, traced, outside, self.tries) {
                Next::Retry { traced: next } => {
                    traced = next;
                    self.listeners.post(&Event::TaskRetried { task, reason: error.message });
                }
                Next::Fail => return Err(explain(job, task, stage, share.branch, &error)),
            }
        }
        Err(internal(stage.id))
    }
}

/// A task's failure as its reader sees it: operator, batch, partition and record.
fn explain(job: &JobPlan, task: TaskId, stage: &Stage, branch: usize, error: &AttemptError) -> Error {
    let TaskId { batch, partition, .. } = task;
    let operator = |node: NodeId| job.graph.node(node).map(|node| format!("operator {node}"));
    let place = error.place.and_then(|place| Some((operator(place.operator)?, place.record)));
    let subject = match &place {
        Some((operator, record)) => {
            format!("{operator} failed on batch {batch}, partition {partition}, record {record}")
        }
        None => format!("{} failed on batch {batch}, partition {partition}", describe(&job.graph, stage, branch)),
    };
    let (kind, help) = match error.cause {
        Cause::Plugin => {
            (ErrorKind::Plugin, "fix the plugin, or set job.on_error = \"continue\" to go on with the next batch")
        }
        Cause::Outside => (ErrorKind::Unavailable, "see the warnings above for each attempt"),
        Cause::Cancelled => (ErrorKind::Unavailable, "the run was stopped before the batch was done"),
    };
    Error::new(kind, format!("{subject}: {}", error.message)).help(help)
}
