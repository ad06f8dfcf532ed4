//! Cuts a batch into pieces that are small enough for one chunk, or for code that computes values for each row.

use super::ROWS_MAX;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use std::ops::Range;

/// The most rows that are processed at a time. Values for each row, such as hashes, row numbers and offsets, then take
/// at most a few MiB, however small the rows are.
pub const PIECE_ROWS: usize = 64 * 1024;

/// The rows of `batch` in order, in slices of at most [`PIECE_ROWS`]. Copies nothing. A batch without rows gives no
/// slice.
pub fn pieces(batch: RecordBatch) -> impl Iterator<Item = RecordBatch> {
    let rows = batch.num_rows();
    let slice = move |start: usize| batch.slice(start, PIECE_ROWS.min(rows - start));
    (0..rows).step_by(PIECE_ROWS).map(slice)
}

/// The rows of `batch` in order, in slices that take at most about `max_bytes` as a chunk each, but hold at least one
/// row. The same batch is always cut at the same rows. Copies nothing. A batch without rows gives no slice.
pub fn chunks(batch: &RecordBatch, max_bytes: usize) -> impl Iterator<Item = RecordBatch> + '_ {
    let mut start = 0;
    std::iter::from_fn(move || {
        let left = batch.num_rows().saturating_sub(start).min(ROWS_MAX);
        if left == 0 {
            return None;
        }
        let size = |rows| row_bytes(batch, start..start + rows);
        let rows = if size(left) <= max_bytes { left } else { largest(left, |rows| size(rows) <= max_bytes) };
        let slice = batch.slice(start, rows);
        start += rows;
        Some(slice)
    })
}

/// About how many bytes these rows take. The result depends only on the values of the rows, not on their place in the
/// batch.
pub fn row_bytes(batch: &RecordBatch, rows: Range<usize>) -> usize {
    batch.columns().iter().map(|column| bytes(column, rows.clone())).sum()
}

/// The largest number from 1 to `most` that `fits`, or 1. Each number below a number that fits has to fit too.
fn largest(most: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (1, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

/// About how many bytes the rows of an array take. Looks at the ends of the range only.
fn bytes(array: &ArrayRef, rows: Range<usize>) -> usize {
    let count = rows.len();
    let validity = if array.null_count() > 0 { count.div_ceil(8) } else { 0 };
    let within = |offsets: &[i32]| {
        let at = |row: usize| offsets.get(row).map_or(0, |&offset| usize::try_from(offset).unwrap_or_default());
        at(rows.start)..at(rows.end)
    };
    let values = match array.data_type() {
        DataType::Boolean => count.div_ceil(8),
        DataType::Utf8 => array.as_string_opt().map_or(0, |array| within(array.value_offsets()).len() + 4 * count),
        DataType::Binary => array.as_binary_opt().map_or(0, |array| within(array.value_offsets()).len() + 4 * count),
        DataType::List(_) => array.as_list_opt().map_or(0, |list| {
            let items = within(list.value_offsets());
            4 * count + bytes(list.values(), items)
        }),
        DataType::Struct(_) => array
            .as_struct_opt()
            .map_or(0, |members| members.columns().iter().map(|column| bytes(column, rows.clone())).sum::<usize>()),
        other => other.primitive_width().unwrap_or(0) * count,
    };
    validity + values
}
