//! The program of a task: everything that the plugin needs to know about the task, except the data.

use super::bindings::exports::millstream::plugin::tasks;
use super::record::RecordId;
use crate::data::schema::RecordType;
use crate::ids::NodeId;
use crate::time::Time;
use std::sync::Arc;

/// Everything that the plugin needs to know about a task, except the data. A program can be built again from the stage
/// graph, in any process.
#[derive(Clone, Debug)]
pub struct TaskProgram {
    /// The time of the batch.
    pub batch: Time,
    /// The number of the partition, from 0.
    pub partition: u32,
    /// The job's arguments.
    pub arguments: Arc<[(String, String)]>,
    /// The seed of random numbers in the task. The seed follows from the job and the operator, never from the attempt.
    pub seed: u64,
    /// The node whose rows are the input of the task. If the input comes from a shuffle: the node that the shuffle
    /// belongs to.
    pub input: NodeId,
    /// The type of the input rows.
    pub input_type: RecordType,
    /// The types of the rows of the inputs 1, 2 and so on. Only operators that keep state have such inputs.
    pub more_inputs: Vec<RecordType>,
    /// The steps of the task, each with a node and a role.
    pub steps: Arc<[TaskStep]>,
    /// The names of the operators in the graph, for the log.
    pub operators: Arc<[(NodeId, String)]>,
    /// The type of the output rows.
    pub output_type: RecordType,
    /// The type of the rows that the plugin hands over as changed states; `None` if the task may not hand over states.
    pub state_type: Option<RecordType>,
    /// Whether the plugin reports each record before an operator sees it.
    pub traced: bool,
    /// Whether the task gives no rows if it gets no rows.
    pub is_quiet: bool,
    /// The driver functions that have to run again before the task, by the ids of their records.
    pub replays: Arc<[RecordId]>,
}

/// One step of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskStep {
    /// The node of the step.
    pub node: NodeId,
    /// The role of the step, by its name in the plugin interface.
    pub role: &'static str,
    /// The partition of the node's rows that the step sees.
    pub partition: u32,
}

/// Converts the program of a task to the form of the plugin interface.
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
