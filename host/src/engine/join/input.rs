//! The input of a join: rows that come from a shuffle, or from a stored part.
//!
//! Owns the estimate of how much memory rows take. The choice between joining and dividing uses the estimate.

use super::external;
use crate::block::{RowsReader, StoredRows};
use crate::data::chunk;
use arrow::array::RecordBatch;
use datafusion_common::Result;
use datafusion_execution::SendableRecordBatchStream;
use futures::StreamExt as _;
use std::collections::VecDeque;

/// A piece that is read takes at most about the memory of a part divided by this.
const PIECES: usize = 8;
/// How many copies of a row are in memory at a time: as it was read, concatenated with others, and ordered.
const COPIES: usize = 3;
/// Memory for each row in tables, lists of rows and the like, in bytes.
const ROW_BYTES: usize = 40;

/// The memory that a join needs to work with these rows, in bytes.
pub(super) fn weight(batch: &RecordBatch) -> usize {
    COPIES * chunk::row_bytes(batch, 0..batch.num_rows()) + ROW_BYTES * batch.num_rows()
}

/// The rows of one parent, or the rows of one parent in one part.
pub(in crate::engine) struct Input {
    rows: Rows,
    piece_bytes: usize,
    pieces: VecDeque<RecordBatch>,
}

enum Rows {
    /// The rows can be read once.
    Stream(SendableRecordBatchStream),
    /// The rows are stored and can be read again.
    Stored { rows: StoredRows, bucket: usize, reader: RowsReader },
}

impl Input {
    /// Makes an input from a stream of rows. A part takes at most `part_bytes`.
    pub(in crate::engine) fn stream(rows: SendableRecordBatchStream, part_bytes: usize) -> Self {
        Self { rows: Rows::Stream(rows), piece_bytes: part_bytes / PIECES, pieces: VecDeque::new() }
    }

    /// Makes an input from stored rows. A part takes at most `part_bytes`.
    pub(in crate::engine) fn bucket(rows: &StoredRows, bucket: usize, part_bytes: usize) -> Self {
        let reader = rows.read(bucket);
        let rows = Rows::Stored { rows: rows.clone(), bucket, reader };
        Self { rows, piece_bytes: part_bytes / PIECES, pieces: VecDeque::new() }
    }

    /// Makes an input from stored rows, with pieces as large as those of this input.
    pub(in crate::engine) fn stored(&self, rows: &StoredRows, bucket: usize) -> Self {
        Self { piece_bytes: self.piece_bytes, ..Self::bucket(rows, bucket, 0) }
    }

    /// Makes the same input from its beginning. `None` if the rows cannot be read again.
    pub(super) fn again(&self) -> Option<Self> {
        match &self.rows {
            Rows::Stream(_) => None,
            Rows::Stored { rows, bucket, .. } => Some(self.stored(rows, *bucket)),
        }
    }

    /// The next rows. `None` at the end.
    pub(in crate::engine) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Ok(Some(piece));
            }
            let batch = match &mut self.rows {
                Rows::Stream(rows) => rows.next().await.transpose()?,
                Rows::Stored { reader, .. } => reader.next().transpose().map_err(external)?,
            };
            match batch {
                Some(batch) => self.cut(&batch),
                None => return Ok(None),
            }
        }
    }

    fn cut(&mut self, batch: &RecordBatch) {
        let rows_max = (self.piece_bytes / ROW_BYTES).max(1);
        for piece in chunk::chunks(batch, self.piece_bytes / COPIES) {
            let rows = piece.num_rows();
            let starts = (0..rows).step_by(rows_max);
            self.pieces.extend(starts.map(|start| piece.slice(start, rows_max.min(rows - start))));
        }
    }

    /// Moves rows into `taken`, until they take `limit` bytes or there are no more rows. Returns true if there are no
    /// more rows.
    pub(in crate::engine) async fn take(&mut self, limit: usize, taken: &mut Taken) -> Result<bool> {
        while taken.weight < limit {
            let Some(rows) = self.next().await? else { return Ok(true) };
            taken.weight += weight(&rows);
            taken.rows.push(rows);
        }
        Ok(false)
    }
}

/// Rows in memory.
#[derive(Default)]
pub(in crate::engine) struct Taken {
    pub rows: Vec<RecordBatch>,
    pub weight: usize,
}
