//! [`Page`]: the state of neighbouring keys, as one sorted leaf of rows and leaves of later changes.
//!
//! Owns the choice between adding a leaf of changes and writing the page anew. The choice follows from the rows alone.

use super::error::StateError;
use super::layout::{self, HASH, KEY, Layout, Open, STATE, TIME};
use super::merge;
use super::page_rows::PageRows;
use super::patch::{Patch, patched};
use super::touched::Touched;
use crate::block::{RowStorage, StoredRows};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use std::ops::Range;
use std::sync::Arc;

/// A page is written anew when it has at least this many leaves of changes. Up to seven more are allowed, depending on
/// the page, so that not all pages are written anew in the same batch.
const CHANGES_MAX: u64 = 8;
/// If fewer than one key in this many changes its state, the changes become a leaf of their own.
const SPARSE: usize = 32;

/// The state of the keys from a hash on, up to the first hash of the next page.
#[derive(Debug)]
pub struct Page {
    /// The smallest hash that belongs to the page.
    first: u64,
    /// The rows, and then the changes, the oldest first.
    leaves: Vec<Leaf>,
    /// The number of keys that have state.
    keys: u64,
}

/// Stored rows of a page, sorted by key.
#[derive(Clone)]
struct Leaf {
    rows: StoredRows,
    count: usize,
    /// The latest time of a row.
    newest_ms: u64,
    /// The earliest time of a row whose key was not removed.
    oldest_ms: u64,
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rows", self.count)
    }
}

impl Leaf {
    fn store(storage: &RowStorage, rows: RecordBatch) -> Result<Self, StateError> {
        let (times, removed) = (layout::times(&rows), layout::removed(&rows));
        let (mut oldest_ms, mut newest_ms) = (u64::MAX, 0);
        for time in times.values() {
            (oldest_ms, newest_ms) = (oldest_ms.min(*time), newest_ms.max(*time));
        }
        if removed.true_count() > 0 {
            let of_live = times.values().iter().zip(removed).filter(|(_, removed)| *removed != Some(true));
            oldest_ms = of_live.map(|(time, _)| *time).min().unwrap_or(u64::MAX);
        }
        let count = rows.num_rows();
        let mut writer = storage.writer(1);
        writer.append(0, rows)?;
        Ok(Self { rows: writer.finish(), count, newest_ms, oldest_ms })
    }

    fn open(&self, layout: &Layout) -> Result<Open, StateError> {
        let rows = self.rows.read(0).next();
        let rows = rows.unwrap_or_else(|| Ok(RecordBatch::new_empty(layout.schema().clone())))?;
        Ok(layout.open(rows))
    }
}

/// The place of a row in an [`OpenPage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The leaf.
    pub leaf: usize,
    /// The row of the leaf.
    pub row: usize,
}

/// A page whose rows are in memory.
#[derive(Default)]
pub struct OpenPage {
    leaves: Vec<Open>,
}

impl Page {
    /// Writes rows as pages. The first page begins at the hash `first`.
    ///
    /// # Errors
    /// Returns an error if the rows cannot be read or stored.
    pub fn write(storage: &RowStorage, first: u64, rows: PageRows) -> Result<Vec<Self>, StateError> {
        let mut pages = Vec::new();
        rows.pages(|rows| {
            let of_rows = layout::hashes(&rows).values().first().copied();
            let first = of_rows.filter(|_| !pages.is_empty()).unwrap_or(first);
            let keys = (rows.num_rows() - layout::removed(&rows).true_count()) as u64;
            pages.push(Self { first, leaves: vec![Leaf::store(storage, rows)?], keys });
            Ok(())
        })?;
        Ok(pages)
    }

    /// The smallest hash that belongs to the page.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number of keys that have state.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// The bytes of the stored rows, including rows that do not count any more.
    pub fn bytes(&self) -> u64 {
        self.leaves.iter().map(|leaf| leaf.rows.bucket_size(0).bytes).sum()
    }

    /// The time of the latest change.
    pub fn newest_ms(&self) -> u64 {
        self.leaves.iter().map(|leaf| leaf.newest_ms).max().unwrap_or(0)
    }

    /// Whether a key may have been changed last before this time.
    pub fn may_have_older(&self, time_ms: u64) -> bool {
        self.leaves.iter().any(|leaf| leaf.oldest_ms < time_ms)
    }

    /// Reads the rows.
    ///
    /// # Errors
    /// Returns an error if the storage fails.
    pub fn open(&self, layout: &Layout) -> Result<OpenPage, StateError> {
        let leaves = self.leaves.iter().map(|leaf| leaf.open(layout)).collect::<Result<_, _>>()?;
        Ok(OpenPage { leaves })
    }

    /// The newest row of each key that changed or was removed after a time, sorted.
    ///
    /// # Errors
    /// Returns an error if the storage fails.
    pub fn changed_after(&self, layout: &Layout, time_ms: u64) -> Result<RecordBatch, StateError> {
        let mut changed = Vec::new();
        for leaf in self.leaves.iter().filter(|leaf| leaf.newest_ms > time_ms) {
            // The newest row of a key has the latest time. So the older rows need not be merged.
            let Open { rows, times, .. } = leaf.open(layout)?;
            let is_new: BooleanArray = times.values().iter().map(|time| Some(*time > time_ms)).collect();
            changed.push(layout.open(filter_record_batch(&rows, &is_new)?));
        }
        if changed.is_empty() {
            return Ok(RecordBatch::new_empty(layout.schema().clone()));
        }
        merge::newest(&changed, time_ms)
    }

    /// Makes the page with new states of keys that are in its first leaf, and in no other. `changes` has the new rows
    /// of these keys, among others. Only the states and times of the leaf are copied. `None` if so few keys change that
    /// a leaf of changes costs less.
    ///
    /// # Errors
    /// Returns an error if the page cannot be read or stored.
    pub(super) fn patched(
        &self,
        storage: &RowStorage,
        layout: &Layout,
        changes: &RecordBatch,
        patches: &[Patch],
    ) -> Result<Option<Self>, StateError> {
        let Some((oldest, younger)) = self.leaves.split_first() else { return Ok(None) };
        if patches.is_empty() || patches.len() * SPARSE < oldest.count {
            return Ok(None);
        }
        let Open { rows, removed, .. } = oldest.open(layout)?;
        let column = |column: usize| patched(rows.column(column), changes.column(column), patches);
        let columns = vec![
            rows.column(HASH).clone(),
            column(TIME)?,
            Arc::new(removed) as ArrayRef,
            rows.column(KEY).clone(),
            column(STATE)?,
        ];
        let rows = RecordBatch::try_new(layout.schema().clone(), columns)?;
        let mut leaves = vec![Leaf::store(storage, rows)?];
        leaves.extend_from_slice(younger);
        Ok(Some(Self { first: self.first, leaves, keys: self.keys }))
    }

    /// Makes the page with changes: sorted rows that count more than those of the page. Afterwards, `keys` keys have
    /// state. `None` if the page has to be written anew with the changes.
    ///
    /// # Errors
    /// Returns an error if the changes cannot be stored.
    pub fn changed(&self, storage: &RowStorage, changes: RecordBatch, keys: u64) -> Result<Option<Self>, StateError> {
        let (oldest, younger) = self.leaves.split_first().map_or((0, &[][..]), |(oldest, rest)| (oldest.count, rest));
        let changed: usize = younger.iter().map(|leaf| leaf.count).sum::<usize>() + changes.num_rows();
        // The upper bits of a product with an odd number depend on all bits of the hash.
        let more = self.first.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61;
        if changed > oldest || younger.len() as u64 + 1 >= CHANGES_MAX + more {
            return Ok(None);
        }
        let mut leaves = self.leaves.clone();
        leaves.push(Leaf::store(storage, changes)?);
        Ok(Some(Self { first: self.first, leaves, keys }))
    }
}

impl OpenPage {
    /// The row of each key that counts, sorted. Rows of keys that were removed at `forgotten_ms` or before are left
    /// out.
    ///
    /// # Errors
    /// Returns an error if Arrow cannot make the columns.
    pub fn newest(&self, forgotten_ms: u64) -> Result<RecordBatch, StateError> {
        merge::newest(&self.leaves, forgotten_ms)
    }

    /// As [`newest`](Self::newest), with changes.
    ///
    /// # Errors
    /// Returns an error if Arrow cannot make the columns.
    pub fn with(mut self, layout: &Layout, changes: RecordBatch, forgotten_ms: u64) -> Result<RecordBatch, StateError> {
        self.leaves.push(layout.open(changes));
        self.newest(forgotten_ms)
    }

    /// The row of each of some keys. `None` for a key that has no state.
    ///
    /// # Errors
    /// Returns an error if the keys of the page cannot be encoded.
    pub fn find(&self, touched: &Touched, keys: Range<usize>) -> Result<Vec<Option<Found>>, StateError> {
        // `None` for a key that no leaf has so far. The youngest row of a key counts.
        let mut rows: Vec<Option<Found>> = vec![None; keys.len()];
        for (leaf, open) in self.leaves.iter().enumerate().rev() {
            touched.find_each(open, keys.clone(), &mut rows, |row| Found { leaf, row })?;
        }
        let exists = |found: &Found| self.leaves.get(found.leaf).is_some_and(|leaf| !leaf.removed.value(found.row));
        rows.iter_mut().for_each(|row| *row = row.filter(exists));
        Ok(rows)
    }

    /// The time of a row.
    pub fn time_ms(&self, found: Found) -> u64 {
        self.leaves.get(found.leaf).map_or(0, |leaf| leaf.times.value(found.row))
    }

    /// The states of each leaf.
    pub fn states(&self) -> impl Iterator<Item = &ArrayRef> {
        self.leaves.iter().map(|leaf| layout::states(&leaf.rows))
    }
}
