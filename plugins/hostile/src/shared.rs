//! Accumulators and broadcast variables that are misused.

use crate::driver::IN_TASK;
use millstream::bindings::millstream::plugin::shared_variables::{
    self as host, AccumulatorKind, DoubleSum, LongSum, Update,
};
use millstream::bindings::millstream::plugin::types::{Chunk, Extent, Field};
use millstream::{Rdd, Text};

fn rows(kind: &str) -> Vec<Field> {
    vec![Field { name: "value".to_owned(), kind: kind.to_owned(), nullable: false, children: 0, metadata: Vec::new() }]
}

/// Rows of a 64-bit type.
fn chunk(values: &[u64]) -> Chunk {
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let values_of = Extent { offset: 0, length: data.len() as u32 };
    Chunk { rows: values.len() as u32, extents: vec![Extent { offset: 0, length: 0 }, values_of], data }
}

fn list(values: &[u64]) -> Update {
    Update::Collection((rows("u64"), chunk(values)))
}

/// An integer to add.
fn long(sum: i64) -> Update {
    Update::Long(LongSum { sum, count: 1 })
}

/// Adds to more accumulators than the host allows.
fn add_to_many() {
    (0..100_000).for_each(|at: u64| host::add(&at.to_string(), &long(1)));
}

/// Does something wrong with shared variables. Returns false if it does not know this behaviour.
pub fn misbehave(lines: &Rdd<Text>, how: &str) -> bool {
    match how {
        "shared-no-name" => host::add("", &long(1)),
        "shared-long-name" => host::reset(&"n\u{1b}".repeat(200), &AccumulatorKind::Long),
        "shared-names" => add_to_many(),
        "shared-names-of-a-task" => lines.foreach(|_| add_to_many()),
        "shared-other-type" => {
            lines.foreach(|_| host::add("n", &long(1)));
            host::value("n", &AccumulatorKind::Double);
        }
        "shared-other-type-of-a-task" => {
            host::add("n", &Update::Double(DoubleSum { sum: 1.0, count: 1 }));
            lines.foreach(|_| host::add("n", &long(1)));
        }
        "shared-unknown-type" => host::reset("n", &AccumulatorKind::Collection(rows("decimal"))),
        "shared-broken-rows" => {
            let broken = Chunk { rows: 9, ..chunk(&[1]) };
            host::add("n", &Update::Collection((rows("u64"), broken)));
        }
        "shared-grows-for-ever" => loop {
            lines.foreach(|_| host::add("grows", &list(&vec![1; 100_000])));
        },
        "shared-grows-in-a-task" => lines.foreach(|_| {
            (0..1000).for_each(|_| host::add("grows", &list(&vec![1; 100_000])));
        }),
        "shared-small-pieces" => lines.foreach(|_| {
            (0..100_000).for_each(|_| host::add("pieces", &list(&[1])));
        }),
        "shared-value-in-a-task" => lines.foreach(|_| drop(host::value("n", &AccumulatorKind::Long))),
        "shared-two-rows" => assert_eq!(host::broadcast("b", &rows("u64"), &chunk(&[1, 2])), 0),
        "shared-broadcast-in-a-task" => lines.foreach(|_| {
            host::broadcast("b", &rows("u64"), &chunk(&[1]));
        }),
        "shared-broadcasts-for-ever" => loop {
            host::broadcast("b", &rows("u64"), &chunk(&[1]));
        },
        "shared-unknown" => drop(host::read(4711, &rows("u64"))),
        "shared-unknown-in-a-task" => lines.foreach(|_| drop(host::read(u64::MAX, &rows("u64")))),
        "shared-read-as-other" => {
            let id = host::broadcast("b", &rows("u64"), &chunk(&[1]));
            drop(host::read(id, &rows("i64")));
        }
        "shared-adds-other" => {
            host::add("n", &long(i64::from(IN_TASK.get())));
            lines.foreach(|_| ());
        }
        "shared-broadcasts-other" => {
            host::broadcast("b", &rows("u64"), &chunk(&[u64::from(IN_TASK.get())]));
            lines.foreach(|_| ());
        }
        "shared-asks-other" => {
            host::reset(if IN_TASK.get() { "task" } else { "driver" }, &AccumulatorKind::Long);
            lines.foreach(|_| ());
        }
        _ => return false,
    }
    true
}
