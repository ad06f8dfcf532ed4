//! Asks a plugin for its graph.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::bindings::exports::millstream::plugin::program;
use super::bindings::millstream::plugin::{nodes, types};
use super::failure::Failure;
use super::instance::{Instance, TaskState, foreign};
use super::load::Plugin;
use crate::data::schema::Field;
use crate::graph::{DescribedNode, ParameterValue};

impl Plugin {
    /// Calls `describe` with the job's arguments, within the limits of a task.
    ///
    /// # Errors
    /// When plugin code fails or refuses.
    pub fn describe(&self, arguments: &[(String, String)]) -> Result<Vec<DescribedNode>, Failure> {
        let mut instance = Instance::new(self, TaskState::new(self, None))?;
        let described =
            instance.call(|bindings, store| bindings.millstream_plugin_program().call_describe(store, arguments))?;
        match described {
            Ok(graph) => Ok(graph.nodes.into_iter().map(node).collect()),
            Err(program::DescribeError::Argument((name, why))) => {
                Err(Failure::Refused(foreign(&format!("argument `{name}`: {why}"))))
            }
            Err(program::DescribeError::Invalid(why)) => Err(Failure::Refused(foreign(&why))),
        }
    }
}

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
    }
}

fn fields(schema: Vec<types::Field>) -> Vec<Field> {
    let field = |field: types::Field| Field {
        name: field.name,
        kind: field.kind,
        nullable: field.nullable,
        children: field.children,
        metadata: field.metadata,
    };
    schema.into_iter().map(field).collect()
}
