//! [`SoughtKey`]: one key, found by its hash without reading all state.

use super::error::StateError;
use super::is_of_partition;
use super::layout::{self, Layout};
use super::page::Found;
use super::partition::PageRange;
use super::store::Version;
use super::touched::Touched;
use arrow::array::{ArrayRef, RecordBatch};
use std::sync::Arc;

/// A key whose state is wanted.
pub struct SoughtKey {
    layout: Arc<Layout>,
    touched: Touched,
}

impl SoughtKey {
    /// Takes the key in the first row of a key column. `None` if the column has no row.
    ///
    /// # Errors
    /// Returns an error if the key does not have the type of the layout.
    pub fn new(layout: &Arc<Layout>, keys: &ArrayRef) -> Result<Option<Self>, StateError> {
        if keys.is_empty() {
            return Ok(None);
        }
        // A single partition has all hashes.
        let touched = Touched::of(layout, &keys.slice(0, 1), 0, 1)?;
        Ok(Some(Self { layout: layout.clone(), touched }))
    }

    /// The hash of the key.
    pub fn hash(&self) -> u64 {
        self.touched.hash(0)
    }

    /// Finds the row of the key in sorted rows of state. The key may be a removed one. `None` if the key has no row.
    ///
    /// # Errors
    /// Returns an error if the keys of the rows cannot be encoded.
    pub fn row_in(&self, rows: &RecordBatch) -> Result<Option<RecordBatch>, StateError> {
        let places = self.touched.places(&self.layout, rows, 0..1)?;
        Ok(places.into_iter().find_map(Result::ok).map(|row| rows.slice(row, 1)))
    }

    /// The pair of the key and its state in a version. `None` if the key has no state. Reads one page.
    ///
    /// # Errors
    /// Returns an error if the page cannot be read.
    pub fn pair_in(&self, version: &Version) -> Result<Option<RecordBatch>, StateError> {
        let hash = self.hash();
        let partitions = u32::try_from(version.partitions.len()).unwrap_or(u32::MAX);
        let mut numbered = (0..).zip(version.partitions.iter());
        let partition = numbered.find(|(partition, _)| is_of_partition(hash, *partition, partitions));
        let has_hash = |at: &PageRange<'_>| at.first <= hash && at.end.is_none_or(|end| hash < end);
        let range = partition.and_then(|(_, partition)| partition.pages().find(has_hash));
        if let Some(page) = range.and_then(|range| range.page) {
            let open = page.open(&self.layout)?;
            if let Some(Some(Found { leaf, row })) = open.find(&self.touched, 0..1)?.first().copied()
                && let Some(states) = open.states().nth(leaf)
            {
                let columns = vec![self.touched.column().clone(), states.slice(row, 1)];
                return Ok(Some(RecordBatch::try_new(self.layout.pair().arrow().clone(), columns)?));
            }
        }
        Ok(None)
    }

    /// The pair of the key and its state in the row of the key. `None` if the key was removed.
    ///
    /// # Errors
    /// Returns an error if the row of a key that was not removed has no state.
    pub fn pair_of(&self, row: &RecordBatch) -> Result<Option<RecordBatch>, StateError> {
        let live = layout::live(row)?;
        if live.num_rows() == 0 { Ok(None) } else { self.layout.pairs(&live).map(Some) }
    }
}
