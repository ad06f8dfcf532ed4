//! Computes the cogroup of rows that are in memory.

use super::table::KeyTable;
use super::{Join, external, internal};
use arrow::array::{ArrayRef, ListArray, RecordBatch, UInt32Array};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::{concat, take};
use arrow::datatypes::DataType;
use datafusion_common::Result;
use std::sync::Arc;

impl Join {
    /// Makes one row for each key of `sides`, which are the rows of all parents. The row holds a list of values for
    /// each parent. A parent without rows has no batches. `None` if no parent has rows.
    pub(super) fn groups(&self, sides: &[Vec<RecordBatch>]) -> Result<Option<RecordBatch>> {
        let column = |at: usize, batches: &[RecordBatch]| {
            batches.iter().map(|batch| batch.column(at).clone()).collect::<Vec<ArrayRef>>()
        };
        let keys: Vec<ArrayRef> = sides.iter().flat_map(|side| column(0, side)).collect();
        if keys.is_empty() {
            return Ok(None);
        }
        let keys = together(&keys)?;
        let (firsts, groups) = self.number(&keys)?;
        let mut values = Vec::new();
        let mut start = 0;
        for (side, field) in sides.iter().zip(self.value_fields()?) {
            let DataType::List(item) = field.data_type() else { return Err(internal("cogrouped values are no lists")) };
            let rows: usize = side.iter().map(RecordBatch::num_rows).sum();
            let (offsets, order) = by_group(&groups[start..start + rows], firsts.len())?;
            start += rows;
            let items = match column(1, side).as_slice() {
                [] => arrow::array::new_empty_array(item.data_type()),
                columns => take(&together(columns)?, &order, None)?,
            };
            values.push(Arc::new(ListArray::try_new(item.clone(), offsets, items, None)?) as ArrayRef);
        }
        self.batch(take(&keys, &UInt32Array::from(firsts), None)?, values).map(Some)
    }

    /// Finds the groups of keys. Returns the row in which the key of each group first appears, and the group of each
    /// row.
    fn number(&self, keys: &ArrayRef) -> Result<(Vec<u32>, Vec<u32>)> {
        let rows = u32::try_from(keys.len()).map_err(external)?;
        let mut hashes = Vec::new();
        self.keys.hash_column(keys, &mut hashes).map_err(external)?;
        let encoded = self.keys.encode_column(keys).map_err(external)?;
        let mut table = KeyTable::new(keys.len());
        let same = |row: u32| {
            let encoded = &encoded;
            move |first: u32| encoded.same(row as usize, encoded, first as usize)
        };
        let groups = (0..rows).zip(&hashes).map(|(row, hash)| table.add(*hash, row, same(row))).collect();
        Ok((table.firsts().collect(), groups))
    }
}

/// Concatenates arrays.
fn together(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    if let [one] = arrays {
        return Ok(one.clone());
    }
    let arrays: Vec<_> = arrays.iter().map(AsRef::as_ref).collect();
    Ok(concat(&arrays)?)
}

/// Sorts rows by group. `groups` is the group of each row. Returns the offset at which each group begins, and the rows
/// in the order of their groups.
fn by_group(groups: &[u32], count: usize) -> Result<(OffsetBuffer<i32>, UInt32Array)> {
    // The offsets of a list array are `i32`, and each group becomes a list.
    i32::try_from(groups.len()).map_err(external)?;
    let mut starts = vec![0i32; count + 1];
    groups.iter().for_each(|group| starts[*group as usize + 1] += 1);
    for group in 0..count {
        starts[group + 1] += starts[group];
    }
    let mut next = starts.clone();
    let mut order = vec![0; groups.len()];
    for (row, group) in (0u32..).zip(groups) {
        let place = &mut next[*group as usize];
        order[*place as usize] = row;
        *place += 1;
    }
    Ok((OffsetBuffer::new(ScalarBuffer::from(starts)), UInt32Array::from(order)))
}
