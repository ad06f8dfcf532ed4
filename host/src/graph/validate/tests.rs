//! Graphs that are wrong, and the nodes from which the tests of this module are made.

use super::super::described::ParameterValue;
use super::*;
use crate::data::schema::Field;

pub fn field(name: &str, kind: &str, children: u32) -> Field {
    Field { name: name.into(), kind: kind.into(), nullable: false, children, metadata: Vec::new() }
}

pub fn text() -> Vec<Field> {
    vec![field("value", "text", 0)]
}

pub fn pair() -> Vec<Field> {
    vec![field("value", "struct", 2), field("0", "text", 0), field("1", "u64", 0)]
}

/// The rows of a cogroup of two streams of [`pair`].
pub fn cogrouped() -> Vec<Field> {
    let list = |name| [field(name, "list", 1), field("item", "u64", 0)];
    let mut fields = vec![field("value", "struct", 2), field("0", "text", 0), field("1", "struct", 2)];
    fields.extend(list("0"));
    fields.extend(list("1"));
    fields
}

/// A source of pairs, `update_state_by_key` as node 1, and an output.
pub fn stateful_graph() -> Graph {
    let mut stateful = node("update_state_by_key", &[0], pair());
    (stateful.exchanged, stateful.state) = (Some(pair()), Some(pair()));
    Graph::from_described(&[node("source", &[], pair()), stateful, node("print", &[1], Vec::new())]).unwrap()
}

pub fn node(kind: &str, parents: &[u32], rows: Vec<Field>) -> DescribedNode {
    let parameters = match kind {
        "source" => vec![("source".to_owned(), ParameterValue::Text("lines".to_owned()))],
        "print" => vec![("rows".to_owned(), ParameterValue::Integer(10))],
        "repartition" => vec![("partitions".to_owned(), ParameterValue::Integer(3))],
        "window" => vec![("length".to_owned(), ParameterValue::DurationMs(2000))],
        _ => Vec::new(),
    };
    let exchanged = matches!(kind, "reduce_by_key" | "repartition").then(|| rows.clone());
    DescribedNode {
        kind: kind.to_owned(),
        name: None,
        parents: parents.to_vec(),
        parameters,
        rows,
        exchanged,
        state: None,
        earlier_state: None,
    }
}

pub fn problems(described: &[DescribedNode]) -> Vec<String> {
    Graph::from_described(described).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn a_graph_without_output_is_an_error() {
    let problem = "No output operations registered, so nothing to execute";
    assert_eq!(problems(&[node("source", &[], text())]), [problem]);
    assert_eq!(problems(&[]), [problem]);
}

#[test]
fn each_mistake_is_named_once() {
    let mut named = node("map", &[0], text());
    named.name = Some("same".into());
    let graph = [
        node("source", &[], text()),
        named.clone(),
        named,
        node("shuffle_wildly", &[0], text()),
        node("map", &[3], text()),
        node("map", &[9], text()),
        node("map", &[6], text()),
        node("reduce_by_key", &[0], text()),
        node("print", &[0], Vec::new()),
        node("print", &[8], Vec::new()),
        node("map", &[], text()),
        node("map", &[0], vec![field("value", "quaternion", 0)]),
        node("union", &[0], text()),
        node("union", &[0, 0], pair()),
    ];
    let problems = problems(&graph);
    assert_eq!(problems[0], "node 3 is of the kind `shuffle_wildly`, which this host does not know");
    assert_eq!(problems[1], "`map` (node 5): it reads node 9, which does not stand before it");
    assert_eq!(problems[2], "`map` (node 6): it reads node 6, which does not stand before it");
    assert_eq!(problems[3], "`reduce_by_key` (node 7): it works by key, but the rows it exchanges are text, not pairs");
    assert_eq!(problems[4], "`print` (node 9): it reads `print` (node 8), which is an output");
    assert_eq!(problems[5], "`map` (node 10): it reads 0 streams, not 1");
    assert!(problems[6].starts_with("`map` (node 11): its rows have no valid type: "), "{}", problems[6]);
    assert_eq!(problems[7], "`union` (node 12): it reads 1 streams, not 2 to 100");
    assert_eq!(problems[8], "`union` (node 13): its rows are (text, u64), but those of `source` (node 0) are text");
    assert_eq!(problems[9], "`map` (node 2): the name `same` is already that of node 1");
    assert_eq!(problems.len(), 10);
}
