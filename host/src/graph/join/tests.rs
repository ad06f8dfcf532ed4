//! Described joins, valid and invalid.

use crate::data::schema::Field;
use crate::graph::validate::tests::{cogrouped, field, node, pair, problems, text};
use crate::graph::{Graph, JoinKind, Operation, ParameterValue};

fn optional(mut field: Field) -> Field {
    field.nullable = true;
    field
}

/// Pairs of a text and an option.
fn options() -> Vec<Field> {
    vec![field("value", "struct", 2), field("0", "text", 0), optional(field("1", "u64", 0))]
}

/// The rows of a join of [`pair`] with [`options`], with these values.
fn joined(left: Vec<Field>, right: Vec<Field>) -> Vec<Field> {
    let mut fields = vec![field("value", "struct", 2), field("0", "text", 0), field("1", "struct", 2)];
    fields.extend(left);
    fields.extend(right);
    fields
}

/// S5.01 to S5.04: if a side may be missing, its value is an option, and an option of an option is wrapped.
#[test]
fn each_kind_of_join_makes_its_own_rows() {
    let left = || vec![field("0", "u64", 0)];
    let left_option = || vec![optional(field("0", "u64", 0))];
    let right = || vec![optional(field("1", "u64", 0))];
    let right_option = || vec![optional(field("1", "struct", 1)), optional(field("value", "u64", 0))];
    let kinds = [
        ("join", JoinKind::Inner, joined(left(), right())),
        ("left_outer_join", JoinKind::LeftOuter, joined(left(), right_option())),
        ("right_outer_join", JoinKind::RightOuter, joined(left_option(), right())),
        ("full_outer_join", JoinKind::FullOuter, joined(left_option(), right_option())),
    ];
    for (name, kind, rows) in &kinds {
        let sources = [node("source", &[], pair()), node("source", &[], options())];
        let described = [&sources[..], &[node(name, &[0, 1], rows.clone()), node("print", &[2], vec![])]].concat();
        let graph = Graph::from_described(&described).unwrap();
        assert_eq!(graph.nodes()[2].operation, Operation::Join { kind: *kind, partitions: None });
        for (other, _, _) in kinds.iter().filter(|(other, ..)| other != name) {
            let described = [&sources[..], &[node(other, &[0, 1], rows.clone()), node("print", &[2], vec![])]].concat();
            let problem = problems(&described).remove(0);
            assert!(problem.starts_with(&format!("`{other}` (node 2): its rows are (text, (")), "{problem}");
        }
    }
}

#[test]
fn each_mistake_of_a_join_is_named() {
    let other_key = vec![field("value", "struct", 2), field("0", "u8", 0), field("1", "u64", 0)];
    let mut none = node("cogroup", &[0, 0], cogrouped());
    none.parameters.push(("partitions".to_owned(), ParameterValue::Integer(0)));
    let mut exchanges = node("cogroup", &[0, 0], cogrouped());
    exchanges.exchanged = Some(pair());
    let problems = problems(&[
        node("source", &[], pair()),
        node("source", &[], text()),
        node("source", &[], other_key),
        node("join", &[0, 1], pair()),
        node("cogroup", &[0, 0, 2], pair()),
        node("cogroup", &[0], cogrouped()),
        node("join", &[0, 0, 0], cogrouped()),
        node("cogroup", &[0, 0], pair()),
        node("cogroup", &[0, 0, 0], cogrouped()),
        none,
        exchanges,
        node("print", &[0], Vec::new()),
    ]);
    assert_eq!(
        problems,
        [
            "`join` (node 3): it works by key, but the rows of `source` (node 1) are text, not pairs",
            "`cogroup` (node 4): the keys of `source` (node 0) are text, but those of `source` (node 2) are u8",
            "`cogroup` (node 5): it reads 1 streams, not 2 to 100",
            "`join` (node 6): it reads 3 streams, not 2",
            "`cogroup` (node 7): its rows are (text, u64), but it makes (text, (list<u64>, list<u64>))",
            "`cogroup` (node 8): its rows are (text, (list<u64>, list<u64>)), but it makes \
             (text, (list<u64>, list<u64>, list<u64>))",
            "`cogroup` (node 9): it asks for 0 partitions, not 1 to 4096",
            "`cogroup` (node 10): it exchanges rows, but has no shuffle of its own",
        ]
    );
}
