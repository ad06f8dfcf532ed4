//! [`Functions`]: answers the calls of the driver functions that run in an instance.
//!
//! There are two implementations. One answers functions that run for the first time; the other answers functions that
//! run again before a task. The caller makes sure that a function runs before it calls anything in the name of the
//! function.

use super::answer::Answer;
use super::bindings::millstream::plugin::types;
use super::failure::Failure;
use super::program::TaskProgram;
use crate::block::OffsetRange;
use crate::graph::DescribedNode;
use crate::ids::NodeId;
use crate::time::Time;
use crate::variables::{VariableAnswer, VariableCall};
use futures::future::{self, BoxFuture};
use std::sync::Arc;

/// The step that an instance with driver functions has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The program builds its graph.
    Building,
    /// A driver function runs.
    InFunction,
    /// All driver functions have run again, and the task runs.
    InTask,
    /// The function or the task has ended, and nothing is left to do.
    Done,
}

/// What the host needs to know about a function that begins.
pub(super) struct Begun {
    /// The seed of random numbers in the function.
    pub(super) seed: u64,
    /// The batch.
    pub(super) batch: Time,
    /// The operators for the log. `None` if the function has already written the same log lines when it ran for the
    /// first time.
    pub(super) operators: Option<Arc<[(NodeId, String)]>>,
}

/// The answer to an action. `None` if the task has to run at this point; `Some(None)` if the action was an output and
/// succeeded.
pub(super) type Answered = Option<Option<Arc<Answer>>>;

/// Answers the driver functions of one instance.
pub(super) trait Functions: Send {
    /// The step that the instance has reached.
    fn step(&self) -> Step;

    /// Begins the function of a node. Returns `None` if this function must not begin now.
    fn begin(&mut self, node: NodeId) -> Option<Begun>;

    /// Computes a data set and returns its first rows.
    fn run(
        &mut self,
        made: Vec<DescribedNode>,
        wanted: NodeId,
        limit: Option<u64>,
    ) -> BoxFuture<'_, Result<Answered, Failure>>;

    /// The times in an interval at which a stream has data sets.
    fn slice(&mut self, of: NodeId, first: Time, last: Time) -> Result<Vec<Time>, Failure>;

    /// Writes a whole file.
    fn write(&mut self, path: String, content: Vec<u8>) -> Result<(), Failure>;

    /// The content of a file of at most `limit` bytes; `None` if there is no such file.
    fn read(&mut self, path: String, limit: u64) -> Result<Option<Arc<[u8]>>, Failure>;

    /// The ranges that the batch reads from a source with topics.
    fn ranges(&mut self, source: String) -> Result<Vec<OffsetRange>, Failure>;

    /// Tells the consumer group of a source of ranges, when the batch is done.
    fn commit(&mut self, source: String, ranges: Vec<OffsetRange>) -> Result<(), Failure>;

    /// Does something with a shared variable.
    fn variable(&mut self, call: VariableCall) -> Result<VariableAnswer, Failure>;

    /// Ends the function. `made` are the last nodes that the function has made; `answer` is the data set that it
    /// returns.
    fn end(&mut self, made: Vec<DescribedNode>, answer: Option<NodeId>) -> Result<(), Failure>;

    /// Begins the task. Returns `None` if no task begins now.
    fn begin_task(&mut self) -> Option<TaskProgram> {
        None
    }

    /// The next rows of the task if the task runs; `None` if there are no more rows.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<types::Chunk>, Failure>> {
        Box::pin(future::ready(Ok(None)))
    }

    /// Ends the task. Returns whether the task was running.
    fn end_task(&mut self) -> bool {
        false
    }
}
