//! The graph of a program: its checked nodes, and the calls of driver functions that added nodes.
//!
//! Owns both lists. `validate.rs` and `call.rs` make their content.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::node::Node;
use super::operation::Operation;
use crate::ids::NodeId;

/// The largest number of nodes in a graph.
pub(super) const NODES_MAX: usize = 2000;

/// A call of a driver function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The node whose function was called.
    pub node: NodeId,
    /// The id of the first node that the call makes.
    pub first: NodeId,
    /// The streams whose data sets the function gets.
    pub parents: Vec<NodeId>,
    /// How many nodes the call has made.
    pub made: u32,
}

impl Call {
    /// Whether the call made this node.
    pub fn has_made(&self, id: NodeId) -> bool {
        id.0.checked_sub(self.first.0).is_some_and(|at| at < self.made)
    }

    /// Whether a node of the call may read this node.
    pub(super) fn may_read(&self, id: NodeId) -> bool {
        self.has_made(id) || self.parents.contains(&id)
    }
}

/// The checked graph. Each node comes after the nodes that it reads, so the graph has no cycle.
///
/// The graph of a batch also has the nodes that driver functions made in the batch: see `call.rs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) calls: Vec<Call>,
}

impl Graph {
    /// All nodes, by position.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node with this id. The id must come from this graph.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }

    /// How many times this node is read.
    pub fn consumers(&self, id: NodeId) -> usize {
        self.nodes.iter().flat_map(|node| &node.parents).filter(|parent| **parent == id).count()
    }

    /// The outputs, in the order of definition. They run in this order.
    pub fn outputs(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.operation.is_output())
    }

    /// The sources that the graph reads, each only once and with a number. They are in the order in which the graph
    /// first reads them.
    pub fn stream_ids(&self) -> Vec<(&str, u32)> {
        let mut ids: Vec<(&str, u32)> = Vec::new();
        for (source, _) in self.sources() {
            if ids.iter().all(|(known, _)| *known != source) {
                ids.push((source, u32::try_from(ids.len()).unwrap_or(u32::MAX)));
            }
        }
        ids
    }

    /// The sources that the graph reads: the name and the node of each.
    pub fn sources(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().filter_map(|node| match &node.operation {
            Operation::Source { source } => Some((source.as_str(), node)),
            _ => None,
        })
    }
}
