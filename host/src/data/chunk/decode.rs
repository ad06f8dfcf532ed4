//! Checks a chunk and makes a batch of it, without copying aligned buffers.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::super::fixed;
use super::super::schema::{Kind, Node, RecordType};
use super::super::utf8::{NotText, text_array};
use super::{ALIGNMENT, ChunkError, ColumnProblem, ROWS_MAX, VALUES_MAX};
use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, ListArray, PrimitiveArray, RecordBatch,
    RecordBatchOptions, StructArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowNativeType, DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow::error::ArrowError;
use std::sync::Arc;

/// Makes a batch of a chunk that came from a plugin. The batch keeps `data` alive. Buffers are copied only if `data`
/// itself is not aligned for their types. Costs one pass over validity bitmaps, offsets and text.
///
/// # Errors
/// If the chunk does not have the layout of [`super`], or does not fit `ty`.
pub fn decode(ty: &RecordType, rows: u32, directory: &[(u32, u32)], data: Vec<u8>) -> Result<RecordBatch, ChunkError> {
    if directory.len() != ty.buffers() {
        return Err(ChunkError::BufferCount { expected: ty.buffers(), found: directory.len() });
    }
    let rows = rows as usize;
    if rows > ROWS_MAX {
        return Err(ChunkError::Rows { rows });
    }
    check_places(directory, data.len())?;
    let mut reader = Reader { directory, next: 0, data: Buffer::from_vec(data) };
    let columns = ty.columns().iter().map(|node| reader.column(node, rows).map_err(Trouble::into_error));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(ty.arrow()), columns, &options).map_err(|error| refused(&error))
}

/// Checks where the buffers lie: inside of the data, aligned, and apart from each other.
fn check_places(directory: &[(u32, u32)], data: usize) -> Result<(), ChunkError> {
    let mut is_in_order = true;
    let mut end = 0;
    for (buffer, &(offset, length)) in directory.iter().enumerate() {
        if u64::from(offset).saturating_add(u64::from(length)) > data as u64 {
            return Err(ChunkError::Bounds { buffer, offset, length, data });
        }
        if length == 0 {
            continue;
        }
        if !(offset as usize).is_multiple_of(ALIGNMENT) {
            return Err(ChunkError::Misaligned { buffer, offset });
        }
        // Neither number can exceed the length of the data.
        is_in_order &= offset >= end;
        end = offset.saturating_add(length);
    }
    // Chunks whose buffers follow each other, as this host and the SDK write them, need no further check.
    if is_in_order {
        return Ok(());
    }
    let mut places: Vec<(u32, u32, usize)> = directory
        .iter()
        .enumerate()
        .filter(|(_, (_, length))| *length > 0)
        .map(|(buffer, &(offset, length))| (offset, length, buffer))
        .collect();
    places.sort_unstable();
    let overlap =
        places.iter().zip(places.iter().skip(1)).find(|(first, second)| first.0.saturating_add(first.1) > second.0);
    match overlap {
        Some((first, second)) => Err(ChunkError::Overlap { first: first.2, second: second.2, at: second.0 }),
        None => Ok(()),
    }
}

fn refused(error: &ArrowError) -> ChunkError {
    ChunkError::Arrow(error.to_string())
}

/// A problem of a field, on its way up from the field: the whole path is known only at the top.
enum Trouble {
    Column { path: Vec<String>, kind: &'static str, problem: ColumnProblem },
    Other(ChunkError),
}

impl Trouble {
    fn new(node: &Node, problem: ColumnProblem) -> Self {
        Self::Column { path: vec![node.name().to_owned()], kind: node.kind.name(), problem }
    }

    fn below(mut self, parent: &Node) -> Self {
        if let Self::Column { path, .. } = &mut self {
            path.push(parent.name().to_owned());
        }
        self
    }

    fn into_error(self) -> ChunkError {
        match self {
            Self::Other(error) => error,
            Self::Column { mut path, kind, problem } => {
                path.reverse();
                ChunkError::Column { column: path.join("."), kind, problem }
            }
        }
    }
}

impl From<ArrowError> for Trouble {
    fn from(error: ArrowError) -> Self {
        Self::Other(refused(&error))
    }
}

/// Hands out the buffers in order. Their bounds were checked.
struct Reader<'a> {
    directory: &'a [(u32, u32)],
    next: usize,
    data: Buffer,
}

impl Reader<'_> {
    /// The next buffer, and its position.
    fn buffer(&mut self) -> (usize, Buffer) {
        let position = self.next;
        self.next = self.next.saturating_add(1);
        let (offset, length) = self.directory.get(position).copied().unwrap_or_default();
        (position, self.data.slice_with_length(offset as usize, length as usize))
    }

    /// The first `needed` bytes of the next buffer, and its position.
    fn exactly(&mut self, node: &Node, needed: u64, rows: usize) -> Result<(usize, Buffer), Trouble> {
        let (position, buffer) = self.buffer();
        match usize::try_from(needed) {
            Ok(needed) if needed <= buffer.len() => Ok((position, buffer.slice_with_length(0, needed))),
            _ => {
                let problem = ColumnProblem::Short { buffer: position, found: buffer.len(), needed, rows };
                Err(Trouble::new(node, problem))
            }
        }
    }

    fn column(&mut self, node: &Node, rows: usize) -> Result<ArrayRef, Trouble> {
        let nulls = self.validity(node, rows)?;
        Ok(match node.kind {
            Kind::Bool => {
                let (_, bits) = self.exactly(node, bitmap_bytes(rows), rows)?;
                Arc::new(BooleanArray::new(BooleanBuffer::new(bits, 0, rows), nulls))
            }
            Kind::I8 => self.numbers::<Int8Type>(node, rows, nulls)?,
            Kind::I16 => self.numbers::<Int16Type>(node, rows, nulls)?,
            Kind::I32 => self.numbers::<Int32Type>(node, rows, nulls)?,
            Kind::I64 => self.numbers::<Int64Type>(node, rows, nulls)?,
            Kind::U8 => self.numbers::<UInt8Type>(node, rows, nulls)?,
            Kind::U16 => self.numbers::<UInt16Type>(node, rows, nulls)?,
            Kind::U32 => self.numbers::<UInt32Type>(node, rows, nulls)?,
            Kind::U64 => self.numbers::<UInt64Type>(node, rows, nulls)?,
            Kind::F32 => self.numbers::<Float32Type>(node, rows, nulls)?,
            Kind::F64 => self.numbers::<Float64Type>(node, rows, nulls)?,
            Kind::Temporal(temporal) if temporal.is_narrow() => {
                self.fixed(node, rows, nulls, |value: i32| temporal.holds(value.into()))?
            }
            Kind::Temporal(temporal) => self.fixed(node, rows, nulls, |value| temporal.holds(value))?,
            Kind::Decimal(decimal) => self.fixed(node, rows, nulls, |value| decimal.holds(value))?,
            Kind::Text => {
                let (offsets, bytes) = self.pieces(node, rows)?;
                let array = text_array(offsets, &bytes, nulls).map_err(|error| match error {
                    NotText::Utf8 { row } => Trouble::new(node, ColumnProblem::Utf8 { row }),
                    NotText::Lengths => Trouble::Other(ChunkError::Arrow("text of the wrong length".to_owned())),
                })?;
                Arc::new(array)
            }
            Kind::Bytes => {
                let (offsets, bytes) = self.pieces(node, rows)?;
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?)
            }
            Kind::List => {
                let (buffer, offsets) = self.offsets(node, rows)?;
                let values = last(&offsets);
                if values > VALUES_MAX {
                    return Err(Trouble::new(node, ColumnProblem::Values { buffer, values }));
                }
                let [item] = node.children.as_slice() else {
                    return Err(Trouble::Other(ChunkError::Arrow("a list without a child".to_owned())));
                };
                let values = self.column(item, values).map_err(|trouble| trouble.below(node))?;
                Arc::new(ListArray::try_new(Arc::clone(&item.field), offsets, values, nulls)?)
            }
            Kind::Struct => {
                let members = node.children.iter().map(|child| self.column(child, rows));
                let members = members.collect::<Result<_, _>>().map_err(|trouble: Trouble| trouble.below(node))?;
                let DataType::Struct(fields) = node.field.data_type() else {
                    return Err(Trouble::Other(ChunkError::Arrow("a struct without fields".to_owned())));
                };
                Arc::new(StructArray::try_new_with_length(fields.clone(), members, nulls, rows)?)
            }
        })
    }

    /// The validity bitmap, if a value is absent.
    fn validity(&mut self, node: &Node, rows: usize) -> Result<Option<NullBuffer>, Trouble> {
        if self.directory.get(self.next).is_none_or(|&(_, length)| length == 0) {
            self.next = self.next.saturating_add(1);
            return Ok(None);
        }
        let (_, bits) = self.exactly(node, bitmap_bytes(rows), rows)?;
        let nulls = NullBuffer::new(BooleanBuffer::new(bits, 0, rows));
        if nulls.null_count() == 0 {
            return Ok(None);
        }
        if !node.nullable() {
            let row = (0..rows).find(|&row| nulls.is_null(row)).unwrap_or_default();
            return Err(Trouble::new(node, ColumnProblem::Absent { row }));
        }
        Ok(Some(nulls))
    }

    fn numbers<T: ArrowPrimitiveType>(
        &mut self,
        node: &Node,
        rows: usize,
        nulls: Option<NullBuffer>,
    ) -> Result<ArrayRef, Trouble> {
        let width = size_of::<T::Native>() as u64;
        let (_, values) = self.exactly(node, (rows as u64).saturating_mul(width), rows)?;
        Ok(Arc::new(PrimitiveArray::<T>::try_new(aligned(values), nulls)?))
    }

    /// Numbers of which only some stand for a value. The numbers of absent values may be anything.
    fn fixed<T: ArrowNativeType>(
        &mut self,
        node: &Node,
        rows: usize,
        nulls: Option<NullBuffer>,
        holds: impl Fn(T) -> bool,
    ) -> Result<ArrayRef, Trouble> {
        let (_, values) = self.exactly(node, (rows as u64).saturating_mul(size_of::<T>() as u64), rows)?;
        let values: ScalarBuffer<T> = aligned(values);
        let is_there = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        if let Some((row, _)) = values.iter().enumerate().find(|(row, value)| !holds(**value) && is_there(*row)) {
            return Err(Trouble::new(node, ColumnProblem::Range { row }));
        }
        Ok(fixed::array(node.field.data_type(), rows, values.into_inner(), nulls)?)
    }

    /// Offsets and the bytes they point into.
    fn pieces(&mut self, node: &Node, rows: usize) -> Result<(OffsetBuffer<i32>, Buffer), Trouble> {
        let (_, offsets) = self.offsets(node, rows)?;
        let (buffer, bytes) = self.buffer();
        let (last, length) = (last(&offsets), bytes.len());
        if last > length {
            return Err(Trouble::new(node, ColumnProblem::Outside { buffer, last, length }));
        }
        Ok((offsets, bytes.slice_with_length(0, last)))
    }

    fn offsets(&mut self, node: &Node, rows: usize) -> Result<(usize, OffsetBuffer<i32>), Trouble> {
        if rows == 0 {
            return Ok((self.buffer().0, OffsetBuffer::new_empty()));
        }
        let (buffer, bytes) = self.exactly(node, (rows as u64).saturating_add(1).saturating_mul(4), rows)?;
        let offsets: ScalarBuffer<i32> = aligned(bytes);
        let first = offsets.first().copied().unwrap_or_default();
        if first < 0 {
            return Err(Trouble::new(node, ColumnProblem::Negative { buffer, first }));
        }
        // The loop has no early exit, so that the compiler makes vector instructions of it.
        let pairs = || offsets.iter().zip(offsets.iter().skip(1));
        if pairs().fold(false, |falling, (start, end)| falling | (start > end))
            && let Some((row, (&start, &end))) = pairs().enumerate().find(|(_, (start, end))| start > end)
        {
            return Err(Trouble::new(node, ColumnProblem::Falling { buffer, row, start, end }));
        }
        Ok((buffer, OffsetBuffer::new(offsets)))
    }
}

/// The values of a buffer. Copies the buffer if its start is not aligned for the values.
fn aligned<T: ArrowNativeType>(buffer: Buffer) -> ScalarBuffer<T> {
    if buffer.as_ptr().align_offset(align_of::<T>()) == 0 {
        ScalarBuffer::from(buffer)
    } else {
        ScalarBuffer::from(Buffer::from(buffer.as_slice()))
    }
}

/// The length of a bitmap in bytes.
fn bitmap_bytes(rows: usize) -> u64 {
    rows.div_ceil(8) as u64
}

fn last(offsets: &OffsetBuffer<i32>) -> usize {
    offsets.last().map_or(0, |&last| usize::try_from(last).unwrap_or_default())
}
