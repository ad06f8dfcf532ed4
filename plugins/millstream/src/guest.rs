//! A program as the component's exports.
//!
//! Owns the translation between generated types and our own; the only user of the bindings but `runtime.rs`.

use crate::bindings::exports::millstream::plugin::{driver, program, tasks};
use crate::bindings::millstream::plugin::types;
use crate::chunk::{Chunk, Extent};
use crate::context::StreamingContext;
use crate::graph::{Graph, Value};
use crate::record::Field;
use crate::task::{Task, TaskError, TaskSpec};
use std::cell::RefCell;
use std::rc::Rc;

thread_local! {
    /// The task of this instance. An instance runs one.
    static TASK: RefCell<Option<Task>> = const { RefCell::new(None) };
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

/// Lets the host know why the plugin is about to trap.
fn report_panics() {
    #[cfg(target_family = "wasm")]
    std::panic::set_hook(Box::new(|info| {
        crate::bindings::millstream::plugin::runtime::panicked(&info.to_string());
    }));
}

fn schema(fields: &[Field]) -> types::Schema {
    let field = |field: &Field| types::Field {
        name: field.name.clone(),
        kind: field.kind.to_owned(),
        nullable: field.nullable,
        children: field.children,
        metadata: field.metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
    };
    fields.iter().map(field).collect()
}

impl<P: Program> program::Guest for Exports<P> {
    fn describe(arguments: Vec<types::Argument>) -> Result<program::Graph, program::DescribeError> {
        let graph = build::<P>(arguments);
        if let Some(problem) = graph.problem() {
            return Err(program::DescribeError::Invalid(problem));
        }
        let node = |node: &crate::graph::Node| program::Node {
            kind: node.kind.to_owned(),
            name: node.name.clone(),
            parents: node.parents.clone(),
            parameters: node
                .parameters
                .iter()
                .map(|(name, value)| program::Parameter {
                    name: (*name).to_owned(),
                    value: match value {
                        Value::Integer(n) => program::ParameterValue::Integer(*n),
                        Value::Text(text) => program::ParameterValue::Text(text.clone()),
                        Value::Duration(span) => {
                            program::ParameterValue::Duration(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
                        }
                    },
                })
                .collect(),
            rows: schema(&node.rows),
            exchanged: node.exchanged.as_deref().map(schema),
        };
        Ok(program::Graph { nodes: graph.nodes().iter().map(node).collect() })
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
        if task.replay.is_some() {
            return Err(tasks::TaskError::Unsupported("replay of driver functions".to_owned()));
        }
        let graph = build::<P>(task.arguments);
        let steps = task.steps.into_iter().map(|step| (step.node, step.role)).collect();
        let spec = TaskSpec { input: task.input, steps, traced: task.traced };
        let opened = Task::open(&graph, &spec)?;
        TASK.set(Some(opened));
        Ok(())
    }

    fn push(_: u32, rows: types::Chunk) -> Result<(), tasks::TaskError> {
        let extents = rows.extents.iter().map(|e| Extent { offset: e.offset, length: e.length }).collect();
        with_task(|task| task.push(Chunk { rows: rows.rows, extents, data: rows.data }))
    }

    fn finish() -> Result<(), tasks::TaskError> {
        with_task(Task::finish)
    }
}

impl<P: Program> driver::Guest for Exports<P> {
    fn invoke(call: driver::Call) -> Result<(), driver::CallError> {
        Err(driver::CallError::Unsupported(format!("node {} has no driver function", call.node)))
    }
}
