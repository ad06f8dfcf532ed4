//! Checks that the rows of a node fit its operation and the rows of its parents.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::super::error::GraphError;
use super::super::join;
use super::super::node::Node;
use super::super::operation::{FileFormat, Operation, StateForm, Stateful};
use super::super::state;
use super::subject::Subject;
use crate::data::columns;
use crate::data::schema::RecordType;
use crate::shown;

/// The types that a node declares.
#[derive(Clone, Copy)]
pub struct NodeTypes<'a> {
    pub rows: Option<&'a RecordType>,
    pub exchanged: Option<&'a RecordType>,
    pub state: Option<&'a RecordType>,
}

/// Checks that the types of a node fit its operation. The types of a plugin's function are not checked: only the plugin
/// knows them.
pub fn check_types(
    subject: &Subject<'_>,
    operation: &Operation,
    parents: &[&Node],
    types: NodeTypes<'_>,
) -> Result<(), GraphError> {
    let NodeTypes { rows, exchanged, .. } = types;
    let same_as_parents = |found: Option<&RecordType>| {
        let other = parents.iter().find(|parent| parent.rows.as_ref() != found);
        other.map_or(Ok(()), |other| {
            let (found, theirs) = (show(found), show(other.rows.as_ref()));
            Err(subject.error(format!("its rows are {found}, but those of {other} are {theirs}")))
        })
    };
    match operation {
        Operation::Aggregate { .. } | Operation::Sort { .. } if !exchanged.is_some_and(RecordType::is_pair) => {
            let problem = format!("it works by key, but the rows it exchanges are {}, not pairs", show(exchanged));
            Err(subject.error(problem))
        }
        Operation::Union | Operation::Window { .. } | Operation::Coalesce { .. } | Operation::Cache => {
            same_as_parents(rows)
        }
        Operation::State(stateful) => check_state(stateful, parents, types).map_err(|problem| subject.error(problem)),
        Operation::StateSnapshots => match parents.first() {
            Some(parent) if parent.state.is_some() && parent.state.as_ref() == rows => Ok(()),
            Some(parent) => {
                let problem = format!(
                    "its rows are {}, but the state of {parent} is {}",
                    show(rows),
                    show(parent.state.as_ref())
                );
                Err(subject.error(problem))
            }
            None => Ok(()),
        },
        Operation::Join { kind, .. } => join::check(*kind, parents, rows).map_err(|problem| subject.error(problem)),
        Operation::Repartition { .. } | Operation::Sort { .. } => {
            same_as_parents(rows).and_then(|()| same_as_parents(exchanged))
        }
        Operation::SaveAsFiles { format: FileFormat::Csv, .. }
        | Operation::SaveAsFile { format: FileFormat::Csv, .. } => {
            match parents.first().and_then(|parent| columns::nested(parent.rows.as_ref()?)) {
                Some((column, ty)) => Err(GraphError::Nested { subject: subject.name(), column, ty }),
                None => Ok(()),
            }
        }
        Operation::SaveToKafka { .. } => {
            let written = parents.first().and_then(|parent| parent.rows.as_ref());
            written.map_or(Ok(()), |rows| check_readable(subject, rows))
        }
        Operation::Load { format, .. } => rows.map_or(Ok(()), |rows| check_loaded(subject, *format, rows)),
        _ => Ok(()),
    }
}

/// Checks the types of a stateful node.
fn check_state(stateful: &Stateful, parents: &[&Node], types: NodeTypes<'_>) -> Result<(), String> {
    let parent = parents.first();
    let read = parent.and_then(|parent| parent.rows.as_ref());
    let (Some((key, value)), true) = (read.and_then(RecordType::pair), read == types.exchanged) else {
        return Err(format!("it works by key, but reads {} and exchanges {}", show(read), show(types.exchanged)));
    };
    let Some((state_key, state)) = types.state.and_then(RecordType::pair) else {
        return Err(format!("its state is {}, not pairs of key and state", show(types.state)));
    };
    if state_key != key {
        return Err(format!("the keys of its state are {state_key}, but it reads keys of {key}"));
    }
    if stateful.form != StateForm::Records && types.rows != types.state {
        return Err(format!("its rows are {}, but its state is {}", show(types.rows), show(types.state)));
    }
    if stateful.form == StateForm::Window {
        if state != value {
            return Err(format!("its state is {state}, but it reduces values of {value}"));
        }
        // The state of a key is in the partition that has the values of the key.
        let same = parent.is_some_and(
            |parent| matches!(parent.operation, Operation::Aggregate { partitions } if partitions == stateful.partitions),
        );
        if !same {
            return Err("it does not read a reduction by key with the same number of partitions".to_owned());
        }
    }
    state::StateTypes::of(&key, &state, &value)
        .map(drop)
        .map_err(|error| format!("its rows cannot have a type: {error}"))
}

/// Checks that files of this format can hold the rows.
fn check_loaded(subject: &Subject<'_>, format: FileFormat, rows: &RecordType) -> Result<(), GraphError> {
    if format == FileFormat::Text {
        let problem = || subject.error(format!("it gives lines of text, not {rows}"));
        return if *rows == RecordType::text() { Ok(()) } else { Err(problem()) };
    }
    check_readable(subject, rows)?;
    match columns::nested(rows) {
        Some((column, ty)) if format == FileFormat::Csv => {
            Err(GraphError::Nested { subject: subject.name(), column, ty })
        }
        _ => Ok(()),
    }
}

/// Checks that others than the plugin can read the rows.
fn check_readable(subject: &Subject<'_>, rows: &RecordType) -> Result<(), GraphError> {
    let Some(opaque) = rows.opaque() else { return Ok(()) };
    let ty = shown::name(opaque);
    Err(subject.error(format!("{ty} is a type of the plugin's own, whose bytes only the plugin can read")))
}

fn show(ty: Option<&RecordType>) -> String {
    ty.map_or_else(String::new, ToString::to_string)
}
