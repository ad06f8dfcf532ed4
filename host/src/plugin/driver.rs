//! Driver functions inside the plugin: called once a batch, and run again by tasks that need their closures.
//!
//! Owns what such code finds of the host: [`DataSets`], or a record of what they answered, see `replay.rs`. Its code runs on a stack of its own, so that waiting for the host
//! blocks no thread. Never computes a data set: whoever calls brings [`DataSets`].

use super::bindings::exports::millstream::plugin::{driver, tasks};
use super::bindings::millstream::plugin::{data_sets, files, nodes, replays, types};
use super::describe;
use super::failure::{Failure, Place};
use super::instance::{TaskProgram, TaskState, classify, encode, foreign, limited_store, refusal, task_request};
use super::load::{LoadError, Plugin};
use super::log::PluginLog;
use super::replay::Again;
use crate::data::chunk;
use crate::data::schema::RecordType;
use crate::graph::DescribedNode;
use crate::ids::NodeId;
use crate::time::Time;
use arrow::array::RecordBatch;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use std::sync::Arc;
use wasmtime::Store;
use wasmtime::component::{Component, ComponentExportIndex, HasSelf, InstancePre, Linker};

/// Rows cross into the plugin in chunks of at most about this many bytes.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Rows of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The rows, in order.
    pub rows: Vec<RecordBatch>,
    /// Their type.
    pub ty: RecordType,
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
pub type RowsStream = BoxStream<'static, Result<RecordBatch, Failure>>;

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
            Some(Driver::First { data_sets, step: Step::InFunction, .. }) => data_sets
                .run(made, wanted, limit)
                .await
                .map(|answer| Some(answer.unwrap_or(Answer { rows: Vec::new(), ty: RecordType::text() }))),
            Some(Driver::Again(again)) if again.step == Step::InFunction => again.run(&made, wanted, limit),
            _ => return Err(out_of_place(self, "data-sets.run")),
        };
        self.stopwatch.start();
        let chunks = answer.and_then(|answer| {
            let Some(answer) = answer else { return Ok(None) };
            let (mut chunks, mut left) = (Vec::new(), self.result_bytes);
            for rows in answer.rows.iter().flat_map(|rows| chunk::chunks(rows, CHUNK_BYTES)) {
                let chunk = encode(&rows, &answer.ty)?;
                let limit = self.result_bytes;
                left = left.checked_sub(chunk.data.len() as u64).ok_or(Failure::AnswerTooLarge(limit))?;
                chunks.push(chunk);
            }
            Ok(Some(chunks))
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
        let mut state = TaskState::new(&self.runtime, None);
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

    /// Does a task that has to run driver functions again, and returns its rows.
    ///
    /// # Errors
    /// When plugin code fails or refuses, or does something else than the first time; then also how far a traced run had
    /// come.
    pub async fn run_again(
        &self,
        program: &TaskProgram,
        input: RowsStream,
    ) -> Result<Vec<RecordBatch>, (Failure, Option<Place>)> {
        let mut state = TaskState::new(&self.runtime, Some(program.output_type.clone()));
        let again = Again::new(program.clone(), input);
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
            Ok((Ok(()),)) if is_done(state, Step::InTask) => Ok(std::mem::take(&mut store.data_mut().emitted)),
            Ok((Ok(()),)) => Err((Failure::BrokenData("it did not begin its task".to_owned()), None)),
            Ok((Err(refused),)) => Err((Failure::Refused(refusal(refused)), state.place)),
            Err(_) if is_done(state, Step::Done) => Ok(std::mem::take(&mut store.data_mut().emitted)),
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
