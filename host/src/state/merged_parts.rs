//! [`MergedParts`]: the state that a full snapshot and the snapshots of changes after it have together.
//!
//! Owns the order in which parts of several snapshots are read: at most one part of each snapshot is in memory.

use super::error::StateError;
use super::layout::{self, Layout};
use super::merge;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use std::sync::Arc;

/// The parts of one snapshot, each read when it is needed.
pub type ReadParts<'a, E> = Box<dyn FnMut() -> Option<Result<RecordBatch, E>> + 'a>;

/// A snapshot while it is read.
struct Cursor<'a, E> {
    parts: ReadParts<'a, E>,
    current: Option<RecordBatch>,
}

impl<E: From<StateError>> Cursor<'_, E> {
    /// The rows up to this hash.
    fn up_to(&mut self, last: u64) -> Result<Vec<RecordBatch>, E> {
        let mut taken = Vec::new();
        loop {
            let current = match self.current.take() {
                Some(current) => current,
                None => match (self.parts)() {
                    Some(part) => part?,
                    None => return Ok(taken),
                },
            };
            let end = layout::hashes(&current).values().partition_point(|hash| *hash <= last);
            if end > 0 {
                taken.push(current.slice(0, end));
            }
            if end < current.num_rows() {
                self.current = Some(current.slice(end, current.num_rows() - end));
                return Ok(taken);
            }
        }
    }
}

/// The rows of keys that have state, sorted, in pieces.
pub struct MergedParts<'a, E> {
    layout: Arc<Layout>,
    /// The oldest snapshot first.
    cursors: Vec<Cursor<'a, E>>,
}

impl<'a, E: From<StateError>> MergedParts<'a, E> {
    /// Merges a full snapshot and the snapshots of changes after it, the oldest first.
    pub fn new(layout: &Arc<Layout>, snapshots: Vec<ReadParts<'a, E>>) -> Self {
        let cursors = snapshots.into_iter().map(|parts| Cursor { parts, current: None }).collect();
        Self { layout: layout.clone(), cursors }
    }

    fn piece(&mut self) -> Result<Option<RecordBatch>, E> {
        // The rows up to the end of the first part that any snapshot has.
        let mut last: Option<u64> = None;
        for cursor in &mut self.cursors {
            if cursor.current.is_none() {
                cursor.current = (cursor.parts)().transpose()?;
            }
            let end = cursor.current.as_ref().and_then(layout::hash_range).map(|(_, end)| end);
            last = last.into_iter().chain(end).min();
        }
        let Some(last) = last else { return Ok(None) };
        let mut leaves = Vec::new();
        for cursor in &mut self.cursors {
            let rows = cursor.up_to(last)?;
            if !rows.is_empty() {
                let rows = concat_batches(self.layout.schema(), &rows).map_err(StateError::from)?;
                leaves.push(self.layout.open(rows));
            }
        }
        Ok(Some(merge::newest(&leaves, u64::MAX)?))
    }
}

impl<E: From<StateError>> Iterator for MergedParts<'_, E> {
    type Item = Result<RecordBatch, E>;

    fn next(&mut self) -> Option<Self::Item> {
        self.piece().transpose()
    }
}
