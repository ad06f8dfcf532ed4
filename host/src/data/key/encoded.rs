//! The encodings of all keys of a column, for comparing keys with each other.

use super::{KeyEncoder, canonical_f32, canonical_f64, write};
use crate::data::view::{Column, Values, ViewError, match_values};
use arrow::array::{Array as _, ArrayRef};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use std::cmp::Ordering;

/// The encodings of the keys of a column.
#[derive(Clone, Debug)]
pub struct EncodedKeys(Encodings);

#[derive(Clone, Debug)]
enum Encodings {
    /// The encodings as numbers, if all have the same length of at most 8 bytes.
    Words(ScalarBuffer<u64>),
    /// The encodings one after the other: their offsets, and their bytes.
    Bytes(OffsetBuffer<i32>, Buffer),
}

impl EncodedKeys {
    /// Whether the key in row `row` equals the key of `other` in row `other_row`. Both columns have the same type.
    /// `false` if one of the rows does not exist.
    #[inline]
    pub fn same(&self, row: usize, other: &Self, other_row: usize) -> bool {
        match (&self.0, &other.0) {
            (Encodings::Words(mine), Encodings::Words(theirs)) => mine.get(row) == theirs.get(other_row),
            (Encodings::Bytes(..), Encodings::Bytes(..)) => self.bytes(row) == other.bytes(other_row),
            _ => false,
        }
    }

    /// Compares the encodings of two keys byte by byte. Both columns have the same type.
    #[inline]
    pub fn compare(&self, row: usize, other: &Self, other_row: usize) -> Ordering {
        match (&self.0, &other.0) {
            // The first byte of an encoding is the lowest byte of its number.
            (Encodings::Words(mine), Encodings::Words(theirs)) => {
                mine.get(row).map(|word| word.swap_bytes()).cmp(&theirs.get(other_row).map(|word| word.swap_bytes()))
            }
            _ => self.bytes(row).cmp(&other.bytes(other_row)),
        }
    }

    fn bytes(&self, row: usize) -> Option<&[u8]> {
        let Encodings::Bytes(offsets, bytes) = &self.0 else { return None };
        // Offsets of an array are not negative.
        bytes.as_slice().get(*offsets.get(row)? as usize..*offsets.get(row + 1)? as usize)
    }
}

impl KeyEncoder {
    /// Encodes all keys of a key column. Text and bytes are not copied, because their encoding is already in the
    /// column.
    ///
    /// # Errors
    /// If the column does not have the type, or the encodings take 2 GiB together.
    pub fn encode_column(&self, array: &ArrayRef) -> Result<EncodedKeys, ViewError> {
        let rows = array.len();
        let column = Column::new(self.ty.root(), array, None)?;
        if self.ty.root().nullable() {
            return encode_each(&column, rows);
        }
        match &column.values {
            // The numbers are their own encodings.
            Values::U64(values) => return Ok(EncodedKeys(Encodings::Words((*values).clone()))),
            Values::I64(values) | Values::Temporal64(_, values) => {
                return Ok(EncodedKeys(Encodings::Words(values.inner().clone().into())));
            }
            _ => {}
        }
        let words: Vec<u64> = match_values!(&column.values,
            integer(values) => values.iter().map(|value| word(&value.to_le_bytes())).collect(),
            Values::F32(values) => values.iter().map(|&value| u64::from(canonical_f32(value))).collect(),
            Values::F64(values) => values.iter().map(|&value| canonical_f64(value)).collect(),
            Values::Bool(bits) => bits.iter().map(u64::from).collect(),
            Values::Temporal32(_, values) => values.iter().map(|value| word(&value.to_le_bytes())).collect(),
            Values::Text(texts) => {
                return Ok(EncodedKeys(Encodings::Bytes(texts.offsets().clone(), texts.values().clone())));
            }
            Values::Bytes(bytes) => {
                return Ok(EncodedKeys(Encodings::Bytes(bytes.offsets().clone(), bytes.values().clone())));
            }
            _ => return encode_each(&column, rows),
        );
        Ok(EncodedKeys(Encodings::Words(words.into())))
    }
}

/// An encoding of at most 8 bytes as a number.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    u64::from_le_bytes(word)
}

fn encode_each(column: &Column<'_>, rows: usize) -> Result<EncodedKeys, ViewError> {
    let mut bytes = Vec::new();
    let mut offsets = vec![0];
    for row in 0..rows {
        write(column, row, true, &mut bytes);
        offsets.push(i32::try_from(bytes.len()).map_err(|_| ViewError::KeyBytes { rows })?);
    }
    Ok(EncodedKeys(Encodings::Bytes(OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(bytes))))
}
