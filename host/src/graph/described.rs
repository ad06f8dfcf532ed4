//! Nodes as a plugin describes them: open names and parameters, nothing checked.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::data::schema::Field;

/// What a parameter of a described node can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterValue {
    /// A number.
    Integer(i64),
    /// A text.
    Text(String),
    /// A switch.
    Flag(bool),
    /// A span of time, in milliseconds.
    DurationMs(u64),
}

/// A node as the plugin described it: open names, nothing checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedNode {
    /// What it does.
    pub kind: String,
    /// The name its author gave it.
    pub name: Option<String>,
    /// The nodes it reads, by position.
    pub parents: Vec<u32>,
    /// What the kind needs.
    pub parameters: Vec<(String, ParameterValue)>,
    /// The rows it produces; empty for an output.
    pub rows: Vec<Field>,
    /// The rows it sends through a shuffle.
    pub exchanged: Option<Vec<Field>>,
}
