//! [`DataSets`]: the operations that a driver function can ask the host for.

use super::answer::Answer;
use super::failure::Failure;
use crate::block::OffsetRange;
use crate::graph::DescribedNode;
use crate::ids::NodeId;
use crate::time::Time;
use crate::variables::{VariableAnswer, VariableCall};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use std::sync::Arc;

/// The operations that a driver function can ask the host for.
pub trait DataSets: Send {
    /// Computes a data set and returns its first rows. `made` are the nodes that the function has added to the graph
    /// since the last call. Returns `None` if the node is an output.
    fn run(
        &mut self,
        made: Vec<DescribedNode>,
        wanted: NodeId,
        limit: Option<u64>,
    ) -> BoxFuture<'_, Result<Option<Answer>, Failure>>;

    /// The times in an interval at which a stream has data sets.
    ///
    /// # Errors
    /// If the stream has no data sets, or if the data sets are not kept any more.
    fn slice(&mut self, of: NodeId, first: Time, last: Time) -> Result<Vec<Time>, Failure>;

    /// Writes a whole file.
    ///
    /// # Errors
    /// If the path is not granted, or if the file cannot be written.
    fn write(&mut self, path: String, content: Vec<u8>) -> Result<(), Failure>;

    /// The content of a file; `None` if the file does not exist.
    ///
    /// # Errors
    /// If the path is not granted, or if the file cannot be read or has more than `limit` bytes.
    fn read(&mut self, path: String, limit: u64) -> Result<Option<Arc<[u8]>>, Failure>;

    /// The ranges that the batch reads from a source with topics, in order.
    ///
    /// # Errors
    /// If there is no such source.
    fn ranges(&mut self, source: String) -> Result<Vec<OffsetRange>, Failure>;

    /// Tells the consumer group of a source, when the batch is done, that everything before the ends of the ranges is
    /// processed.
    ///
    /// # Errors
    /// If there is no such source, or if the source tells its group of all offsets itself.
    fn commit(&mut self, source: String, ranges: Vec<OffsetRange>) -> Result<(), Failure>;

    /// Does something with a shared variable.
    ///
    /// # Errors
    /// If the request is not valid, or if there is no room for a value.
    fn variable(&mut self, call: VariableCall) -> Result<VariableAnswer, Failure>;

    /// Ends the function. `made` are the last nodes that the function has made; `answer` is the data set that it
    /// returns.
    ///
    /// # Errors
    /// If the nodes or the answer are not valid.
    fn end(&mut self, made: Vec<DescribedNode>, answer: Option<NodeId>) -> Result<(), Failure>;
}

/// A call of a driver function.
#[derive(Clone, Debug)]
pub struct DriverCall {
    /// The node whose function is called.
    pub node: NodeId,
    /// The id of the first node that the function makes.
    pub first: NodeId,
    /// The time of the batch.
    pub batch: Time,
    /// The job's arguments.
    pub arguments: Arc<[(String, String)]>,
    /// The seed of random numbers in the function. The seed follows from the job and the operator.
    pub seed: u64,
    /// The name of the operator in the graph, for the log.
    pub operator: String,
}

/// A stream of rows that go into a task.
pub type RowsStream = BoxStream<'static, Result<arrow::array::RecordBatch, Failure>>;
