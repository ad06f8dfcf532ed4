//! [`RowsWriter`]: puts rows into the storage while they are computed.

use super::super::row_bytes::{allocations, arrays, value_bytes};
use super::super::spill::SpillError;
use super::{
    ARRAY_BYTES, BucketSize, Buckets, ENTRY_BYTES, Entry, PIECE_BYTES, Shared, State, StoredBatch, StoredRows,
};
use arrow::array::RecordBatch;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

/// Takes rows while they are computed. Dropping the writer discards the rows.
pub struct RowsWriter {
    shared: Arc<Shared>,
    /// The number of buckets.
    count: usize,
    sizes: BTreeMap<usize, BucketSize>,
    buckets: Buckets,
    /// The allocations of the pieces in memory. Pieces that are slices of one allocation are counted once.
    counted: HashSet<usize>,
    /// The memory that was taken for descriptions.
    overhead: usize,
    taken: usize,
    only_files: bool,
}

impl RowsWriter {
    /// Makes a writer of rows in at most `count` buckets.
    pub(super) fn new(shared: Arc<Shared>, count: usize) -> Self {
        Self {
            shared,
            count,
            sizes: BTreeMap::new(),
            buckets: Buckets::new(),
            counted: HashSet::new(),
            overhead: 0,
            taken: 0,
            only_files: false,
        }
    }

    /// From here on, writes all rows to files, whether there is memory or not.
    #[must_use]
    pub fn only_files(mut self) -> Self {
        self.only_files = true;
        self
    }

    /// Adds rows to a bucket.
    ///
    /// # Errors
    /// If there is no memory for the rows, and no room on the disk.
    pub fn append(&mut self, bucket: usize, batch: RecordBatch) -> Result<(), SpillError> {
        let bytes = PIECE_BYTES + if self.overhead == 0 { ENTRY_BYTES } else { 0 };
        self.shared.overhead.add(bytes)?;
        self.overhead += bytes;
        if self.only_files || !self.keep(bucket, &batch)? {
            self.push_out()?;
            let segment = self.shared.spill.write(&batch)?;
            self.add(bucket, &batch, StoredBatch::File(segment));
        }
        Ok(())
    }

    /// Adds rows to a bucket. If there is no room anywhere, the rows stay in memory that is not counted.
    pub fn append_anyway(&mut self, bucket: usize, batch: RecordBatch) {
        if let Err(error) = self.append(bucket, batch.clone()) {
            tracing::warn!("{error}; the rows stay in memory, beyond engine.memory");
            self.add(bucket, &batch, StoredBatch::Memory(batch.clone()));
        }
    }

    /// Keeps rows in memory. Returns false if there is not enough memory.
    fn keep(&mut self, bucket: usize, batch: &RecordBatch) -> Result<bool, SpillError> {
        let mut new = Vec::new();
        let bytes = allocations(batch, &mut |allocation, bytes| {
            let is_new = self.counted.insert(allocation);
            if is_new {
                new.push(allocation);
            }
            if is_new { bytes } else { 0 }
        }) + arrays(batch) * ARRAY_BYTES;
        if self.shared.take(bytes)? {
            self.taken += bytes;
            self.add(bucket, batch, StoredBatch::Memory(batch.clone()));
            return Ok(true);
        }
        self.counted.retain(|allocation| !new.contains(allocation));
        Ok(false)
    }

    fn add(&mut self, bucket: usize, batch: &RecordBatch, piece: StoredBatch) {
        if bucket < self.count {
            self.buckets.entry(bucket).or_default().push(piece);
            let size = self.sizes.entry(bucket).or_default();
            size.rows += batch.num_rows() as u64;
            size.bytes += value_bytes(batch);
        }
    }

    /// Moves the rows that are in memory to a file.
    fn push_out(&mut self) -> Result<(), SpillError> {
        for piece in self.buckets.values_mut().flatten() {
            if let StoredBatch::Memory(batch) = piece {
                *piece = StoredBatch::File(self.shared.spill.write(batch)?);
            }
        }
        self.counted.clear();
        self.shared.room.give_back(std::mem::take(&mut self.taken));
        Ok(())
    }

    /// Ends the writing and returns the stored rows.
    pub fn finish(mut self) -> StoredRows {
        if self.buckets.is_empty() {
            return StoredRows::default();
        }
        let state = State {
            buckets: std::mem::take(&mut self.buckets),
            taken: std::mem::take(&mut self.taken),
            last_use: None,
        };
        let sizes = std::mem::take(&mut self.sizes);
        let overhead = std::mem::take(&mut self.overhead);
        let entry = Arc::new(Entry { shared: self.shared.clone(), sizes, overhead, state: Mutex::new(state) });
        entry.used();
        StoredRows { entry: Some(entry) }
    }
}

impl Drop for RowsWriter {
    fn drop(&mut self) {
        self.shared.room.give_back(self.taken);
        self.shared.overhead.remove(self.overhead);
    }
}
