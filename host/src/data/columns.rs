//! Rows as columns for the files of other programs.
//!
//! Owns the names of such columns, and cuts rows into pieces that do not depend on how the rows arrived. Never knows
//! the format of a file.
//!
//! Members of tuples are called `_1`, `_2` and so on, as in Spark, also inside of other values. Members of structs keep
//! their names. A row that is neither tuple nor struct is one column `value`.

use super::schema::{Kind, Node, RecordType};
use super::view::{self, ViewError};
use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, StructArray};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// The most rows of a piece.
const PIECE_ROWS: usize = 8192;
/// A piece ends with the row with which the piece reaches this many bytes.
const PIECE_BYTES: usize = 4 << 20;

/// Why rows cannot be written as columns.
#[derive(Debug, thiserror::Error)]
pub enum ColumnsError {
    /// The rows are not of their type.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The rows have their type, but the columns do not fit together.
    #[error("arrow refuses the columns: {0}")]
    Arrow(#[from] ArrowError),
}

/// The name of member `at`, from 0, of a tuple or struct.
pub(super) fn member_name<'a>(is_tuple: bool, at: usize, node: &'a Node) -> Cow<'a, str> {
    if is_tuple { Cow::Owned(format!("_{}", at + 1)) } else { Cow::Borrowed(node.name()) }
}

/// The columns of rows of a type, with their names.
pub(super) fn named_columns(ty: &RecordType) -> impl Iterator<Item = (Cow<'_, str>, &Node)> {
    let is_tuple = ty.is_flat() && ty.root().is_tuple;
    ty.columns().iter().enumerate().map(move |(at, node)| (member_name(is_tuple, at, node), node))
}

/// The columns of rows of a type, as Arrow sees them.
pub fn schema(ty: &RecordType) -> SchemaRef {
    Arc::new(Schema::new(named_columns(ty).map(|(name, node)| field(&name, node)).collect::<Fields>()))
}

/// The first column that is not a single value: its name, and what it is.
pub fn nested(ty: &RecordType) -> Option<(String, String)> {
    let is_nested = |(_, node): &(Cow<'_, str>, &Node)| matches!(node.kind, Kind::List | Kind::Struct);
    named_columns(ty).find(is_nested).map(|(name, node)| (name.into_owned(), node.to_string()))
}

fn field(name: &str, node: &Node) -> FieldRef {
    let data_type = match (node.kind, node.children.as_slice()) {
        (Kind::List, [item]) => DataType::List(field(item.name(), item)),
        (Kind::Struct, members) => DataType::Struct(member_fields(node.is_tuple, members)),
        _ => node.field.data_type().clone(),
    };
    Arc::new(Field::new(name, data_type, node.nullable()))
}

fn member_fields(is_tuple: bool, members: &[Node]) -> Fields {
    members.iter().enumerate().map(|(at, node)| field(&member_name(is_tuple, at, node), node)).collect()
}

/// The same values, with the names of [`field`] inside.
fn renamed(node: &Node, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match (node.kind, node.children.as_slice()) {
        (Kind::List, [item]) => match array.as_list_opt::<i32>() {
            Some(list) => {
                let values = renamed(item, list.values())?;
                let (field, offsets) = (field(item.name(), item), list.offsets().clone());
                Ok(Arc::new(ListArray::try_new(field, offsets, values, list.nulls().cloned())?))
            }
            None => Ok(Arc::clone(array)),
        },
        (Kind::Struct, members) => match array.as_struct_opt() {
            Some(values) => {
                let columns = members.iter().zip(values.columns()).map(|(node, array)| renamed(node, array));
                let (fields, nulls) = (member_fields(node.is_tuple, members), values.nulls().cloned());
                Ok(Arc::new(StructArray::try_new(fields, columns.collect::<Result<_, _>>()?, nulls)?))
            }
            None => Ok(Arc::clone(array)),
        },
        _ => Ok(Arc::clone(array)),
    }
}

/// About how many bytes these rows take. The weight of two adjacent ranges is the sum of their weights.
fn weight(node: &Node, array: &dyn Array, rows: Range<usize>) -> usize {
    let count = rows.len();
    let within = |offsets: &[i32]| {
        let at = |row: usize| offsets.get(row).map_or(0, |&offset| usize::try_from(offset).unwrap_or_default());
        at(rows.start)..at(rows.end)
    };
    let values = match node.kind {
        Kind::Text => array.as_string_opt::<i32>().map_or(0, |array| within(array.value_offsets()).len() + 4 * count),
        Kind::Bytes => array.as_binary_opt::<i32>().map_or(0, |array| within(array.value_offsets()).len() + 4 * count),
        Kind::List => match (array.as_list_opt::<i32>(), node.children.as_slice()) {
            (Some(list), [item]) => 4 * count + weight(item, list.values(), within(list.value_offsets())),
            _ => 0,
        },
        Kind::Struct => array.as_struct_opt().map_or(0, |members| {
            let members = node.children.iter().zip(members.columns());
            members.map(|(node, array)| weight(node, array, rows.clone())).sum()
        }),
        _ => array.data_type().primitive_width().unwrap_or(1) * count,
    };
    values + if node.nullable() { count } else { 0 }
}

/// Collects rows into pieces. The end of a piece depends only on the rows so far, and the buffers of a piece depend
/// only on its rows. So a writer of pieces writes the same bytes however the rows arrive.
pub struct Pieces {
    ty: RecordType,
    schema: SchemaRef,
    /// The rows of the piece so far.
    pending: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

impl Pieces {
    /// A collector of rows of type `ty`. The pieces have the columns of [`schema`].
    pub fn new(ty: RecordType) -> Self {
        let schema = schema(&ty);
        Self { ty, schema, pending: Vec::new(), rows: 0, bytes: 0 }
    }

    /// Adds rows, and gives each piece that is complete to `take`.
    ///
    /// # Errors
    /// If the rows do not have the type, or do not fit into columns, or if `take` fails.
    pub fn push<E: From<ColumnsError>>(
        &mut self,
        batch: &RecordBatch,
        mut take: impl FnMut(&RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        view::columns(&self.ty, batch).map_err(ColumnsError::from)?;
        let mut start = 0;
        while start < batch.num_rows() {
            let count = self.fitting(batch, start);
            self.bytes += self.weight(batch, start..start + count);
            self.rows += count;
            self.pending.push(batch.slice(start, count));
            start += count;
            if self.rows >= PIECE_ROWS || self.bytes >= PIECE_BYTES {
                take(&self.assemble()?)?;
            }
        }
        Ok(())
    }

    /// The size of the rows in the unfinished piece, in bytes.
    pub const fn pending_bytes(&self) -> usize {
        self.bytes
    }

    /// The last piece, if there are rows left.
    ///
    /// # Errors
    /// If the rows do not fit into columns.
    pub fn rest(&mut self) -> Result<Option<RecordBatch>, ColumnsError> {
        if self.pending.is_empty() { Ok(None) } else { self.assemble().map(Some) }
    }

    fn weight(&self, batch: &RecordBatch, rows: Range<usize>) -> usize {
        let columns = self.ty.columns().iter().zip(batch.columns());
        columns.map(|(node, array)| weight(node, array, rows.clone())).sum()
    }

    /// How many rows from `start` on, at least one, belong to the piece.
    fn fitting(&self, batch: &RecordBatch, start: usize) -> usize {
        let missing = PIECE_BYTES.saturating_sub(self.bytes);
        let most = (batch.num_rows() - start).min(PIECE_ROWS.saturating_sub(self.rows)).max(1);
        // The smallest number of rows that completes the piece, or all rows.
        let (mut low, mut high) = (1, most);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.weight(batch, start..start + middle) >= missing {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    fn assemble(&mut self) -> Result<RecordBatch, ColumnsError> {
        let pending = std::mem::take(&mut self.pending);
        (self.rows, self.bytes) = (0, 0);
        let column = |(at, node): (usize, &Node)| {
            let mut parts: Vec<ArrayRef> =
                pending.iter().filter_map(|batch| batch.columns().get(at).cloned()).collect();
            // `concat` does not copy a single array, whose buffers may hold more than its rows.
            parts.extend(parts.first().map(|first| first.slice(0, 0)));
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            renamed(node, &concat(&parts)?)
        };
        let columns = self.ty.columns().iter().enumerate().map(column).collect::<Result<_, ArrowError>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

#[cfg(test)]
mod tests;
