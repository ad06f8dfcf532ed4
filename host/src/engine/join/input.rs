//! What a join reads: rows as they come from a shuffle, or from a part that was stored.
//!
//! Owns their size in memory, as the choice between forms sees it.

use super::external;
use crate::block::{RowsReader, StoredRows};
use crate::data::chunk;
use arrow::array::RecordBatch;
use datafusion_common::Result;
use datafusion_execution::SendableRecordBatchStream;
use futures::StreamExt as _;
use std::collections::VecDeque;

/// Rows are read in pieces of at most about this many bytes, and at most this many rows.
const PIECE_BYTES: usize = 256 * 1024;
const PIECE_ROWS: usize = 16 * 1024;
/// What a row takes in tables, lists of rows, and the like.
const ROW_BYTES: usize = 40;

/// The memory that it takes to work with these rows: as they were read, brought together in one piece, and ordered.
pub(super) fn weight(batch: &RecordBatch) -> usize {
    3 * chunk::row_bytes(batch, 0..batch.num_rows()) + ROW_BYTES * batch.num_rows()
}

/// The rows of one parent, or of a part of them.
pub(super) struct Input {
    rows: Rows,
    pieces: VecDeque<RecordBatch>,
}

enum Rows {
    /// They come once.
    Stream(SendableRecordBatchStream),
    /// They can be read again.
    Stored { rows: StoredRows, bucket: usize, reader: RowsReader },
}

impl Input {
    pub(super) fn stream(rows: SendableRecordBatchStream) -> Self {
        Self { rows: Rows::Stream(rows), pieces: VecDeque::new() }
    }

    pub(super) fn stored(rows: &StoredRows, bucket: usize) -> Self {
        let reader = rows.read(bucket);
        Self { rows: Rows::Stored { rows: rows.clone(), bucket, reader }, pieces: VecDeque::new() }
    }

    /// Begins again, if the rows can be read again.
    pub(super) fn again(&self) -> Option<Self> {
        match &self.rows {
            Rows::Stream(_) => None,
            Rows::Stored { rows, bucket, .. } => Some(Self::stored(rows, *bucket)),
        }
    }

    /// The next rows.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Ok(Some(piece));
            }
            let batch = match &mut self.rows {
                Rows::Stream(rows) => rows.next().await.transpose()?,
                Rows::Stored { reader, .. } => reader.next().transpose().map_err(external)?,
            };
            match batch {
                Some(batch) => self.pieces.extend(chunk::chunks(&batch, PIECE_BYTES).flat_map(|piece| {
                    let rows = piece.num_rows();
                    let starts = (0..rows).step_by(PIECE_ROWS);
                    starts.map(move |start| piece.slice(start, PIECE_ROWS.min(rows - start)))
                })),
                None => return Ok(None),
            }
        }
    }

    /// Takes rows into `taken`, until there are no more (true) or `limit` is reached.
    pub(super) async fn take(&mut self, limit: usize, taken: &mut Taken) -> Result<bool> {
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
pub(super) struct Taken {
    pub rows: Vec<RecordBatch>,
    pub weight: usize,
}
