//! Conversion of graph nodes from the form of the plugin interface.

use super::bindings::millstream::plugin::{nodes, types};
use crate::data::schema::Field;
use crate::graph::{DescribedNode, ParameterValue};

/// Converts a node that a plugin has described.
pub(super) fn node(node: nodes::Node) -> DescribedNode {
    let value = |value| match value {
        nodes::ParameterValue::Integer(n) => ParameterValue::Integer(n),
        nodes::ParameterValue::Text(text) => ParameterValue::Text(text),
        nodes::ParameterValue::Flag(flag) => ParameterValue::Flag(flag),
        nodes::ParameterValue::Duration(ms) => ParameterValue::DurationMs(ms),
    };
    DescribedNode {
        kind: node.kind,
        name: node.name,
        parents: node.parents,
        parameters: node.parameters.into_iter().map(|parameter| (parameter.name, value(parameter.value))).collect(),
        rows: fields(node.rows),
        exchanged: node.exchanged.map(fields),
        state: node.state.map(fields),
        earlier_state: node.earlier_state.map(fields),
    }
}

/// Converts a row type that a plugin gives.
pub(super) fn fields(schema: Vec<types::Field>) -> Vec<Field> {
    let field = |field: types::Field| Field {
        name: field.name,
        kind: field.kind,
        nullable: field.nullable,
        children: field.children,
        metadata: field.metadata,
    };
    schema.into_iter().map(field).collect()
}
