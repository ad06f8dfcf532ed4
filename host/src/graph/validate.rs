//! Checks the nodes that a plugin described and makes a [`Graph`] of them. Nothing that the plugin says is trusted.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod operation;
mod subject;
mod types;

use self::operation::operation;
use self::subject::{NAME_BYTES_MAX, Subject, check_printable};
use self::types::{NodeTypes, check_types};
use super::described::DescribedNode;
use super::error::GraphError;
use super::node::{Node, StorageLevel};
use super::operation::Operation;
use super::program::{Graph, NODES_MAX};
use crate::data::schema::{Field, RecordType};
use crate::ids::NodeId;
use crate::shown;
use std::collections::BTreeMap;

impl Graph {
    /// Checks the nodes that a plugin described.
    ///
    /// # Errors
    /// All problems; there is at least one.
    pub fn from_described(described: &[DescribedNode]) -> Result<Self, Vec<GraphError>> {
        if described.len() > NODES_MAX {
            return Err(vec![GraphError::TooLong(described.len())]);
        }
        let mut nodes = Vec::with_capacity(described.len());
        let mut errors = Vec::new();
        for (position, described) in described.iter().enumerate() {
            let before = |id: u32| nodes.get(id as usize).map(Option::as_ref);
            match check_node(&Subject { position, described }, &before) {
                Ok(node) if node.operation.is_of_data_set() => {
                    errors.push(Subject { position, described }.error("it is for data sets in a driver function only"));
                    nodes.push(None);
                }
                Ok(node) => nodes.push(Some(node)),
                Err(error) => {
                    // A node that reads an invalid node is not a problem of its own.
                    errors.extend(error);
                    nodes.push(None);
                }
            }
        }
        let nodes: Vec<Node> = nodes.into_iter().flatten().collect();
        errors.extend(duplicate_names(&nodes));
        let graph = Self { nodes, calls: Vec::new() };
        if errors.is_empty() && graph.outputs().next().is_none() {
            errors.push(GraphError::NoOutput);
        }
        if errors.is_empty() { Ok(graph) } else { Err(errors) }
    }
}

fn duplicate_names(nodes: &[Node]) -> Vec<GraphError> {
    let mut seen = BTreeMap::new();
    let mut errors = Vec::new();
    for node in nodes {
        if let Some(name) = &node.name
            && let Some(first) = seen.insert(name, node.id)
        {
            let problem = format!("the name `{name}` is already that of node {first}");
            errors.push(GraphError::Node { subject: format!("`{}` (node {})", node.kind, node.id), problem });
        }
    }
    errors
}

/// Finds a node that another node may read, by its id. `None` if there is no such node, `Some(None)` if the node is
/// invalid.
type Before<'a> = &'a dyn Fn(u32) -> Option<Option<&'a Node>>;

/// Checks a node that a driver function made. The node may only read the nodes that `before` finds.
pub(super) fn check_made<'a>(
    position: usize,
    described: &DescribedNode,
    before: &'a dyn Fn(u32) -> Option<Option<&'a Node>>,
) -> Result<Node, GraphError> {
    let subject = Subject { position, described };
    let node = check_node(&subject, before)
        .map_err(|error| error.unwrap_or_else(|| subject.error("it reads a node that is broken")))?;
    match node.operation {
        Operation::Source { .. }
        | Operation::Window { .. }
        | Operation::State(_)
        | Operation::StateSnapshots
        | Operation::Transform
        | Operation::ForeachRdd
        | Operation::SaveAsFiles { .. }
        | Operation::SaveToKafka { .. }
        | Operation::Print { .. } => {
            Err(subject.error("it is for streams only, not for a data set in a driver function"))
        }
        _ => Ok(node),
    }
}

/// Checks one node. The node may only read the nodes that `before` finds. `Err(None)` means that it reads an invalid
/// node, which was already reported.
fn check_node(subject: &Subject<'_>, before: Before<'_>) -> Result<Node, Option<GraphError>> {
    let described = subject.described;
    for text in described.name.iter().chain([&described.kind]) {
        if text.is_empty() || text.len() > NAME_BYTES_MAX {
            let problem = format!("a name or kind is {} bytes long, not 1 to {NAME_BYTES_MAX}", text.len());
            return Err(Some(subject.error(problem)));
        }
        check_printable(subject, text).map_err(Some)?;
    }
    let mut parents = Vec::new();
    for &parent in &described.parents {
        match before(parent) {
            Some(Some(node)) => parents.push(node),
            Some(None) => return Err(None),
            None => return Err(Some(subject.error(format!("it reads node {parent}, which does not stand before it")))),
        }
    }
    let operation = operation(subject, &parents)?;
    let is_output = operation.is_output();
    let rows = if is_output { None } else { Some(subject.record_type("rows", &described.rows)?) };
    let exchanged = match (&operation, &described.exchanged) {
        (operation, Some(fields)) if operation.has_shuffle() => Some(subject.record_type("exchanged rows", fields)?),
        (operation, None) if operation.has_shuffle() => {
            return Err(Some(subject.error("it shuffles, but exchanges no rows")));
        }
        (_, Some(_)) => return Err(Some(subject.error("it exchanges rows, but has no shuffle of its own"))),
        (_, None) => None,
    };
    let state = match (&operation, &described.state) {
        (Operation::State(_), Some(fields)) => Some(subject.record_type("state", fields)?),
        (Operation::State(_), None) => return Err(Some(subject.error("it has state, but declares no type of it"))),
        (_, Some(_)) => return Err(Some(subject.error("it declares a type of state, but has none"))),
        (_, None) => None,
    };
    let earlier_state = match (&state, &described.earlier_state) {
        (Some(state), Some(fields)) => Some(earlier_state(subject, state, fields)?),
        (None, Some(_)) => return Err(Some(subject.error("it migrates states, but has none"))),
        (_, None) => None,
    };
    let types = NodeTypes { rows: rows.as_ref(), exchanged: exchanged.as_ref(), state: state.as_ref() };
    check_types(subject, &operation, &parents, types).map_err(Some)?;
    let storage = match subject.text("persist") {
        None => None,
        Some(name) => {
            let level = StorageLevel::named(name);
            Some(level.ok_or_else(|| subject.error(format!("{} is no storage level", shown::name(name))))?)
        }
    };
    let remember = subject.duration("remember").map_err(Some)?;
    if is_output && (storage.is_some() || remember.is_some()) {
        return Err(Some(subject.error("it is an output, and has no rows to keep")));
    }
    Ok(Node {
        id: NodeId(u32::try_from(subject.position).unwrap_or(u32::MAX)),
        kind: described.kind.clone(),
        name: described.name.clone(),
        parents: parents.iter().map(|node| node.id).collect(),
        operation,
        rows,
        exchanged,
        state,
        earlier_state,
        storage,
        remember,
    })
}

/// The type of the earlier states that a node migrates. Their keys have the type of the keys of its states.
fn earlier_state(
    subject: &Subject<'_>,
    state: &RecordType,
    fields: &[Field],
) -> Result<RecordType, Option<GraphError>> {
    let earlier = subject.record_type("earlier state", fields)?;
    let key = |pair: &RecordType| pair.pair().map(|(key, _)| key);
    if key(&earlier).is_some() && key(&earlier) == key(state) {
        return Ok(earlier);
    }
    Err(Some(subject.error(format!("it migrates states of {earlier}, but its own states are {state}"))))
}

#[cfg(test)]
pub(super) mod tests;
