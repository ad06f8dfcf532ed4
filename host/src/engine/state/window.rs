//! Windows with an inverse function: the plugin sees each key whose values leave or enter the window.

use super::StateRun;
use super::call::PluginCall;
use super::keys::lists;
use super::pages::PageReader;
use super::parts::{Part, Piece};
use super::rows::Keys;
use crate::engine::external;
use crate::engine::plugin_task::unless_cancelled;
use crate::graph::window_times;
use crate::state::{self, Found, OpenPage, Touched};
use crate::time::{Duration, Time};
use arrow::array::{ArrayRef, RecordBatch, UInt32Array, UInt64Array};
use arrow::buffer::NullBuffer;
use arrow::compute::{interleave, take};
use datafusion_common::Result;
use datafusion_execution::SendableRecordBatchStream;
use std::collections::VecDeque;
use std::ops::Range;

/// How a window moves on to a batch.
pub(in crate::engine) struct Slide {
    pub length: Duration,
    /// The slide interval of the window, and that of the stream that it reads.
    pub slide: Duration,
    pub of_parent: Duration,
    pub batch: Time,
    /// The data sets after this time exist.
    pub data_after: Time,
    /// The batch of the last window that was made.
    pub before: Option<Time>,
}

impl Slide {
    /// Whether the window cannot be made of the window before, because the window before failed or was never made.
    pub fn is_anew(&self) -> bool {
        let before = self.batch - self.slide;
        before > self.data_after && self.before != Some(before)
    }

    /// Whether the data set of this time is not in the window.
    pub fn leaves(&self, time: Time) -> bool {
        time <= self.batch - self.length
    }

    /// The times of the data sets that leave the window since the window before, and of those that enter, in order. If the
    /// window is made anew, all its data sets enter.
    pub fn times(&self) -> Vec<Time> {
        let until = |length, batch| window_times(length, self.of_parent, batch, self.data_after);
        if self.is_anew() {
            return until(self.length, self.batch).collect();
        }
        // If the slide is longer than the window, some data sets are in no window.
        let moved = self.slide.min(self.length);
        let leaving = until(moved, self.batch - self.length.max(self.slide));
        leaving.chain(until(moved, self.batch)).collect()
    }
}

impl StateRun {
    /// Moves the window forward. The inputs are the values that leave, and those that enter.
    pub(super) async fn slide_window(&mut self, inputs: Vec<SendableRecordBatchStream>) -> Result<()> {
        let mut parts = self.parts(&self.work.read).of_streams(inputs);
        let (mut call, mut asked) = (self.call()?, VecDeque::new());
        // The plugin answers later than it is asked, so the rows of a page are read on their own.
        let (mut pages, mut answered) = (self.reader(), self.reader());
        let (before, mut scratch) = (self.before.clone(), self.storage.scratch());
        while let Some(part) = parts.next().await? {
            let touched = self.touched(&part.rows)?;
            for piece in part.pieces(&before) {
                unless_cancelled(&self.plugin.plugin.cancel())?;
                let range = touched.range(piece.first, piece.end);
                let keys = if self.work.is_anew {
                    let (keys, rows) = self.keys_anew(&part, &touched, piece, &pages.rows(piece)?)?;
                    call.ask(&rows)?;
                    keys
                } else {
                    let keys = self.touched_keys(pages.open(piece)?, &touched, range.clone())?;
                    call.ask(&self.window_rows(&part, &touched, range, &keys)?)?;
                    keys
                };
                asked.push_back((piece, keys));
                self.moved(&mut call, &mut asked, &mut answered)?;
                // A plugin that answers late makes keys wait.
                let waiting = asked.iter().rev().skip(1).map(|(_, keys)| keys.bytes());
                scratch.resize(waiting.sum()).map_err(external)?;
            }
        }
        call.ask_no_more()?;
        self.moved(&mut call, &mut asked, &mut answered)?;
        if asked.is_empty() && !call.has_answers() { Ok(()) } else { Err(call.wrong_answers()) }
    }

    /// Makes the next rows of the pieces that the plugin has answered.
    fn moved(
        &mut self,
        call: &mut PluginCall,
        asked: &mut VecDeque<(Piece<'_>, Keys)>,
        pages: &mut PageReader,
    ) -> Result<()> {
        while let Some((_, keys)) = asked.front() {
            let Some(answers) = call.answers(keys.len())? else { return Ok(()) };
            let Some((piece, keys)) = asked.pop_front() else { return Ok(()) };
            let rows = pages.rows(piece)?;
            let (states, exists) = self.layout.states(answers.column(0));
            match keys.after(&self.layout, &states, exists.as_ref(), self.now_ms)? {
                None => self.next_rows(piece, rows, false)?,
                Some(changed) => {
                    let rows = state::merged(&self.layout, rows, changed, self.after.forgotten_ms())?;
                    self.next_rows(piece, rows, true)?;
                }
            }
        }
        Ok(())
    }

    /// The touched keys of a page, with their states.
    pub(super) fn touched_keys(&self, open: &OpenPage, touched: &Touched, range: Range<usize>) -> Result<Keys> {
        let found = open.find(touched, range.clone())?;
        let rows: UInt32Array = range.clone().map(|key| touched.first_row(key) as u32).collect();
        Ok(Keys {
            keys: take(touched.column(), &rows, None)?,
            hashes: range.map(|key| touched.hash(key)).collect(),
            states: self.states_of(open, &found)?,
            exists: Some(found.iter().map(Option::is_some).collect()),
            times: found.iter().map(|found| found.map_or(0, |found| open.time_ms(found))).collect::<UInt64Array>(),
            found,
        })
    }

    /// The state of each key of a page that was sought.
    fn states_of(&self, open: &OpenPage, found: &[Option<Found>]) -> Result<ArrayRef> {
        let none = self.layout.no_state();
        let leaves: Vec<&ArrayRef> = open.states().chain([&none]).collect();
        if let ([leaf, _], true) = (leaves.as_slice(), found.iter().all(Option::is_some)) {
            // Most pages have one leaf, with all keys.
            let rows: UInt32Array = found.iter().flatten().map(|found| found.row as u32).collect();
            return Ok(take(leaf, &rows, None)?);
        }
        let place = |found: &Option<Found>| found.map_or((leaves.len() - 1, 0), |found| (found.leaf, found.row));
        let places: Vec<(usize, usize)> = found.iter().map(place).collect();
        let leaves: Vec<&dyn arrow::array::Array> = leaves.iter().map(|leaf| leaf.as_ref() as _).collect();
        Ok(interleave(&leaves, &places)?)
    }

    /// The keys of a page whose states do not count, and those whose values enter; and the rows with which the plugin is
    /// asked for their values. So the plugin gives no value for a key without values in the window.
    fn keys_anew(
        &self,
        part: &Part,
        touched: &Touched,
        piece: Piece<'_>,
        rows: &RecordBatch,
    ) -> Result<(Keys, RecordBatch)> {
        let (keys, update) = self.keys_of(part, touched, piece, rows)?;
        let ty = self.work.types.window.arrow();
        let no_states = take(&self.layout.no_state(), &UInt32Array::from_value(0, keys.len()), None)?;
        let columns = vec![
            keys.keys.clone(),
            self.layout.optional(no_states, Some(NullBuffer::new_null(keys.len()))),
            lists(ty, 2, part.rows.column(1), std::iter::repeat_n(&[][..], keys.len()))?,
            update.column(2).clone(),
        ];
        Ok((keys, RecordBatch::try_new(ty.clone(), columns)?))
    }

    fn window_rows(&self, part: &Part, touched: &Touched, range: Range<usize>, keys: &Keys) -> Result<RecordBatch> {
        let (ty, values) = (self.work.types.window.arrow(), part.rows.column(1));
        // Rows that leave come before those that enter.
        let split = |key| {
            let rows = touched.rows_of(key);
            rows.split_at(rows.partition_point(|row| (*row as usize) < part.leaving))
        };
        let (leave, enter) = (range.clone().map(|key| split(key).0), range.map(|key| split(key).1));
        let columns = vec![
            keys.keys.clone(),
            self.layout.optional(keys.states.clone(), keys.exists.clone()),
            lists(ty, 2, values, leave)?,
            lists(ty, 3, values, enter)?,
        ];
        Ok(RecordBatch::try_new(ty.clone(), columns)?)
    }
}
