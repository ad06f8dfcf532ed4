//! [`PageRows`]: the new rows of a page, which come in pieces, until they are written as one or more pages.
//!
//! Owns where pages are cut. Cuts follow from the rows alone, and not from the pieces.

use super::error::StateError;
use super::layout;
use crate::block::{RowStorage, RowsWriter};
use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::DataType;
use std::ops::Range;

/// A page with more rows than this is written as several pages of at most half as many.
const ROWS_MAX: usize = 16 * 1024;
/// A page with more bytes than this is written as several pages, if it has several rows.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Sorted rows that belong to one page, or to several pages if they are too many for one.
#[derive(Default)]
pub struct PageRows {
    /// The only piece so far.
    only: Option<RecordBatch>,
    /// The pieces, if there are several. They need not fit into memory.
    pieces: Option<RowsWriter>,
    count: usize,
    bytes: usize,
}

impl PageRows {
    /// Adds the next piece.
    ///
    /// # Errors
    /// Returns an error if the rows cannot be stored.
    pub fn push(&mut self, storage: &RowStorage, rows: RecordBatch) -> Result<(), StateError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        self.count += rows.num_rows();
        self.bytes += bytes_of(&rows);
        if self.only.is_none() && self.pieces.is_none() {
            self.only = Some(rows);
            return Ok(());
        }
        let pieces = self.pieces.get_or_insert_with(|| storage.writer(1));
        for piece in self.only.take().into_iter().chain([rows]) {
            pieces.append(0, piece)?;
        }
        Ok(())
    }

    /// Hands the rows of each page to `write`, in order.
    ///
    /// # Errors
    /// Returns an error if the rows cannot be read, or if `write` returns one.
    pub(super) fn pages(self, mut write: impl FnMut(RecordBatch) -> Result<(), StateError>) -> Result<(), StateError> {
        let pages = self.page_count();
        match (self.only, self.pieces) {
            (None, None) => Ok(()),
            (Some(rows), _) if pages == 1 => write(rows),
            (only, pieces) => {
                let stored = pieces.map(RowsWriter::finish).unwrap_or_default();
                let pieces = only.into_iter().map(Ok).chain(stored.read(0));
                let mut cuts = Cuts { pieces, current: None, at: 0 };
                for page in 1..=pages {
                    let rows = cuts.rows_until(page * self.count / pages)?;
                    if let Some(rows) = rows {
                        write(rows)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// The number of pages, if no two keys have the same hash.
    fn page_count(&self) -> usize {
        if self.count <= ROWS_MAX && (self.bytes <= BYTES_MAX || self.count <= 1) {
            return 1;
        }
        self.count.div_ceil(ROWS_MAX / 2).max(self.bytes.div_ceil(BYTES_MAX / 2)).min(self.count)
    }
}

/// Rows that are cut into pages.
struct Cuts<I> {
    pieces: I,
    /// The rest of the current piece. It has rows.
    current: Option<RecordBatch>,
    /// How many rows were taken.
    at: usize,
}

impl<I: Iterator<Item = Result<RecordBatch, E>>, E> Cuts<I>
where
    StateError: From<E>,
{
    /// The rows up to a position, and the rows behind it whose hash is that of the row before it. `None` if there are
    /// none.
    fn rows_until(&mut self, until: usize) -> Result<Option<RecordBatch>, StateError> {
        let (mut taken, mut last) = (Vec::new(), None);
        while let Some(piece) = self.piece()? {
            let hashes = layout::hashes(&piece).values();
            let wanted = until.saturating_sub(self.at);
            let count = match wanted {
                // Keys of the same hash stay in one page.
                0 => hashes.iter().take_while(|hash| last == Some(**hash)).count(),
                _ => wanted.min(hashes.len()),
            };
            let is_whole = count == hashes.len();
            last = hashes.get(..count).and_then(<[u64]>::last).copied().or(last);
            self.current = (!is_whole).then(|| piece.slice(count, piece.num_rows() - count));
            self.at += count;
            if count > 0 {
                taken.push(piece.slice(0, count));
            }
            if wanted == 0 && !is_whole {
                break;
            }
        }
        Ok(match taken.as_slice() {
            [] => None,
            [one] => Some(copy(one)?),
            [first, ..] => Some(concat_batches(&first.schema(), &taken)?),
        })
    }

    /// The current piece. `None` at the end.
    fn piece(&mut self) -> Result<Option<RecordBatch>, StateError> {
        if let Some(piece) = self.current.take() {
            return Ok(Some(piece));
        }
        Ok(self.pieces.next().transpose()?)
    }
}

/// A copy of rows, which does not hold the memory of the rows around them.
fn copy(rows: &RecordBatch) -> Result<RecordBatch, StateError> {
    let positions: UInt64Array = (0..rows.num_rows() as u64).collect();
    Ok(take_record_batch(rows, &positions)?)
}

/// About how many bytes rows take. The bytes of pieces add up to those of the whole.
fn bytes_of(rows: &RecordBatch) -> usize {
    rows.columns().iter().map(|column| bytes(column, 0..rows.num_rows())).sum()
}

/// The bytes of the values of an array. A bit counts as a byte, and it does not count whether values are absent.
fn bytes(array: &ArrayRef, rows: Range<usize>) -> usize {
    let within = |offsets: &[i32]| {
        let at = |row: usize| offsets.get(row).map_or(0, |&offset| usize::try_from(offset).unwrap_or_default());
        at(rows.start)..at(rows.end)
    };
    let of_offsets = 4 * rows.len();
    match array.data_type() {
        DataType::Utf8 => {
            array.as_string_opt::<i32>().map_or(0, |array| of_offsets + within(array.value_offsets()).len())
        }
        DataType::Binary => {
            array.as_binary_opt::<i32>().map_or(0, |array| of_offsets + within(array.value_offsets()).len())
        }
        DataType::List(_) => {
            array.as_list_opt::<i32>().map_or(0, |list| of_offsets + bytes(list.values(), within(list.value_offsets())))
        }
        DataType::Struct(_) => array
            .as_struct_opt()
            .map_or(0, |members| members.columns().iter().map(|column| bytes(column, rows.clone())).sum()),
        other => other.primitive_width().unwrap_or(1) * rows.len(),
    }
}
