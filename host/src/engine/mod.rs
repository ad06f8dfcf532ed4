//! Runs the stages of a batch: tasks, shuffles, retries.
//!
//! Owns everything that computes. Besides `memory`, no other module uses DataFusion. A task is one stage on
//! one partition. A task is built from descriptors alone, and each task runs and is retried independently of the
//! others. The output of a task depends on its input only, never on timing, order of arrival or memory pressure.

mod attempts;
mod counted;
mod embedded;
mod failure;
mod fault;
mod join;
mod leaf;
mod merge;
mod node;
mod plan;
mod plugin_exec;
mod plugin_task;
mod record;
mod records;
mod reduce;
mod retry;
mod sampler;
mod shuffle;
mod sort;
mod split_reads;
mod stage_info;
mod state;
mod task;
mod task_inputs;
mod updates;
mod wanted;

pub use embedded::{EmbeddedEngine, EngineParts};
pub use fault::{FaultInjector, FaultPoint, NoFaults};
pub use retry::{Cause, Next, after_failure};

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

/// The plan of a job: its graph and its stages.
#[derive(Clone, Debug)]
pub struct JobPlan {
    /// The graph.
    pub graph: Arc<Graph>,
    /// The stages. A stage has the same id in all plans of a batch.
    pub stages: Arc<StageGraph>,
    /// The ids of the records of the driver functions that ran in the batch so far. The engine has the records.
    pub calls: Arc<[RecordId]>,
    /// The files that driver functions load, by the node that stands for their rows.
    pub loaded: Arc<BTreeMap<NodeId, Vec<LoadedPart>>>,
}

/// A request to compute an output of a batch.
#[derive(Clone)]
pub struct JobRequest {
    /// The batch.
    pub batch: Time,
    /// The plan.
    pub plan: Arc<JobPlan>,
    /// The data sets of batches after this time exist.
    pub data_after: Time,
    /// The stages to run, in order.
    pub job: OutputJob,
    /// The partitions that the sources give to the batch.
    pub input: Arc<BatchInput>,
    /// The writer of the rows of the last stage. `None` if the last stage is not that of an output.
    pub write: Option<Arc<dyn BatchWrite>>,
    /// Cancels this job alone. `None` if nobody needs to cancel it.
    pub cancel: Option<Cancel>,
}

/// Runs jobs, in this process or elsewhere.
pub trait Engine: Send + Sync {
    /// Runs the stages of a job that have not run for this batch yet. The rows of the last stage go to the writer of
    /// the output. Returns the number of partitions of the last stage. Whether the output is committed is not decided
    /// here.
    ///
    /// # Errors
    /// Returns an error if a task failed for good. Other jobs of the batch are not affected.
    fn run(&self, request: JobRequest) -> BoxFuture<'_, Result<u32, Error>>;

    /// Stores the records of driver functions of a batch, for tasks that run the functions again. An earlier record of
    /// the same function is replaced.
    fn record(&self, batch: Time, calls: &[RecordedCall]);

    /// How many records the tasks of a batch read from files, by source. The numbers of records in blocks are known
    /// without this.
    fn records_read(&self, batch: Time) -> BTreeMap<String, u64>;

    /// The parts of files that tasks of a batch have read to their ends, and whose checksums were not known before.
    /// Each part is returned once.
    fn newly_read(&self, batch: Time) -> Vec<ReadPart>;

    /// Records that the given nodes have no rows in a batch that does not run.
    fn nothing(&self, batch: Time, nodes: &[NodeId]);

    /// Forgets a batch that is done, and its shuffles. Forgets all data sets except those that are still needed: for
    /// each node in `needed_after`, the data sets after the given time are kept.
    fn forget(&self, batch: Time, needed_after: &BTreeMap<NodeId, Time>);
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn internal(message: &str) -> DataFusionError {
    DataFusionError::Internal(message.to_owned())
}
