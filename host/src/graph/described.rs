//! Nodes as a plugin describes them: with any names and parameters, unchecked.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::data::schema::Field;

/// The value of a parameter of a described node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterValue {
    /// A number.
    Integer(i64),
    /// A string.
    Text(String),
    /// A boolean.
    Flag(bool),
    /// A span of time, in milliseconds.
    DurationMs(u64),
}

/// A node as the plugin describes it: with any names and parameters, unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedNode {
    /// The kind of the node.
    pub kind: String,
    /// The name that the plugin's author gave the node; `None` if there is none.
    pub name: Option<String>,
    /// The nodes that this node reads, by position.
    pub parents: Vec<u32>,
    /// The parameters that the kind needs.
    pub parameters: Vec<(String, ParameterValue)>,
    /// The fields of the rows that the node produces; empty for an output.
    pub rows: Vec<Field>,
    /// The fields of the rows that the node sends through a shuffle; `None` if it has no shuffle.
    pub exchanged: Option<Vec<Field>>,
    /// The fields of the node's state, a pair of key and state; `None` if the node keeps no state between batches.
    pub state: Option<Vec<Field>>,
    /// The fields of earlier states that the node can migrate, a pair of key and earlier state; `None` if the node migrates
    /// no states.
    pub earlier_state: Option<Vec<Field>>,
}
