//! Which operators of a new plugin take over the state of the old one.
//!
//! Owns the conditions: the same operator, the same types, and a form of state that does not depend on earlier data.

use crate::data::schema::schema_id;
use crate::graph::{Graph, Node, StateForm};
use crate::ids::NodeId;
use crate::upgrade::CarriedState;

/// An operator with state of the new graph.
pub(super) struct StateOf {
    pub(super) new: NodeId,
    /// The operator of the old graph whose state is taken over. `None` if the state begins empty.
    pub(super) old: Option<NodeId>,
    /// What users are told.
    pub(super) told: CarriedState,
}

/// Finds, for each operator with state of the new graph, the operator of the old graph whose state it may take over.
/// With `is_wanted` false, all states begin empty. Operators of the old graph whose state is dropped are told last.
pub(super) fn states(old: &Graph, new: &Graph, is_wanted: bool) -> (Vec<StateOf>, Vec<CarriedState>) {
    let with_state = |graph: &Graph| -> Vec<Node> {
        graph.nodes().iter().filter(|node| node.operation.stateful().is_some()).cloned().collect()
    };
    let (olds, news) = (with_state(old), with_state(new));
    let of_new = |node: &Node| {
        let matching = olds.iter().find(|old_node| id(old_node, &olds) == id(node, &news));
        let reason = refusal(matching, node, is_wanted);
        let old = matching.filter(|_| reason.is_empty()).map(|old_node| old_node.id);
        let told = CarriedState { operator: node.to_string(), is_carried: old.is_some(), keys: 0, reason };
        StateOf { new: node.id, old, told }
    };
    let states: Vec<StateOf> = news.iter().map(of_new).collect();
    let is_dropped = |node: &&Node| !news.iter().any(|new_node| id(new_node, &news) == id(node, &olds));
    let dropped = olds.iter().filter(is_dropped).map(|node| CarriedState {
        operator: node.to_string(),
        is_carried: false,
        keys: 0,
        reason: "the new plugin has no such operator, and the state is dropped".to_owned(),
    });
    (states, dropped.collect())
}

/// The identity of an operator with state: its name, or else its kind and its position among those of this kind.
fn id(node: &Node, all: &[Node]) -> (Option<String>, String, usize) {
    match &node.name {
        Some(name) => (Some(name.clone()), String::new(), 0),
        None => {
            let is_before = |other: &&Node| other.name.is_none() && other.kind == node.kind && other.id < node.id;
            (None, node.kind.clone(), all.iter().filter(is_before).count())
        }
    }
}

/// Why an operator does not take over the state of another one. Empty if it does.
fn refusal(old: Option<&Node>, new: &Node, is_wanted: bool) -> String {
    let Some(old) = old else { return "the old plugin has no such operator".to_owned() };
    let form = |node: &Node| node.operation.stateful().map(|stateful| stateful.form);
    let types = |node: &Node| node.state.as_ref().map(|pair| schema_id(pair.fields()));
    if !is_wanted {
        return "--carry-state was not given".to_owned();
    }
    if form(new) == Some(StateForm::Window) || form(old) == Some(StateForm::Window) {
        return "a window is filled from the stream".to_owned();
    }
    if types(old) != types(new) {
        let shown = |node: &Node| node.state.as_ref().map(ToString::to_string).unwrap_or_default();
        return format!("its state was {} and is {}", shown(old), shown(new));
    }
    String::new()
}
