//! `update_state_by_key`: the plugin sees each key that has state or new values, with its state and its new values.

use super::call::PluginCall;
use super::parts::{Part, Piece};
use super::rows::{Entry, Keys, entries};
use super::{StateRun, bytes_of, taken};
use crate::engine::plugin_task::unless_cancelled;
use crate::engine::{external, internal};
use crate::state::{self, Layout, Touched};
use arrow::array::{ArrayRef, ListArray, RecordBatch};
use arrow::buffer::OffsetBuffer;
use arrow::compute::concat;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion_common::Result;
use datafusion_execution::SendableRecordBatchStream;
use std::collections::VecDeque;
use std::sync::Arc;

/// Keys that the plugin has seen, and has not answered.
struct Asked<'a> {
    piece: Piece<'a>,
    /// All rows of the piece.
    rows: RecordBatch,
    keys: Keys,
}

impl StateRun {
    /// Updates the state of all keys.
    pub(super) async fn update_keys(&mut self, inputs: Vec<SendableRecordBatchStream>) -> Result<()> {
        let mut parts = self.parts(&self.work.read).of_streams(inputs);
        let (mut call, mut asked, mut pages) = (self.call()?, VecDeque::new(), self.reader());
        let (before, mut scratch) = (self.before.clone(), self.storage.scratch());
        while let Some(part) = parts.next().await? {
            let touched = self.touched(&part.rows)?;
            for piece in part.pieces(&before) {
                unless_cancelled(&self.plugin.plugin.cancel())?;
                let rows = pages.rows(piece)?;
                let (keys, pushed) = self.keys_of(&part, &touched, piece, &rows)?;
                call.ask(&pushed)?;
                asked.push_back(Asked { piece, rows, keys });
                self.answered(&mut call, &mut asked)?;
                // A plugin that answers late makes keys wait.
                let waiting = asked.iter().rev().skip(1).map(|asked| bytes_of(&asked.rows) + asked.keys.bytes());
                scratch.resize(waiting.sum()).map_err(external)?;
            }
        }
        call.ask_no_more()?;
        self.answered(&mut call, &mut asked)?;
        if asked.is_empty() && !call.has_answers() { Ok(()) } else { Err(call.wrong_answers()) }
    }

    /// The keys of a piece that have state or new values, and the rows with which the plugin is asked for their new states.
    pub(super) fn keys_of(
        &self,
        part: &Part,
        touched: &Touched,
        piece: Piece<'_>,
        rows: &RecordBatch,
    ) -> Result<(Keys, RecordBatch)> {
        let live = state::live(rows)?;
        let entries = entries(&live, touched, touched.range(piece.first, piece.end), &self.layout)?;
        let keys = Keys::of(&self.layout, &live, touched, &entries)?;
        let of_key = entries.iter().map(|(_, key): &Entry| *key);
        let ty = self.work.types.update.arrow();
        let values =
            lists(ty, 2, part.rows.column(1), of_key.map(|key| key.map_or(&[][..], |key| touched.rows_of(key))))?;
        let states = optional(&self.layout, &keys);
        let pushed = RecordBatch::try_new(ty.clone(), vec![keys.keys.clone(), states, values])?;
        Ok((keys, pushed))
    }

    /// Makes the next rows of the pieces that the plugin has answered.
    fn answered(&mut self, call: &mut PluginCall, asked: &mut VecDeque<Asked<'_>>) -> Result<()> {
        while let Some(next) = asked.front() {
            let Some(answers) = call.answers(next.keys.len())? else { return Ok(()) };
            let Some(Asked { piece, rows, keys }) = asked.pop_front() else { return Ok(()) };
            let (states, exists) = self.layout.states(answers.column(0));
            self.replace(piece, rows, keys.after(&self.layout, &states, exists.as_ref(), self.now_ms)?)?;
        }
        Ok(())
    }

    /// Replaces the rows of a piece by those that all its keys have after the batch, and emits the pairs of key and state.
    /// `None` if nothing has changed.
    pub(super) fn replace(&mut self, piece: Piece<'_>, rows: RecordBatch, changed: Option<RecordBatch>) -> Result<()> {
        match changed {
            None => self.next_rows(piece, rows, false),
            // Removals that no snapshot has yet stay with the page.
            Some(changed) if state::removed(&rows).true_count() > 0 => {
                let merged = state::merged(&self.layout, rows, changed, self.after.forgotten_ms())?;
                self.next_rows(piece, merged, true)
            }
            Some(changed) => self.next_rows(piece, changed, true),
        }
    }

    /// Puts rows into the next state in place of those of a piece, and emits their pairs of key and state. `is_changed`
    /// says whether the rows differ from those of the piece.
    pub(super) fn next_rows(&mut self, piece: Piece<'_>, rows: RecordBatch, is_changed: bool) -> Result<()> {
        self.after.piece(rows.clone(), is_changed)?;
        if piece.is_last() {
            self.after.end_page(piece.page.page, piece.page.first)?;
        }
        self.emit_pairs(&rows)
    }

    /// Emits the pairs of key and state of rows of state.
    pub(super) fn emit_pairs(&mut self, rows: &RecordBatch) -> Result<()> {
        let pairs = self.layout.pairs(&state::live(rows)?)?;
        self.emit(pairs).map_err(external)
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
