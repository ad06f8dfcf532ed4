//! Stores sorted runs of rows in the storage of shuffles, and merges the runs.
//!
//! Owns the order of the merged rows. Rows are ordered by their last column, the order column: its bytes compare as the
//! rows do, and no two rows have the same bytes. The order column is removed before rows leave the engine. Never
//! computes the order column: see `sort.rs` and `reduce.rs`.

use super::{external, internal};
use crate::block::{RowStorage, RowsReader, StoredRows};
use crate::data::chunk;
use arrow::array::{Array as _, ArrayRef, AsArray as _, BinaryArray, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion_common::Result;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

/// The name of the order column.
const ORDER: &str = "order";

/// Runs are read in pieces of about this many bytes. During a merge, one piece of each run is in memory.
const PIECE_BYTES: usize = 64 * 1024;
/// The most runs that are merged at a time. If there are more, they are merged in several rounds.
const RUNS_MAX: usize = 64;
/// Merged rows come out in batches of about this many bytes. A batch has at least one row.
const OUT_BYTES: usize = 256 * 1024;

/// The schema of rows with the order column added as the last column.
pub(super) fn with_order(schema: &Schema) -> SchemaRef {
    let order = Arc::new(Field::new(ORDER, DataType::Binary, false));
    Arc::new(Schema::new(schema.fields().iter().cloned().chain([order]).collect::<Vec<_>>()))
}

/// Adds the order column to rows.
pub(super) fn add_order(rows: &RecordBatch, schema: &SchemaRef, order: BinaryArray) -> Result<RecordBatch> {
    let order: ArrayRef = Arc::new(order);
    Ok(RecordBatch::try_new(schema.clone(), rows.columns().iter().cloned().chain([order]).collect())?)
}

/// Removes the order column from rows.
pub(super) fn without_order(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = rows.columns().get(..schema.fields().len()).ok_or_else(|| internal("rows without their columns"))?;
    Ok(RecordBatch::try_new(schema.clone(), columns.to_vec())?)
}

/// The order column of rows.
pub(super) fn order_of(rows: &RecordBatch) -> Result<&BinaryArray> {
    let order = rows.columns().last().and_then(|column| column.as_binary_opt());
    order.ok_or_else(|| internal("rows without an order"))
}

/// Sorts rows that are in memory, and hands them to `out` in pieces.
pub(super) fn sort(rows: &[RecordBatch], mut out: impl FnMut(RecordBatch) -> Result<()>) -> Result<()> {
    let orders = rows.iter().map(order_of).collect::<Result<Vec<_>>>()?;
    let all = orders.iter().enumerate().flat_map(|(batch, order)| (0..order.len()).map(move |row| (batch, row)));
    let mut sorted: Vec<(usize, usize)> = all.collect();
    sorted.sort_unstable_by(|a, b| orders[a.0].value(a.1).cmp(orders[b.0].value(b.1)));
    let bytes: usize = rows.iter().map(|rows| chunk::row_bytes(rows, 0..rows.num_rows())).sum();
    let piece_rows = (PIECE_BYTES / (bytes / sorted.len().max(1)).max(1)).max(1);
    let batches: Vec<&RecordBatch> = rows.iter().collect();
    sorted.chunks(piece_rows).try_for_each(|piece| out(interleave_record_batch(&batches, piece)?))
}

/// Collects sorted runs, to merge them.
pub(super) struct SortedRuns {
    storage: RowStorage,
    runs: Vec<StoredRows>,
}

impl SortedRuns {
    pub(super) fn new(storage: &RowStorage) -> Self {
        Self { storage: storage.clone(), runs: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Sorts rows that are in memory, and adds them as a run.
    pub(super) fn add_sorting(&mut self, rows: &[RecordBatch]) -> Result<()> {
        let mut writer = self.storage.writer(1);
        sort(rows, |piece| writer.append(0, piece).map_err(external))?;
        self.runs.push(writer.finish());
        Ok(())
    }

    /// Adds a run whose rows are sorted.
    pub(super) fn add(&mut self, run: impl Iterator<Item = Result<RecordBatch>>) -> Result<()> {
        let mut writer = self.storage.writer(1);
        for rows in run {
            let rows = rows?;
            chunk::chunks(&rows, PIECE_BYTES).try_for_each(|piece| writer.append(0, piece)).map_err(external)?;
        }
        self.runs.push(writer.finish());
        Ok(())
    }

    /// Merges all runs. The rows come out in order.
    pub(super) fn merge(mut self) -> Result<Merge> {
        while self.runs.len() > RUNS_MAX {
            let rest = self.runs.split_off(RUNS_MAX);
            let first = Merge::new(&std::mem::replace(&mut self.runs, rest))?;
            self.add(first)?;
        }
        Merge::new(&self.runs)
    }
}

/// A merge in progress.
pub(super) struct Merge {
    cursors: BinaryHeap<Cursor>,
    /// The pieces that hold the rows of the next batch.
    pieces: Vec<RecordBatch>,
    /// The rows of the next batch: the index of the piece, and the row in the piece.
    rows: Vec<(usize, usize)>,
    bytes: usize,
}

/// A position in a run. The greatest cursor is the one whose row comes next.
struct Cursor {
    run: RowsReader,
    piece: RecordBatch,
    order: BinaryArray,
    row: usize,
    row_bytes: usize,
    /// The index of the piece in the pieces of the next batch. `None` if the piece is not among them.
    slot: Option<usize>,
}

impl Cursor {
    /// Makes a cursor at the first row of a run. `None` if the run has no rows.
    fn open(mut run: RowsReader) -> Result<Option<Self>> {
        loop {
            let Some(piece) = run.next().transpose().map_err(external)? else { return Ok(None) };
            if piece.num_rows() > 0 {
                let order = order_of(&piece)?.clone();
                let row_bytes = chunk::row_bytes(&piece, 0..piece.num_rows()) / piece.num_rows();
                return Ok(Some(Self { run, piece, order, row: 0, row_bytes, slot: None }));
            }
        }
    }

    fn next(&self) -> &[u8] {
        self.order.value(self.row)
    }
}

impl Ord for Cursor {
    fn cmp(&self, other: &Self) -> Ordering {
        other.next().cmp(self.next())
    }
}

impl PartialOrd for Cursor {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Cursor {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Cursor {}

impl Merge {
    fn new(runs: &[StoredRows]) -> Result<Self> {
        let cursors = runs.iter().filter_map(|run| Cursor::open(run.read(0)).transpose());
        Ok(Self { cursors: cursors.collect::<Result<_>>()?, pieces: Vec::new(), rows: Vec::new(), bytes: 0 })
    }

    /// Moves the next row to the next batch. Returns false if no row is left.
    fn take(&mut self) -> Result<bool> {
        let Some(mut first) = self.cursors.peek_mut() else { return Ok(false) };
        let slot = match first.slot {
            Some(slot) => slot,
            None => {
                self.pieces.push(first.piece.clone());
                *first.slot.insert(self.pieces.len() - 1)
            }
        };
        self.rows.push((slot, first.row));
        self.bytes += first.row_bytes.max(1);
        first.row += 1;
        if first.row == first.order.len() {
            let ended = PeekMut::pop(first);
            self.cursors.extend(Cursor::open(ended.run)?);
        }
        Ok(true)
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        while self.bytes < OUT_BYTES && self.take()? {}
        if self.rows.is_empty() {
            return Ok(None);
        }
        let pieces: Vec<&RecordBatch> = self.pieces.iter().collect();
        let batch = interleave_record_batch(&pieces, &self.rows)?;
        self.pieces.clear();
        self.rows.clear();
        self.bytes = 0;
        let mut cursors = std::mem::take(&mut self.cursors).into_vec();
        cursors.iter_mut().for_each(|cursor| cursor.slot = None);
        self.cursors = cursors.into();
        Ok(Some(batch))
    }
}

impl Iterator for Merge {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::SpillSettings;
    use crate::env::Simulation;
    use crate::memory::MemoryBudget;
    use crate::time::Time;
    use arrow::array::Int64Array;
    use arrow::datatypes::Int64Type;
    use proptest::prelude::*;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
    }

    /// Rows that are ordered by their number.
    fn rows(numbers: &[i64]) -> RecordBatch {
        let values = Int64Array::from(numbers.to_vec());
        let plain = RecordBatch::try_new(schema(), vec![Arc::new(values)]).unwrap();
        let order = numbers.iter().map(|number| Some(number.to_be_bytes())).collect();
        add_order(&plain, &with_order(&schema()), order).unwrap()
    }

    fn numbers(rows: &RecordBatch) -> Vec<i64> {
        let rows = without_order(rows, &schema()).unwrap();
        assert_eq!(rows.num_columns(), 1);
        rows.column(0).as_primitive::<Int64Type>().values().to_vec()
    }

    proptest! {
        /// Rows come out in order, however they are spread over runs, and whether or not there is memory for them.
        #[test]
        fn runs_come_out_merged(
            runs in prop_oneof![0usize..5, 60usize..300],
            places in prop::collection::vec(any::<prop::sample::Index>(), 0..2000),
            budget in prop_oneof![Just(0u64), Just(1 << 20)],
        ) {
            let budget = MemoryBudget::new(budget, 0).unwrap();
            let settings = SpillSettings { directory: None, limit_bytes: u64::MAX, compressed: false };
            let storage = RowStorage::new(&budget, Simulation::new(0, Time::default()).env().disk, settings);
            let mut parts = vec![Vec::new(); runs];
            let places = if runs == 0 { Vec::new() } else { places };
            for (number, place) in (0..).zip(&places) {
                parts[place.index(runs)].push(number);
            }
            let mut sorted = SortedRuns::new(&storage);
            for (at, part) in parts.iter().enumerate() {
                if at % 2 == 0 {
                    sorted.add(part.chunks(7).map(|piece| Ok(rows(piece)))).unwrap();
                } else {
                    // The same rows, as they may come in.
                    let shuffled: Vec<RecordBatch> = part.chunks(7).rev().map(rows).collect();
                    sorted.add_sorting(&shuffled).unwrap();
                }
            }
            let merged: Vec<i64> = sorted.merge().unwrap().flat_map(|rows| numbers(&rows.unwrap())).collect();
            prop_assert_eq!(merged, (0..places.len() as i64).collect::<Vec<_>>());
        }
    }

    #[test]
    fn large_rows_come_out_in_several_batches() {
        let storage = crate::block::RowStorage::new(
            &MemoryBudget::new(0, 0).unwrap(),
            Simulation::new(0, Time::default()).env().disk,
            SpillSettings { directory: None, limit_bytes: u64::MAX, compressed: false },
        );
        let mut sorted = SortedRuns::new(&storage);
        let all: Vec<i64> = (0..100_000).collect();
        sorted.add_sorting(&[rows(&all[50_000..]), rows(&all[..50_000])]).unwrap();
        let batches: Vec<RecordBatch> = sorted.merge().unwrap().map(Result::unwrap).collect();
        assert!(batches.len() > 5 && batches.iter().all(|rows| rows.num_rows() <= OUT_BYTES / 8));
        assert_eq!(batches.iter().flat_map(numbers).collect::<Vec<_>>(), all);
    }
}
