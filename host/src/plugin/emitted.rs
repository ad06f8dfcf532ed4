//! The rows that a task has emitted and that nobody has taken yet.
//!
//! Owns where these rows wait: a few rows in memory, more rows in the storage of all rows, which counts them and can
//! move them to files. Never looks at the rows.

use crate::block::{RowStorage, RowsReader, RowsWriter, SpillError};
use crate::data::chunk;
use arrow::array::RecordBatch;

/// This many bytes may wait in memory without being counted.
const UNCOUNTED_BYTES: usize = 2 * 1024 * 1024;

/// Collects the rows that a task emits.
pub(super) struct Emitted {
    /// Where many rows are stored. `None` if all rows wait in memory.
    storage: Option<RowStorage>,
    rows: Vec<RecordBatch>,
    bytes: usize,
    /// The writer of the rows into the storage. If there are too many rows for the memory, the writer has all of them.
    writer: Option<RowsWriter>,
}

/// The rows that a task has emitted, in order.
pub struct EmittedRows(Waiting);

enum Waiting {
    Memory(std::vec::IntoIter<RecordBatch>),
    Stored(RowsReader),
}

impl Emitted {
    pub(super) fn new(storage: Option<RowStorage>) -> Self {
        Self { storage, rows: Vec::new(), bytes: 0, writer: None }
    }

    /// Adds rows. `bytes` is the size of the chunk that held them.
    pub(super) fn add(&mut self, rows: RecordBatch, bytes: usize) -> Result<(), SpillError> {
        self.bytes += bytes;
        if let Some(storage) = &self.storage
            && self.writer.is_none()
            && self.bytes > UNCOUNTED_BYTES
        {
            let mut writer = storage.writer(1);
            for rows in self.rows.drain(..) {
                writer.append(0, rows)?;
            }
            self.writer = Some(writer);
        }
        for piece in chunk::pieces(rows) {
            match &mut self.writer {
                Some(writer) => writer.append(0, piece)?,
                None => self.rows.push(piece),
            }
        }
        Ok(())
    }

    /// Takes all rows that were emitted so far.
    pub(super) fn take(&mut self) -> EmittedRows {
        self.bytes = 0;
        EmittedRows(match self.writer.take() {
            Some(writer) => Waiting::Stored(writer.finish().read(0)),
            None => Waiting::Memory(std::mem::take(&mut self.rows).into_iter()),
        })
    }
}

impl Iterator for EmittedRows {
    type Item = Result<RecordBatch, SpillError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Waiting::Memory(rows) => rows.next().map(Ok),
            Waiting::Stored(rows) => rows.next(),
        }
    }
}

impl Default for EmittedRows {
    fn default() -> Self {
        Self(Waiting::Memory(Vec::new().into_iter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::SpillSettings;
    use crate::env::Simulation;
    use crate::memory::MemoryBudget;
    use crate::time::Time;
    use arrow::array::{ArrayRef, Int64Array};
    use std::sync::Arc;

    fn rows(from: i64, count: usize) -> RecordBatch {
        let column: ArrayRef = Arc::new((from..).take(count).map(Some).collect::<Int64Array>());
        RecordBatch::try_from_iter([("n", column)]).unwrap()
    }

    /// Few rows or many, with and without memory for them: they come out in order, in pieces.
    #[test]
    fn rows_come_out_in_order_wherever_they_waited() {
        let settings = SpillSettings { directory: None, limit_bytes: u64::MAX, compressed: false };
        let disk = Simulation::new(0, Time::default()).env().disk;
        let storage = RowStorage::new(&MemoryBudget::new(0, 0).unwrap(), disk, settings);
        for (storage, chunks) in [(None, 40), (Some(storage.clone()), 1), (Some(storage.clone()), 40)] {
            let mut emitted = Emitted::new(storage.clone());
            for round in 0..2 {
                (0..chunks).for_each(|at| emitted.add(rows(at * 10_000, 10_000), 80_000).unwrap());
                emitted.add(rows(chunks * 10_000, 70_000), 560_000).unwrap();
                let taken: Vec<RecordBatch> = emitted.take().map(Result::unwrap).collect();
                assert!(taken.iter().all(|rows| rows.num_rows() <= chunk::PIECE_ROWS), "{round}");
                let all = arrow::compute::concat_batches(&taken[0].schema(), &taken).unwrap();
                assert_eq!(all, rows(0, chunks as usize * 10_000 + 70_000));
            }
        }
        assert!(storage.spilled_bytes() > 2 * 40 * 80_000);
        assert_eq!(storage.memory_bytes(), 0);
    }
}
