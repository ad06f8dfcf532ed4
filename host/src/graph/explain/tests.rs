//! Golden texts: word count, and a graph with a shared node.

use super::*;
use crate::graph::GraphDifference;
use crate::graph::validate::tests::{cogrouped, node, pair, text};

pub fn explain(described: &[DescribedNode]) -> Explanation {
    let graph = Graph::from_described(described).expect("the graph is valid");
    Explanation::new(described, &graph, 2)
}

pub fn named(mut node: DescribedNode, name: &str) -> DescribedNode {
    node.name = Some(name.to_owned());
    node
}

pub fn with(mut node: DescribedNode, parameter: &str, value: ParameterValue) -> DescribedNode {
    node.parameters.push((parameter.to_owned(), value));
    node
}

pub fn word_count() -> Vec<DescribedNode> {
    vec![
        node("source", &[], text()),
        node("flat_map", &[0], text()),
        node("map", &[1], pair()),
        named(node("reduce_by_key", &[2], pair()), "counts"),
        node("print", &[3], Vec::new()),
    ]
}

#[test]
fn word_count_is_explained() {
    let expected = "\
node  name    kind           reads  parameters      rows
0     -       source         -      source=\"lines\"  text
1     -       flat_map       0      -               text
2     -       map            1      -               (text, u64)
3     counts  reduce_by_key  2      -               (text, u64)
4     -       print          3      rows=10         -

stage 0
  reads   `source` (node 0)
  runs    `flat_map` (node 1)
          `map` (node 2)
          `counts` (reduce_by_key, node 3): combine
  writes  a shuffle by key into 2 partitions for `counts` (reduce_by_key, node 3)

stage 1
  reads   the shuffle of stage 0
  runs    `counts` (reduce_by_key, node 3): reduce
  writes  the rows of an output

output `print` (node 4) needs stages 0, 1
";
    assert_eq!(explain(&word_count()).to_string(), expected);
}

/// S5.05.
#[test]
fn a_join_names_the_shuffles_that_it_reads() {
    let graph = [
        node("source", &[], pair()),
        node("map", &[0], pair()),
        with(node("cogroup", &[1, 0], cogrouped()), "partitions", ParameterValue::Integer(3)),
        node("keys", &[2], text()),
        node("print", &[3], Vec::new()),
    ];
    let expected = "\
stage 0
  reads   `source` (node 0)
  runs    `map` (node 1)
  writes  a shuffle by key into 3 partitions for `cogroup` (node 2)

stage 1
  reads   `source` (node 0)
  writes  a shuffle by key into 3 partitions for `cogroup` (node 2)

stage 2
  reads   the shuffles of stages 0, 1
  joins   `cogroup` (node 2)
  runs    `keys` (node 3)
  writes  the rows of an output

output `print` (node 4) needs stages 0, 1, 2
";
    let text = explain(&graph).to_string();
    assert_eq!(text.split_once("\n\n").map(|(_, stages)| stages), Some(expected), "{text}");
}

#[test]
fn a_shared_node_is_a_data_set() {
    let shared = [
        node("source", &[], text()),
        node("map", &[0], text()),
        node("print", &[1], Vec::new()),
        node("print", &[1], Vec::new()),
    ];
    let expected = "\
stage 0
  reads   `source` (node 0)
  runs    `map` (node 1)
  writes  the data set of `map` (node 1)

stage 1
  reads   the data set of `map` (node 1)
  writes  the rows of an output

output `print` (node 2) needs stages 0, 1
output `print` (node 3) needs stages 0, 1
";
    let text = explain(&shared).to_string();
    assert_eq!(text.split_once("\n\n").map(|(_, stages)| stages), Some(expected), "{text}");
}

#[test]
fn a_union_has_a_branch_for_each_stream() {
    let united = [
        node("source", &[], text()),
        node("map", &[0], text()),
        node("union", &[0, 1], text()),
        node("repartition", &[2], text()),
        node("print", &[3], Vec::new()),
    ];
    let expected = "\
stage 0
  reads   `source` (node 0)
  reads   `source` (node 0)
  runs    `map` (node 1)
  writes  a shuffle by turn into 3 partitions for `repartition` (node 3)
";
    let text = explain(&united).to_string();
    assert_eq!(text.split("\n\n").nth(1).map(|stage| format!("{stage}\n")).as_deref(), Some(expected), "{text}");
}

#[test]
fn scripts_read_the_same() {
    let node = with(named(node("map", &[0], text()), "half"), "after", ParameterValue::DurationMs(500));
    let node = with(with(node, "n", ParameterValue::Integer(-1)), "on", ParameterValue::Flag(true));
    let source = super::super::validate::tests::node("source", &[], text());
    let print = super::super::validate::tests::node("print", &[1], Vec::new());
    let json = serde_json::to_string(&explain(&[source, node, print])).expect("it is plain data");
    let expected = concat!(
        r#"{"nodes":[{"node":0,"name":null,"kind":"source","reads":[],"parameters":{"source":"lines"},"rows":"text","#,
        r#""exchanges":null},{"node":1,"name":"half","kind":"map","reads":[0],"parameters":{"after":"500ms","n":-1,"#,
        r#""on":true},"rows":"text","exchanges":null},{"node":2,"name":null,"kind":"print","reads":[1],"#,
        r#""parameters":{"rows":10},"rows":null,"exchanges":null}],"stages":[{"stage":0,"branches":[{"#,
        r#""reads":{"from":"source","node":0},"steps":[{"role":"apply","node":1}]}],"writes":{"to":"output"}}],"#,
        r#""outputs":[{"node":2,"stages":[0]}]}"#,
    );
    assert_eq!(json, expected);
}

/// A plugin could move the cursor of a reader's terminal. Names with such characters are not accepted at all.
#[test]
fn control_characters_are_shown_by_code() {
    let evil = with(named(node("map", &[0], text()), "plain"), "\u{1b}[31mp\n", ParameterValue::Text("\r".to_owned()));
    let graph = explain(&[node("source", &[], text()), evil, node("print", &[1], Vec::new())]);
    let other = explain(&[node("source", &[], text()), node("print", &[0], Vec::new())]);
    let between = |before, after| GraphDifference::between(before, after).to_string();
    for text in [graph.to_string(), between(&graph, &other), between(&other, &graph)] {
        assert!(!text.contains(['\u{1b}', '\r']), "{text:?}");
    }
    assert!(graph.to_string().contains(r#"\u{1b}[31mp\u{a}="\u{d}""#), "{graph}");
}
