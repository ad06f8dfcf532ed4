//! One attempt at a task: runs its plan and takes what comes out to where it belongs.

use super::fault::{FaultInjector, FaultPoint};
use super::leaf::Stores;
use super::plugin_exec::PluginError;
use super::retry::Cause;
use super::shuffle::ShuffleWriter;
use crate::data::schema::RecordType;
use crate::graph::{Stage, StageOutput};
use crate::ids::TaskId;
use crate::memory::NoRoom;
use crate::plugin::{Failure, Place};
use arrow::array::RecordBatch;
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
}

impl AttemptError {
    fn outside(message: impl ToString) -> Self {
        Self { cause: Cause::Outside, message: message.to_string(), place: None }
    }
}

impl From<NoRoom> for AttemptError {
    fn from(error: NoRoom) -> Self {
        Self::outside(error)
    }
}

impl From<DataFusionError> for AttemptError {
    fn from(error: DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::External(inner) => match inner.downcast_ref::<PluginError>() {
                Some(PluginError { failure: Failure::Cancelled, .. }) => {
                    Self { cause: Cause::Cancelled, message: Failure::Cancelled.to_string(), place: None }
                }
                Some(PluginError { failure, place }) => {
                    Self { cause: Cause::Plugin, message: failure.to_string(), place: *place }
                }
                None => Self::outside(inner),
            },
            root => Self::outside(root),
        }
    }
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
    pub rows_wanted: usize,
    /// The type of the keys, if the stage writes to a shuffle.
    pub key_type: Option<&'a RecordType>,
}

impl Attempt<'_> {
    /// Runs the plan. Rows go to the stage's store, or are returned if the stage ends in the output. Nothing is stored
    /// before all rows are computed.
    pub(super) async fn run(self) -> Result<Vec<RecordBatch>, AttemptError> {
        self.fault(FaultPoint::Begin)?;
        let mut rows = self.plan.execute(0, self.context.clone())?;
        let mut collected = Vec::new();
        let mut writer = match self.stage.output {
            StageOutput::Shuffle { partitions, .. } => {
                Some(ShuffleWriter::new(self.key_type, self.task.partition, partitions))
            }
            _ => None,
        };
        let mut wanted = match self.stage.output {
            StageOutput::Result => self.rows_wanted,
            _ => usize::MAX,
        };
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            match &mut writer {
                Some(writer) => writer.write(batch)?,
                // All input is read even if no more rows are wanted, so that every record passes every operator.
                None if wanted == 0 => {}
                None => {
                    let taken = batch.num_rows().min(wanted);
                    wanted -= taken;
                    collected.push(batch.slice(0, taken));
                }
            }
        }
        self.fault(FaultPoint::BeforeCommit)?;
        let TaskId { batch, stage, partition } = self.task;
        match (self.stage.output, writer) {
            (StageOutput::Shuffle { .. }, Some(writer)) => {
                self.stores.shuffles.put(batch, stage, partition, writer.finish())?;
            }
            (StageOutput::DataSet { node }, _) => {
                self.stores.data_sets.put(node, batch, partition, std::mem::take(&mut collected).into())?;
            }
            _ => {}
        }
        Ok(collected)
    }

    fn fault(&self, point: FaultPoint) -> Result<(), AttemptError> {
        match self.faults.fails(self.task, self.number, point) {
            true => Err(AttemptError::outside(format!("injected failure: {point:?}"))),
            false => Ok(()),
        }
    }
}
