//! Rows of one side of a batch, stored partition by partition.

use super::reason::NotCompared;
use crate::block::{RowsReader, StoredRows};
use arrow::array::RecordBatch;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number of bytes that may be held at a time. Clones share the number.
#[derive(Clone, Debug)]
pub(super) struct ByteLimit {
    held: Arc<AtomicU64>,
    bytes_max: u64,
}

/// Bytes that are held until the value is dropped.
#[derive(Debug)]
pub(super) struct Held {
    held: Arc<AtomicU64>,
    bytes: u64,
}

impl ByteLimit {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { held: Arc::default(), bytes_max }
    }

    pub(super) const fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Holds `bytes`. `None` if that would be more than the limit. Never waits.
    pub(super) fn hold(&self, bytes: u64) -> Option<Held> {
        let sum = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).ok()?;
        Some(Held { held: self.held.clone(), bytes })
    }

    /// As [`ByteLimit::hold`], but if nothing is held, `bytes` may exceed the limit.
    pub(super) fn hold_first(&self, bytes: u64) -> Option<Held> {
        self.hold(bytes).or_else(|| {
            let first = self.held.compare_exchange(0, bytes, Ordering::Relaxed, Ordering::Relaxed);
            first.is_ok().then(|| Held { held: self.held.clone(), bytes })
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The rows of an attempt at a partition.
pub(super) struct Partition {
    rows: StoredRows,
    /// The bytes of the rows, which are held as long as the rows are stored.
    _held: Vec<Held>,
}

impl Partition {
    pub(super) const fn new(rows: StoredRows, held: Vec<Held>) -> Self {
        Self { rows, _held: held }
    }
}

/// The rows of a committed batch, by partition.
pub(super) struct Recorded {
    pub(super) partitions: Vec<Partition>,
}

impl Recorded {
    /// The number of rows.
    pub(super) fn row_count(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.rows.row_count()).sum()
    }

    /// Reads the rows in order, in pieces.
    pub(super) fn read(&self) -> impl Iterator<Item = Result<RecordBatch, NotCompared>> {
        let pieces = |partition: &Partition| -> RowsReader { partition.rows.read(0) };
        self.partitions.iter().flat_map(pieces).map(|piece| piece.map_err(NotCompared::from))
    }
}
