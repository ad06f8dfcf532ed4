//! What becomes of the state of each operator in an upgrade.
//!
//! Owns the words for users. Whether a state fits an operator is decided in `graph/difference.rs`.

use crate::graph::{ExplainedNode, GraphDifference, Kind, StateFit, StateForm};
use crate::ids::NodeId;
use crate::upgrade::CarriedState;

/// What becomes of the state of operators.
pub(super) struct States {
    /// The operators whose state is carried over: the node in the old graph, and that in the new one.
    pub(super) carried: Vec<(NodeId, NodeId)>,
    /// Whether an operator with state begins without state.
    pub(super) begins_empty: bool,
    told: Vec<(Option<NodeId>, CarriedState)>,
}

impl States {
    /// Decides what becomes of the state of operators. With `is_wanted` false, no state is carried over.
    pub(super) fn of(difference: &GraphDifference, is_wanted: bool) -> Self {
        let carried: Vec<(NodeId, NodeId)> = if is_wanted { difference.carried().collect() } else { Vec::new() };
        let mut told = Vec::new();
        let mut begins_empty = false;
        let mut tell = |new: Option<&ExplainedNode>, operator: String, reason: String| {
            let is_carried = reason.is_empty();
            // The state of a window is made of the rows in the window.
            begins_empty |= !is_carried && new.is_some_and(|node| !is_of_window(node));
            let new = new.map(|node| node.node);
            told.push((new.map(NodeId), CarriedState { operator, is_carried, keys: 0, reason }));
        };
        for kept in &difference.kept {
            let reason = match &kept.state {
                Some(StateFit::Fits | StateFit::Migrates { .. }) if is_wanted => String::new(),
                Some(StateFit::Fits | StateFit::Migrates { .. }) => "--carry-state was not given".to_owned(),
                Some(other) => other.to_string(),
                None if kept.after.state.is_some() => "the operator had no state".to_owned(),
                None => continue,
            };
            tell(kept.after.state.as_ref().map(|_| &kept.after), kept.after.to_string(), reason);
        }
        for node in difference.new.iter().filter(|node| node.state.is_some()) {
            tell(Some(node), node.to_string(), "the operator is new".to_owned());
        }
        for node in difference.gone.iter().filter(|node| node.state.is_some()) {
            tell(None, node.to_string(), "the operator is gone, and its state is dropped".to_owned());
        }
        Self { carried, begins_empty, told }
    }

    /// What users are told, with the numbers of keys of the nodes of the new graph.
    pub(super) fn told(self, keys: &[(NodeId, u64)]) -> Vec<CarriedState> {
        let with_keys = |(new, told): (Option<NodeId>, CarriedState)| {
            let keys = keys.iter().find(|(node, _)| Some(*node) == new).map_or(0, |(_, keys)| *keys);
            CarriedState { keys, ..told }
        };
        self.told.into_iter().map(with_keys).collect()
    }
}

/// Whether the state of an operator is made of the rows in a window.
fn is_of_window(node: &ExplainedNode) -> bool {
    Kind::named(&node.kind).and_then(Kind::state_form) == Some(StateForm::Window)
}
