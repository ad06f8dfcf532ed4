//! Runs one attempt at a task: executes the plan of the task, and passes the rows to the store of the stage or to the
//! output.

use super::counted::{plugin_use, take_updates};
use super::fault::{FaultInjector, FaultPoint};
use super::join::JoinError;
use super::leaf::{InputError, LeafStores};
use super::plugin_task::{PluginError, unless_cancelled};
use super::retry::Cause;
use super::shuffle::ShuffleWriter;
use super::stage_info::{TaskMetrics, read_by};
use super::state::KeyTooLarge;
use crate::block::{LoadError, RowsWriter, SpillError, value_bytes};
use crate::data::schema::RecordType;
use crate::env::{Clock, persistence};
use crate::error::{Error, Persistence};
use crate::graph::{Stage, StageOutput};
use crate::ids::{NodeId, TaskId};
use crate::output::{BatchWrite, PartitionWriter};
use crate::plugin::{Cancel, Failure, TracedPlace};
use crate::variables::{SharedVariables, Updates};
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
    pub place: Option<TracedPlace>,
    /// Whether a plugin instance ran out of memory.
    pub is_out_of_memory: bool,
    /// The key whose values did not fit into the instance.
    pub key: Option<String>,
    /// The row at which plugin code failed, in words, if the row is not a record of the input of the task.
    pub record: Option<String>,
    /// The error of something outside the plugin that has a message of its own.
    pub outside: Option<Box<Outside>>,
}

/// A failure outside the plugin that has a message of its own.
#[derive(Debug)]
pub(super) enum Outside {
    /// An output failed. The error names the output and the batch.
    Output(Error),
    /// A file failed. The error does not name the operator and the batch: the engine adds them.
    File(Error),
}

const fn cause(persistence: Persistence) -> Cause {
    match persistence {
        Persistence::Transient => Cause::Transient,
        Persistence::Permanent => Cause::Permanent,
    }
}

impl AttemptError {
    /// Makes the error of an output that failed.
    fn output(error: Error) -> Self {
        let (cause, message) = (cause(error.persistence), error.message.clone());
        Self { outside: Some(Box::new(Outside::Output(error))), ..Self::new(cause, message) }
    }

    /// Makes the error of a file that could not be read.
    fn file(error: Error) -> Self {
        let (cause, message) = (cause(error.persistence), error.message.clone());
        Self { outside: Some(Box::new(Outside::File(error))), ..Self::new(cause, message) }
    }

    fn new(cause: Cause, message: impl ToString) -> Self {
        let message = message.to_string();
        Self { cause, message, place: None, is_out_of_memory: false, key: None, record: None, outside: None }
    }
}

impl From<PluginError> for AttemptError {
    fn from(error: PluginError) -> Self {
        DataFusionError::from(error).into()
    }
}

impl From<SpillError> for AttemptError {
    fn from(error: SpillError) -> Self {
        Self::from(&error)
    }
}

impl From<&SpillError> for AttemptError {
    fn from(error: &SpillError) -> Self {
        Self::new(cause(error.persistence()), error)
    }
}

impl From<DataFusionError> for AttemptError {
    fn from(error: DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::External(inner) => Self::of_ours(&**inner),
            // The failure is transient: other tasks give their memory back.
            root @ DataFusionError::ResourcesExhausted(_) => Self::new(Cause::Transient, root),
            DataFusionError::IoError(error) => Self::new(cause(persistence(error)), error),
            root => Self::new(Cause::Permanent, root),
        }
    }
}

impl AttemptError {
    /// Converts an error of one of the host's own modules. An unknown error counts as permanent.
    fn of_ours(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Self {
        if let Some(PluginError { failure, place, key, record }) = error.downcast_ref() {
            if *failure == Failure::Cancelled {
                return Self::new(Cause::Cancelled, failure);
            }
            if let Failure::NotKept(_) = failure {
                // The failure is transient: other tasks give their memory back.
                return Self::new(Cause::Transient, failure);
            }
            let is_out_of_memory = matches!(failure, Failure::OutOfMemory { .. });
            let (key, record) = (key.clone(), record.clone());
            return Self { place: *place, is_out_of_memory, key, record, ..Self::new(Cause::Plugin, failure) };
        }
        if let Some(error) = error.downcast_ref::<LoadError>() {
            return Self::file(error.into());
        }
        if let Some(InputError(error)) = error.downcast_ref() {
            return Self::file(error.clone());
        }
        if let Some(error) = error.downcast_ref::<SpillError>() {
            return error.into();
        }
        let has_no_room = matches!(error.downcast_ref(), Some(JoinError::NoRoom { .. }));
        // The failure is transient: other tasks give their memory back.
        let is_transient = has_no_room || error.is::<KeyTooLarge>();
        Self::new(if is_transient { Cause::Transient } else { Cause::Permanent }, error)
    }
}

/// Receives the rows of a task.
enum TaskOutput {
    Shuffle(ShuffleWriter),
    DataSet(NodeId, RowsWriter),
    Output(Box<dyn PartitionWriter>),
}

/// The inputs of one attempt.
pub(super) struct Attempt<'a> {
    pub task: TaskId,
    pub number: u32,
    pub stage: &'a Stage,
    pub plan: Arc<dyn ExecutionPlan>,
    pub context: Arc<TaskContext>,
    pub stores: &'a LeafStores,
    pub faults: &'a dyn FaultInjector,
    pub clock: &'a dyn Clock,
    /// The writer of the rows of the last stage, if there is an output.
    pub write: Option<&'a dyn BatchWrite>,
    /// Says whether the run is cancelled.
    pub cancel: &'a Cancel,
    /// The type of the keys, if the stage writes to a shuffle by key.
    pub key_type: Option<&'a RecordType>,
    /// Whether the data set that the stage writes goes to disk at once.
    pub only_files: bool,
    /// The shared variables of the run.
    pub variables: &'a SharedVariables,
}

impl Attempt<'_> {
    /// Runs the plan. The rows go to the store of the stage, or to the output if the stage ends in one. No row is
    /// visible before all rows are computed. Returns the updates of accumulators, which nobody has seen so far.
    pub(super) async fn run(self) -> Result<(TaskMetrics, Updates), AttemptError> {
        self.fault(FaultPoint::Begin)?;
        unless_cancelled(self.cancel)?;
        let mut rows = self.plan.execute(0, self.context.clone())?;
        let mut output = self.output().await?;
        let mut metrics = TaskMetrics::default();
        while let Some(batch) = rows.next().await.transpose()? {
            unless_cancelled(self.cancel)?;
            metrics.rows_written += batch.num_rows() as u64;
            metrics.bytes_written += value_bytes(&batch);
            match &mut output {
                TaskOutput::Shuffle(writer) => writer.write(batch)?,
                TaskOutput::DataSet(_, writer) => writer.append(0, batch)?,
                TaskOutput::Output(writer) => writer.write(batch).await.map_err(AttemptError::output)?,
            }
        }
        if let TaskOutput::Shuffle(_) = output {
            metrics.shuffle_bytes_written = metrics.bytes_written;
        }
        (metrics.rows_read, metrics.bytes_read) = read_by(&self.plan);
        metrics.plugin = plugin_use(&self.plan);
        let stall = self.faults.stalls(self.task, metrics.rows_read);
        if !stall.is_zero() {
            self.clock.sleep(stall).await;
        }
        let updates = take_updates(&self.plan, self.variables).map_err(PluginError::of_variable)?;
        self.fault(FaultPoint::BeforeCommit)?;
        let TaskId { batch, stage, partition, .. } = self.task;
        match output {
            TaskOutput::Shuffle(writer) => self.stores.shuffles.put(batch, stage, partition, writer.finish()),
            TaskOutput::DataSet(node, writer) => self.stores.data_sets.put(node, batch, partition, writer.finish()),
            TaskOutput::Output(writer) => writer.finish().await.map_err(AttemptError::output)?,
        }
        Ok((metrics, updates))
    }

    /// Makes the receiver of the rows of this task.
    async fn output(&self) -> Result<TaskOutput, AttemptError> {
        let storage = &self.stores.storage;
        Ok(match self.stage.output {
            StageOutput::Shuffle { partitions, .. } => {
                TaskOutput::Shuffle(ShuffleWriter::new(storage, self.key_type, self.task.partition, partitions))
            }
            StageOutput::DataSet { node } if self.only_files => {
                TaskOutput::DataSet(node, storage.writer(1).only_files())
            }
            StageOutput::DataSet { node } => TaskOutput::DataSet(node, storage.writer(1)),
            StageOutput::Result => {
                let write = self
                    .write
                    .ok_or_else(|| AttemptError::new(Cause::Permanent, "nothing takes the rows of this stage"))?;
                let writer = write.writer(self.task.partition, self.number).await;
                TaskOutput::Output(writer.map_err(AttemptError::output)?)
            }
        })
    }

    fn fault(&self, point: FaultPoint) -> Result<(), AttemptError> {
        match self.faults.fails(self.task, self.number, point) {
            true => Err(AttemptError::new(Cause::Transient, format!("injected failure: {point:?}"))),
            false => Ok(()),
        }
    }
}
