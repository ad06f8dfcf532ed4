//! Keys: their one canonical encoding, their hash, and the key group and partition that follow from it.
//!
//! Owns the specification below. State and checkpoints hold these bytes and groups, and the plugin SDK computes the
//! same bytes from its values, so nothing here may change without a new format version. Never stores keys.
//!
//! # Encoding
//!
//! A key is encoded by its declared type:
//!
//! | type | bytes |
//! |---|---|
//! | `bool` | `0x00` or `0x01` |
//! | `i8` to `i64`, `u8` to `u64` | the value, little-endian, in the width of the type |
//! | `f32` | the IEEE 754 bits, little-endian; `-0.0` as `0.0`, every NaN as `0x7fc00000` |
//! | `f64` | the IEEE 754 bits, little-endian; `-0.0` as `0.0`, every NaN as `0x7ff8000000000000` |
//! | `date`, `time[s]`, `time[ms]` | the number that stands for the value, as an `i32` |
//! | other times, `datetime[..]`, `timestamp[..]` | the number that stands for the value, as an `i64` |
//! | `decimal(..)` | the number of units of the last digit, as a signed integer of 128 bits, little-endian |
//! | `text`, `bytes` | the length (`u32`, little-endian), then the bytes; where the value is last, only the bytes |
//! | `list` | the number of items (`u32`, little-endian), then the items, none of which is last |
//! | `struct` | the members in order; where the struct is last, so is its last member |
//!
//! Where the type has absent values (`option`), `0x00` stands for one, and `0x01` comes before a value that is there.
//! The key as a whole is last. Two keys of a type are equal exactly if their encodings are.
//!
//! # Hash, key group, partition
//!
//! The hash of a key is XXH3-64 with seed 0 of its encoding. The key group is the upper 8 bits of the hash, so there
//! are 256. Of `n` partitions, key group `g` belongs to partition `g * n / 256`, rounded down.

mod encoded;
mod order;

pub use encoded::EncodedKeys;
pub use order::KeyOrder;

use super::schema::RecordType;
use super::view::{Column, Values, ViewError, items, match_fixed};
use arrow::array::{Array, ArrayRef};
use twox_hash::XxHash3_64;

/// How many key groups there are.
pub const KEY_GROUPS: usize = 256;

/// The hash of an encoded key.
#[inline]
pub fn hash(encoded: &[u8]) -> u64 {
    XxHash3_64::oneshot(encoded)
}

/// The key group of a hash.
#[inline]
pub const fn group_of(hash: u64) -> u8 {
    hash.to_be_bytes()[0]
}

/// The partition, of `partitions`, that a key group belongs to. With more than 256 partitions, some partitions have no
/// keys.
#[inline]
pub const fn partition_of(group: u8, partitions: usize) -> usize {
    (group as usize).saturating_mul(partitions) / KEY_GROUPS
}

/// Encodes and hashes the keys of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEncoder {
    ty: RecordType,
}

impl KeyEncoder {
    /// An encoder for keys of the type `key`: the type of the key alone, as [`RecordType::pair`] gives it.
    pub fn new(key: &RecordType) -> Self {
        Self { ty: key.clone() }
    }

    /// Appends the encoding of the key in row `row` of a key column.
    ///
    /// # Errors
    /// If the column does not have the type, or not the row.
    pub fn encode(&self, column: &ArrayRef, row: usize, out: &mut Vec<u8>) -> Result<(), ViewError> {
        if row >= column.len() {
            return Err(ViewError::Row { row, rows: column.len() });
        }
        write(&Column::new(self.ty.root(), column, None)?, row, true, out);
        Ok(())
    }

    /// Fills `out` with the hash of each key of a key column. Does not allocate for each row.
    ///
    /// # Errors
    /// If the column does not have the type.
    pub fn hash_column(&self, column: &ArrayRef, out: &mut Vec<u64>) -> Result<(), ViewError> {
        let rows = column.len();
        let column = Column::new(self.ty.root(), column, None)?;
        out.clear();
        out.reserve(rows);
        if self.ty.root().nullable() {
            hash_encoded(&column, rows, out);
            return Ok(());
        }
        match_fixed!(&column.values,
            number(values) => out.extend(values.iter().map(|value| hash(&value.to_le_bytes()))),
            Values::Text(texts) => hash_pieces(texts.offsets(), texts.value_data(), out),
            Values::Bytes(bytes) => hash_pieces(bytes.offsets(), bytes.value_data(), out),
            _ => hash_encoded(&column, rows, out),
        );
        Ok(())
    }
}

/// Hashes keys that are a text or bytes. Such a value is the last in the key, so its encoding is already in the column.
fn hash_pieces(offsets: &[i32], bytes: &[u8], out: &mut Vec<u64>) {
    out.extend(offsets.iter().zip(offsets.iter().skip(1)).map(|(&start, &end)| {
        // Offsets of an array are not negative.
        hash(bytes.get(start as usize..end as usize).unwrap_or_default())
    }));
}

fn hash_encoded(column: &Column<'_>, rows: usize, out: &mut Vec<u64>) {
    let mut encoded = Vec::new();
    out.extend((0..rows).map(|row| {
        encoded.clear();
        write(column, row, true, &mut encoded);
        hash(&encoded)
    }));
}

/// Appends the encoding of one value of a column. The column has the row. `last` says that the value is the last in the
/// key.
fn write(column: &Column<'_>, row: usize, last: bool, out: &mut Vec<u8>) {
    if column.node.nullable() {
        let there = !column.is_absent(row);
        out.push(u8::from(there));
        if !there {
            return;
        }
    }
    match_fixed!(&column.values,
        number(values) => {
            if let Some(value) = values.get(row) {
                out.extend_from_slice(&value.to_le_bytes());
            }
        },
        Values::F32(values) => {
            if let Some(&value) = values.get(row) {
                out.extend_from_slice(&canonical_f32(value).to_le_bytes());
            }
        }
        Values::F64(values) => {
            if let Some(&value) = values.get(row) {
                out.extend_from_slice(&canonical_f64(value).to_le_bytes());
            }
        }
        Values::Bool(bits) => out.push(u8::from(bits.value(row))),
        Values::Text(texts) => write_bytes(texts.value(row).as_bytes(), last, out),
        Values::Bytes(bytes) => write_bytes(bytes.value(row), last, out),
        Values::List(offsets, values) => {
            let items = items(offsets, row);
            write_length(items.len(), out);
            items.for_each(|item| write(values, item, false, out));
        }
        Values::Struct(members) => {
            for (at, member) in members.iter().enumerate() {
                write(member, row, last && at + 1 == members.len(), out);
            }
        }
    );
}

/// Lengths come from `i32` offsets, so they always fit.
fn write_length(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

fn write_bytes(bytes: &[u8], last: bool, out: &mut Vec<u8>) {
    if !last {
        write_length(bytes.len(), out);
    }
    out.extend_from_slice(bytes);
}

/// The bits of a float. All floats that count as the same key have the same bits.
fn canonical_f32(value: f32) -> u32 {
    if value.is_nan() {
        0x7fc0_0000
    } else if value == 0.0 {
        0
    } else {
        value.to_bits()
    }
}

/// The bits of a float. All floats that count as the same key have the same bits.
fn canonical_f64(value: f64) -> u64 {
    if value.is_nan() {
        0x7ff8_0000_0000_0000
    } else if value == 0.0 {
        0
    } else {
        value.to_bits()
    }
}

#[cfg(test)]
mod tests;
