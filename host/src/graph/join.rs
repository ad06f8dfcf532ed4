//! The types of joins: checks the types of a join's parents, and makes the type of its rows from them.
//!
//! Owns no rows: see `engine/join`.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::node::Node;
use super::operation::JoinKind;
use crate::data::schema::{RecordType, SchemaError};

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
        let may_miss = match kind {
            JoinKind::Inner | JoinKind::CoGroup => false,
            JoinKind::LeftOuter => at == 1,
            JoinKind::RightOuter => at == 0,
            JoinKind::FullOuter => true,
        };
        match kind {
            JoinKind::CoGroup => value.list(),
            _ if may_miss => value.optional(),
            _ => Ok(value.clone()),
        }
    };
    let values: Vec<RecordType> =
        values.iter().enumerate().map(|(at, value)| member(at, value)).collect::<Result<_, _>>()?;
    RecordType::tuple(&[key, &RecordType::tuple(&values.iter().collect::<Vec<_>>())?])
}

#[cfg(test)]
mod tests;
