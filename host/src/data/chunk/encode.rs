//! Writes a batch as a chunk. The same rows give the same bytes, however the batch was sliced.

use super::super::schema::RecordType;
use super::super::view::{self, Column, Values, match_fixed};
use super::{ALIGNMENT, ChunkError, ROWS_MAX};
use arrow::array::RecordBatch;
use arrow::buffer::{BooleanBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::ArrowNativeType;
use std::ops::Range;

/// The longest data, so that offsets in it fit an `i32` as well as a `u32`.
const DATA_BYTES_MAX: u64 = (u32::MAX / 2) as u64;

/// Writes a batch of `ty` as a chunk for a plugin: the buffers into `data`, and their places into `directory`. Clears
/// both first. The number of rows is that of the batch. Costs one copy of the values.
///
/// # Errors
/// [`ChunkError::Batch`] if the batch does not have the type, [`ChunkError::Rows`] if the batch has more rows than a
/// chunk may have, [`ChunkError::TooLarge`] if the chunk takes more than 2 GiB.
pub fn encode(
    batch: &RecordBatch,
    ty: &RecordType,
    directory: &mut Vec<(u32, u32)>,
    data: &mut Vec<u8>,
) -> Result<(), ChunkError> {
    directory.clear();
    data.clear();
    let rows = batch.num_rows();
    if rows > ROWS_MAX {
        return Err(ChunkError::Rows { rows });
    }
    let mut writer = Writer { directory, data };
    for column in view::columns(ty, batch)? {
        writer.column(&column, 0..rows)?;
    }
    Ok(())
}

struct Writer<'a> {
    directory: &'a mut Vec<(u32, u32)>,
    data: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn column(&mut self, column: &Column<'_>, rows: Range<usize>) -> Result<(), ChunkError> {
        let nulls = column.nulls.map(|nulls| nulls.inner().slice(rows.start, rows.len()));
        match nulls.filter(BooleanBuffer::has_false) {
            Some(bits) => self.bits(&bits)?,
            None => self.buffer(0, |_| ())?,
        }
        match_fixed!(&column.values,
            number(values) => self.numbers(values, &rows),
            Values::F32(values) => self.numbers(values, &rows),
            Values::F64(values) => self.numbers(values, &rows),
            Values::Bool(bits) => self.bits(&bits.slice(rows.start, rows.len())),
            Values::Text(texts) => self.pieces(texts.offsets(), texts.value_data(), &rows),
            Values::Bytes(bytes) => self.pieces(bytes.offsets(), bytes.value_data(), &rows),
            Values::List(offsets, items) => {
                let used = self.offsets(offsets, &rows)?;
                self.column(items, used)
            }
            Values::Struct(members) => members.iter().try_for_each(|member| self.column(member, rows.clone())),
        )
    }

    /// Appends a buffer of `length` bytes, which `write` appends to the data.
    fn buffer(&mut self, length: usize, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), ChunkError> {
        let offset = self.data.len().next_multiple_of(ALIGNMENT);
        let bytes = offset as u64 + length as u64;
        if bytes > DATA_BYTES_MAX {
            return Err(ChunkError::TooLarge { bytes });
        }
        self.data.resize(offset, 0);
        write(self.data);
        debug_assert_eq!(self.data.len() as u64, bytes, "a buffer of another length than announced");
        // Cannot fail: both are at most `DATA_BYTES_MAX`.
        let extent = (u32::try_from(offset).unwrap_or_default(), u32::try_from(length).unwrap_or_default());
        self.directory.push(extent);
        Ok(())
    }

    fn numbers<T: ArrowNativeType>(&mut self, values: &ScalarBuffer<T>, rows: &Range<usize>) -> Result<(), ChunkError> {
        let values = values.slice(rows.start, rows.len());
        let bytes = values.inner().as_slice();
        self.buffer(bytes.len(), |data| data.extend_from_slice(bytes))
    }

    /// One bit a row, from bit 0. The bits after the last row are 0.
    fn bits(&mut self, bits: &BooleanBuffer) -> Result<(), ChunkError> {
        let chunks = bits.bit_chunks();
        let length = bits.len().div_ceil(8);
        self.buffer(length, |data| {
            let start = data.len();
            chunks.iter_padded().for_each(|word| data.extend_from_slice(&word.to_le_bytes()));
            data.truncate(start + length);
        })
    }

    /// Appends the offsets of `rows`, starting at 0, and returns the range that the original offsets cover.
    fn offsets(&mut self, offsets: &OffsetBuffer<i32>, rows: &Range<usize>) -> Result<Range<usize>, ChunkError> {
        let offsets = offsets.slice(rows.start, rows.len());
        let first = offsets.first().copied().unwrap_or_default();
        let last = offsets.last().copied().unwrap_or_default();
        let bytes = offsets.inner().inner().as_slice();
        self.buffer(bytes.len(), |data| {
            if first == 0 {
                data.extend_from_slice(bytes);
                return;
            }
            let start = data.len();
            data.resize(start + bytes.len(), 0);
            let slots = data.get_mut(start..).unwrap_or_default().chunks_exact_mut(4);
            slots.zip(offsets.iter()).for_each(|(slot, offset)| slot.copy_from_slice(&(offset - first).to_le_bytes()));
        })?;
        Ok(usize::try_from(first).unwrap_or_default()..usize::try_from(last).unwrap_or_default())
    }

    fn pieces(&mut self, offsets: &OffsetBuffer<i32>, bytes: &[u8], rows: &Range<usize>) -> Result<(), ChunkError> {
        let used = self.offsets(offsets, rows)?;
        let bytes = bytes.get(used).unwrap_or_default();
        self.buffer(bytes.len(), |data| data.extend_from_slice(bytes))
    }
}
