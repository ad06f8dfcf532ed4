//! Differences of graphs: golden texts, and what holds for all graphs.

use super::*;
use crate::data::schema::Field;
use crate::graph::described::{DescribedNode, ParameterValue};
use crate::graph::explain::tests::{explain, named, with, word_count};
use crate::graph::validate::tests::{field, node, pair, text};
use proptest::prelude::*;

const NOT_COMPARED: &str =
    "Code in closures is not compared: an operator that is the same may compute something else.\n";
const BY_PLACE: &str =
    "Operators are matched by name, those without one by kind and place: `.name()` keeps them apart.\n";

fn between(before: &[DescribedNode], after: &[DescribedNode]) -> GraphDifference {
    GraphDifference::between(&explain(before), &explain(after))
}

fn compared(before: &[DescribedNode], after: &[DescribedNode]) -> String {
    between(before, after).to_string()
}

#[test]
fn a_graph_is_the_same_as_itself() {
    let expected = "\
same     `source` (node 0)
same     `flat_map` (node 1)
same     `map` (node 2)
same     `counts` (reduce_by_key, node 3)
same     `print` (node 4)

5 same, 0 changed, 0 gone, 0 new
";
    assert_eq!(compared(&word_count(), &word_count()), format!("{expected}{NOT_COMPARED}"));
}

/// A node with a name is found at any position, and so are the nodes that read it.
#[test]
fn every_difference_is_told() {
    let mut after = word_count();
    after.insert(1, node("filter", &[0], text()));
    after[2].parents = vec![1];
    after[3] = node("map", &[2], text());
    after[4] = named(with(node("filter", &[3], text()), "partitions", ParameterValue::Integer(4)), "counts");
    after[5] = DescribedNode {
        parameters: vec![("rows".to_owned(), ParameterValue::Integer(5))],
        ..node("print", &[4], Vec::new())
    };
    let expected = "\
same     `source` (node 0)
changed  `counts` (reduce_by_key, node 3), now node 4
           kind: reduce_by_key -> filter
           reads: `map` (node 2) -> `map` (node 3)
           parameter partitions: none -> 4
           rows: (text, u64) -> text
           exchanges: (text, u64) -> none
changed  `print` (node 4), now node 5
           parameter rows: 10 -> 5
gone     `flat_map` (node 1)
gone     `map` (node 2)
new      `filter` (node 1)
new      `flat_map` (node 2)
new      `map` (node 3)

1 same, 2 changed, 2 gone, 3 new
";
    assert_eq!(compared(&word_count(), &after), format!("{expected}{NOT_COMPARED}{BY_PLACE}"));
}

#[test]
fn what_is_gone_on_one_way_is_new_on_the_other() {
    let mut after = word_count();
    after.push(node("print", &[3], Vec::new()));
    let (forth, back) = (between(&word_count(), &after), between(&after, &word_count()));
    assert_eq!((forth.new.len(), forth.gone.len(), back.new.len(), back.gone.len()), (1, 0, 0, 1));
    assert_eq!(forth.new, back.gone);
    assert!(forth.kept.iter().all(|kept| kept.changes.is_empty()));
}

/// Each node reads the node before it. If places were written out, each node would take as long as the whole graph.
#[test]
fn a_deep_graph_is_compared_in_no_time() {
    let mut deep = vec![node("source", &[], text())];
    deep.extend((0..1900).map(|parent| node("map", &[parent], text())));
    deep.push(node("print", &[1900], Vec::new()));
    let deep = explain(&deep);
    assert_eq!(GraphDifference::between(&deep, &deep).kept.len(), 1902);
}

/// An operator with state: its kind, its name, and the type of its pairs of key and state.
fn stateful(kind: &str, name: Option<&str>, parent: u32, state: Vec<Field>) -> DescribedNode {
    let node = node(kind, &[parent], state.clone());
    DescribedNode { name: name.map(str::to_owned), exchanged: Some(pair()), state: Some(state), ..node }
}

/// Pairs of a text and a value of this kind.
fn pair_of(value: Field) -> Vec<Field> {
    vec![field("value", "struct", 2), field("0", "text", 0), Field { name: "1".to_owned(), ..value }]
}

/// The bytes of a user's type.
fn tick(version: &str) -> Field {
    let metadata = [("type", "Tick"), ("version", version)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    Field { metadata: metadata.to_vec(), ..field("1", "bytes", 0) }
}

#[test]
fn states_that_fit_are_told_apart_from_those_that_do_not() {
    let windowed = |name| {
        let node = stateful("reduce_by_key_and_window_inverse", Some(name), 1, pair());
        with(node, "length", ParameterValue::DurationMs(2000))
    };
    let graph = |nodes: Vec<DescribedNode>| {
        let mut graph = vec![node("source", &[], pair()), node("reduce_by_key", &[0], pair())];
        graph.extend(nodes);
        graph.push(node("print", &[1], Vec::new()));
        graph
    };
    let before = graph(vec![
        stateful("update_state_by_key", Some("same"), 0, pair()),
        stateful("update_state_by_key", Some("type"), 0, pair()),
        stateful("update_state_by_key", Some("kind"), 0, pair()),
        stateful("update_state_by_key", Some("version"), 0, pair_of(tick("1"))),
        stateful("update_state_by_key", Some("dropped"), 0, pair()),
        stateful("update_state_by_key", Some("gone"), 0, pair()),
        windowed("window"),
    ]);
    let mut dropped = node("reduce_by_key", &[0], pair());
    dropped.name = Some("dropped".to_owned());
    let after = graph(vec![
        stateful("update_state_by_key", Some("new"), 0, pair()),
        stateful("update_state_by_key", Some("same"), 0, pair()),
        stateful("update_state_by_key", Some("type"), 0, pair_of(field("1", "f64", 0))),
        stateful("update_state_by_partition", Some("kind"), 0, pair()),
        stateful("update_state_by_key", Some("version"), 0, pair_of(tick("2"))),
        dropped,
        windowed("window"),
    ]);
    let difference = between(&before, &after);
    let expected = "\
same     `source` (node 0)
same     `reduce_by_key` (node 1)
same     `same` (update_state_by_key, node 2), now node 3
           its state can be carried over
changed  `type` (update_state_by_key, node 3), now node 4
           rows: (text, u64) -> (text, f64)
           its state cannot be carried over: its type was (text, u64) and is (text, f64)
changed  `kind` (update_state_by_key, node 4), now node 5
           kind: update_state_by_key -> update_state_by_partition
           its state can be carried over
changed  `version` (update_state_by_key, node 5), now node 6
           rows: (text, bytes) with type Tick version 1 -> (text, bytes) with type Tick version 2
           its state cannot be carried over: its type was (text, bytes) with type Tick version 1 and is (text, bytes) \
with type Tick version 2
changed  `dropped` (update_state_by_key, node 6), now node 7
           kind: update_state_by_key -> reduce_by_key
           state: (text, u64) -> none
           its state is dropped: the operator has no state any more
same     `window` (reduce_by_key_and_window_inverse, node 8)
           its state cannot be carried over: the state of a window is made from the rows of the window
same     `print` (node 9)
gone     `gone` (update_state_by_key, node 7)
           its state is dropped
new      `new` (update_state_by_key, node 2)
           it begins without state
";
    let text = difference.to_string();
    assert_eq!(
        text.split_once("\n\n").map(|(operators, _)| format!("{operators}\n")).as_deref(),
        Some(expected),
        "{text}"
    );
    assert_eq!(difference.carried().collect::<Vec<_>>(), [(NodeId(2), NodeId(3)), (NodeId(4), NodeId(5))]);
    let json = serde_json::to_value(&difference).unwrap();
    assert_eq!(json["kept"][2]["state"], serde_json::json!({"fit": "fits"}));
    let other = serde_json::json!({"fit": "other_type", "before": "(text, u64)", "after": "(text, f64)"});
    assert_eq!(json["kept"][3]["state"], other);
}

/// The kinds and the texts of the types are the same.
#[test]
fn another_version_of_a_users_type_is_another_type() {
    let graph = |version: &str| {
        [node("source", &[], text()), node("map", &[0], pair_of(tick(version))), node("print", &[1], Vec::new())]
    };
    let difference = between(&graph("1"), &graph("2"));
    let (before, after) = ("(text, bytes) with type Tick version 1", "(text, bytes) with type Tick version 2");
    let change = Change { what: "rows".to_owned(), before: Some(before.to_owned()), after: Some(after.to_owned()) };
    assert_eq!(difference.kept[1].changes, [change]);
    assert!(!difference.is_empty() && between(&graph("1"), &graph("1")).is_empty());
}

#[test]
fn outputs_are_paired_by_the_names_of_their_results() {
    let mut before = word_count();
    before.push(named(node("print", &[3], Vec::new()), "totals"));
    let mut after = word_count();
    after.insert(4, named(node("print", &[3], Vec::new()), "totals"));
    let pair = |output: &str, before, after| OutputPair { output: output.to_owned(), before, after };
    let expected = [pair("print-0", Some(4), None), pair("print-1", None, Some(5)), pair("totals", Some(5), Some(4))];
    assert_eq!(between(&before, &after).outputs, expected);
}

/// Any graph of a source, of operators that read one or two earlier operators, and of outputs. Some have names.
fn graphs() -> impl Strategy<Value = Vec<DescribedNode>> {
    let step = (0usize..5, any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>());
    prop::collection::vec(step, 0..20).prop_map(|steps| {
        let mut nodes = vec![node("source", &[], pair())];
        let mut streams = vec![0u32];
        for (kind, one, other, has_name) in steps {
            let at = nodes.len() as u32;
            let one = *one.get(&streams);
            let made = match kind {
                0 => node("map", &[one], pair()),
                1 => node("reduce_by_key", &[one], pair()),
                2 => stateful("update_state_by_key", None, one, pair()),
                3 => node("union", &[one, *other.get(&streams)], pair()),
                _ => node("print", &[one], Vec::new()),
            };
            if kind < 4 {
                streams.push(at);
            }
            nodes.push(if has_name { named(made, &format!("operator {at}")) } else { made });
        }
        nodes.push(node("print", &[0], Vec::new()));
        nodes
    })
}

/// The graph with a node inserted at a position, and all references moved.
fn inserted(graph: &[DescribedNode], at: usize, new: DescribedNode) -> Vec<DescribedNode> {
    let mut nodes = graph.to_vec();
    let moved = |parent: &mut u32| *parent += u32::from(*parent as usize >= at);
    nodes.iter_mut().flat_map(|node| &mut node.parents).for_each(moved);
    nodes.insert(at, new);
    nodes
}

proptest! {
    /// A graph is the same as itself, and all its states fit.
    #[test]
    fn nothing_differs_from_itself(graph in graphs()) {
        let difference = between(&graph, &graph);
        prop_assert!(difference.is_empty(), "{}", difference);
        prop_assert_eq!(difference.kept.len(), graph.len());
        prop_assert!(difference.kept.iter().all(|kept| kept.before == kept.after));
        let states = graph.iter().filter(|node| node.state.is_some()).count();
        prop_assert_eq!(difference.carried().count(), states);
        prop_assert!(difference.outputs.iter().all(|output| output.before == output.after));
    }

    /// One more operator, at any place, is new, and all others are the same wherever they stand now. Without the
    /// operator again, it is gone.
    #[test]
    fn an_operator_more_is_the_only_difference(graph in graphs(), at: prop::sample::Index, reads: prop::sample::Index) {
        let at = 1 + at.index(graph.len());
        let streams: Vec<u32> = (0..at as u32).filter(|at| !graph[*at as usize].rows.is_empty()).collect();
        let more = inserted(&graph, at, node("filter", &[*reads.get(&streams)], pair()));
        let (forth, back) = (between(&graph, &more), between(&more, &graph));
        prop_assert_eq!((forth.new.len(), forth.gone.len(), back.new.len(), back.gone.len()), (1, 0, 0, 1));
        prop_assert_eq!((forth.new[0].node as usize, back.gone[0].node as usize), (at, at));
        for kept in forth.kept.iter().chain(&back.kept) {
            prop_assert!(kept.changes.is_empty(), "{:?}", kept);
        }
        let moved = |node: u32| if (node as usize) < at { node } else { node + 1 };
        prop_assert!(forth.kept.iter().all(|kept| kept.after.node == moved(kept.before.node)));
        prop_assert_eq!(forth.carried().count(), graph.iter().filter(|node| node.state.is_some()).count());
    }

    /// Each operator of both graphs is told exactly once, whatever they have in common.
    #[test]
    fn every_operator_is_told_once(before in graphs(), after in graphs()) {
        let difference = between(&before, &after);
        let nodes = |kept: Vec<u32>, others: &[ExplainedNode]| {
            let mut nodes: Vec<u32> = kept.into_iter().chain(others.iter().map(|node| node.node)).collect();
            nodes.sort();
            nodes
        };
        let earlier = difference.kept.iter().map(|kept| kept.before.node).collect();
        prop_assert_eq!(nodes(earlier, &difference.gone), (0..before.len() as u32).collect::<Vec<_>>());
        let later = difference.kept.iter().map(|kept| kept.after.node).collect();
        prop_assert_eq!(nodes(later, &difference.new), (0..after.len() as u32).collect::<Vec<_>>());
    }
}
