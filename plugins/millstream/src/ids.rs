//! Names of nodes.

/// A node of the graph, by its position.
pub(crate) type NodeId = u32;
