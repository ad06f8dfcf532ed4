//! The plan node that runs a plugin's fused steps on each partition.
//!
//! Each execution of a partition has an instance of its own. Rows go into the instance chunk by chunk, and the rows
//! that come out are handed on. A partition without rows needs no instance if its steps make no rows from an empty
//! input.

use super::node::{Execution, PlanNode, Rows, Work};
use super::records::RecordStore;
use super::updates::UpdatesOfNode;
use super::{external, internal};
use crate::block::RowStorage;
use crate::data::schema::RecordType;
use crate::data::{chunk, text};
use crate::lock::lock;
use crate::plugin::{Cancel, EmittedRows, Failure, Plugin, TaskInstance, TaskProgram, TracedPlace};
use crate::shown;
use crate::variables::{SharedVariables, VariableError};
use arrow::array::RecordBatch;
use datafusion_common::{DataFusionError, Result};
use datafusion_physical_plan::{ExecutionPlan, ExecutionPlanProperties as _};
use futures::Stream;
use futures::stream::{StreamExt as _, TryStreamExt as _};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

/// Rows cross into the plugin in chunks of about this many bytes at most.
pub(super) const CHUNK_BYTES: usize = 1024 * 1024;

/// A failure of plugin code in a task. It also says how far a traced run had come.
#[derive(Debug)]
pub(super) struct PluginError {
    pub failure: Failure,
    pub place: Option<TracedPlace>,
    /// The key, as `print` shows it, whose values do not fit into the memory of an instance.
    pub key: Option<String>,
}

impl PluginError {
    pub(super) fn new((failure, place): (Failure, Option<TracedPlace>)) -> Self {
        Self { failure, place, key: None }
    }

    pub(super) fn of_variable(error: VariableError) -> Self {
        Self::new((error.into(), None))
    }

    pub(super) const fn is_out_of_memory(&self) -> bool {
        matches!(self.failure, Failure::OutOfMemory { .. })
    }

    /// Adds the key to the error if the instance ran out of memory at a single, very large row. Such a row can be a
    /// pair of a cogroup, which holds all values of a key.
    fn at_large_row(self, ty: &RecordType, rows: &RecordBatch) -> Self {
        let is_large = rows.num_rows() == 1 && chunk::row_bytes(rows, 0..1) > CHUNK_BYTES;
        match ty.pair() {
            Some((key, _)) if self.is_out_of_memory() && is_large => self.at_key(&key, rows),
            _ => self,
        }
    }

    /// Adds the key of the first row to the error. The key is the first column.
    pub(super) fn at_key(self, ty: &RecordType, rows: &RecordBatch) -> Self {
        let mut shown = String::new();
        let key = RecordBatch::try_new(ty.arrow().clone(), rows.columns().iter().take(1).cloned().collect());
        let is_shown = key.is_ok_and(|key| text::write_row(&key, ty, 0, &mut shown).is_ok());
        Self { key: is_shown.then(|| shown::value(&shown)), ..self }
    }
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
}

/// Runs a task program on the rows of its child. The child has only the partition of the task.
#[derive(Debug)]
pub(super) struct Steps {
    program: TaskProgram,
    /// The updates of accumulators that the program has made.
    pub(super) updates: UpdatesOfNode,
}

/// The plan node that runs plugin code.
pub(super) type PluginExec = PlanNode<Steps>;

impl PluginExec {
    pub(super) fn new(child: Arc<dyn ExecutionPlan>, program: TaskProgram) -> Self {
        let partitions = child.output_partitioning().partition_count();
        let schema = program.output_type.arrow().clone();
        Self::of(Steps { program, updates: UpdatesOfNode::default() }, vec![child], schema, partitions)
    }
}

impl Work for Steps {
    const NAME: &'static str = "PluginExec";

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.program.steps)
    }

    fn run(&self, execution: Execution<'_>) -> Result<Rows> {
        let plugin = execution.extension::<LoadedPlugin>("plugin")?;
        Ok(run(plugin, self.program.clone(), execution.input()?.boxed(), self.updates.clone()))
    }
}

/// Runs a program on these rows in an instance of its own. Returns the rows that come out. When the program has ended,
/// its updates of accumulators are in `updates`.
pub(super) fn run(plugin: Arc<LoadedPlugin>, program: TaskProgram, input: Rows, updates: UpdatesOfNode) -> Rows {
    if !program.replays.is_empty() {
        return futures::stream::once(run_again(plugin, program, input, updates)).try_flatten().boxed();
    }
    let (chunks, ready) = (VecDeque::new(), EmittedRows::default());
    let run = Run { plugin, program, input, updates, chunks, instance: None, ready, done: false };
    futures::stream::try_unfold(run, |mut run| async move { Ok(run.next().await?.map(|batch| (batch, run))) }).boxed()
}

/// Runs a program whose driver functions have to run again first. Such a program reads its input itself. The rows are
/// returned when the program has ended.
async fn run_again(
    plugin: Arc<LoadedPlugin>,
    program: TaskProgram,
    input: Rows,
    updates: UpdatesOfNode,
) -> Result<impl Stream<Item = Result<RecordBatch>>> {
    // An error of the input is returned as it is, and not as a failure of the plugin.
    let failed = Arc::new(Mutex::new(None));
    let slot = failed.clone();
    let input = input.map(move |rows| {
        rows.map_err(|error| {
            let failure = Failure::Action(error.to_string());
            *lock(&slot) = Some(error);
            failure
        })
    });
    let records = program.replays.iter().map(|record| plugin.records.get(program.batch, *record));
    let records: Option<Vec<_>> = records.collect();
    let records = records.ok_or_else(|| internal("what a driver function did is not known any more"))?;
    let outcome = plugin.plugin.run_again(&program, records, input.boxed(), &plugin.storage).await;
    if let Some(error) = lock(&failed).take() {
        return Err(error);
    }
    let (rows, made) = outcome.map_err(PluginError::new)?;
    updates.add(&plugin.variables, made).map_err(PluginError::of_variable)?;
    Ok(futures::stream::iter(rows.map(|rows| rows.map_err(external))))
}

/// An execution in progress.
struct Run {
    plugin: Arc<LoadedPlugin>,
    program: TaskProgram,
    input: Rows,
    updates: UpdatesOfNode,
    /// The chunks of the input that were not pushed yet.
    chunks: VecDeque<RecordBatch>,
    instance: Option<TaskInstance>,
    ready: EmittedRows,
    done: bool,
}

impl Run {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(rows) = self.ready.next() {
                return rows.map(Some).map_err(external);
            }
            if self.done {
                return Ok(None);
            }
            self.ready = match self.chunks.pop_front() {
                Some(chunk) => self.push(&chunk)?,
                None => match self.input.next().await.transpose()? {
                    Some(batch) => {
                        self.chunks.extend(chunk::chunks(&batch, CHUNK_BYTES));
                        continue;
                    }
                    None => self.finish()?,
                },
            };
        }
    }

    fn instance(&mut self) -> Result<&mut TaskInstance, PluginError> {
        Ok(match &mut self.instance {
            Some(instance) => instance,
            none => {
                let LoadedPlugin { plugin, storage, .. } = &*self.plugin;
                none.insert(TaskInstance::open(plugin, &self.program, Some(storage)).map_err(PluginError::new)?)
            }
        })
    }

    fn push(&mut self, chunk: &RecordBatch) -> Result<EmittedRows, PluginError> {
        let pushed = self.instance()?.push(0, chunk).map_err(PluginError::new);
        pushed.map_err(|error| error.at_large_row(&self.program.input_type, chunk))
    }

    fn finish(&mut self) -> Result<EmittedRows, PluginError> {
        self.done = true;
        if self.instance.is_none() && self.program.is_quiet {
            // If there are many partitions, most of them often have no rows. A partition without rows needs no
            // instance.
            return Ok(EmittedRows::default());
        }
        let instance = self.instance()?;
        let emitted = instance.finish().map_err(PluginError::new)?;
        let made = instance.take_updates();
        self.updates.add(&self.plugin.variables, made).map_err(PluginError::of_variable)?;
        // The memory of the instance goes back to the pool before the rows are handed on.
        self.instance = None;
        Ok(emitted)
    }
}
