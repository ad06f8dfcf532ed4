//! Whether a graph has anything to do in a batch without data.
//!
//! Owns the list of kinds that make no rows of none. A kind that is not in it may make some.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::node::{Graph, Operation};

/// Narrow kinds and aggregations whose results are empty if what they read is.
const QUIET: &[&str] = &[
    "map",
    "flat_map",
    "filter",
    "map_values",
    "flat_map_values",
    "keys",
    "values",
    "reduce_by_key",
    "group_by_key",
    "aggregate_by_key",
    "combine_by_key",
    "count_by_value",
    "reduce",
    "distinct",
    "group_by",
];

impl Graph {
    /// Whether no node makes a row, and no driver function runs, in a batch for which no source and no window has any.
    pub fn is_quiet_without_data(&self) -> bool {
        self.nodes.iter().all(|node| match &node.operation {
            Operation::Narrow | Operation::Aggregate { .. } => QUIET.contains(&node.kind.as_str()),
            Operation::Transform
            | Operation::ForeachRdd
            | Operation::SaveAsFile { .. }
            | Operation::Load { .. }
            | Operation::Slice { .. } => false,
            Operation::Source { .. }
            | Operation::Union
            | Operation::Repartition { .. }
            | Operation::Sort { .. }
            | Operation::Coalesce { .. }
            | Operation::Cache
            | Operation::Join { .. }
            | Operation::Window { .. }
            | Operation::Print { .. }
            | Operation::SaveAsFiles { .. } => true,
        })
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
        assert!(!quiet("map_partitions"));
    }
}
