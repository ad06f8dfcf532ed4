//! [`PluginTask`]: a task of the plugin, from its first rows to its last.
//!
//! Owns the instance of the task, and the errors of plugin code. The instance is made when there are rows for it, or when
//! the caller asks for it.

use super::records::RecordStore;
use super::sampler::Sampler;
use super::updates::UpdatesOfNode;
use crate::block::RowStorage;
use crate::data::schema::RecordType;
use crate::data::{chunk, text};
use crate::env::{Clock, Priority};
use crate::plugin::{Cancel, EmittedRows, Failure, Plugin, TaskInstance, TaskProgram, TracedPlace};
use crate::shown;
use crate::variables::{SharedVariables, VariableError};
use arrow::array::{ArrayRef, RecordBatch};
use datafusion_common::DataFusionError;
use std::fmt;
use std::sync::Arc;

/// Rows cross into the plugin in chunks of about this many bytes at most.
pub(super) const CHUNK_BYTES: usize = 1024 * 1024;

/// A failure of plugin code in a task. It also says how far a traced run had come.
#[derive(Debug)]
pub(super) struct PluginError {
    pub failure: Failure,
    pub place: Option<TracedPlace>,
    /// The key, as `print` shows it, whose values do not fit into the memory of an instance.
    pub key: Option<String>,
    /// The row of a traced run, in words, if the row is not a record of the input of the task.
    pub record: Option<String>,
}

impl PluginError {
    pub(super) fn new((failure, place): (Failure, Option<TracedPlace>)) -> Self {
        Self { failure, place, key: None, record: None }
    }

    pub(super) fn of_variable(error: VariableError) -> Self {
        Self::new((error.into(), None))
    }

    pub(super) const fn is_out_of_memory(&self) -> bool {
        matches!(self.failure, Failure::OutOfMemory { .. })
    }

    /// Adds the key to the error if the instance ran out of memory at a single, very large row. Such a row can be a
    /// pair of a cogroup, which holds all values of a key.
    pub(super) fn at_large_row(self, ty: &RecordType, rows: &RecordBatch) -> Self {
        let is_large = rows.num_rows() == 1 && chunk::row_bytes(rows, 0..1) > CHUNK_BYTES;
        match ty.pair() {
            Some((key, _)) if self.is_out_of_memory() && is_large => self.at_key(&key, rows),
            _ => self,
        }
    }

    /// Adds the key of the first row to the error. The key is the first column.
    pub(super) fn at_key(self, ty: &RecordType, rows: &RecordBatch) -> Self {
        Self { key: rows.columns().first().and_then(|keys| shown_value(ty, keys, 0)), ..self }
    }
}

/// A value of a column, as `print` shows it. `None` if the column does not have the type, or if there is no such row.
pub(super) fn shown_value(ty: &RecordType, column: &ArrayRef, row: usize) -> Option<String> {
    let mut text = String::new();
    let values = RecordBatch::try_new(ty.arrow().clone(), vec![column.clone()]).ok()?;
    let is_there = row < values.num_rows() && text::write_row(&values, ty, row, &mut text).is_ok();
    is_there.then(|| shown::value(&text))
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl std::error::Error for PluginError {}

impl From<PluginError> for DataFusionError {
    fn from(error: PluginError) -> Self {
        Self::External(Box::new(error))
    }
}

/// Returns an error if the run is cancelled. Long loops of the host call this.
pub(super) fn unless_cancelled(cancel: &Cancel) -> Result<(), PluginError> {
    if cancel.is_cancelled() { Err(PluginError::new((Failure::Cancelled, None))) } else { Ok(()) }
}

/// The plugin of the run. An extension of the task context.
pub(super) struct LoadedPlugin {
    pub plugin: Arc<Plugin>,
    /// The storage for emitted rows that are many.
    pub storage: RowStorage,
    /// The records of the driver functions.
    pub records: Arc<RecordStore>,
    /// The shared variables of the run.
    pub variables: Arc<SharedVariables>,
    /// The priority of the run, and the clock by which its tasks give way.
    pub priority: Priority,
    pub clock: Arc<dyn Clock>,
    /// Times operators. `None` if nobody wants to see their times.
    pub sampler: Option<Sampler>,
}

impl LoadedPlugin {
    /// Lets the batches of another run go first, if this run has low priority.
    pub(super) async fn give_way(&self) {
        self.priority.give_way(&*self.clock).await;
    }
}

/// A task of the plugin.
pub(super) struct PluginTask {
    plugin: Arc<LoadedPlugin>,
    program: TaskProgram,
    /// The updates of accumulators, when the task has ended.
    updates: UpdatesOfNode,
    instance: Option<TaskInstance>,
}

impl PluginTask {
    /// Makes a task that is not open.
    pub(super) fn new(plugin: Arc<LoadedPlugin>, program: TaskProgram, updates: UpdatesOfNode) -> Self {
        Self { plugin, program, updates, instance: None }
    }

    pub(super) fn program(&self) -> &TaskProgram {
        &self.program
    }

    /// Whether the task has an instance.
    pub(super) const fn is_open(&self) -> bool {
        self.instance.is_some()
    }

    /// Makes the instance, if there is none.
    pub(super) fn open(&mut self) -> Result<&mut TaskInstance, PluginError> {
        Ok(match &mut self.instance {
            Some(instance) => instance,
            none => {
                let LoadedPlugin { plugin, storage, .. } = &*self.plugin;
                none.insert(TaskInstance::open(plugin, &self.program, Some(storage)).map_err(PluginError::new)?)
            }
        })
    }

    /// Gives a chunk to the plugin. Returns the rows that the plugin emits meanwhile.
    pub(super) fn push(&mut self, input: u32, chunk: &RecordBatch) -> Result<EmittedRows, PluginError> {
        if let (None, Some(sampler)) = (&self.instance, &self.plugin.sampler) {
            // Before the instance of the task is made: there is memory for one at a time.
            sampler.sample(&self.plugin.plugin, &self.program, input, chunk);
        }
        self.open()?.push(input, chunk).map_err(PluginError::new)
    }

    /// The rows of state that the plugin has handed over.
    pub(super) fn take_state(&mut self) -> Result<Vec<RecordBatch>, PluginError> {
        match &mut self.instance {
            Some(instance) => instance.take_state().map_err(PluginError::new),
            None => Ok(Vec::new()),
        }
    }

    /// Ends the task, if it is open. Returns the last rows.
    pub(super) fn finish(&mut self) -> Result<EmittedRows, PluginError> {
        // The memory of the instance goes back to the pool before the rows are handed on.
        let Some(mut instance) = self.instance.take() else { return Ok(EmittedRows::default()) };
        let emitted = instance.finish().map_err(PluginError::new)?;
        self.updates
            .add(&self.plugin.variables, instance.take_updates(), instance.used())
            .map_err(PluginError::of_variable)?;
        Ok(emitted)
    }
}
