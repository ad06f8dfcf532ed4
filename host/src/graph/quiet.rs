//! Whether a graph or a node has no work in a batch without data.
//!
//! The table of `kind.rs` says which kinds make no rows if they get no rows.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::kind::Kind;
use super::node::Node;
use super::program::Graph;

impl Node {
    /// Whether the node makes no rows and runs no driver function if its parents have no rows.
    pub fn is_quiet_without_data(&self) -> bool {
        Kind::named(&self.kind).is_some_and(|kind| kind.is_quiet)
    }
}

impl Graph {
    /// Whether no node makes rows and no driver function runs, in a batch in which no source and no window has rows.
    pub fn is_quiet_without_data(&self) -> bool {
        self.nodes.iter().all(Node::is_quiet_without_data)
    }
}

#[cfg(test)]
mod tests {
    use super::super::validate::tests::{node, text};
    use super::*;

    #[test]
    fn a_count_of_nothing_is_a_row() {
        let quiet = |kind: &str| {
            let nodes = [node("source", &[], text()), node(kind, &[0], text()), node("print", &[1], Vec::new())];
            Graph::from_described(&nodes).unwrap().is_quiet_without_data()
        };
        assert!(quiet("map"));
        assert!(quiet("filter"));
        assert!(quiet("key_by"));
        assert!(!quiet("map_partitions"));
    }
}
