//! The one action that all other actions are made of: the host computes a data set and returns its rows.

use crate::chunk::Chunk;
use crate::graph::Graph;
use crate::ids::NodeId;

/// Computes the data set of `node` and returns its first `limit` rows, or all rows if `limit` is `None`. May be called
/// only in a driver function.
#[cfg(target_family = "wasm")]
pub(crate) fn run(graph: &Graph, node: NodeId, limit: Option<u64>) -> Vec<Chunk> {
    use crate::bindings::millstream::plugin::data_sets;
    use crate::guest;
    graph.accumulators.hand_over();
    match data_sets::run(&graph.tell(guest::node), node, limit) {
        Some(chunks) => chunks.into_iter().map(guest::chunk).collect(),
        None => guest::finish_in_place(),
    }
}

/// Computes the data set of `node` and returns its first `limit` rows, or all rows if `limit` is `None`. May be called
/// only in a driver function.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn run(graph: &Graph, node: NodeId, _: Option<u64>) -> Vec<Chunk> {
    graph.accumulators.hand_over();
    crate::runtime::evaluate(node)
}
