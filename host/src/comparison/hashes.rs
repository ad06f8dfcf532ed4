//! Hashes of rows: one that tells rows apart, and one that tells groups of rows apart.
//!
//! Rows are the same if all their values are the same, bit by bit: a row with `-0.0` differs from a row with `0.0`, since
//! an output shows the two in different ways. Keys are the same if the engine takes them as the same key.

use super::reason::NotCompared;
use crate::data::key::{self, KeyEncoder};
use crate::data::schema::RecordType;
use arrow::array::RecordBatch;
use arrow::row::{RowConverter, SortField};

/// The hashes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowHash {
    /// The hash of the row's key, where rows are pairs; else the hash of the row.
    pub(super) group: u64,
    /// The hash of the row.
    pub(super) row: u64,
}

/// Hashes rows of one type.
pub(super) struct RowHasher {
    converter: RowConverter,
    /// Encodes the keys of pairs. `None` if rows are not pairs.
    key: Option<KeyEncoder>,
    groups: Vec<u64>,
}

impl RowHasher {
    pub(super) fn new(ty: &RecordType) -> Result<Self, NotCompared> {
        let fields = ty.arrow().fields().iter().map(|field| SortField::new(field.data_type().clone()));
        let converter = RowConverter::new(fields.collect())?;
        let key = ty.pair().map(|(key, _)| KeyEncoder::new(&key));
        Ok(Self { converter, key, groups: Vec::new() })
    }

    /// Fills `hashes` with the hashes of these rows.
    pub(super) fn hash(&mut self, rows: &RecordBatch, hashes: &mut Vec<RowHash>) -> Result<(), NotCompared> {
        let encoded = self.converter.convert_columns(rows.columns())?;
        let row_hashes = encoded.iter().map(|row| key::hash(row.as_ref()));
        hashes.clear();
        match (&self.key, rows.columns().first()) {
            (Some(key), Some(keys)) => {
                key.hash_column(keys, &mut self.groups)?;
                hashes.extend(self.groups.iter().zip(row_hashes).map(|(&group, row)| RowHash { group, row }));
            }
            _ => hashes.extend(row_hashes.map(|row| RowHash { group: row, row })),
        }
        Ok(())
    }
}
