//! A node that was checked, and where its rows are kept.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::operation::Operation;
use crate::data::schema::RecordType;
use crate::ids::NodeId;
use crate::time::Duration;
use std::fmt;

/// Where the rows of a persisted node are kept. Spark's levels; those that differ in nothing here are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageLevel {
    /// In memory as long as there is room, then on disk.
    MemoryAndDisk,
    /// On disk.
    DiskOnly,
}

impl StorageLevel {
    /// The level that Spark calls so. Rows are always serialised, in Arrow's layout; there is one machine, so nothing is
    /// replicated; and what cannot be computed again is not dropped.
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

/// A node that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its position in the graph.
    pub id: NodeId,
    /// What it does, as the plugin calls it.
    pub kind: String,
    /// The name its author gave it.
    pub name: Option<String>,
    /// The nodes it reads. All of them stand before it.
    pub parents: Vec<NodeId>,
    /// What it does.
    pub operation: Operation,
    /// The rows it produces. Absent for an output.
    pub rows: Option<RecordType>,
    /// The rows it sends through a shuffle. Present for exactly the operations that shuffle, but for joins: they send
    /// the rows of their parents.
    pub exchanged: Option<RecordType>,
    /// Where its rows are kept for whoever reads them, if it is persisted.
    pub storage: Option<StorageLevel>,
    /// How long its rows are kept after their batch, if it is remembered.
    pub remember: Option<Duration>,
}

/// `` `counts` (reduce_by_key, node 3) `` or `` `reduce_by_key` (node 3) ``
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "`{name}` ({}, node {})", self.kind, self.id),
            None => write!(f, "`{}` (node {})", self.kind, self.id),
        }
    }
}
