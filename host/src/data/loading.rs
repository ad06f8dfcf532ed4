//! Columns of files that other programs wrote, as rows of a type.
//!
//! Owns which column of a file belongs to which column of a type: columns are found by the names of [`super::columns`],
//! in any order, and other columns of the file are ignored. Owns which values fit: values of the same kind, integers of
//! any width if the values fit, and [times and decimals](exact) of any unit and scale if nothing is lost. Never reads a
//! file.

mod exact;
mod forms;

use super::columns::{member_name, named_columns};
use super::schema::{Kind, Node, RecordType};
use crate::shown;
use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchOptions, StructArray, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use std::sync::Arc;

/// Why a row of a file is no row of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The row among those that were given, from 0.
    pub row: usize,
    /// The column, and the member in it; empty if the fault is in the whole row.
    pub column: String,
    /// The problem.
    pub problem: String,
}

impl Fault {
    pub(super) fn new(row: usize, column: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { row, column: column.into(), problem: problem.into() }
    }

    /// The same fault, with the name of the struct or column that holds the value in front.
    fn inside(mut self, name: &str) -> Self {
        self.column = if self.column.is_empty() { name.to_owned() } else { format!("{name}.{}", self.column) };
        self
    }
}

/// How many bytes of names a message lists.
const LISTED_BYTES_MAX: usize = 200;

/// The problem of a missing column, with a list of the columns that are there.
pub(super) fn missing<'a>(node: &Node, there: impl Iterator<Item = &'a str>) -> String {
    format!("there is no such column, and {node} has to be there; {}", listed(there))
}

/// The columns that are there, for people.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let (mut text, mut more) = (String::new(), 0_usize);
    for name in names {
        let name = shown::name(name);
        if more > 0 || (!text.is_empty() && text.len() + name.len() > LISTED_BYTES_MAX) {
            more += 1;
        } else {
            let separator = if text.is_empty() { "" } else { ", " };
            text.push_str(separator);
            text.extend(name.chars().take(LISTED_BYTES_MAX));
        }
    }
    match (text.as_str(), more) {
        ("", _) => "there are no columns".to_owned(),
        (text, 0) => format!("the columns are {text}"),
        (text, more) => format!("the columns are {text} and {more} more"),
    }
}

/// The names of the columns of a type in files.
pub fn column_names(ty: &RecordType) -> Vec<String> {
    named_columns(ty).map(|(name, _)| name.into_owned()).collect()
}

/// Makes rows of `ty` of the columns of a file, which are found by their names. A missing column is absent in all rows.
/// `there` names all columns of the file, also those that were not read.
///
/// # Errors
/// Returns the first value that does not fit, column by column.
pub fn from_columns(ty: &RecordType, batch: &RecordBatch, there: &[String]) -> Result<RecordBatch, Fault> {
    let rows = batch.num_rows();
    let column = |(name, node): (std::borrow::Cow<'_, str>, &Node)| match batch.column_by_name(&name) {
        Some(array) => converted(node, array, None).map_err(|fault| fault.inside(&name)),
        None => absent(node, rows, there).map_err(|fault| fault.inside(&name)),
    };
    let columns = named_columns(ty).map(column).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(ty.arrow()), columns, &options).map_err(|error| refused(&error))
}

fn refused(error: &ArrowError) -> Fault {
    Fault::new(0, "", format!("arrow refuses the columns: {error}"))
}

fn absent<S: AsRef<str>>(node: &Node, rows: usize, there: &[S]) -> Result<ArrayRef, Fault> {
    if node.nullable() || rows == 0 {
        return Ok(new_null_array(node.field.data_type(), rows));
    }
    Err(Fault::new(0, "", missing(node, there.iter().map(AsRef::as_ref))))
}

/// The first row that `nulls` marks as absent.
fn first_absent(nulls: &NullBuffer) -> usize {
    (0..nulls.len()).find(|row| nulls.is_null(*row)).unwrap_or(0)
}

/// The values of an array as values of a node. `parent` marks the rows in which a struct around the array is absent: there the
/// array need not have a value.
fn converted(node: &Node, array: &ArrayRef, parent: Option<&NullBuffer>) -> Result<ArrayRef, Fault> {
    if *array.data_type() == DataType::Null && node.nullable() {
        return absent(node, array.len(), &[] as &[&str]);
    }
    let own = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
    let nulls = if node.nullable() { own.clone() } else { unmasked(own.as_ref(), parent) };
    if let (false, Some(nulls)) = (node.nullable(), &nulls) {
        return Err(Fault::new(first_absent(nulls), "", format!("expected {node}, found no value")));
    }
    let other = || Fault::new(0, "", format!("expected {node}, found {}", forms::advised(array.data_type())));
    match (node.kind, node.children.as_slice()) {
        (Kind::List, [item]) => list(node, item, array, nulls).ok_or_else(other)?,
        (Kind::Struct, members) => {
            let values = array.as_struct_opt().ok_or_else(other)?;
            let around = NullBuffer::union(own.as_ref(), parent);
            let member = |(at, member): (usize, &Node)| {
                let name = member_name(node.is_tuple, at, member);
                let found = match values.column_by_name(&name) {
                    Some(found) => converted(member, found, around.as_ref()),
                    None => absent(member, values.len(), &values.column_names()),
                };
                found.map_err(|fault| fault.inside(&name))
            };
            let columns = members.iter().enumerate().map(member).collect::<Result<Vec<_>, _>>()?;
            let DataType::Struct(fields) = node.field.data_type() else { return Err(other()) };
            let values = StructArray::try_new_with_length(fields.clone(), columns, nulls, values.len());
            Ok(Arc::new(values.map_err(|error| refused(&error))?))
        }
        (Kind::Temporal(temporal), _) => with(nulls, exact::temporals(node, temporal, array).ok_or_else(other)??),
        (Kind::Decimal(decimal), _) => with(nulls, exact::decimals(node, decimal, array).ok_or_else(other)??),
        _ if fits(node.kind, array.data_type()) => with(nulls, cast(node, array)?),
        _ => Err(other()),
    }
}

/// The values of a list array of any of Arrow's kinds; a map is a list of its entries. `None` if the array is neither.
fn list(node: &Node, item: &Node, array: &ArrayRef, nulls: Option<NullBuffer>) -> Option<Result<ArrayRef, Fault>> {
    let (DataType::List(field)
    | DataType::LargeList(field)
    | DataType::FixedSizeList(field, _)
    | DataType::Map(field, _)) = array.data_type()
    else {
        return None;
    };
    let plain = match array.as_map_opt() {
        Some(map) => {
            let (offsets, entries) = (map.offsets().clone(), Arc::new(map.entries().clone()));
            ListArray::try_new(Arc::clone(field), offsets, entries, map.nulls().cloned())
                .map(|list| Arc::new(list) as ArrayRef)
        }
        None => {
            let options = CastOptions { safe: false, ..CastOptions::default() };
            cast_with_options(array, &DataType::List(Arc::clone(field)), &options)
        }
    };
    let list = match &plain {
        Ok(plain) => plain.as_list_opt::<i32>()?,
        Err(error) => return Some(Err(refused(error))),
    };
    let offsets = list.offsets();
    let row_of = |at: usize| offsets.partition_point(|&offset| offset as usize <= at).saturating_sub(1);
    let values = converted(item, list.values(), around_items(list).as_ref());
    let values = values.map_err(|fault| Fault { row: row_of(fault.row), ..fault.inside("item") });
    Some(values.and_then(|values| {
        let DataType::List(field) = node.field.data_type() else {
            return Err(Fault::new(0, "", "a list without a child"));
        };
        let list = ListArray::try_new(Arc::clone(field), offsets.clone(), values, nulls);
        Ok(Arc::new(list.map_err(|error| refused(&error))?) as ArrayRef)
    }))
}

/// Which items belong to lists that are there. `None` if all lists are there. Lists of a fixed size have items also where they
/// are absent.
fn around_items(list: &ListArray) -> Option<NullBuffer> {
    let nulls = list.nulls().filter(|nulls| nulls.null_count() > 0)?;
    let mut are_there = vec![true; list.values().len()];
    let ends = list.offsets().iter().zip(list.offsets().iter().skip(1));
    for (row, (&from, &end)) in ends.enumerate() {
        if nulls.is_null(row)
            && let Some(items) = are_there.get_mut(from as usize..end as usize)
        {
            items.fill(false);
        }
    }
    Some(NullBuffer::from(are_there))
}

/// Which rows have no value although no struct around them is absent. `None` if there are no such rows.
fn unmasked(own: Option<&NullBuffer>, parent: Option<&NullBuffer>) -> Option<NullBuffer> {
    let own = own?;
    let nulls = match parent {
        Some(parent) => NullBuffer::new(own.inner() | &!parent.inner()),
        None => own.clone(),
    };
    (nulls.null_count() > 0).then_some(nulls)
}

/// The values with other rows marked as absent.
fn with(nulls: Option<NullBuffer>, values: ArrayRef) -> Result<ArrayRef, Fault> {
    if nulls.as_ref() == values.nulls() {
        return Ok(values);
    }
    let values = values.to_data().into_builder().nulls(nulls).build().map_err(|error| refused(&error))?;
    Ok(arrow::array::make_array(values))
}

/// Whether values of a type in a file can be values of a kind.
fn fits(kind: Kind, found: &DataType) -> bool {
    match kind {
        Kind::Bool => *found == DataType::Boolean,
        Kind::I8 | Kind::I16 | Kind::I32 | Kind::I64 | Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 => {
            // Other programs write a `u64` as a decimal without a fraction.
            found.is_integer() || matches!(found, DataType::Decimal128(_, 0))
        }
        Kind::F32 => matches!(found, DataType::Float16 | DataType::Float32),
        Kind::F64 => found.is_floating(),
        Kind::Text => match found {
            DataType::Dictionary(_, value) => fits(kind, value),
            found => matches!(found, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
        },
        Kind::Bytes => matches!(
            found,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
        ),
        Kind::Temporal(_) | Kind::Decimal(_) | Kind::List | Kind::Struct => false,
    }
}

fn cast(node: &Node, array: &ArrayRef) -> Result<ArrayRef, Fault> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, node.field.data_type(), &options).map_err(|error| {
        // With a safe cast, a value that does not fit becomes absent: the first such value is the fault.
        let safe = CastOptions { safe: true, ..CastOptions::default() };
        let passed = cast_with_options(array, node.field.data_type(), &safe).ok();
        let lost = passed.and_then(|passed| (0..array.len()).find(|row| passed.is_null(*row) && !array.is_null(*row)));
        match lost {
            Some(row) => Fault::new(row, "", format!("expected {node}, found a value outside of its range")),
            None => refused(&error),
        }
    })
}

#[cfg(test)]
mod tests;
