//! Driver functions inside the plugin: called once a batch, and run again by tasks that need their closures.
//!
//! Owns what such code finds of the host: [`DataSets`], or a record of what they answered, see `replay.rs`. Its code runs on a stack of its own, so that waiting for the host
//! blocks no thread. Never computes a data set: whoever calls brings [`DataSets`].

use super::bindings::exports::millstream::plugin::{driver, tasks};
use super::bindings::millstream::plugin::{data_sets, files, nodes, replays, types};
use super::describe;
use super::emitted::{Emitted, EmittedRows};
use super::failure::{Failure, Place};
use super::instance::{TaskProgram, TaskState, classify, encode, foreign, limited_store, refusal, task_request};
use super::load::{LoadError, Plugin};
use super::log::PluginLog;
use super::replay::{Again, RecordedCall};
use crate::block::{SpillError, Storage, StoredRows};
use crate::data::chunk;
use crate::data::schema::RecordType;
use crate::graph::DescribedNode;
use crate::ids::NodeId;
use crate::time::Time;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use std::fmt;
use std::sync::Arc;
use wasmtime::Store;
use wasmtime::component::{Component, ComponentExportIndex, HasSelf, InstancePre, Linker};

/// Rows cross into the plugin in chunks of at most about this many bytes.
const CHUNK_BYTES: usize = 1024 * 1024;

/// The first rows of a data set.
#[derive(Clone)]
pub struct Answer {
    /// The rows of its partitions, in order.
    pub partitions: Arc<[StoredRows]>,
    /// How many of them, at most.
    pub limit: usize,
    /// Their type.
    pub ty: RecordType,
    /// Lends the memory in which they are made chunks.
    pub storage: Storage,
}

impl Answer {
    /// The rows as chunks, which have at most `limit` bytes together.
    fn chunks(&self, limit: u64) -> Result<Vec<types::Chunk>, Failure> {
        let not_kept = |error: SpillError| Failure::NotKept(error.to_string());
        let mut scratch = self.storage.scratch();
        let (mut chunks, mut bytes, mut left) = (Vec::new(), 0, self.limit);
        for rows in self.partitions.iter().flat_map(|partition| partition.read(0)) {
            let rows = rows.map_err(not_kept)?;
            let rows = rows.slice(0, rows.num_rows().min(left));
            left -= rows.num_rows();
            for rows in chunk::chunks(&rows, CHUNK_BYTES) {
                let chunk = encode(&rows, &self.ty)?;
                bytes += chunk.data.len();
                if bytes as u64 > limit {
                    return Err(Failure::AnswerTooLarge(limit));
                }
                scratch.resize(bytes).map_err(not_kept)?;
                chunks.push(chunk);
            }
            if left == 0 {
                break;
            }
        }
        Ok(chunks)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer: {} partitions of {}", self.partitions.len(), self.ty)
    }
}

/// The host, as a driver function sees it.
pub trait DataSets: Send {
    /// Computes a data set, in the graph that goes on with `made`, and returns its first rows. Nothing if it is an
    /// output.
    fn run(
        &mut self,
        made: Vec<DescribedNode>,
        wanted: NodeId,
        limit: Option<u64>,
    ) -> BoxFuture<'_, Result<Option<Answer>, Failure>>;

    /// The times at which a stream has data sets, in an interval.
    ///
    /// # Errors
    /// When it has none, or they are not there.
    fn slice(&mut self, of: NodeId, first: Time, last: Time) -> Result<Vec<Time>, Failure>;

    /// Writes a file whole.
    ///
    /// # Errors
    /// When it is not granted, or cannot be written.
    fn write(&mut self, path: String, content: Vec<u8>) -> Result<(), Failure>;

    /// What a file holds, if it is there.
    ///
    /// # Errors
    /// When it is not granted, cannot be read, or holds more than `limit` bytes.
    fn read(&mut self, path: String, limit: u64) -> Result<Option<Arc<[u8]>>, Failure>;

    /// Takes what the function made last, and its answer.
    ///
    /// # Errors
    /// When it is not valid.
    fn end(&mut self, made: Vec<DescribedNode>, answer: Option<NodeId>) -> Result<(), Failure>;
}

/// A call of a driver function.
#[derive(Clone, Debug)]
pub struct DriverCall {
    /// The node whose function is called.
    pub node: NodeId,
    /// The id of the first node that it makes.
    pub first: NodeId,
    /// The batch.
    pub batch: Time,
    /// The job's arguments.
    pub arguments: Arc<[(String, String)]>,
    /// Seeds random numbers in the function: follows from job and operator.
    pub seed: u64,
    /// The operator as the graph shows it: for the log.
    pub operator: String,
}

/// Rows on their way into a task.
pub type RowsStream = BoxStream<'static, Result<arrow::array::RecordBatch, Failure>>;

/// What the code of a driver function finds in its instance.
pub(super) enum Driver {
    /// The function runs for the first time.
    First { call: DriverCall, data_sets: Box<dyn DataSets>, step: Step },
    /// Functions run again, then a task.
    Again(Again),
}

/// How far an instance has come that runs functions again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Building,
    InFunction,
    InTask,
    Done,
}

fn out_of_place(state: &mut TaskState, what: &str) -> wasmtime::Error {
    state.fail(Failure::BrokenData(format!("`{what}` was called out of its place")))
}

impl data_sets::Host for TaskState {
    fn begin(&mut self, node: types::NodeId) -> wasmtime::Result<()> {
        let (seed, batch, operators) = match &mut self.driver {
            Some(Driver::First { call, step, .. }) if *step == Step::Building && call.node.0 == node => {
                *step = Step::InFunction;
                let operators: Arc<[_]> = Arc::new([(call.node, call.operator.clone())]);
                (call.seed, call.batch, Some(operators))
            }
            Some(Driver::Again(again)) if again.step == Step::Building || again.step == Step::InFunction => {
                let seed = again.call().filter(|call| call.node.0 == node).map(|call| call.seed);
                match seed {
                    Some(seed) => {
                        again.step = Step::InFunction;
                        // What the function says it has said before.
                        (seed, again.task.batch, None)
                    }
                    _ => return Err(out_of_place(self, "data-sets.begin")),
                }
            }
            _ => return Err(out_of_place(self, "data-sets.begin")),
        };
        if let Some(operators) = operators {
            self.log.begin_task(operators, batch, 0);
        }
        self.begin_at(seed, batch, 0);
        Ok(())
    }

    async fn run(
        &mut self,
        made: Vec<nodes::Node>,
        wanted: types::NodeId,
        limit: Option<u64>,
    ) -> wasmtime::Result<Option<Vec<types::Chunk>>> {
        let made: Vec<DescribedNode> = made.into_iter().map(describe::node).collect();
        let wanted = NodeId(wanted);
        self.stopwatch.stop();
        let answer = match &mut self.driver {
            Some(Driver::First { data_sets, step: Step::InFunction, .. }) => {
                data_sets.run(made, wanted, limit).await.map(|answer| Some(answer.map(Arc::new)))
            }
            Some(Driver::Again(again)) if again.step == Step::InFunction => again.run(&made, wanted, limit),
            _ => return Err(out_of_place(self, "data-sets.run")),
        };
        self.stopwatch.start();
        let chunks = answer.and_then(|answer| {
            // An output has no rows; here too it was done.
            let chunks = |answer: Option<Arc<Answer>>| answer.map_or(Ok(Vec::new()), |a| a.chunks(self.result_bytes));
            answer.map(chunks).transpose()
        });
        chunks.map_err(|failure| self.fail(failure))
    }

    fn slice(
        &mut self,
        of: types::NodeId,
        first: types::BatchTime,
        last: types::BatchTime,
    ) -> wasmtime::Result<Vec<types::BatchTime>> {
        let (of, first, last) = (NodeId(of), Time::from_ms(first), Time::from_ms(last));
        self.stopwatch.stop();
        let times = match self.in_function("data-sets.slice")? {
            InFunction::First(data_sets) => data_sets.slice(of, first, last),
            InFunction::Again(again) => again.slice(of, first, last),
        };
        self.stopwatch.start();
        times.map(|times| times.into_iter().map(Time::as_ms).collect()).map_err(|failure| self.fail(failure))
    }

    fn end(&mut self, made: Vec<nodes::Node>, answer: Option<types::NodeId>) -> wasmtime::Result<()> {
        let made: Vec<DescribedNode> = made.into_iter().map(describe::node).collect();
        let answer = answer.map(NodeId);
        let outcome = match &mut self.driver {
            Some(Driver::First { data_sets, step, .. }) if *step == Step::InFunction => {
                *step = Step::Done;
                data_sets.end(made, answer)
            }
            Some(Driver::Again(again)) if again.step == Step::InFunction => again.end(&made, answer),
            _ => return Err(out_of_place(self, "data-sets.end")),
        };
        outcome.map_err(|failure| self.fail(failure))
    }
}

impl nodes::Host for TaskState {}

/// Who answers a driver function.
enum InFunction<'a> {
    First(&'a mut dyn DataSets),
    Again(&'a mut Again),
}

impl TaskState {
    /// Who answers the function that runs, if one does.
    fn in_function(&mut self, what: &str) -> wasmtime::Result<InFunction<'_>> {
        let is_running = match &self.driver {
            Some(Driver::First { step, .. }) => *step == Step::InFunction,
            Some(Driver::Again(again)) => again.step == Step::InFunction,
            None => false,
        };
        if !is_running {
            return Err(out_of_place(self, what));
        }
        match &mut self.driver {
            Some(Driver::First { data_sets, .. }) => Ok(InFunction::First(&mut **data_sets)),
            Some(Driver::Again(again)) => Ok(InFunction::Again(again)),
            None => Err(wasmtime::Error::msg("no function runs")),
        }
    }
}

impl files::Host for TaskState {
    fn write(&mut self, path: String, content: Vec<u8>) -> wasmtime::Result<()> {
        let limit = self.result_bytes;
        self.stopwatch.stop();
        let written = match self.in_function("files.write")? {
            _ if content.len() as u64 > limit => Err(Failure::FileTooLarge { path: foreign(&path), limit }),
            InFunction::First(data_sets) => data_sets.write(path, content),
            InFunction::Again(again) => again.write(&path, &content),
        };
        self.stopwatch.start();
        written.map_err(|failure| self.fail(failure))
    }

    fn read(&mut self, path: String) -> wasmtime::Result<Option<Vec<u8>>> {
        let limit = self.result_bytes;
        self.stopwatch.stop();
        let content = match self.in_function("files.read")? {
            InFunction::First(data_sets) => data_sets.read(path, limit),
            InFunction::Again(again) => again.read(&path),
        };
        self.stopwatch.start();
        content.map(|content| content.map(|content| content.to_vec())).map_err(|failure| self.fail(failure))
    }
}

impl replays::Host for TaskState {
    fn begin(&mut self) -> wasmtime::Result<()> {
        match &mut self.driver {
            Some(Driver::Again(again)) if again.step == Step::InFunction => {
                again.step = Step::InTask;
                let task = again.task.clone();
                self.begin_task(&task);
                Ok(())
            }
            _ => Err(out_of_place(self, "replays.begin")),
        }
    }

    async fn next(&mut self) -> wasmtime::Result<Option<types::Chunk>> {
        let Some(Driver::Again(again)) = &mut self.driver else { return Err(out_of_place(self, "replays.next")) };
        if again.step != Step::InTask {
            return Err(out_of_place(self, "replays.next"));
        }
        self.stopwatch.stop();
        let mut next = Ok(None);
        loop {
            if let Some(rows) = again.ready.pop_front() {
                next = encode(&rows, &again.task.input_type).map(Some);
                break;
            }
            match again.input.next().await {
                None => break,
                Some(Ok(rows)) => again.ready.extend(chunk::chunks(&rows, CHUNK_BYTES)),
                Some(Err(failure)) => {
                    next = Err(failure);
                    break;
                }
            }
        }
        self.stopwatch.start();
        next.map_err(|failure| self.fail(failure))
    }

    fn done(&mut self) -> wasmtime::Result<()> {
        match &mut self.driver {
            Some(Driver::Again(again)) if again.step == Step::InTask => {
                again.step = Step::Done;
                Err(wasmtime::Error::msg("the task is done"))
            }
            _ => Err(out_of_place(self, "replays.done")),
        }
    }
}

/// A component linked so that its code can wait for the host.
#[derive(Clone)]
pub(super) struct DriverPlugin {
    pre: InstancePre<TaskState>,
    open: ComponentExportIndex,
    invoke: ComponentExportIndex,
}

impl DriverPlugin {
    /// Adds what driver functions need to `linker`.
    pub(super) fn new(linker: &mut Linker<TaskState>, component: &Component) -> Result<Self, LoadError> {
        type State = HasSelf<TaskState>;
        data_sets::add_to_linker::<_, State>(linker, |state| state).map_err(LoadError::Engine)?;
        files::add_to_linker::<_, State>(linker, |state| state).map_err(LoadError::Engine)?;
        replays::add_to_linker::<_, State>(linker, |state| state).map_err(LoadError::Engine)?;
        let pre = linker.instantiate_pre(component).map_err(|error| LoadError::Invalid(format!("{error:#}")))?;
        let export = |interface: &str, function: &str| {
            let ty = component.component_type();
            let wanted = format!("millstream:plugin/{interface}");
            let full = ty.exports(component.engine()).map(|(name, _)| name.to_owned());
            let full = full.into_iter().find(|name| name.split('@').next() == Some(&wanted));
            let missing = || LoadError::NotAPlugin(format!("{wanted}.{function}"));
            let (_, instance) = component.get_export(None, &full.ok_or_else(missing)?).ok_or_else(missing)?;
            component.get_export(Some(&instance), function).map(|(_, index)| index).ok_or_else(missing)
        };
        Ok(Self { open: export("tasks", "open")?, invoke: export("driver", "invoke")?, pre })
    }
}

impl Plugin {
    /// Calls a driver function, in an instance of its own and within the limits of a task. Time in `data_sets` does not
    /// count.
    ///
    /// # Errors
    /// When plugin code fails or refuses, or asks `data_sets` for what it does not get.
    pub async fn invoke(&self, call: &DriverCall, data_sets: Box<dyn DataSets>) -> Result<(), Failure> {
        let mut state = TaskState::new(self, None);
        state.log = PluginLog::new(true);
        state.driver = Some(Driver::First { call: call.clone(), data_sets, step: Step::Building });
        let mut store = limited_store(self, state);
        let request = driver::Call {
            node: call.node.0,
            first: call.first.0,
            batch: call.batch.as_ms(),
            arguments: call.arguments.to_vec(),
        };
        let outcome = async {
            let instance = self.driver.pre.instantiate_async(&mut store).await?;
            let invoke = instance
                .get_typed_func::<(&driver::Call,), (Result<(), driver::CallError>,)>(&mut store, self.driver.invoke)?;
            invoke.call_async(&mut store, (&request,)).await
        };
        let outcome = outcome.await;
        store.data_mut().log.end_call(None);
        match outcome {
            Ok((Ok(()),)) => Ok(()),
            Ok((Err(driver::CallError::Unsupported(what)),)) => {
                Err(Failure::Refused(foreign(&format!("the plugin does not support {what}"))))
            }
            Ok((Err(driver::CallError::Failed(why)),)) => Err(Failure::Refused(foreign(&why))),
            Err(error) => Err(self.classified(&mut store, &error)),
        }
    }

    /// Does a task that has to run driver functions again, which find what they did before in `records`, and returns its rows.
    /// They wait in `storage` if they are many.
    ///
    /// # Errors
    /// When plugin code fails or refuses, or does something else than the first time; then also how far a traced run had
    /// come.
    pub async fn run_again(
        &self,
        program: &TaskProgram,
        records: Vec<Arc<RecordedCall>>,
        input: RowsStream,
        storage: &Storage,
    ) -> Result<EmittedRows, (Failure, Option<Place>)> {
        let mut state = TaskState::new(self, Some(program.output_type.clone()));
        state.emitted = Emitted::new(Some(storage.clone()));
        let again = Again::new(program.clone(), records, input);
        state.driver = Some(Driver::Again(again));
        let mut store = limited_store(self, state);
        let request = task_request(program);
        let outcome = async {
            let instance = self.driver.pre.instantiate_async(&mut store).await?;
            let open = instance
                .get_typed_func::<(&tasks::Task,), (Result<(), tasks::TaskError>,)>(&mut store, self.driver.open)?;
            open.call_async(&mut store, (&request,)).await
        };
        let outcome = outcome.await;
        let place = store.data().place.map(|place| place.operator);
        store.data_mut().log.end_call(place);
        let is_done =
            |state: &TaskState, step| matches!(&state.driver, Some(Driver::Again(again)) if again.step == step);
        let state = store.data();
        match outcome {
            Ok((Ok(()),)) if is_done(state, Step::InTask) => Ok(store.data_mut().emitted.take()),
            Ok((Ok(()),)) => Err((Failure::BrokenData("it did not begin its task".to_owned()), None)),
            Ok((Err(refused),)) => Err((Failure::Refused(refusal(refused)), state.place)),
            Err(_) if is_done(state, Step::Done) => Ok(store.data_mut().emitted.take()),
            Err(error) => {
                let place = state.place;
                Err((self.classified(&mut store, &error), place))
            }
        }
    }

    fn classified(&self, store: &mut Store<TaskState>, error: &wasmtime::Error) -> Failure {
        classify(store.data_mut(), &self.runtime.limits, error)
    }
}
