//! [`PluginCall`]: the rows that a stateful operation exchanges with its task of the plugin.
//!
//! Owns the rows that the plugin has answered, and which key belongs to a row at which the plugin failed. Never opens an
//! instance for no rows, unless the caller asks for it.

use crate::data::chunk;
use crate::data::schema::RecordType;
use crate::engine::plugin_task::{CHUNK_BYTES, PluginError, PluginTask, shown_value};
use crate::engine::{external, internal};
use crate::plugin::{EmittedRows, Failure};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion_common::Result;
use std::collections::VecDeque;

/// The input of a stateful task that takes keys, or records if the operation maps records.
pub(super) const FIRST: u32 = 0;
/// The input of a mapping task that takes states.
pub(super) const STATES: u32 = 1;
/// The input of a mapping task that takes the keys that time out.
pub(super) const TIMED_OUT: u32 = 2;

/// A task of the plugin, and what it has answered.
pub(super) struct PluginCall {
    task: PluginTask,
    /// The type of keys.
    key: RecordType,
    /// Whether the rows of the first input are the records that the task reads.
    maps_records: bool,
    /// The rows that the plugin was given before the last chunk. States are not counted.
    given: u64,
    /// Answered rows that nobody has taken.
    answers: VecDeque<RecordBatch>,
}

impl PluginCall {
    pub(super) fn new(task: PluginTask, key: RecordType, maps_records: bool) -> Self {
        Self { task, key, maps_records, given: 0, answers: VecDeque::new() }
    }

    /// Opens the task, also if there are no rows for it.
    pub(super) fn open(&mut self) -> Result<()> {
        self.task.open()?;
        Ok(())
    }

    /// Gives rows to the plugin, in chunks. Returns the rows that the plugin emits meanwhile.
    pub(super) fn push(&mut self, input: u32, rows: &RecordBatch) -> Result<Vec<EmittedRows>> {
        if rows.num_rows() == 0 {
            return Ok(Vec::new());
        }
        chunk::chunks(rows, CHUNK_BYTES).map(|chunk| self.push_whole(input, &chunk)).collect()
    }

    /// Gives rows to the plugin in one piece. Returns the rows that the plugin emits meanwhile.
    pub(super) fn push_whole(&mut self, input: u32, rows: &RecordBatch) -> Result<EmittedRows> {
        let emitted = self.task.push(input, rows).map_err(|error| self.with_key(error, input, rows))?;
        if input != STATES {
            self.given += rows.num_rows() as u64;
        }
        Ok(emitted)
    }

    /// Adds the key of the row at which the plugin failed, unless that row is a record that the task reads.
    fn with_key(&self, error: PluginError, input: u32, rows: &RecordBatch) -> PluginError {
        let Some(place) = error.place.filter(|_| input != FIRST || !self.maps_records) else { return error };
        let row = place.record.checked_sub(self.given).and_then(|row| usize::try_from(row).ok());
        let key = row.zip(rows.columns().first()).and_then(|(row, keys)| shown_value(&self.key, keys, row));
        PluginError { record: Some(key.map_or_else(|| "key unknown".to_owned(), |key| format!("key {key}"))), ..error }
    }

    /// The rows of state that the plugin has handed over.
    pub(super) fn take_state(&mut self) -> Result<Vec<RecordBatch>> {
        Ok(self.task.take_state()?)
    }

    /// Ends the task, if it is open. Returns the last rows.
    pub(super) fn finish(&mut self) -> Result<EmittedRows> {
        // What fails now has seen all rows.
        Ok(self.task.finish().map_err(|error| PluginError { place: None, ..error })?)
    }

    /// Gives rows to the plugin, which answers each with a row, now or later.
    pub(super) fn ask(&mut self, rows: &RecordBatch) -> Result<()> {
        for emitted in self.push(FIRST, rows)? {
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
            several => Ok(Some(concat_batches(self.task.program().output_type.arrow(), several)?)),
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
