//! Makes the columns of joined rows.
//!
//! Owns how pairs of rows become the columns of key and values, and how a missing value becomes an absent one.

use super::table::NONE;
use super::{Join, internal};
use arrow::array::{Array as _, ArrayRef, RecordBatch, StructArray, UInt32Array, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion_common::Result;
use std::sync::Arc;

/// Rows picked from a batch. For each joined row there is the number of one row, or [`NONE`].
pub(super) struct Picked<'a> {
    pub batch: &'a RecordBatch,
    pub rows: Vec<u32>,
}

impl Join {
    /// The fields of the column of values.
    pub(super) fn value_fields(&self) -> Result<&Fields> {
        match self.schema.fields().get(1).map(|field| field.data_type()) {
            Some(DataType::Struct(fields)) => Ok(fields),
            _ => Err(internal("joined rows have no values")),
        }
    }

    /// Makes a batch of a key column and the columns of the values.
    pub(super) fn batch(&self, key: ArrayRef, values: Vec<ArrayRef>) -> Result<RecordBatch> {
        let values = StructArray::try_new(self.value_fields()?.clone(), values, None)?;
        Ok(RecordBatch::try_new(self.schema.clone(), vec![key, Arc::new(values)])?)
    }

    /// Makes joined rows. If a side is `None`, its value is missing in all rows. The key is the key of the left side,
    /// if there is a left side.
    pub(super) fn pairs(&self, left: Option<Picked<'_>>, right: Option<Picked<'_>>) -> Result<RecordBatch> {
        let rows = left.as_ref().or(right.as_ref()).map_or(0, |picked| picked.rows.len());
        let [left_field, right_field] = self.value_fields()?.as_ref() else {
            return Err(internal("a join has two parents"));
        };
        let mut key = None;
        let mut side = |field: &Arc<Field>, picked: Option<Picked<'_>>| {
            let Some(picked) = picked else { return Ok(new_null_array(field.data_type(), rows)) };
            let indices = Indices::new(picked.rows, picked.batch.num_rows());
            if key.is_none() {
                key = Some(indices.take(picked.batch.column(0))?);
            }
            indices.option(field, picked.batch.column(1))
        };
        let values = vec![side(left_field, left)?, side(right_field, right)?];
        self.batch(key.ok_or_else(|| internal("a joined row has no side"))?, values)
    }
}

/// The rows that are taken from a column.
enum Indices {
    /// All rows of the column, in their order.
    All,
    /// No rows: this many absent values.
    Absent(usize),
    Some(UInt32Array),
}

impl Indices {
    fn new(rows: Vec<u32>, all: usize) -> Self {
        if rows.len() == all && (0u32..).zip(&rows).all(|(at, row)| at == *row) {
            return Self::All;
        }
        if !rows.contains(&NONE) {
            return Self::Some(UInt32Array::from(rows));
        }
        if rows.iter().all(|row| *row == NONE) {
            return Self::Absent(rows.len());
        }
        let present = NullBuffer::from_iter(rows.iter().map(|row| *row != NONE));
        let rows: Vec<u32> = rows.into_iter().map(|row| if row == NONE { 0 } else { row }).collect();
        Self::Some(UInt32Array::new(rows.into(), Some(present)))
    }

    fn take(&self, column: &ArrayRef) -> Result<ArrayRef> {
        Ok(match self {
            Self::All => column.clone(),
            Self::Absent(rows) => new_null_array(column.data_type(), *rows),
            Self::Some(indices) => take(column, indices, None)?,
        })
    }

    /// Takes the values of a column for a field whose type may be an option around the type of the column. If the type
    /// of the column is an option itself, the option around it is a struct with the inner option as its member.
    fn option(&self, field: &Field, column: &ArrayRef) -> Result<ArrayRef> {
        match (field.data_type(), self) {
            (declared, _) if declared == column.data_type() => self.take(column),
            (declared @ DataType::Struct(_), Self::Absent(rows)) => Ok(new_null_array(declared, *rows)),
            (DataType::Struct(inner), _) => {
                let present = match self {
                    Self::Some(indices) => indices.nulls().cloned(),
                    _ => None,
                };
                Ok(Arc::new(StructArray::try_new(inner.clone(), vec![self.take(column)?], present)?))
            }
            _ => Err(internal("joined rows are not of the declared type")),
        }
    }
}
