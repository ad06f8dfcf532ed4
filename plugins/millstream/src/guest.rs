//! A program as the exports of a component.
//!
//! Owns the translation between the generated types and the SDK's own types. Only this file, `runtime.rs`,
//! `variables.rs` and `action.rs` use the bindings.

use crate::bindings::exports::millstream::plugin::{driver, program, tasks};
use crate::bindings::millstream::plugin::{data_sets, nodes, replays, types};
use crate::chunk::{Chunk, Extent};
use crate::context::StreamingContext;
use crate::ends::TaskError;
use crate::graph::{Graph, Node, Problem, Value};
use crate::ids::NodeId;
use crate::place::Place;
use crate::record::Field;
use crate::task::{Task, TaskSpec};
use crate::time::Time;
use std::cell::RefCell;
use std::rc::Rc;

thread_local! {
    /// The task of this instance. An instance runs only one task.
    static TASK: RefCell<Option<Task>> = const { RefCell::new(None) };
    /// A task that will ask the host for its rows, and has not begun.
    static PULLED: RefCell<Option<(Rc<Graph>, TaskSpec)>> = const { RefCell::new(None) };
}

/// A function that builds a graph. [`plugin!`](crate::plugin) implements it.
pub trait Program {
    /// Adds the program's streams and outputs to `ctx`.
    fn build(ctx: &StreamingContext);
}

/// The component's exports for a [`Program`].
pub struct Exports<P>(std::marker::PhantomData<P>);

fn build<P: Program>(arguments: Vec<(String, String)>) -> Rc<Graph> {
    report_panics();
    let ctx = StreamingContext::new(arguments);
    P::build(&ctx);
    ctx.graph
}

/// Reports the message of a panic to the host before the plugin traps.
fn report_panics() {
    #[cfg(target_family = "wasm")]
    std::panic::set_hook(Box::new(|info| {
        crate::bindings::millstream::plugin::runtime::panicked(&info.to_string());
    }));
}

/// A row type as the host sees it.
pub(crate) fn schema(fields: &[Field]) -> types::Schema {
    let field = |field: &Field| types::Field {
        name: field.name.clone(),
        kind: field.kind.clone().into_owned(),
        nullable: field.nullable,
        children: field.children,
        metadata: field.metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
    };
    fields.iter().map(field).collect()
}

fn parameter(name: &str, value: &Value) -> nodes::Parameter {
    let value = match value {
        Value::Integer(n) => nodes::ParameterValue::Integer(*n),
        Value::Text(text) => nodes::ParameterValue::Text(text.clone()),
        Value::Flag(flag) => nodes::ParameterValue::Flag(*flag),
        Value::Duration(span) => nodes::ParameterValue::Duration(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
    };
    nodes::Parameter { name: name.to_owned(), value }
}

/// A node as the host sees it.
pub(crate) fn node(node: &Node) -> nodes::Node {
    nodes::Node {
        kind: node.kind.name().to_owned(),
        name: node.name.clone(),
        parents: node.parents.clone(),
        parameters: node.parameters.iter().map(|(name, value)| parameter(name, value)).collect(),
        rows: schema(&node.rows),
        exchanged: node.exchanged.as_deref().map(schema),
        state: node.state.as_deref().map(schema),
        earlier_state: node.earlier_state.as_deref().map(schema),
    }
}

/// Converts rows from the host's type.
pub(crate) fn chunk(rows: types::Chunk) -> Chunk {
    let extents = rows.extents.iter().map(|e| Extent { offset: e.offset, length: e.length }).collect();
    Chunk { rows: rows.rows, extents, data: rows.data }
}

/// Converts rows to the host's type.
#[cfg(target_family = "wasm")]
pub(crate) fn host_chunk(rows: Chunk) -> types::Chunk {
    let extents = rows.extents.iter().map(|e| types::Extent { offset: e.offset, length: e.length }).collect();
    types::Chunk { rows: rows.rows, extents, data: rows.data }
}

impl<P: Program> program::Guest for Exports<P> {
    fn describe(arguments: Vec<types::Argument>) -> Result<program::Graph, program::DescribeError> {
        let graph = build::<P>(arguments);
        match graph.problem() {
            Some(Problem::Argument { name, why }) => return Err(program::DescribeError::Argument((name, why))),
            Some(Problem::Program(problem)) => return Err(program::DescribeError::Invalid(problem)),
            None => {}
        }
        #[cfg(target_family = "wasm")]
        crate::runtime::arguments_read(&graph.arguments_read());
        let mut nodes = graph.tell(node);
        if let Some(span) = graph.remember.get() {
            let persisted =
                nodes.iter_mut().filter(|node| node.parameters.iter().any(|parameter| parameter.name == "persist"));
            persisted.for_each(|node| node.parameters.push(parameter("remember", &Value::Duration(span))));
        }
        Ok(program::Graph { nodes })
    }
}

impl From<TaskError> for tasks::TaskError {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Unsupported(what) => Self::Unsupported(what),
            TaskError::Chunk(why) => Self::Chunk(why),
        }
    }
}

/// Runs `f` on the open task.
fn with_task(f: impl FnOnce(&mut Task) -> Result<(), TaskError>) -> Result<(), tasks::TaskError> {
    TASK.with_borrow_mut(|task| match task {
        Some(task) => Ok(f(task)?),
        None => Err(tasks::TaskError::Unsupported("a call before `open`".to_owned())),
    })
}

impl<P: Program> tasks::Guest for Exports<P> {
    fn open(task: tasks::Task) -> Result<(), tasks::TaskError> {
        let graph = build::<P>(task.arguments);
        let place = task.steps.iter().map(|step| (step.node, step.partition)).collect();
        let place = Place { batch: Time::from_ms(task.batch), partitions: place };
        let steps = task.steps.into_iter().map(|step| (step.node, step.role)).collect();
        let spec = TaskSpec { input: task.input, steps, place, traced: task.traced };
        if task.replays.is_empty() {
            TASK.set(Some(Task::open(&graph, &spec)?));
            return Ok(());
        }
        let batch = spec.place.batch;
        PULLED.set(Some((Rc::clone(&graph), spec)));
        for replay in task.replays {
            call(&graph, replay.node, replay.first, batch).map_err(tasks::TaskError::Unsupported)?;
        }
        Ok(pull_task()?)
    }

    fn push(input: u32, rows: types::Chunk) -> Result<(), tasks::TaskError> {
        with_task(|task| task.push(input, chunk(rows)))
    }

    fn finish() -> Result<(), tasks::TaskError> {
        with_task(Task::finish)
    }
}

/// Runs the task of this instance on rows that the task asks the host for.
fn pull_task() -> Result<(), TaskError> {
    let Some((graph, spec)) = PULLED.take() else { return Ok(()) };
    replays::begin();
    let mut task = Task::open(&graph, &spec)?;
    while let Some(rows) = replays::next() {
        task.push(0, chunk(rows))?;
    }
    task.finish()
}

/// Runs the task when the driver function, which runs again, has reached the point of the task.
#[cfg(target_family = "wasm")]
pub(crate) fn finish_in_place() -> ! {
    if let Err(error) = pull_task() {
        panic!("the task cannot be done: {error:?}");
    }
    replays::done();
    panic!("the host lets a task go on that is done");
}

/// Runs the driver function of `node`.
fn call(graph: &Rc<Graph>, node: NodeId, first: NodeId, batch: Time) -> Result<(), String> {
    let function = graph.nodes().get(&node).and_then(|node| node.code.driver.clone());
    let function = function.ok_or_else(|| format!("driver functions of node {node}"))?;
    graph.begin_call(first);
    graph.accumulators.forget();
    data_sets::begin(node);
    let answer = function(graph, batch);
    graph.accumulators.hand_over();
    crate::driver::check(graph);
    data_sets::end(&graph.tell(self::node), answer);
    Ok(())
}

impl<P: Program> driver::Guest for Exports<P> {
    fn invoke(request: driver::Call) -> Result<(), driver::CallError> {
        let graph = build::<P>(request.arguments);
        call(&graph, request.node, request.first, Time::from_ms(request.batch)).map_err(driver::CallError::Unsupported)
    }
}
