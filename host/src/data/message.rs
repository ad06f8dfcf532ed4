//! Rows as messages of a broker: key, value, headers, partition and time.
//!
//! Owns which column is which part of a message, and how a value becomes bytes: text and bytes as they are, an absent value
//! as nothing, and any other value as JSON in the form of `save_as_json_files`. Never knows a broker.

use super::json::{ObjectWriter, write_value};
use super::schema::{Kind, Node, RecordType};
use super::view::{self, Column, Values, ViewError, items};
use arrow::array::RecordBatch;

/// The members of a row that says everything about its message, in order.
const MEMBERS: [&str; 5] = ["key", "value", "headers", "partition", "timestamp_ms"];

/// The parts of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowMessage<'a> {
    /// The key; `None` if there is none.
    pub key: Option<&'a [u8]>,
    /// The value; `None` if there is none.
    pub value: Option<&'a [u8]>,
    /// The names and values of the headers.
    pub headers: Vec<(&'a str, Option<&'a [u8]>)>,
    /// The partition; `None` if the row does not say it.
    pub partition: Option<i32>,
    /// The time in milliseconds since 1970; `None` if the row does not say it.
    pub timestamp_ms: Option<i64>,
}

/// Room for the parts of a message that are written as JSON.
#[derive(Debug, Default)]
pub struct MessageText {
    key: String,
    value: String,
}

/// Reads rows of one batch as messages.
pub struct MessageReader<'a> {
    parts: Parts<'a>,
    rows: usize,
}

/// Where the parts of messages are.
enum Parts<'a> {
    /// The row is the value.
    Value(Column<'a>),
    /// The row is the value, and has several columns.
    Object(ObjectWriter<'a>),
    /// The row is a pair of key and value.
    Pair(Column<'a>, Column<'a>),
    /// The row has the columns of [`MEMBERS`].
    Members([Column<'a>; 5]),
}

/// Whether rows of this type say everything about their messages: structs of [`MEMBERS`].
fn has_members(ty: &RecordType) -> bool {
    let is_bytes = |node: &Node| matches!(node.kind, Kind::Text | Kind::Bytes);
    let is_headers = |node: &Node| match node.children.as_slice() {
        [item] if node.kind == Kind::List && !node.nullable() => match item.children.as_slice() {
            [name, value] => {
                let named = name.name() == "key" && value.name() == "value";
                named && name.kind == Kind::Text && is_bytes(value) && !item.nullable()
            }
            _ => false,
        },
        _ => false,
    };
    match ty.columns() {
        [key, value, headers, partition, timestamp] if ty.is_flat() => {
            let named = ty.columns().iter().map(Node::name).eq(MEMBERS);
            let numbers = partition.kind == Kind::I32 && timestamp.kind == Kind::I64;
            named && is_bytes(key) && is_bytes(value) && is_headers(headers) && numbers
        }
        _ => false,
    }
}

impl<'a> MessageReader<'a> {
    /// Makes a reader of the rows of `batch`, which are of type `ty`.
    ///
    /// # Errors
    /// If the batch does not have the type.
    pub fn new(batch: &'a RecordBatch, ty: &'a RecordType) -> Result<Self, ViewError> {
        let mut columns = view::columns(ty, batch)?;
        let parts = if has_members(ty) {
            let found = columns.len();
            let members = columns.try_into().map_err(|_| ViewError::Columns { expected: MEMBERS.len(), found })?;
            Parts::Members(members)
        } else if ty.is_pair() && columns.len() == 2 {
            let value = columns.pop();
            match columns.pop().zip(value) {
                Some((key, value)) => Parts::Pair(key, value),
                None => return Err(ViewError::Columns { expected: 2, found: 0 }),
            }
        } else if ty.is_flat() {
            Parts::Object(ObjectWriter::new(batch, ty)?)
        } else {
            let column = columns.pop().ok_or(ViewError::Columns { expected: 1, found: 0 })?;
            Parts::Value(column)
        };
        Ok(Self { parts, rows: batch.num_rows() })
    }

    /// Reads the message of a row. `text` keeps the parts that are written as JSON.
    ///
    /// # Errors
    /// If there is no such row.
    pub fn read<'m>(&'m self, row: usize, text: &'m mut MessageText) -> Result<RowMessage<'m>, ViewError> {
        if row >= self.rows {
            return Err(ViewError::Row { row, rows: self.rows });
        }
        let MessageText { key: key_text, value: value_text } = text;
        Ok(match &self.parts {
            Parts::Value(value) => RowMessage { value: piece(value, row, value_text), ..RowMessage::default() },
            Parts::Object(writer) => {
                value_text.clear();
                writer.write(row, value_text)?;
                RowMessage { value: Some(value_text.as_bytes()), ..RowMessage::default() }
            }
            Parts::Pair(key, value) => {
                let (key, value) = (piece(key, row, key_text), piece(value, row, value_text));
                RowMessage { key, value, ..RowMessage::default() }
            }
            Parts::Members([key, value, headers, partition, timestamp]) => RowMessage {
                key: piece(key, row, key_text),
                value: piece(value, row, value_text),
                headers: headers_of(headers, row),
                partition: match &partition.values {
                    Values::I32(values) if !partition.is_absent(row) => values.get(row).copied(),
                    _ => None,
                },
                timestamp_ms: match &timestamp.values {
                    Values::I64(values) if !timestamp.is_absent(row) => values.get(row).copied(),
                    _ => None,
                },
            },
        })
    }
}

/// The bytes of one value of a column that has the row.
fn piece<'m>(column: &'m Column<'_>, row: usize, text: &'m mut String) -> Option<&'m [u8]> {
    if column.is_absent(row) {
        return None;
    }
    Some(match &column.values {
        Values::Text(texts) => texts.value(row).as_bytes(),
        Values::Bytes(bytes) => bytes.value(row),
        _ => {
            text.clear();
            write_value(column, row, text);
            text.as_bytes()
        }
    })
}

fn headers_of<'m>(column: &'m Column<'_>, row: usize) -> Vec<(&'m str, Option<&'m [u8]>)> {
    let Values::List(offsets, pairs) = &column.values else { return Vec::new() };
    let Values::Struct(members) = &pairs.values else { return Vec::new() };
    let [name, value] = members.as_slice() else { return Vec::new() };
    let header = |item| {
        let Values::Text(names) = &name.values else { return None };
        let value = match &value.values {
            _ if value.is_absent(item) => None,
            Values::Bytes(values) => Some(values.value(item)),
            Values::Text(values) => Some(values.value(item).as_bytes()),
            _ => None,
        };
        Some((names.value(item), value))
    };
    items(offsets, row).filter_map(header).collect()
}

#[cfg(test)]
mod tests;
