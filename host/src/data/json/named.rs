//! Rows from JSON objects with columns by name, as [`super::ObjectWriter`] and other programs write them.
//!
//! Owns how such an object becomes the JSON that [`super::records`] reads. Members that the type does not have are
//! ignored, because files may get new columns. Never reads a file.

use super::super::columns::{member_name, named_columns};
use super::super::loading::{Fault, missing};
use super::super::schema::{Kind, Node, RecordType};
use super::JsonError;
use super::read::records;
use arrow::array::RecordBatch;
use serde_json::{Map, Value};

/// Makes rows of `ty` of objects.
///
/// # Errors
/// Returns the first value that does not fit.
pub fn named_records(ty: &RecordType, objects: Vec<Value>) -> Result<RecordBatch, Fault> {
    let mut values = Vec::with_capacity(objects.len());
    for (row, object) in objects.into_iter().enumerate() {
        values.push(record(ty, object).map_err(|(column, problem)| Fault::new(row, column, problem))?);
    }
    records(ty, &values).map_err(|error| match error {
        JsonError::Value { record, path, expected, found } => {
            Fault::new(record, column_of(ty, &path), format!("expected {expected}, found {found}"))
        }
        other => Fault::new(0, "", other.to_string()),
    })
}

/// `[0].name` is `_1.name` for rows that are tuples.
fn column_of(ty: &RecordType, path: &str) -> String {
    if !ty.is_flat() {
        return format!("value{}{path}", if path.is_empty() || path.starts_with('[') { "" } else { "." });
    }
    let member = path.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match member.and_then(|(at, rest)| Some((at.parse::<usize>().ok()?, rest))) {
        Some((at, rest)) => format!("_{}{rest}", at + 1),
        None => path.to_owned(),
    }
}

fn record(ty: &RecordType, object: Value) -> Result<Value, (String, String)> {
    let Value::Object(mut members) = object else {
        return Err((String::new(), "the line is not a JSON object".to_owned()));
    };
    for (name, node) in named_columns(ty) {
        if !node.nullable() && !members.contains_key(&*name) {
            let there = members.keys().map(String::as_str);
            return Err((name.into_owned(), missing(node, there)));
        }
    }
    if ty.is_flat() {
        return Ok(plain(ty.root(), Value::Object(members)));
    }
    Ok(members.remove("value").map_or(Value::Null, |value| plain(ty.root(), value)))
}

/// The JSON of the same value with arrays in place of tuple objects. A value that does not fit stays as it is, so that
/// the error message shows it.
fn plain(node: &Node, value: Value) -> Value {
    match (node.kind, value) {
        (Kind::List, Value::Array(items)) => match node.children.as_slice() {
            [item] => Value::Array(items.into_iter().map(|value| plain(item, value)).collect()),
            _ => Value::Array(items),
        },
        (Kind::Struct, Value::Object(mut members)) if node.variants.is_some() => {
            // In files, an enum is the struct that stands for it. JSON in place of columns stays as it is.
            let Some(Value::String(name)) = members.get("type").cloned() else { return Value::Object(members) };
            let data = node.children.iter().skip(1).find(|child| child.name() == name);
            match data.and_then(|child| Some((child, members.remove(&name)?))) {
                Some((child, value)) => Value::Object(Map::from_iter([(name, plain(child, value))])),
                None => Value::String(name),
            }
        }
        (Kind::Struct, Value::Object(mut members)) => {
            let own = node.children.iter().enumerate().map(|(at, child)| {
                let value = members.remove(&*member_name(node.is_tuple, at, child));
                (child, value.map(|value| plain(child, value)))
            });
            if node.is_tuple {
                return Value::Array(own.map(|(_, value)| value.unwrap_or(Value::Null)).collect());
            }
            let own = own.filter_map(|(child, value)| Some((child.name().to_owned(), value?)));
            Value::Object(own.collect::<Map<_, _>>())
        }
        (_, value) => value,
    }
}
