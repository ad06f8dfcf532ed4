//! Driver functions that misbehave.

use crate::shared;
use millstream::bindings::millstream::plugin::{data_sets, replays};
use millstream::{Rdd, StreamingContext, Text, files};
use std::cell::Cell;

thread_local! {
    /// Whether this instance belongs to a task.
    pub static IN_TASK: Cell<bool> = const { Cell::new(false) };
}

/// The lines, or the lines with one more filter if the function runs again.
fn other_when_again(lines: Rdd<Text>) -> Rdd<Text> {
    let lines = lines.map(|line| line);
    if IN_TASK.get() { lines.filter(|_| true).erase() } else { lines.map(|line| line).erase() }
}

fn megabytes(lines: &Rdd<Text>, count: u32) -> u64 {
    let big = lines.flat_map(move |_| (0..count).map(|_| "x".repeat(1 << 20)));
    big.collect().len() as u64
}

/// Misbehaves in batches with a line `boom`, and leaves other batches alone.
fn boom(lines: Rdd<Text>, how: &str) {
    if !lines.collect().iter().any(|line| line == "boom") {
        return lines.foreach(|_| ());
    }
    match how {
        "driver-panic" => panic!("no data sets today"),
        "driver-loop" => loop {
            std::hint::black_box(());
        },
        "driver-allocate" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(std::hint::black_box(vec![1u8; 1 << 20]));
            }
        }
        "driver-collect" => drop(megabytes(&lines, 3)),
        "driver-nodes" => {
            let mut lines = lines;
            for _ in 0..3000 {
                lines = lines.filter(|_| true).erase();
            }
            lines.foreach(|_| ());
        }
        "driver-nodes-for-ever" => {
            let mut lines = lines;
            loop {
                lines = lines.filter(|_| true).erase();
            }
        }
        "driver-asks-for-ever" => loop {
            drop(lines.collect());
        },
        "driver-reads-for-ever" => loop {
            drop(files::read("queue.jsonl"));
        },
        "driver-unknown" => drop(data_sets::run(&[], 4711, None)),
        "driver-end" => data_sets::end(&[], Some(4711)),
        "driver-end-twice" => {
            data_sets::end(&[], None);
        }
        "driver-done" => replays::done(),
        "driver-next" => drop(replays::next()),
        "driver-task" => lines.foreach(|line| assert!(line != "boom", "the task does not like this line")),
        "driver-run-in-task" => lines.foreach(|_| drop(data_sets::run(&[], 0, None))),
        "driver-other" => other_when_again(lines).foreach(|_| ()),
        "driver-asks-other" => {
            let (one, other) = (lines.map(|line| line).erase(), lines.map(|line| line).erase());
            let wanted = if IN_TASK.get() { one } else { other };
            wanted.foreach(|_| ());
            drop(wanted.collect());
        }
        "driver-asks-more" => {
            if IN_TASK.get() {
                drop(lines.collect());
            }
            lines.map(|line| line).foreach(|_| ());
        }
        "driver-writes-much" => files::write("out/much", vec![1; 9 << 20]),
        "driver-reads-much" => drop(files::read("queue.jsonl")),
        "driver-writes-for-ever" => {
            for at in 0u64.. {
                files::write("out/counter", at.to_string());
            }
        }
        "driver-slice-unknown" => drop(data_sets::slice(4711, 0, 0)),
        "driver-slice-of-output" => drop(data_sets::slice(1, 0, 0)),
        "driver-writes-in-task" => lines.foreach(|_| files::write("out/x", "")),
        "driver-writes-other" => {
            files::write("out/x", if IN_TASK.get() { "task" } else { "driver" });
            lines.foreach(|_| ());
        }
        "driver-writes-elsewhere" => {
            files::write(if IN_TASK.get() { "out/task" } else { "out/driver" }, "");
            lines.foreach(|_| ());
        }
        "driver-reads-other" => {
            drop(if IN_TASK.get() { files::read("task") } else { files::read("driver") });
            lines.foreach(|_| ());
        }
        "driver-slices-other" => {
            drop(data_sets::slice(0, u64::from(IN_TASK.get()), 0));
            lines.foreach(|_| ());
        }
        "driver-asks-instead" => {
            if IN_TASK.get() {
                files::write("out/x", "");
            }
            lines.map(|line| line).foreach(|_| ());
        }
        "driver-ends-early" => {
            if !IN_TASK.get() {
                lines.map(|line| line).foreach(|_| ());
            }
        }
        "driver-behave" => lines.foreach(|line| println!("{line}")),
        other => assert!(shared::misbehave(&lines, other), "unknown behaviour {other}"),
    }
}

/// A program whose driver function misbehaves.
pub fn misbehave(ctx: &StreamingContext, how: String) {
    let lines = ctx.text_stream("lines");
    match how.as_str() {
        "driver-transform-type" => {
            // The function tells the host that its answer is its own data set, whose rows have another type.
            lines
                .transform(|rdd| {
                    data_sets::end(&[], Some(0));
                    rdd.map(|line| line.len() as u64)
                })
                .print();
        }
        "driver-transform-nothing" => {
            lines
                .transform(|rdd| {
                    data_sets::end(&[], None);
                    rdd
                })
                .print();
        }
        "driver-transform-other" => {
            lines.transform(other_when_again).print();
        }
        "driver-static" => {
            lines.map(|line| data_sets::run(&[], 0, None).map_or(line, |_| Text::from("rows"))).print();
        }
        _ => {
            let _ = lines.foreach_rdd(move |rdd| boom(rdd, &how)).name("rude");
        }
    }
}
