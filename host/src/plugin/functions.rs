//! [`Functions`]: who answers the driver functions that run in an instance.
//!
//! There are two: the functions run for the first time, or they run again and a task follows. The caller makes sure that
//! a function runs before it asks anything in its name.

use super::answer::Answer;
use super::bindings::millstream::plugin::types;
use super::failure::Failure;
use super::program::TaskProgram;
use crate::graph::DescribedNode;
use crate::ids::NodeId;
use crate::time::Time;
use futures::future::{self, BoxFuture};
use std::sync::Arc;

/// How far an instance has come that runs driver functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The program builds its graph.
    Building,
    /// A function runs.
    InFunction,
    /// All functions have run again, and the task runs.
    InTask,
    /// Nothing is left to do.
    Done,
}

/// A function that begins.
pub(super) struct Begun {
    /// Seeds random numbers in the function.
    pub(super) seed: u64,
    /// The batch.
    pub(super) batch: Time,
    /// The operator for the log; `None` if the function has said before what it says now.
    pub(super) operators: Option<Arc<[(NodeId, String)]>>,
}

/// The answer to an action: `None` if the task's place is here; `Some(None)` if an output was done.
pub(super) type Answered = Option<Option<Arc<Answer>>>;

/// Answers the driver functions of one instance.
pub(super) trait Functions: Send {
    /// How far the instance has come.
    fn step(&self) -> Step;

    /// The function of a node begins. `None` if this function is not to begin now.
    fn begin(&mut self, node: NodeId) -> Option<Begun>;

    /// Computes a data set and returns its first rows.
    fn run(
        &mut self,
        made: Vec<DescribedNode>,
        wanted: NodeId,
        limit: Option<u64>,
    ) -> BoxFuture<'_, Result<Answered, Failure>>;

    /// The times at which a stream has data sets, in an interval.
    fn slice(&mut self, of: NodeId, first: Time, last: Time) -> Result<Vec<Time>, Failure>;

    /// Writes a file whole.
    fn write(&mut self, path: String, content: Vec<u8>) -> Result<(), Failure>;

    /// The content of a file of at most `limit` bytes; `None` if there is no such file.
    fn read(&mut self, path: String, limit: u64) -> Result<Option<Arc<[u8]>>, Failure>;

    /// The function ends, with the nodes that it made last, and the data set that it returns.
    fn end(&mut self, made: Vec<DescribedNode>, answer: Option<NodeId>) -> Result<(), Failure>;

    /// The task begins. `None` if no task begins now.
    fn begin_task(&mut self) -> Option<TaskProgram> {
        None
    }

    /// The next rows of the task, if it runs: `None` if there are no more.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<types::Chunk>, Failure>> {
        Box::pin(future::ready(Ok(None)))
    }

    /// The task ends. Whether it ran.
    fn end_task(&mut self) -> bool {
        false
    }
}
