//! [`PluginCall`]: one task of the plugin, from its first rows to its last.
//!
//! Owns the instance, and the rows that the plugin has answered. An instance is made when there are rows for it.

use crate::data::chunk;
use crate::engine::plugin_exec::{CHUNK_BYTES, LoadedPlugin, PluginError};
use crate::engine::updates::UpdatesOfNode;
use crate::engine::{external, internal};
use crate::plugin::{EmittedRows, Failure, TaskInstance, TaskProgram};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion_common::Result;
use std::collections::VecDeque;
use std::sync::Arc;

/// A task of the plugin.
pub(super) struct PluginCall {
    plugin: Arc<LoadedPlugin>,
    program: TaskProgram,
    updates: UpdatesOfNode,
    instance: Option<TaskInstance>,
    /// Answered rows that nobody has taken.
    answers: VecDeque<RecordBatch>,
}

impl PluginCall {
    pub(super) fn new(plugin: Arc<LoadedPlugin>, program: TaskProgram, updates: UpdatesOfNode) -> Self {
        Self { plugin, program, updates, instance: None, answers: VecDeque::new() }
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

    /// Gives rows to the plugin, in chunks. Returns the rows that the plugin emits meanwhile.
    pub(super) fn push(&mut self, input: u32, rows: &RecordBatch) -> Result<Vec<EmittedRows>> {
        let instance = self.instance()?;
        let push = |chunk: RecordBatch| Ok(instance.push(input, &chunk).map_err(PluginError::new)?);
        chunk::chunks(rows, CHUNK_BYTES).map(push).collect()
    }

    /// Gives rows to the plugin in one piece. Returns the rows that the plugin emits meanwhile.
    pub(super) fn push_whole(&mut self, input: u32, rows: &RecordBatch) -> Result<EmittedRows> {
        Ok(self.instance()?.push(input, rows).map_err(PluginError::new)?)
    }

    /// The rows of state that the plugin has handed over.
    pub(super) fn take_state(&mut self) -> Result<Vec<RecordBatch>> {
        match &mut self.instance {
            Some(instance) => Ok(instance.take_state().map_err(PluginError::new)?),
            None => Ok(Vec::new()),
        }
    }

    /// Ends the task, if there was one. Returns the last rows.
    pub(super) fn finish(&mut self) -> Result<EmittedRows> {
        // The memory of the instance goes back to the pool before the rows are looked at.
        let Some(mut instance) = self.instance.take() else { return Ok(EmittedRows::default()) };
        let finished = instance.finish().map_err(PluginError::new)?;
        self.updates.add(&self.plugin.variables, instance.take_updates()).map_err(PluginError::of_variable)?;
        Ok(finished)
    }

    /// Gives rows to the plugin, which answers each with a row, now or later.
    pub(super) fn ask(&mut self, rows: &RecordBatch) -> Result<()> {
        for emitted in self.push(0, rows)? {
            self.answered(emitted)?;
        }
        Ok(())
    }

    /// Ends the task. All rows have to be answered.
    pub(super) fn ask_no_more(&mut self) -> Result<()> {
        let emitted = self.finish()?;
        self.answered(emitted)
    }

    fn answered(&mut self, emitted: EmittedRows) -> Result<()> {
        for rows in emitted {
            self.answers.push_back(rows.map_err(external)?);
        }
        Ok(())
    }

    /// The next `count` answers. `None` if the plugin has not answered as many rows yet.
    pub(super) fn answers(&mut self, count: usize) -> Result<Option<RecordBatch>> {
        let there: usize = self.answers.iter().map(RecordBatch::num_rows).sum();
        if there < count {
            return Ok(None);
        }
        let (mut taken, mut left) = (Vec::new(), count);
        while left > 0 {
            let Some(rows) = self.answers.pop_front() else { return Err(internal("answers are counted")) };
            if rows.num_rows() > left {
                self.answers.push_front(rows.slice(left, rows.num_rows() - left));
                taken.push(rows.slice(0, left));
                break;
            }
            left -= rows.num_rows();
            taken.push(rows);
        }
        match taken.as_slice() {
            [one] => Ok(Some(one.clone())),
            several => Ok(Some(concat_batches(self.program.output_type.arrow(), several)?)),
        }
    }

    /// The failure of a plugin that does not answer each row with one row.
    pub(super) fn wrong_answers(&self) -> datafusion_common::DataFusionError {
        let message = "a stateful operation did not answer each key with one state".to_owned();
        PluginError::new((Failure::BrokenData(message), None)).into()
    }

    /// Whether the plugin has given answers that nobody has taken.
    pub(super) fn has_answers(&self) -> bool {
        self.answers.iter().any(|rows| rows.num_rows() > 0)
    }
}
