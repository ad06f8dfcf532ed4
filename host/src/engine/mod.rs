//! Runs the stages of a batch: tasks, shuffles, retries.
//!
//! Owns everything that computes, and is the only module that names DataFusion (with `memory`). A task is one stage on
//! one partition; it is built from descriptors alone, run alone, and run again alone. What a task produces depends on
//! its input only: never on timing, order of arrival or memory pressure.

mod attempts;
mod embedded;
mod failure;
mod fault;
mod join;
mod leaf;
mod merge;
mod node;
mod plan;
mod plugin_exec;
mod record;
mod records;
mod reduce;
mod retry;
mod shuffle;
mod sort;
mod split_reads;
mod stage_info;
mod task;
mod wanted;

pub use embedded::{EmbeddedEngine, EngineParts};
pub use fault::{FaultInjector, FaultPoint, NoFaults};

use crate::block::{InputPartition, LoadedPart, ReadPart};
use crate::error::Error;
use crate::graph::{Graph, OutputJob, StageGraph};
use crate::ids::NodeId;
use crate::output::BatchWrite;
use crate::plugin::{Cancel, RecordId, RecordedCall};
use crate::time::Time;
use datafusion_common::DataFusionError;
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
    /// The driver functions that ran in the batch so far, by what names the record of each. The engine has the records.
    pub calls: Arc<[RecordId]>,
    /// The files that they load, by the node that stands for their rows.
    pub loaded: Arc<BTreeMap<NodeId, Vec<LoadedPart>>>,
}

/// An output of a batch that is to be computed.
#[derive(Clone)]
pub struct JobRequest {
    /// The batch.
    pub batch: Time,
    /// What the stages are made of.
    pub plan: Arc<JobPlan>,
    /// When the first batch of the run began.
    pub zero: Time,
    /// The stages, in order.
    pub job: OutputJob,
    /// What they read.
    pub input: Arc<BatchInput>,
    /// What takes the rows of the last stage, if that is an output's.
    pub write: Option<Arc<dyn BatchWrite>>,
    /// Gives up this job alone, if somebody may want that.
    pub cancel: Option<Cancel>,
}

/// Runs jobs, in this process or elsewhere.
pub trait Engine: Send + Sync {
    /// Runs the stages of a job that have not run for this batch yet, the last with the output as the taker of its rows,
    /// and returns how many partitions that one had. Whether the output is committed is not decided here.
    ///
    /// # Errors
    /// When a task failed for good. Nothing else of the batch is affected.
    fn run(&self, request: JobRequest) -> BoxFuture<'_, Result<u32, Error>>;

    /// Keeps what driver functions of a batch did, for tasks that run them again. What was kept of a function before is
    /// replaced.
    fn record(&self, batch: Time, calls: &[RecordedCall]);

    /// Records that tasks of a batch read from files, by source. Those of blocks are known before.
    fn records_read(&self, batch: Time) -> BTreeMap<String, u64>;

    /// Parts of files that tasks of a batch have read through, whose checksums were not known before. Each is told once.
    fn newly_read(&self, batch: Time) -> Vec<ReadPart>;

    /// Records that nodes have no rows in a batch, which does not run.
    fn nothing(&self, batch: Time, nodes: &[NodeId]);

    /// Forgets a batch that is done: its shuffles, and all data sets but those of the nodes in `needed_after`, of which
    /// those after the given time are kept.
    fn forget(&self, batch: Time, needed_after: &BTreeMap<NodeId, Time>);
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn internal(message: &str) -> DataFusionError {
    DataFusionError::Internal(message.to_owned())
}
