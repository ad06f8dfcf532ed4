//! The types of joins: checks the types of a join's parents, and makes the type of its rows from them.
//!
//! Owns no rows: see `engine/join`.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::node::Node;
use super::operation::JoinKind;
use crate::data::schema::{Field, RecordType, SchemaError};

/// Checks that all parents are pairs with the same type of key, and that the declared rows are what the join makes.
pub(super) fn check(kind: JoinKind, parents: &[&Node], rows: Option<&RecordType>) -> Result<(), String> {
    let mut pairs = Vec::new();
    for parent in parents {
        let found = parent.rows.as_ref();
        let pair = found.and_then(RecordType::pair);
        let found = found.map_or_else(String::new, ToString::to_string);
        pairs.push(pair.ok_or_else(|| format!("it works by key, but the rows of {parent} are {found}, not pairs"))?);
    }
    let Some((first, rest)) = pairs.split_first() else { return Err("it reads nothing".to_owned()) };
    if let Some(at) = rest.iter().position(|pair| pair.0 != first.0) {
        let (first_node, other_node) = (parents[0], parents[at.saturating_add(1)]);
        let (first, other) = (&first.0, &rest[at].0);
        return Err(format!("the keys of {first_node} are {first}, but those of {other_node} are {other}"));
    }
    let values: Vec<&RecordType> = pairs.iter().map(|(_, value)| value).collect();
    let made = joined_rows(kind, &first.0, &values).map_err(|error| format!("its rows cannot have a type: {error}"))?;
    match rows {
        Some(rows) if *rows == made => Ok(()),
        rows => {
            let declared = rows.map_or_else(String::new, ToString::to_string);
            Err(format!("its rows are {declared}, but it makes {made}"))
        }
    }
}

/// The type of the rows of a join whose parents have this type of key and these types of values.
///
/// # Errors
/// If the type would be too large.
pub fn joined_rows(kind: JoinKind, key: &RecordType, values: &[&RecordType]) -> Result<RecordType, SchemaError> {
    let member = |at: usize, value: &RecordType| {
        let fields = value.fields().to_vec();
        let may_miss = match kind {
            JoinKind::Inner | JoinKind::CoGroup => false,
            JoinKind::LeftOuter => at == 1,
            JoinKind::RightOuter => at == 0,
            JoinKind::FullOuter => true,
        };
        match kind {
            JoinKind::CoGroup => group("list", fields),
            _ if may_miss => option(fields),
            _ => fields,
        }
    };
    let values = values.iter().enumerate().map(|(at, value)| member(at, value)).collect();
    RecordType::parse(tuple(vec![key.fields().to_vec(), tuple(values)]))
}

fn tuple(members: Vec<Vec<Field>>) -> Vec<Field> {
    let mut fields = vec![parent("struct", members.len())];
    for (at, mut member) in members.into_iter().enumerate() {
        if let Some(root) = member.first_mut() {
            root.name = at.to_string();
        }
        fields.append(&mut member);
    }
    fields
}

/// The fields of an option. An option of an option is a struct that contains the inner option.
fn option(mut fields: Vec<Field>) -> Vec<Field> {
    if fields.first().is_some_and(|root| root.nullable) {
        fields = group("struct", fields);
    }
    if let Some(root) = fields.first_mut() {
        root.nullable = true;
    }
    fields
}

/// The fields of a list, or of a struct with one member. `fields` are the fields of the item or member. The name of
/// the root of a type is also the right name for an item or member.
fn group(kind: &str, mut fields: Vec<Field>) -> Vec<Field> {
    fields.insert(0, parent(kind, 1));
    fields
}

fn parent(kind: &str, children: usize) -> Field {
    let children = u32::try_from(children).unwrap_or(u32::MAX);
    Field { name: "value".to_owned(), kind: kind.to_owned(), nullable: false, children, metadata: Vec::new() }
}

#[cfg(test)]
mod tests;
