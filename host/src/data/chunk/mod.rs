//! Chunks: rows in the flat layout that crosses the plugin boundary.
//!
//! Owns that layout: [`decode()`] from plugins, [`encode()`] for them, and [`chunks`], which cuts a batch into pieces
//! of the right size. Chunks from a plugin are checked in full: a batch that `decode` returns is valid Arrow data,
//! whatever the bytes were. Never calls a plugin.
//!
//! A chunk is a number of rows, a directory of `(offset, length)` in bytes, and one piece of data. The directory lists
//! the buffers in pre-order over the fields of the type. Each field gives its validity bitmap first (least significant
//! bit first; length 0 means that no value is absent), then:
//!
//! - `bool`: one bit a row; numbers, dates, times and decimals: their values, little-endian;
//! - `text`, `bytes`: rows + 1 offsets (`i32`), then the bytes that the offsets point into;
//! - `list`: rows + 1 offsets (`i32`), then the buffers of its child, which has as many rows as the last offset says;
//! - `struct`: nothing more, then the buffers of its children.
//!
//! A root that is a struct which cannot be absent gives the buffers of its members only. Buffers start at multiples of
//! 8 and do not overlap. Buffers may be longer than needed, and may be empty if there are no rows. The offset of a
//! buffer of length 0 means nothing.
//!
//! A chunk has at most [`ROWS_MAX`] rows, and a field inside of lists has at most [`VALUES_MAX`] values. The limits are
//! needed because a row costs the host more memory than its bytes in the chunk, which can be as few as one bit.

mod decode;
mod encode;
mod split;

#[cfg(test)]
mod tests;

pub use decode::decode;
pub use encode::encode;
pub use split::{PIECE_ROWS, chunks, pieces, row_bytes};

use super::view::ViewError;

#[cfg(target_endian = "big")]
compile_error!("chunks are little-endian, and so must the host be");

/// The most rows of a chunk.
pub const ROWS_MAX: usize = 1 << 20;
/// The most values of a field of a chunk, at any depth.
pub const VALUES_MAX: usize = 1 << 27;

/// Every buffer of a chunk starts at a multiple of this.
const ALIGNMENT: usize = 8;

/// What is wrong with a chunk, or with a batch that should become one. Buffers and rows count from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The directory does not have the length that the type asks for.
    #[error("the chunk has {found} buffers, its type needs {expected}")]
    BufferCount {
        /// The number of buffers that the type needs.
        expected: usize,
        /// The number of buffers that the chunk has.
        found: usize,
    },
    /// A buffer is not inside of the data.
    #[error("buffer {buffer} is {length} bytes long from byte {offset}, but the data ends at byte {data}")]
    Bounds {
        /// The buffer's position in the directory.
        buffer: usize,
        /// The offset at which the buffer starts.
        offset: u32,
        /// The length of the buffer.
        length: u32,
        /// The length of the data.
        data: usize,
    },
    /// A buffer does not start at a multiple of 8.
    #[error("buffer {buffer} starts at byte {offset}, which is not a multiple of 8")]
    Misaligned {
        /// The buffer's position in the directory.
        buffer: usize,
        /// The offset at which the buffer starts.
        offset: u32,
    },
    /// Two buffers share bytes. Otherwise a small chunk could stand for a batch a thousand times its size.
    #[error("buffers {first} and {second} overlap at byte {at}")]
    Overlap {
        /// The position in the directory of the buffer that starts first.
        first: usize,
        /// The position in the directory of the other buffer.
        second: usize,
        /// Where the other buffer starts.
        at: u32,
    },
    /// There are more rows than a chunk may have.
    #[error("the chunk has {rows} rows, a chunk has at most {ROWS_MAX}")]
    Rows {
        /// The number of rows.
        rows: usize,
    },
    /// The buffers of one column do not fit its type and the number of rows.
    #[error("column `{column}` ({kind}): {problem}")]
    Column {
        /// The column, with the path to the field inside of it.
        column: String,
        /// The field's kind.
        kind: &'static str,
        /// The problem of the column.
        problem: ColumnProblem,
    },
    /// The batch does not have the type of the chunk to be written.
    #[error(transparent)]
    Batch(#[from] ViewError),
    /// The batch does not fit into a chunk.
    #[error("a batch of {bytes} bytes is too large for one chunk, which holds 2147483647")]
    TooLarge {
        /// The size of the chunk, at least.
        bytes: u64,
    },
    /// Arrow refused columns that the host had checked: a defect of the host.
    #[error("arrow refuses the columns: {0}")]
    Arrow(String),
}

/// What is wrong with the buffers of a column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ColumnProblem {
    /// A buffer is too short.
    #[error("buffer {buffer} is {found} bytes long, {needed} are needed for {rows} rows")]
    Short {
        /// The buffer's position in the directory.
        buffer: usize,
        /// The length of the buffer.
        found: usize,
        /// The length that the buffer has to have.
        needed: u64,
        /// How many rows the field has.
        rows: usize,
    },
    /// The first offset is negative.
    #[error("the offsets in buffer {buffer} start at {first}")]
    Negative {
        /// The buffer's position in the directory.
        buffer: usize,
        /// The first offset.
        first: i32,
    },
    /// A row ends before it starts.
    #[error("the offsets in buffer {buffer} fall from {start} to {end} in row {row}")]
    Falling {
        /// The buffer's position in the directory.
        buffer: usize,
        /// The row.
        row: usize,
        /// Where the row starts.
        start: i32,
        /// Where the row ends.
        end: i32,
    },
    /// A row ends outside of the bytes.
    #[error("the last offset is {last}, but buffer {buffer} is {length} bytes long")]
    Outside {
        /// The position in the directory of the buffer of bytes.
        buffer: usize,
        /// The last offset.
        last: usize,
        /// How long the buffer of bytes is.
        length: usize,
    },
    /// A text is not UTF-8.
    #[error("row {row} is not valid UTF-8")]
    Utf8 {
        /// The row.
        row: usize,
    },
    /// Lists hold more values than a field of a chunk may have.
    #[error("the lists of buffer {buffer} hold {values} values, a field has at most {VALUES_MAX}")]
    Values {
        /// The position in the directory of the buffer of offsets.
        buffer: usize,
        /// How many values the lists hold.
        values: usize,
    },
    /// A number stands for no value of the type: a time of 24 hours or more, or a decimal with too many digits.
    #[error("row {row} is outside of the range of the type")]
    Range {
        /// The first such row.
        row: usize,
    },
    /// A value is absent where the type has no absent values.
    #[error("row {row} is absent, but the field is not optional")]
    Absent {
        /// The first such row.
        row: usize,
    },
}
