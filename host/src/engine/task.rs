//! One attempt at a task: runs its plan and takes what comes out to where it belongs.

use super::fault::{FaultInjector, FaultPoint};
use super::leaf::Stores;
use super::plugin_exec::PluginError;
use super::retry::Cause;
use super::shuffle::ShuffleWriter;
use super::stage_info::{TaskMetrics, rows_read};
use crate::block::{LoadError, RowsWriter, SpillError, value_bytes};
use crate::data::schema::RecordType;
use crate::error::Error;
use crate::graph::{Stage, StageOutput};
use crate::ids::{NodeId, TaskId};
use crate::output::{BatchWrite, PartitionWriter};
use crate::plugin::{Failure, Place};
use datafusion_common::DataFusionError;
use datafusion_execution::TaskContext;
use datafusion_physical_plan::ExecutionPlan;
use futures::StreamExt as _;
use std::sync::Arc;

/// Why an attempt failed.
#[derive(Debug)]
pub(super) struct AttemptError {
    pub cause: Cause,
    pub message: String,
    pub place: Option<Place>,
    /// Whether a plugin instance had too little memory.
    pub is_out_of_memory: bool,
    /// The key whose values were too many for it.
    pub key: Option<String>,
    /// What the output says, or a file that was loaded, if it is what failed.
    pub output: Option<Box<Error>>,
}

impl AttemptError {
    /// A failure of the output.
    fn output(error: Error) -> Self {
        Self { output: Some(Box::new(error.clone())), ..Self::outside(error.message) }
    }

    fn outside(message: impl ToString) -> Self {
        Self::new(Cause::Outside, message)
    }

    fn new(cause: Cause, message: impl ToString) -> Self {
        let message = message.to_string();
        Self { cause, message, place: None, is_out_of_memory: false, key: None, output: None }
    }
}

impl From<SpillError> for AttemptError {
    fn from(error: SpillError) -> Self {
        Self::outside(error)
    }
}

impl From<DataFusionError> for AttemptError {
    fn from(error: DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::External(inner) => match inner.downcast_ref::<PluginError>() {
                Some(PluginError { failure: Failure::Cancelled, .. }) => {
                    Self::new(Cause::Cancelled, Failure::Cancelled)
                }
                Some(error) => {
                    let PluginError { failure, place, key } = error;
                    let (is_out_of_memory, key) = (error.is_out_of_memory(), key.clone());
                    Self { place: *place, is_out_of_memory, key, ..Self::new(Cause::Plugin, failure) }
                }
                None => match inner.downcast_ref::<LoadError>() {
                    Some(error) => Self::output(error.into()),
                    None => Self::outside(inner),
                },
            },
            root => Self::outside(root),
        }
    }
}

/// Takes the rows of a task as they come.
enum Taker {
    Shuffle(ShuffleWriter),
    DataSet(NodeId, RowsWriter),
    Output(Box<dyn PartitionWriter>),
}

/// What one attempt needs.
pub(super) struct Attempt<'a> {
    pub task: TaskId,
    pub number: u32,
    pub stage: &'a Stage,
    pub plan: Arc<dyn ExecutionPlan>,
    pub context: Arc<TaskContext>,
    pub stores: &'a Stores,
    pub faults: &'a dyn FaultInjector,
    /// What takes the rows of the last stage.
    pub write: Option<&'a dyn BatchWrite>,
    /// The type of the keys, if the stage writes to a shuffle.
    pub key_type: Option<&'a RecordType>,
    /// Whether the data set that the stage writes goes to disk at once.
    pub only_files: bool,
}

impl Attempt<'_> {
    /// Runs the plan. Rows go to the stage's store, or to the output if the stage ends there. Nothing can be seen of them
    /// before all are computed.
    pub(super) async fn run(self) -> Result<TaskMetrics, AttemptError> {
        self.fault(FaultPoint::Begin)?;
        let mut rows = self.plan.execute(0, self.context.clone())?;
        let mut taker = self.taker().await?;
        let mut metrics = TaskMetrics::default();
        while let Some(batch) = rows.next().await.transpose()? {
            metrics.rows_written += batch.num_rows() as u64;
            match &mut taker {
                Taker::Shuffle(writer) => {
                    metrics.shuffle_bytes_written += value_bytes(&batch);
                    writer.write(batch)?;
                }
                Taker::DataSet(_, writer) => writer.append(0, batch)?,
                Taker::Output(writer) => writer.write(batch).await.map_err(AttemptError::output)?,
            }
        }
        metrics.rows_read = rows_read(&self.plan);
        self.fault(FaultPoint::BeforeCommit)?;
        let TaskId { batch, stage, partition } = self.task;
        match taker {
            Taker::Shuffle(writer) => self.stores.shuffles.put(batch, stage, partition, writer.finish()),
            Taker::DataSet(node, writer) => self.stores.data_sets.put(node, batch, partition, writer.finish()),
            Taker::Output(writer) => writer.finish().await.map_err(AttemptError::output)?,
        }
        Ok(metrics)
    }

    /// What takes the rows of this task.
    async fn taker(&self) -> Result<Taker, AttemptError> {
        let storage = &self.stores.storage;
        Ok(match self.stage.output {
            StageOutput::Shuffle { partitions, .. } => {
                Taker::Shuffle(ShuffleWriter::new(storage, self.key_type, self.task.partition, partitions))
            }
            StageOutput::DataSet { node } if self.only_files => Taker::DataSet(node, storage.writer(1).only_files()),
            StageOutput::DataSet { node } => Taker::DataSet(node, storage.writer(1)),
            StageOutput::Result => {
                let write = self.write.ok_or_else(|| AttemptError::outside("nothing takes the rows of this stage"))?;
                let writer = write.writer(self.task.partition, self.number).await;
                Taker::Output(writer.map_err(AttemptError::output)?)
            }
        })
    }

    fn fault(&self, point: FaultPoint) -> Result<(), AttemptError> {
        match self.faults.fails(self.task, self.number, point) {
            true => Err(AttemptError::outside(format!("injected failure: {point:?}"))),
            false => Ok(()),
        }
    }
}
