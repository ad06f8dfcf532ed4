//! Copies a column with some values replaced.

use super::error::StateError;
use arrow::array::{Array, ArrayData, ArrayRef, make_array};
use arrow::buffer::MutableBuffer;
use arrow::compute::interleave;

/// A row that is replaced, and the row of its new value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patch {
    pub row: usize,
    pub by: usize,
}

/// A copy of `column` in which some values are those of `values`. The patches are in the order of their rows.
///
/// # Errors
/// Returns an error if the columns have different types, or are too large together.
pub(super) fn patched(column: &ArrayRef, values: &ArrayRef, patches: &[Patch]) -> Result<ArrayRef, StateError> {
    let width = column.data_type().primitive_width();
    let is_plain = column.null_count() == 0 && values.null_count() == 0 && column.data_type() == values.data_type();
    if let (Some(width), true) = (width, is_plain) {
        return Ok(make_array(patched_numbers(&column.to_data(), &values.to_data(), patches, width)?));
    }
    let mut positions: Vec<(usize, usize)> = (0..column.len()).map(|row| (0, row)).collect();
    patches.iter().for_each(|patch| positions[patch.row] = (1, patch.by));
    Ok(interleave(&[column, values], &positions)?)
}

/// Values of a fixed width, copied as bytes.
fn patched_numbers(
    column: &ArrayData,
    values: &ArrayData,
    patches: &[Patch],
    width: usize,
) -> Result<ArrayData, StateError> {
    let bytes = |data: &ArrayData| {
        let start = data.offset() * width;
        data.buffers().first().map(|buffer| buffer.slice_with_length(start, data.len() * width)).unwrap_or_default()
    };
    let (old, new) = (bytes(column), bytes(values));
    let mut copy = MutableBuffer::with_capacity(old.len());
    copy.extend_from_slice(&old);
    for Patch { row, by } in patches {
        copy[row * width..(row + 1) * width].copy_from_slice(&new[by * width..(by + 1) * width]);
    }
    Ok(ArrayData::builder(column.data_type().clone()).len(column.len()).add_buffer(copy.into()).build()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, StringArray, UInt64Array};
    use std::sync::Arc;

    #[test]
    fn values_of_each_kind_are_replaced() {
        let patches = [Patch { row: 1, by: 2 }, Patch { row: 3, by: 0 }];
        let columns: [(ArrayRef, ArrayRef, ArrayRef); 3] = [
            (
                Arc::new(UInt64Array::from(vec![9, 1, 2, 3, 4]).slice(1, 4)),
                Arc::new(UInt64Array::from(vec![10, 20, 30])),
                Arc::new(UInt64Array::from(vec![1, 30, 3, 10])),
            ),
            (
                Arc::new(Int32Array::from(vec![Some(1), None, Some(3), Some(4)])),
                Arc::new(Int32Array::from(vec![None, Some(20), Some(30)])),
                Arc::new(Int32Array::from(vec![Some(1), Some(30), Some(3), None])),
            ),
            (
                Arc::new(StringArray::from(vec!["a", "b", "c", "d"])),
                Arc::new(StringArray::from(vec!["x", "y", "long"])),
                Arc::new(StringArray::from(vec!["a", "long", "c", "x"])),
            ),
        ];
        for (column, values, expected) in columns {
            assert_eq!(&patched(&column, &values, &patches).unwrap(), &expected);
        }
    }
}
