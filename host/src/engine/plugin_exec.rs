//! The plan node that runs a plugin's fused steps on each partition.
//!
//! Each execution of a partition has an instance of its own. Rows go into the instance chunk by chunk, and the rows
//! that come out are handed on. A partition without rows needs no instance if its steps make no rows from an empty
//! input.

use super::node::{Execution, PlanNode, Rows, Work};
use super::plugin_task::{CHUNK_BYTES, LoadedPlugin, PluginError, PluginTask};
use super::updates::UpdatesOfNode;
use super::{external, internal};
use crate::data::chunk;
use crate::lock::lock;
use crate::plugin::{EmittedRows, Failure, TaskProgram};
use arrow::array::RecordBatch;
use datafusion_common::Result;
use datafusion_physical_plan::{ExecutionPlan, ExecutionPlanProperties as _};
use futures::Stream;
use futures::stream::{StreamExt as _, TryStreamExt as _};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

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
    let task = PluginTask::new(plugin.clone(), program, updates);
    let run = Run { plugin, task, input, chunks, ready, done: false };
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
    let (rows, made, used) = outcome.map_err(PluginError::new)?;
    updates.add(&plugin.variables, made, used).map_err(PluginError::of_variable)?;
    Ok(futures::stream::iter(rows.map(|rows| rows.map_err(external))))
}

/// An execution in progress.
struct Run {
    plugin: Arc<LoadedPlugin>,
    task: PluginTask,
    input: Rows,
    /// The chunks of the input that were not pushed yet.
    chunks: VecDeque<RecordBatch>,
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
                Some(chunk) => {
                    self.plugin.give_way().await;
                    self.push(&chunk)?
                }
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

    fn push(&mut self, chunk: &RecordBatch) -> Result<EmittedRows, PluginError> {
        self.task.push(0, chunk).map_err(|error| error.at_large_row(&self.task.program().input_type, chunk))
    }

    fn finish(&mut self) -> Result<EmittedRows, PluginError> {
        self.done = true;
        if !self.task.is_open() && self.task.program().is_quiet {
            // Often most of many partitions have no rows. Such a partition needs no instance.
            return Ok(EmittedRows::default());
        }
        self.task.open()?;
        self.task.finish()
    }
}
