//! The exports of the SDK with one addition: driver functions know when they run again.

use crate::driver::IN_TASK;
use millstream::StreamingContext;
use millstream::bindings::exports::millstream::plugin::{driver, program, tasks};
use millstream::bindings::millstream::plugin::types;
use millstream::guest::{Exports, Program};

/// The program, for its exports.
pub struct Hostile;

impl Program for Hostile {
    fn build(ctx: &StreamingContext) {
        super::build(ctx);
    }
}

/// The exports of the SDK, which tell driver functions that they run again. Nothing else in a plugin could tell them.
pub struct Telling;

impl program::Guest for Telling {
    fn describe(arguments: Vec<types::Argument>) -> Result<program::Graph, program::DescribeError> {
        let does = arguments.iter().find(|(name, _)| name == "does").map(|(_, how)| how.clone());
        let mut graph = <Exports<Hostile> as program::Guest>::describe(arguments)?;
        // Graphs that the SDK cannot describe.
        match (does.as_deref(), graph.nodes.as_mut_slice()) {
            (Some("describe-cycle"), [_, second, ..]) => second.parents = vec![1],
            (Some("describe-types"), nodes) => {
                let union = program::Node {
                    kind: "union".to_owned(),
                    name: None,
                    parents: vec![0, 0],
                    parameters: Vec::new(),
                    rows: vec![types::Field { kind: "u64".to_owned(), ..nodes[0].rows[0].clone() }],
                    exchanged: None,
                    state: None,
                    earlier_state: None,
                };
                graph.nodes.push(union);
            }
            _ => {}
        }
        Ok(graph)
    }
}

impl tasks::Guest for Telling {
    fn open(task: tasks::Task) -> Result<(), tasks::TaskError> {
        IN_TASK.set(true);
        <Exports<Hostile> as tasks::Guest>::open(task)
    }
    fn push(input: u32, rows: types::Chunk) -> Result<(), tasks::TaskError> {
        <Exports<Hostile> as tasks::Guest>::push(input, rows)
    }
    fn finish() -> Result<(), tasks::TaskError> {
        <Exports<Hostile> as tasks::Guest>::finish()
    }
}

impl driver::Guest for Telling {
    fn invoke(call: driver::Call) -> Result<(), driver::CallError> {
        <Exports<Hostile> as driver::Guest>::invoke(call)
    }
}
