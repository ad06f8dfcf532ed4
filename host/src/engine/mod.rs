//! Runs the stages of a batch: tasks, shuffles, retries.
//!
//! Owns everything that computes, and is the only module that names DataFusion (with `memory`). A task is one stage on
//! one partition; it is built from descriptors alone, run alone, and run again alone. What a task produces depends on
//! its input only: never on timing, order of arrival or memory pressure.

mod embedded;
mod fault;
mod leaf;
mod plan;
mod plugin_exec;
mod retry;
mod shuffle;
mod sort;
mod task;

pub use embedded::{EmbeddedEngine, EngineParts};
pub use fault::{FaultInjector, FaultPoint, NoFaults};

use crate::block::InputPartition;
use crate::error::Error;
use crate::graph::{Graph, OutputJob, StageGraph};
use crate::ids::NodeId;
use crate::plugin::RecordedCall;
use crate::time::Time;
use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The partitions that a batch reads, by the node of their source.
pub type BatchInput = BTreeMap<NodeId, Vec<InputPartition>>;

/// What the stages of a job are made of.
#[derive(Clone, Debug)]
pub struct JobPlan {
    /// The nodes.
    pub graph: Arc<Graph>,
    /// The stages. Those of all plans for a batch have the same ids.
    pub stages: Arc<StageGraph>,
    /// What driver functions did in the batch so far.
    pub calls: Arc<[RecordedCall]>,
}

/// An output of a batch that is to be computed.
#[derive(Clone, Debug)]
pub struct JobRequest {
    /// The batch.
    pub batch: Time,
    /// What the stages are made of.
    pub plan: Arc<JobPlan>,
    /// The stages, in order.
    pub job: OutputJob,
    /// What they read.
    pub input: Arc<BatchInput>,
    /// How many rows of each partition the output wants, from the first.
    pub rows_wanted: usize,
}

/// Runs jobs, in this process or elsewhere.
pub trait Engine: Send + Sync {
    /// Runs the stages of a job that have not run for this batch yet, and returns the rows of the last, by partition.
    ///
    /// # Errors
    /// When a task failed for good. Nothing else of the batch is affected.
    fn run(&self, request: JobRequest) -> BoxFuture<'_, Result<Vec<Vec<RecordBatch>>, Error>>;

    /// Records that tasks of a batch read from files, by source. Those of blocks are known before.
    fn records_read(&self, batch: Time) -> BTreeMap<String, u64>;

    /// Forgets shuffles and data sets of a batch.
    fn forget(&self, batch: Time);
}
