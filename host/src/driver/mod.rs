//! Driver functions: code of a plugin that works with the data sets of a batch, in `transform` and `foreach_rdd`.
//!
//! Owns the graph of a batch, which is the job's graph and the nodes that driver functions add to it. Owns also the
//! record of what the functions did. Never computes rows: actions are jobs of the engine, cut from the same graph by
//! the same rules as outputs.
//!
//! A function runs at most once in a batch. It is a future on the engine's threads, and waits while its actions run.
//! When an action or an output needs rows, stages are cut from the graph of the batch, in addition to the stages that
//! were cut before. A plugin instance lives for one call of a function. So a function has no state that would be
//! missing in a task that runs the function again.

mod call;
mod collected;
mod offsets;

use crate::block::{FileVersion, LoadedPart, RangeReaders, RowStorage, Scratch};
use crate::engine::{BatchInput, Engine, JobPlan, JobRequest};
use crate::env::{Env, catch_panic};
use crate::error::{Error, ErrorKind};
use crate::graph::{Beginning, Graph, Intervals, Operation, StageGraph};
use crate::ids::NodeId;
use crate::listener::PluginUse;
use crate::lock::lock;
use crate::output::{BatchWrite, DriverFiles};
use crate::plugin::{Cancel, DriverCall, Failure, Plugin, RecordedCall};
use crate::time::{Duration, Time};
use crate::variables::SharedVariables;
use call::CallDataSets;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::oneshot;

/// The parts of a run that driver functions need.
pub struct Drivers {
    /// The environment. Driver functions run on the engine's executor.
    pub env: Env,
    /// The engine that runs the actions of the functions.
    pub engine: Arc<dyn Engine>,
    /// The plugin that contains the functions.
    pub plugin: Arc<Plugin>,
    /// The job's name.
    pub job: String,
    /// The job's arguments.
    pub arguments: Arc<[(String, String)]>,
    /// The job's graph, and the stages that are cut from it before any batch.
    pub plan: Arc<JobPlan>,
    /// The files that the functions read and write.
    pub files: DriverFiles,
    /// The readers of the sources that are read by ranges.
    pub ranges: RangeReaders,
    /// The storage for the rows of actions. It also lends memory for the records of the functions.
    pub storage: RowStorage,
    /// The accumulators and broadcast variables of the run.
    pub variables: Arc<SharedVariables>,
    /// The times at which streams have data sets.
    pub intervals: Arc<Intervals>,
    /// The number of partitions of a shuffle that does not give a number.
    pub default_partitions: u32,
    /// The longest time of a call, including everything that the function asks for.
    pub time: Duration,
}

impl Drivers {
    /// Makes the driver functions of a batch. No function has run yet. If the results of the batch are not shown, the
    /// functions write no files and commit no offsets.
    pub fn begin(
        self: &Arc<Self>,
        batch: Time,
        beginning: Beginning,
        input: Arc<BatchInput>,
        is_shown: bool,
    ) -> BatchDrivers {
        let state = State {
            graph: self.plan.graph.clone(),
            stages: self.plan.stages.clone(),
            calls: Vec::new(),
            failed: BTreeMap::new(),
            loaded: Arc::default(),
            versions: BTreeMap::new(),
            sliced: BTreeSet::new(),
            recorded_bytes: 0,
            recorded: self.storage.scratch(),
            used: PluginUse::default(),
        };
        BatchDrivers(Arc::new(Batch { run: self.clone(), batch, beginning, input, is_shown, state: Mutex::new(state) }))
    }
}

/// The driver functions of a batch, and the record of what they did so far.
#[derive(Clone)]
pub struct BatchDrivers(Arc<Batch>);

struct Batch {
    run: Arc<Drivers>,
    batch: Time,
    /// When the run began. The data sets after `data_after` exist.
    beginning: Beginning,
    input: Arc<BatchInput>,
    is_shown: bool,
    state: Mutex<State>,
}

struct State {
    graph: Arc<Graph>,
    stages: Arc<StageGraph>,
    calls: Vec<RecordedCall>,
    /// The functions that failed, with their errors. They do not run again.
    failed: BTreeMap<NodeId, Error>,
    /// The files that functions load, by the node that stands for their rows.
    loaded: Arc<BTreeMap<NodeId, Vec<LoadedPart>>>,
    /// The versions that files had when the batch first loaded them.
    versions: BTreeMap<PathBuf, FileVersion>,
    /// The streams whose data set of this batch a slice refers to, and whose data set is computed.
    sliced: BTreeSet<NodeId>,
    /// The size of the records of the functions, in bytes. The memory for them is in `recorded`.
    recorded_bytes: usize,
    recorded: Scratch,
    /// What the functions have used since somebody asked.
    used: PluginUse,
}

impl BatchDrivers {
    /// Whether an output, or a node whose rows are kept, needs a driver function.
    pub fn are_needed_for(&self, output: NodeId) -> bool {
        let graph = &self.0.run.plan.graph;
        let is_driver = graph.node(output).is_some_and(|node| node.operation.is_driver());
        is_driver || !graph.transforms_before(output).is_empty()
    }

    /// Computes the rows that an output reads and gives them to `write`. With `None`, computes the rows of a node
    /// itself, which are kept. Returns the number of partitions.
    ///
    /// # Errors
    /// Returns an error if a driver function or a task fails.
    pub async fn compute(&self, node: NodeId, write: Option<Arc<dyn BatchWrite>>) -> Result<u32, Error> {
        let own = self.0.run.plan.graph.node(node).filter(|node| node.operation == Operation::Transform);
        self.transform_before(node).await?;
        if own.is_some() {
            self.0.call(node).await?;
        }
        let Some(write) = write else { return self.0.compute(None, node, None, None).await };
        let wanted = self.0.lock().graph.node(node).and_then(|node| node.parents.first().copied());
        let wanted = wanted.ok_or_else(|| self.0.internal(node))?;
        self.0.compute(Some(node), wanted, Some(write), None).await
    }

    /// What the functions of the batch have used since the last call.
    pub fn take_used(&self) -> PluginUse {
        std::mem::take(&mut self.0.lock().used)
    }

    /// Runs the function of a `foreach_rdd`.
    ///
    /// # Errors
    /// Returns an error if the function fails, or if a task of one of its actions fails.
    pub async fn foreach(&self, output: NodeId) -> Result<(), Error> {
        self.transform_before(output).await?;
        self.0.call(output).await
    }

    /// Runs the functions of all `transform`s that a node needs, except functions that have run already.
    async fn transform_before(&self, node: NodeId) -> Result<(), Error> {
        let transforms = self.0.lock().graph.transforms_before(node);
        for transform in transforms {
            self.0.call(transform).await?;
        }
        Ok(())
    }
}

impl Batch {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn internal(&self, node: NodeId) -> Error {
        let message = format!("node {node} of batch {} cannot be computed", self.batch);
        Error::new(ErrorKind::Internal, message).help("please report this")
    }

    /// Runs the function of a node, unless it has run already.
    async fn call(self: &Arc<Self>, node: NodeId) -> Result<(), Error> {
        {
            let state = self.lock();
            if let Some(error) = state.failed.get(&node) {
                return Err(error.clone());
            }
            if state.calls.iter().any(|call| call.node == node) {
                return Ok(());
            }
        }
        let outcome = self.call_now(node).await;
        if let Err(error) = &outcome {
            self.lock().failed.insert(node, error.clone());
        }
        outcome
    }

    async fn call_now(self: &Arc<Self>, node: NodeId) -> Result<(), Error> {
        let call = {
            let mut state = self.lock();
            let found = state.graph.node(node).ok_or_else(|| self.internal(node))?;
            let operator = found.to_string();
            let name = found.name.clone().unwrap_or_else(|| format!("{}/{}", found.kind, found.id));
            let first = Arc::make_mut(&mut state.graph).begin_call(node).map_err(|_| self.internal(node))?;
            let seed = crate::data::key::hash(format!("{}\0{name}\0driver", self.run.job).as_bytes());
            state.calls.push(RecordedCall { node, first, seed, steps: Vec::new(), end: None });
            DriverCall { node, first, batch: self.batch, arguments: self.run.arguments.clone(), seed, operator }
        };
        // The error of an action that failed explains more than the end of the function, which follows from it.
        let failed = Arc::new(Mutex::new(None));
        let plugin = self.run.plugin.clone();
        let (limit, cancel) = (self.run.time, plugin.cancel().part());
        let data_sets = Box::new(CallDataSets::new(self.clone(), node, failed.clone(), cancel.clone()));
        let (send, mut receive) = oneshot::channel();
        let run = async move {
            // The receiver is gone if the batch was given up.
            let what = format!("the driver function of {}", call.operator);
            let _ = send.send(catch_panic(what, Some(call.batch), plugin.invoke(&call, data_sets)).await);
        };
        let env = &self.run.env;
        env.engine.spawn("driver function", Box::pin(run));
        let (outcome, is_overdue) = tokio::select! {
            biased;
            outcome = &mut receive => (outcome, false),
            () = env.clock.sleep(limit) => {
                // The next call of the host by the function is refused, and the jobs that run for it end soon.
                cancel.cancel();
                (receive.await, true)
            }
        };
        let outcome = match outcome {
            Ok(Ok((used, outcome))) => {
                self.lock().used.add(used);
                outcome
            }
            Ok(Err(panic)) => {
                let error = Error::from(&panic);
                env.panics.report(panic);
                return Err(error);
            }
            Err(_) => return Err(self.internal(node)),
        };
        if is_overdue && outcome.is_err() && !self.run.plugin.cancel().is_cancelled() {
            return Err(self.explain(node, &Failure::DriverTimedOut(limit)));
        }
        if let Some(error) = lock(&failed).take() {
            return Err(error);
        }
        outcome.map_err(|failure| self.explain(node, &failure))?;
        match self.lock().calls.last() {
            Some(RecordedCall { end: Some(_), .. }) => Ok(()),
            _ => Err(self.explain(node, &Failure::BrokenData("it did not say how it ended".to_owned()))),
        }
    }

    /// The error of a driver function that failed, with everything that its reader needs.
    fn explain(&self, node: NodeId, failure: &Failure) -> Error {
        let state = self.lock();
        let subject = state.graph.node(node).map_or_else(|| format!("node {node}"), ToString::to_string);
        let message = format!("driver function of {subject} failed on batch {}: {failure}", self.batch);
        match failure {
            Failure::Cancelled => {
                Error::new(ErrorKind::Unavailable, message).help("the run was stopped before the batch was done")
            }
            Failure::DriverTimedOut(_) => {
                Error::new(ErrorKind::Plugin, message).help("let it run fewer actions, or raise limits.driver_time")
            }
            _ => Error::new(ErrorKind::Plugin, message)
                .help("fix the plugin, or set job.on_error = \"continue\" to go on with the next batch"),
        }
    }

    /// Computes the rows of a node. Before that, computes the data sets of this batch that slices refer to.
    async fn compute(
        &self,
        output: Option<NodeId>,
        wanted: NodeId,
        write: Option<Arc<dyn BatchWrite>>,
        cancel: Option<Cancel>,
    ) -> Result<u32, Error> {
        for stream in self.slices_of_batch() {
            self.compute_stages(None, stream, None, cancel.clone()).await?;
            self.lock().sliced.insert(stream);
        }
        self.compute_stages(output, wanted, write, cancel).await
    }

    /// The streams whose data set of this batch a slice refers to, and whose data set is not computed.
    fn slices_of_batch(&self) -> BTreeSet<NodeId> {
        let state = self.lock();
        let of_batch = |operation: &Operation| match operation {
            Operation::Slice { of, time } if *time == self.batch && !state.sliced.contains(of) => Some(*of),
            _ => None,
        };
        let made = state.graph.calls().first().map_or(usize::MAX, |call| call.first.0 as usize);
        state.graph.nodes().iter().skip(made).filter_map(|node| of_batch(&node.operation)).collect()
    }

    async fn compute_stages(
        &self,
        output: Option<NodeId>,
        wanted: NodeId,
        write: Option<Arc<dyn BatchWrite>>,
        cancel: Option<Cancel>,
    ) -> Result<u32, Error> {
        let (plan, job) = {
            let mut state = self.lock();
            let (stages, job) = state.stages.cut_for(&state.graph, output, wanted, self.run.default_partitions);
            state.stages = Arc::new(stages);
            // A task that runs the functions again finds the record up to this step. The functions take no further step
            // before this job has ended.
            self.run.engine.record(self.batch, &state.calls);
            let (graph, calls) = (state.graph.clone(), state.calls.iter().map(RecordedCall::id).collect());
            let plan = JobPlan { graph, stages: state.stages.clone(), calls, loaded: state.loaded.clone() };
            (Arc::new(plan), job)
        };
        let input = self.input.clone();
        let request =
            JobRequest { batch: self.batch, data_after: self.beginning.data_after, plan, job, input, write, cancel };
        self.run.engine.run(request).await
    }
}
