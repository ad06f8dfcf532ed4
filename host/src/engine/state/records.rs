//! `map_with_state`: the plugin sees record by record with the state of its key, and then the keys that time out.
//!
//! The state of the partition is changed after each chunk of records. So what waits in memory is bounded, however many
//! records a batch has.

use super::call::{FIRST, PluginCall, STATES, TIMED_OUT};
use super::keys::joined;
use super::rows::Keys;
use super::{StateRun, bytes_of};
use crate::data::chunk::{PIECE_ROWS, chunks, pieces};
use crate::engine::plugin_task::{CHUNK_BYTES, PluginError, unless_cancelled};
use crate::engine::{external, internal};
use crate::plugin::{EmittedRows, Failure};
use crate::state::{self, Found, OpenPage, PartitionWriter};
use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array, UInt64Array};
use arrow::compute::{concat_batches, filter_record_batch, interleave, take};
use arrow::datatypes::UInt32Type;
use datafusion_common::{DataFusionError, Result};
use datafusion_execution::SendableRecordBatchStream;
use futures::StreamExt as _;
use std::sync::Arc;

impl StateRun {
    /// Maps all records, and then lets keys time out.
    pub(super) async fn map_records(&mut self, inputs: Vec<SendableRecordBatchStream>) -> Result<()> {
        let mut call = self.call()?;
        let (mut waiting, mut rows, mut bytes) = (Vec::new(), 0, 0);
        for mut input in inputs {
            while let Some(batch) = input.next().await.transpose()? {
                rows += batch.num_rows();
                bytes += bytes_of(&batch);
                waiting.push(batch);
                if rows >= PIECE_ROWS || bytes >= CHUNK_BYTES {
                    self.map_all(&mut call, &std::mem::take(&mut waiting))?;
                    (rows, bytes) = (0, 0);
                }
            }
        }
        self.map_all(&mut call, &waiting)?;
        self.time_out(&mut call)?;
        let last = call.finish()?;
        self.emit_all(last)?;
        let before = self.before.clone();
        before.pages().for_each(|at| self.after.keep(at.page));
        Ok(())
    }

    fn map_all(&mut self, call: &mut PluginCall, waiting: &[RecordBatch]) -> Result<()> {
        let rows = concat_batches(self.work.read.arrow(), waiting)?;
        for records in chunks(&rows, CHUNK_BYTES).flat_map(pieces) {
            unless_cancelled(&self.plugin.plugin.cancel())?;
            self.map_chunk(call, &records)?;
        }
        Ok(())
    }

    /// Maps the records of a chunk, and changes the state of their keys.
    fn map_chunk(&mut self, call: &mut PluginCall, records: &RecordBatch) -> Result<()> {
        let touched = self.touched(records)?;
        let before = self.before.clone();
        let mut of_pages = Vec::new();
        for at in before.pages() {
            let range = touched.range(at.first, at.end);
            if !range.is_empty() {
                let open = at.page.map_or_else(|| Ok(OpenPage::default()), |page| page.open(&self.layout))?;
                of_pages.push(self.touched_keys(&open, &touched, range)?);
            }
        }
        let Some(keys) = Keys::joined(of_pages)? else { return Err(internal("a chunk has a key")) };
        let states = RecordBatch::try_new(
            self.work.types.state.arrow().clone(),
            vec![self.layout.optional(keys.states.clone(), keys.exists.clone())],
        )?;
        let columns =
            vec![Arc::new(touched.numbers()) as ArrayRef, records.column(0).clone(), records.column(1).clone()];
        let pushed = RecordBatch::try_new(self.work.types.record.arrow().clone(), columns)?;
        for (input, rows) in [(STATES, states), (FIRST, pushed)] {
            let emitted = call.push_whole(input, &rows)?;
            self.emit_all(emitted)?;
        }
        let changed = concat_batches(self.work.types.change.arrow(), &call.take_state()?)?;
        if changed.num_rows() == 0 {
            return Ok(());
        }
        let numbers = changed.column(0).as_primitive::<UInt32Type>();
        let is_rising = numbers.values().windows(2).all(|pair| pair[0] < pair[1]);
        if !is_rising || numbers.values().last().is_some_and(|last| *last as usize >= keys.len()) {
            let message = "the changed states of a chunk are not those of its keys, in order".to_owned();
            return Err(PluginError::new((Failure::BrokenData(message), None)).into());
        }
        self.change(&keys.taken(numbers)?, changed.column(1))
    }

    /// Changes the state of keys. The times of all of them become that of the batch.
    fn change(&mut self, keys: &Keys, states: &ArrayRef) -> Result<()> {
        let (states, after) = self.layout.states(states);
        let existed = |row: usize| keys.exists.as_ref().is_none_or(|exists| exists.is_valid(row));
        let exists = |row: usize| after.as_ref().is_none_or(|after| after.is_valid(row));
        let times = UInt64Array::from_value(self.now_ms, keys.len());
        let growth: Vec<i64> = (0..keys.len()).map(|row| i64::from(exists(row)) - i64::from(existed(row))).collect();
        if after.is_none() {
            let rows = self.layout.rows(keys.hashes.clone(), times, None, keys.keys.clone(), states)?;
            return self.apply(&rows, &growth, &keys.found);
        }
        // The row of a removed key has the last state.
        let places: Vec<(usize, usize)> = (0..keys.len()).map(|row| (usize::from(exists(row)), row)).collect();
        let states = interleave(&[&keys.states, &states], &places)?;
        let removed: BooleanArray = (0..keys.len()).map(|row| Some(!exists(row))).collect();
        let rows = self.layout.rows(keys.hashes.clone(), times, Some(removed), keys.keys.clone(), states)?;
        // A key that had no state and has none needs no row.
        let is_row: BooleanArray = (0..keys.len()).map(|row| Some(existed(row) || exists(row))).collect();
        let growth = growth.iter().zip(&is_row).filter(|(_, is_row)| *is_row == Some(true)).map(|(growth, _)| *growth);
        let growth: Vec<i64> = growth.collect();
        let found = keys.found.iter().zip(&is_row).filter(|(_, is_row)| *is_row == Some(true)).map(|(found, _)| *found);
        self.apply(&filter_record_batch(&rows, &is_row)?, &growth, &found.collect::<Vec<_>>())
    }

    /// Adds sorted rows to the state before the next chunk. `growth` says for each row by how many keys the state grows.
    /// `found` has the row of each key in its page.
    fn apply(&mut self, rows: &RecordBatch, growth: &[i64], found: &[Option<Found>]) -> Result<()> {
        let mut next = PartitionWriter::new(&self.storage, &self.layout, self.after.forgotten_ms());
        let hashes = state::hashes(rows).values();
        let mut start = 0;
        for at in self.before.pages() {
            let end = at.end.map_or(hashes.len(), |end| hashes.partition_point(|hash| *hash < end));
            if start == end {
                next.keep(at.page);
                continue;
            }
            let positions: UInt32Array = (start..end).map(|row| row as u32).collect();
            let keys = at.page.map_or(0, |page| page.keys()).saturating_add_signed(growth[start..end].iter().sum());
            let found = found.get(start..end).unwrap_or_default();
            next.change(at, &arrow::compute::take_record_batch(rows, &positions)?, found, keys)?;
            start = end;
        }
        self.before = next.finish();
        Ok(())
    }

    /// Lets keys time out that had no data for too long.
    fn time_out(&mut self, call: &mut PluginCall) -> Result<()> {
        let Some(timeout) = self.work.timeout else { return Ok(()) };
        let oldest_ms = (self.work.program.batch - timeout).as_ms();
        let mut next = PartitionWriter::new(&self.storage, &self.layout, self.after.forgotten_ms());
        let before = self.before.clone();
        for at in before.pages() {
            let Some(page) = at.page.filter(|page| page.may_have_older(oldest_ms)) else {
                next.keep(at.page);
                continue;
            };
            unless_cancelled(&self.plugin.plugin.cancel())?;
            let live = state::live(&page.open(&self.layout)?.newest(self.after.forgotten_ms())?)?;
            let is_expired = state::times(&live).values().iter().map(|time| Some(*time < oldest_ms));
            let expired = filter_record_batch(&live, &is_expired.collect::<BooleanArray>())?;
            for emitted in call.push(TIMED_OUT, &self.layout.pairs(&expired)?)? {
                self.emit_all(emitted)?;
            }
            let count = expired.num_rows();
            let removed = self.layout.rows(
                state::hashes(&expired).clone(),
                UInt64Array::from_value(self.now_ms, count),
                Some(vec![true; count].into()),
                state::keys(&expired).clone(),
                state::states(&expired).clone(),
            )?;
            next.change(at, &removed, &[], page.keys().saturating_sub(count as u64))?;
        }
        self.before = next.finish();
        Ok(())
    }

    fn emit_all(&mut self, emitted: EmittedRows) -> Result<()> {
        for rows in emitted {
            self.emit(rows.map_err(external)?).map_err(external)?;
        }
        Ok(())
    }
}

impl Keys {
    /// The keys of several pages, one page after the other. `None` if there is no page.
    fn joined(mut pages: Vec<Self>) -> Result<Option<Self>> {
        if pages.len() <= 1 {
            return Ok(pages.pop());
        }
        let columns = |of: &dyn Fn(&Self) -> ArrayRef| joined(&pages.iter().map(of).collect::<Vec<_>>());
        let exists = |page: &Self, row: usize| page.exists.as_ref().is_none_or(|exists| exists.is_valid(row));
        Ok(Some(Self {
            keys: columns(&|page| page.keys.clone())?,
            hashes: pages.iter().flat_map(|page| page.hashes.values().iter().copied()).collect::<Vec<_>>().into(),
            states: columns(&|page| page.states.clone())?,
            exists: Some(pages.iter().flat_map(|page| (0..page.len()).map(|row| exists(page, row))).collect()),
            times: pages.iter().flat_map(|page| page.times.values().iter().copied()).collect::<Vec<_>>().into(),
            found: pages.iter().flat_map(|page| page.found.iter().copied()).collect(),
        }))
    }

    /// Some of the keys.
    fn taken(&self, numbers: &UInt32Array) -> Result<Self, DataFusionError> {
        let rows = || numbers.values().iter().map(|number| *number as usize);
        let at = |values: &UInt64Array| rows().map(|row| values.value(row)).collect::<Vec<_>>().into();
        Ok(Self {
            keys: take(&self.keys, numbers, None)?,
            hashes: at(&self.hashes),
            states: take(&self.states, numbers, None)?,
            exists: self.exists.as_ref().map(|exists| rows().map(|row| exists.is_valid(row)).collect()),
            times: at(&self.times),
            found: rows().map(|row| self.found.get(row).copied().flatten()).collect(),
        })
    }
}
