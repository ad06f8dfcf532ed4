//! Driver functions inside the plugin: called once a batch, and run again by tasks that need their closures.
//!
//! Owns what such code finds of the host, [`DataSets`] or a record of what they answered, and the comparison of a
//! function that runs again with what it did first. Its code runs on a stack of its own, so that waiting for the host
//! blocks no thread. Never computes a data set: whoever calls brings [`DataSets`].

use super::bindings::exports::millstream::plugin::{driver, tasks};
use super::bindings::millstream::plugin::{data_sets, nodes, replays, types};
use super::describe;
use super::failure::{Failure, Place};
use super::instance::{TaskProgram, TaskState, classify, encode, foreign, limited_store, refusal, task_request};
use super::load::{LoadError, Plugin};
use super::log::PluginLog;
use crate::data::chunk;
use crate::data::schema::RecordType;
use crate::graph::DescribedNode;
use crate::ids::NodeId;
use crate::time::Time;
use arrow::array::RecordBatch;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use std::collections::VecDeque;
use std::fmt;
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

/// What a driver function did.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedCall {
    /// The node whose function was called.
    pub node: NodeId,
    /// The id of the first node that it makes.
    pub first: NodeId,
    /// Seeded random numbers in the function.
    pub seed: u64,
    /// What it asked for, in order.
    pub actions: Vec<RecordedAction>,
    /// How it ended, if it has.
    pub end: Option<RecordedEnd>,
}

impl RecordedCall {
    pub(super) fn request(&self) -> tasks::Replay {
        tasks::Replay { node: self.node.0, first: self.first.0 }
    }
}

/// A data set that a driver function asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedAction {
    /// What it had made since it asked before.
    pub made: Vec<DescribedNode>,
    /// The data set.
    pub wanted: NodeId,
    /// How many of its rows.
    pub limit: Option<u64>,
    /// The answer. Absent while the data set is computed.
    pub answer: Option<Arc<Option<Answer>>>,
}

/// The end of a driver function.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedEnd {
    /// What it had made since it asked before.
    pub made: Vec<DescribedNode>,
    /// The data set that it returned.
    pub answer: Option<NodeId>,
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

pub(super) struct Again {
    task: TaskProgram,
    /// The call that runs, and its next action.
    at: (usize, usize),
    step: Step,
    input: RowsStream,
    ready: VecDeque<RecordBatch>,
}

impl Again {
    fn differs(&self, what: String) -> Failure {
        let node = self.task.replays.get(self.at.0).map_or(self.task.input, |call| call.node);
        Failure::NotDeterministic(format!("when the function of node {node} ran again, {what}"))
    }

    fn compare(&self, first: &[DescribedNode], again: &[DescribedNode]) -> Result<(), Failure> {
        let known: usize = self.task.replays.get(self.at.0).map_or(0, |call| {
            call.first.0 as usize + call.actions[..self.at.1].iter().map(|action| action.made.len()).sum::<usize>()
        });
        let longest = first.len().max(again.len());
        match (0..longest).find(|at| first.get(*at) != again.get(*at)) {
            None => Ok(()),
            Some(at) => {
                let describe = |node: Option<&DescribedNode>| node.map_or("nothing".to_owned(), Made::to_words);
                let (first, again) = (describe(first.get(at)), describe(again.get(at)));
                Err(self.differs(format!("it made {again} where it had made {first} (node {})", known + at)))
            }
        }
    }

    /// The recorded answer, or nothing if the task's place is here.
    fn run(&mut self, made: &[DescribedNode], wanted: NodeId, limit: Option<u64>) -> Result<Option<Answer>, Failure> {
        let (call, action) = self.at;
        let Some(recorded) = self.task.replays.get(call).and_then(|call| call.actions.get(action)) else {
            return Err(self.differs(format!("it asked for the rows of node {wanted}, and had ended there before")));
        };
        self.compare(&recorded.made, made)?;
        if (recorded.wanted, recorded.limit) != (wanted, limit) {
            let first = recorded.wanted;
            return Err(self.differs(format!("it asked for rows of node {wanted}, and had asked for those of {first}")));
        }
        let answer = recorded.answer.clone();
        self.at.1 += 1;
        match answer {
            Some(answer) => {
                // An output has no rows; here too it was done.
                let none = || Answer { rows: Vec::new(), ty: RecordType::text() };
                Ok(Some((*answer).clone().unwrap_or_else(none)))
            }
            None => Ok(None),
        }
    }

    fn end(&mut self, made: &[DescribedNode], answer: Option<NodeId>) -> Result<(), Failure> {
        let (call, action) = self.at;
        let recorded = self.task.replays.get(call);
        let ended = recorded.filter(|call| call.actions.len() == action).and_then(|call| call.end.as_ref());
        let Some(ended) = ended else {
            return Err(self.differs("it ended, and had asked for rows there before".to_owned()));
        };
        self.compare(&ended.made, made)?;
        if ended.answer != answer {
            let name = |node: Option<NodeId>| node.map_or("no data set".to_owned(), |node| format!("node {node}"));
            let (first, again) = (name(ended.answer), name(answer));
            return Err(self.differs(format!("it returned {again}, and had returned {first}")));
        }
        self.at = (call + 1, 0);
        Ok(())
    }
}

/// A described node in a message.
trait Made {
    fn to_words(&self) -> String;
}

impl Made for DescribedNode {
    fn to_words(&self) -> String {
        struct Words<'a>(&'a DescribedNode);
        impl fmt::Display for Words<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "`{}`", self.0.name.as_ref().unwrap_or(&self.0.kind))?;
                let parents: Vec<String> = self.0.parents.iter().map(ToString::to_string).collect();
                write!(f, " of {}", parents.join(" and "))?;
                match RecordType::parse(self.0.rows.clone()) {
                    Ok(ty) => write!(f, " with rows {ty}"),
                    Err(_) => Ok(()),
                }
            }
        }
        foreign(&Words(self).to_string())
    }
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
                match again.task.replays.get(again.at.0) {
                    Some(call) if call.node.0 == node => {
                        again.step = Step::InFunction;
                        // What the function says it has said before.
                        (call.seed, again.task.batch, None)
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
        let again = Again { task: program.clone(), at: (0, 0), step: Step::Building, input, ready: VecDeque::new() };
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
