//! A checked node, and where its rows are kept.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::operation::Operation;
use crate::data::schema::RecordType;
use crate::ids::NodeId;
use crate::time::Duration;
use std::fmt;

/// Where the rows of a persisted node are kept. Several levels of Spark are the same level here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageLevel {
    /// In memory while there is room, then on disk.
    MemoryAndDisk,
    /// On disk.
    DiskOnly,
}

impl StorageLevel {
    /// The level with this name in Spark. Rows are always serialised, in Arrow's layout. There is only one machine, so
    /// nothing is replicated. Data that cannot be computed again is not dropped.
    pub fn named(name: &str) -> Option<Self> {
        match name.strip_suffix("_2").unwrap_or(name) {
            "MEMORY_ONLY" | "MEMORY_ONLY_SER" | "MEMORY_AND_DISK" | "MEMORY_AND_DISK_SER" | "OFF_HEAP" => {
                Some(Self::MemoryAndDisk)
            }
            "DISK_ONLY" => Some(Self::DiskOnly),
            _ => None,
        }
    }
}

/// A node that has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The position of the node in the graph.
    pub id: NodeId,
    /// The kind of the node, by the name that the plugin uses.
    pub kind: String,
    /// The name that the plugin's author gave the node; `None` if there is none.
    pub name: Option<String>,
    /// The nodes that this node reads. All of them come before it.
    pub parents: Vec<NodeId>,
    /// The operation of the node.
    pub operation: Operation,
    /// The type of the rows that the node produces. `None` for an output.
    pub rows: Option<RecordType>,
    /// The type of the rows that the node sends through a shuffle. `None` for operations without a shuffle, and for
    /// joins, which send the rows of their parents.
    pub exchanged: Option<RecordType>,
    /// The type of the pairs of key and state of a stateful node. `None` for all other nodes.
    pub state: Option<RecordType>,
    /// The type of the pairs of key and earlier state that a stateful node can migrate. `None` if it migrates no states.
    pub earlier_state: Option<RecordType>,
    /// Where the node's rows are kept for its readers. `None` if the node is not persisted.
    pub storage: Option<StorageLevel>,
    /// How long the node's rows are kept after their batch. `None` if the node is not remembered.
    pub remember: Option<Duration>,
}

/// Shows a node as `` `counts` (reduce_by_key, node 3) `` or `` `reduce_by_key` (node 3) ``.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "`{name}` ({}, node {})", self.kind, self.id),
            None => write!(f, "`{}` (node {})", self.kind, self.id),
        }
    }
}

/// The name under which an output shows its results: the name that the plugin's author gave it, or its kind and its
/// position among the outputs, as in `print-0`.
pub fn output_name(name: Option<&str>, kind: &str, position: usize) -> String {
    name.map_or_else(|| format!("{kind}-{position}"), str::to_owned)
}
