//! What a task asks of the plugin, without the data.

use super::bindings::exports::millstream::plugin::tasks;
use super::record::RecordId;
use crate::data::schema::RecordType;
use crate::ids::NodeId;
use crate::time::Time;
use std::sync::Arc;

/// What a task asks of the plugin, without the data. It can be rebuilt from the stage graph anywhere.
#[derive(Clone, Debug)]
pub struct TaskProgram {
    /// The batch.
    pub batch: Time,
    /// The partition, from 0.
    pub partition: u32,
    /// The job's arguments.
    pub arguments: Arc<[(String, String)]>,
    /// Seeds random numbers in the task: follows from job and operator, never from the attempt.
    pub seed: u64,
    /// The node whose rows come in, or are exchanged.
    pub input: NodeId,
    /// The type of the rows that come in.
    pub input_type: RecordType,
    /// What to do: node and role.
    pub steps: Arc<[TaskStep]>,
    /// The operators that do it, as the graph shows them: for the log.
    pub operators: Arc<[(NodeId, String)]>,
    /// The type of the rows that go out.
    pub output_type: RecordType,
    /// Whether to report each record first.
    pub traced: bool,
    /// Whether none of the steps makes a row of none.
    pub is_quiet: bool,
    /// The driver functions to run again first, by what names the record of what they did.
    pub replays: Arc<[RecordId]>,
}

/// One thing to do with the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskStep {
    /// For which node.
    pub node: NodeId,
    /// What, as the interface calls it.
    pub role: &'static str,
    /// Which partition of the node's rows.
    pub partition: u32,
}

/// A task as the interface says it.
pub(super) fn task_request(program: &TaskProgram) -> tasks::Task {
    let step =
        |step: &TaskStep| tasks::Step { node: step.node.0, role: step.role.to_owned(), partition: step.partition };
    tasks::Task {
        batch: program.batch.as_ms(),
        partition: program.partition,
        arguments: program.arguments.to_vec(),
        input: program.input.0,
        steps: program.steps.iter().map(step).collect(),
        traced: program.traced,
        replays: program.replays.iter().map(|record| record.request()).collect(),
    }
}
