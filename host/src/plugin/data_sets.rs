//! [`DataSets`]: the host, as a driver function sees it.

use super::answer::Answer;
use super::failure::Failure;
use crate::graph::DescribedNode;
use crate::ids::NodeId;
use crate::time::Time;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use std::sync::Arc;

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
pub type RowsStream = BoxStream<'static, Result<arrow::array::RecordBatch, Failure>>;
