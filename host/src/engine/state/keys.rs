//! `update_state_by_key`: the plugin sees each key that has state or new values, with its state and its new values.

use super::call::PluginCall;
use super::rows::{Entry, Keys, entries};
use super::{Read, StateRun, taken};
use crate::engine::internal;
use crate::engine::plugin_task::unless_cancelled;
use crate::state::{self, Layout, Page, Touched};
use arrow::array::{ArrayRef, ListArray, RecordBatch};
use arrow::buffer::OffsetBuffer;
use arrow::compute::concat;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion_common::Result;
use datafusion_execution::SendableRecordBatchStream;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// A page whose keys the plugin has seen, and has not answered.
struct Asked {
    page: Option<Arc<Page>>,
    /// The smallest hash of the page.
    first: u64,
    /// All rows of the page.
    rows: RecordBatch,
    keys: Keys,
}

impl StateRun {
    /// Updates the state of all keys.
    pub(super) async fn update_keys(&mut self, inputs: Vec<SendableRecordBatchStream>) -> Result<()> {
        let (read, _) = self.read(inputs).await?;
        let touched = self.touched(&read.rows)?;
        let (mut call, mut asked) = (self.call()?, VecDeque::new());
        let before = self.before.clone();
        for at in before.pages() {
            unless_cancelled(&self.plugin.plugin.cancel())?;
            let rows = self.rows_of(at.page)?;
            let (keys, pushed) = self.keys_of(&read, &touched, touched.range(at.first, at.end), &rows)?;
            call.ask(&pushed)?;
            asked.push_back(Asked { page: at.page.cloned(), first: at.first, rows, keys });
            self.answered(&mut call, &mut asked)?;
        }
        call.ask_no_more()?;
        self.answered(&mut call, &mut asked)?;
        if asked.is_empty() && !call.has_answers() { Ok(()) } else { Err(call.wrong_answers()) }
    }

    /// All rows of a page, those of removed keys included.
    pub(super) fn rows_of(&self, page: Option<&Arc<Page>>) -> Result<RecordBatch> {
        let Some(page) = page else { return Ok(RecordBatch::new_empty(self.layout.schema().clone())) };
        Ok(page.open(&self.layout)?.newest(self.after.forgotten_ms())?)
    }

    /// The keys of a page that have state or new values, and the rows with which the plugin is asked for their new states.
    pub(super) fn keys_of(
        &self,
        read: &Read,
        touched: &Touched,
        range: Range<usize>,
        rows: &RecordBatch,
    ) -> Result<(Keys, RecordBatch)> {
        let live = state::live(rows)?;
        let entries = entries(&live, touched, range, &self.layout)?;
        let keys = Keys::of(&self.layout, &live, touched, &entries)?;
        let of_key = entries.iter().map(|(_, key): &Entry| *key);
        let ty = self.work.types.update.arrow();
        let values =
            lists(ty, 2, read.rows.column(1), of_key.map(|key| key.map_or(&[][..], |key| touched.rows_of(key))))?;
        let states = optional(&self.layout, &keys);
        let pushed = RecordBatch::try_new(ty.clone(), vec![keys.keys.clone(), states, values])?;
        Ok((keys, pushed))
    }

    /// Makes the next pages of those that the plugin has answered.
    fn answered(&mut self, call: &mut PluginCall, asked: &mut VecDeque<Asked>) -> Result<()> {
        while let Some(next) = asked.front() {
            let Some(answers) = call.answers(next.keys.len())? else { return Ok(()) };
            let Some(Asked { page, first, rows, keys }) = asked.pop_front() else { return Ok(()) };
            let (states, exists) = self.layout.states(answers.column(0));
            self.replace(
                page.as_ref(),
                first,
                &rows,
                keys.after(&self.layout, &states, exists.as_ref(), self.now_ms)?,
            )?;
        }
        Ok(())
    }

    /// Replaces the rows of a page by those that its keys have after the batch, and emits the pairs of key and state. `None`
    /// if nothing has changed.
    pub(super) fn replace(
        &mut self,
        page: Option<&Arc<Page>>,
        first: u64,
        rows: &RecordBatch,
        changed: Option<RecordBatch>,
    ) -> Result<()> {
        let Some(changed) = changed else {
            self.after.keep(page);
            return self.emit_pairs(rows);
        };
        // Removals that no snapshot has yet stay with the page.
        let next = match state::removed(rows).true_count() {
            0 => changed,
            _ => state::merged(&self.layout, rows.clone(), changed, self.after.forgotten_ms())?,
        };
        self.after.write(first, &next)?;
        self.emit_pairs(&next)
    }

    /// Emits the pairs of key and state of rows of state.
    pub(super) fn emit_pairs(&mut self, rows: &RecordBatch) -> Result<()> {
        let pairs = self.layout.pairs(&state::live(rows)?)?;
        self.emit(pairs).map_err(crate::engine::external)
    }
}

/// The states of keys as a column in which a state may be absent.
pub(super) fn optional(layout: &Layout, keys: &Keys) -> ArrayRef {
    layout.optional(keys.states.clone(), keys.exists.clone())
}

/// A column of lists, of the column `column` of rows: for each key, the values in these rows.
pub(super) fn lists<'a>(
    ty: &SchemaRef,
    column: usize,
    values: &ArrayRef,
    rows: impl Iterator<Item = &'a [u32]> + Clone,
) -> Result<ArrayRef> {
    let DataType::List(item) = ty.field(column).data_type() else { return Err(internal("values are lists")) };
    let offsets = OffsetBuffer::<i32>::from_lengths(rows.clone().map(<[u32]>::len));
    let values = taken(values, rows.flatten().copied())?;
    Ok(Arc::new(ListArray::try_new(item.clone(), offsets, values, None)?))
}

/// Rows one after the other, in one column.
pub(super) fn joined(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let columns: Vec<&dyn arrow::array::Array> = columns.iter().map(AsRef::as_ref).collect();
    Ok(concat(&columns)?)
}
