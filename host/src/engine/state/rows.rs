//! Keys with their states before and after a batch, as rows of state.

use crate::state::{self, Found, Layout, StateError, Touched};
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt64Array, make_comparator};
use arrow::buffer::NullBuffer;
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{SortOptions, interleave};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use std::ops::Range;

/// Some keys in order, with their states before the batch.
pub(super) struct Keys {
    pub keys: ArrayRef,
    pub hashes: UInt64Array,
    /// The state of each key, absent if the key has none.
    pub states: ArrayRef,
    /// Which keys have state. All, if it is `None`.
    pub exists: Option<NullBuffer>,
    /// The time of each state. Any time for keys without state.
    pub times: UInt64Array,
    /// The row of each key in its page. Empty if nobody asks for the rows.
    pub found: Vec<Option<Found>>,
}

/// A key of a page: the number of its live row, its number among the touched keys, or both.
pub(super) type Entry = (Option<usize>, Option<usize>);

/// The keys of a page that have state, and those that were touched, in order.
pub(super) fn entries(
    live: &RecordBatch,
    touched: &Touched,
    range: Range<usize>,
    layout: &Layout,
) -> Result<Vec<Entry>, StateError> {
    let places = touched.places(layout, live, range.clone())?;
    let mut entries = Vec::with_capacity(live.num_rows() + range.len());
    let mut row = 0;
    for (key, place) in range.zip(places) {
        let end = place.unwrap_or_else(|before| before);
        entries.extend((row..end).map(|row| (Some(row), None)));
        entries.push((place.ok(), Some(key)));
        row = end + usize::from(place.is_ok());
    }
    entries.extend((row..live.num_rows()).map(|row| (Some(row), None)));
    Ok(entries)
}

impl Keys {
    /// The keys of entries. `live` has the keys with state; new keys come from `touched`.
    pub(super) fn of(
        layout: &Layout,
        live: &RecordBatch,
        touched: &Touched,
        entries: &[Entry],
    ) -> Result<Self, StateError> {
        if entries.len() == live.num_rows() {
            // There are no new keys.
            return Ok(Self {
                keys: state::keys(live).clone(),
                hashes: state::hashes(live).clone(),
                states: state::states(live).clone(),
                exists: None,
                times: state::times(live).clone(),
                found: Vec::new(),
            });
        }
        let none = layout.no_state();
        let positions = |new: &dyn Fn(usize) -> (usize, usize)| -> Vec<(usize, usize)> {
            let position = |(row, key): &Entry| row.map_or_else(|| new(key.unwrap_or_default()), |row| (0, row));
            entries.iter().map(position).collect()
        };
        let from_touched = positions(&|key| (1, touched.first_row(key)));
        let (hashes, times) = (state::hashes(live).values(), state::times(live).values());
        let hash = |(row, key): &Entry| row.map_or_else(|| touched.hash(key.unwrap_or_default()), |row| hashes[row]);
        let time = |(row, _): &Entry| row.map_or(0, |row| times[row]);
        Ok(Self {
            keys: interleave(&[state::keys(live), touched.column()], &from_touched)?,
            hashes: entries.iter().map(hash).collect(),
            states: interleave(&[state::states(live), &none], &positions(&|_| (1, 0)))?,
            exists: Some(entries.iter().map(|(row, _)| row.is_some()).collect()),
            times: entries.iter().map(time).collect(),
            found: Vec::new(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// About how many bytes the keys and states take.
    pub(super) fn bytes(&self) -> usize {
        let values = [&self.keys, &self.states].map(|column| column.to_data().get_slice_memory_size().unwrap_or(0));
        values.iter().sum::<usize>() + 2 * size_of::<u64>() * self.len()
    }

    /// The rows of state of these keys after the batch, those of removed keys included. `after` says which states there
    /// are, and `states` has their values. `None` if nothing has changed. A key that had no state and has none is left out.
    pub(super) fn after(
        &self,
        layout: &Layout,
        states: &ArrayRef,
        after: Option<&NullBuffer>,
        now_ms: u64,
    ) -> Result<Option<RecordBatch>, StateError> {
        let same = same(&self.states, states)?;
        let existed = |row: usize| self.exists.as_ref().is_none_or(|exists| exists.is_valid(row));
        let exists = |row: usize| after.is_none_or(|after| after.is_valid(row));
        let is_kept = |row: usize| existed(row) == exists(row) && (!exists(row) || same.value(row));
        if (0..self.len()).all(is_kept) {
            return Ok(None);
        }
        let time = |row: usize| if is_kept(row) { self.times.value(row) } else { now_ms };
        let times: UInt64Array = (0..self.len()).map(time).collect();
        if after.is_none() {
            return layout.rows(self.hashes.clone(), times, None, self.keys.clone(), states.clone()).map(Some);
        }
        let is_row: BooleanArray = (0..self.len()).map(|row| Some(existed(row) || exists(row))).collect();
        let removed: BooleanArray = (0..self.len()).map(|row| Some(!exists(row))).collect();
        // The row of a removed key has the last state.
        let positions: Vec<(usize, usize)> = (0..self.len()).map(|row| (usize::from(exists(row)), row)).collect();
        let states = interleave(&[&self.states, states], &positions)?;
        let rows = layout.rows(self.hashes.clone(), times, Some(removed), self.keys.clone(), states)?;
        Ok(Some(arrow::compute::filter_record_batch(&rows, &is_row)?))
    }
}

/// Which values of two columns are the same. Two NaN are the same.
fn same(a: &ArrayRef, b: &ArrayRef) -> Result<BooleanArray, ArrowError> {
    if !matches!(a.data_type(), DataType::List(_) | DataType::Struct(_)) {
        return not_distinct(a, b);
    }
    let compare = make_comparator(a, b, SortOptions::default())?;
    Ok((0..a.len()).map(|row| Some(compare(row, row).is_eq())).collect())
}
