//! Single operators on a stream of numbers or pairs. The job's argument `operator` chooses one.

mod composed;
mod enums;
mod joins;
mod large;
mod outputs;
mod states;
mod times;
mod windows;

use millstream::{Bytes, Chain, Cut, DStream, Key, Level, Output, Record, StreamingContext, Text};
use serde::{Deserialize, Serialize};

/// A struct: columns.
#[derive(Record, Key, Clone)]
struct Reading {
    parity: Parity,
    r#type: Option<Text>,
    at: Point,
}

/// A tuple struct: columns, as a tuple.
#[derive(Record, Key, Clone)]
struct Point(i32, f64);

/// An enum without data: text.
#[derive(Record, Key, Clone, Serialize, Deserialize)]
enum Parity {
    Even,
    Odd,
}

/// An enum with data: bytes.
#[derive(Record, Key, Clone, Serialize, Deserialize)]
#[record(serde, version = 2)]
enum Event {
    Start,
    Moved { by: i64, parity: Parity },
    Said(Vec<String>, Option<Box<Event>>),
}

fn parity(n: i64) -> Parity {
    if n % 2 == 0 { Parity::Even } else { Parity::Odd }
}

fn reading(n: i64) -> Reading {
    Reading { parity: parity(n), r#type: (n > 2).then(|| "late".into()), at: Point(0, if n > 3 { 0.0 } else { -0.0 }) }
}

fn event(n: i64) -> Event {
    match n % 3 {
        0 => Event::Start,
        1 => Event::Moved { by: n, parity: parity(n) },
        _ => Event::Said(vec!["a".to_owned()], Some(Box::new(Event::Moved { by: 0, parity: Parity::Even }))),
    }
}

/// The numbers that the pieces of a text between spaces are.
fn numbers_of(text: &Text) -> Vec<(Option<i64>, Option<u8>, Option<f64>)> {
    text.split(' ').map(|piece| (piece.parse().ok(), piece.parse().ok(), piece.parse().ok())).collect()
}

/// Numbers with their remainder of three as key.
fn pairs<C: Chain<Out = i64>>(numbers: &DStream<i64, C>) -> DStream<(i64, i64)> {
    numbers.map(|n| (n.rem_euclid(3), n)).erase()
}

/// Records of many types, made from numbers, and numbers that are parsed from text. `None` if there is no such
/// operator.
fn records(numbers: &DStream<i64, Cut<i64>>, operator: &str) -> Option<Output> {
    Some(match operator {
        "structs" => numbers.map(|n| (parity(n), vec![Some(reading(n)), None], Point(n as i32, 0.5))).print_n(100),
        "structs_as_keys" => numbers.map(|n| (reading(n), n)).group_by_key().print_n(100),
        "structs_as_values" => {
            let sums = numbers.map(|n| (parity(n), Point(n as i32, n as f64)));
            sums.reduce_by_key(|a, b| Point(a.0 + b.0, a.1 * b.1)).print_n(100)
        }
        "serde_records" => numbers.map(|n| (n, Some(event(n)).filter(|_| n != 4))).print_n(100),
        "serde_records_as_keys" => numbers.map(|n| ((event(n), parity(n)), n)).group_by_key().print_n(100),
        "serde_records_as_values" => {
            let said = numbers.map(|n| (parity(n), event(n))).group_by_key();
            let moved = said.map_values(|events| {
                let moves = events.into_iter().map(|event| match event {
                    Event::Start => 0,
                    Event::Moved { by, .. } => by,
                    Event::Said(words, inner) => (words.len() + inner.iter().count()) as i64,
                });
                moves.sum::<i64>()
            });
            moved.print_n(100)
        }
        "parse" => {
            // The texts share a chunk after the shuffle.
            let texts = numbers.map(|n| Text::from(format!("{n} {} ?", n as f64 / 8.0))).repartition(2);
            texts.flat_map(|text| numbers_of(&text)).print_n(100)
        }
        "types" => numbers
            .map(|n| {
                (
                    n as u8 as f32 / 3.0,
                    n % 2 == 0,
                    (n > 2).then(|| Some(n).filter(|n| n % 2 == 1)),
                    (vec![n as i16; 2], Bytes(vec![n as u8])),
                    n.to_string(),
                )
            })
            .print_n(100),
        "keys_of_many_types" => {
            let keyed =
                numbers.map(|n| ((n % 2 == 0, (n > 3).then_some(n as f64 * 0.0), vec![n.to_string(); 2]), 1u32));
            keyed.reduce_by_key(|a, b| a + b).print_n(100)
        }
        _ => return None,
    })
}

fn build(ctx: &StreamingContext) -> Result<(), String> {
    let operator = ctx.arg("operator").unwrap_or_default();
    // The source `lines` can have only one type, so operators on other types return early.
    match operator.as_str() {
        "records_of_a_source" => {
            ctx.stream::<Reading>("lines").map(|reading| (reading.parity, reading.at.1)).print_n(100);
            return Ok(());
        }
        "serde_records_of_a_source" => {
            ctx.stream::<(u8, Event)>("lines").print_n(100);
            return Ok(());
        }
        _ if times::times(ctx, &operator).or_else(|| enums::enums(ctx, &operator)).is_some() => return Ok(()),
        _ => {}
    }
    let numbers = ctx.stream::<i64>("lines");
    let windows = || windows::windows(&numbers, &operator);
    let outputs = || outputs::outputs(ctx, &numbers, &operator);
    let found = records(&numbers, &operator).or_else(windows).or_else(outputs);
    let found = found.or_else(|| composed::composed(ctx, &numbers, &operator));
    let found = found.or_else(|| large::large(ctx, &numbers, &operator));
    let found = found.or_else(|| windows::generated(ctx, &numbers, &operator));
    let found = found.or_else(|| states::by_keys_of_many_types(&numbers, &operator));
    let found = found.or_else(|| states::states(&numbers, &operator));
    if found.or_else(|| joins::joins(&numbers, &operator)).is_some() {
        return Ok(());
    }
    match operator.as_str() {
        "windows_of_arguments" => windows::all(ctx, &numbers),
        "count_of_windows" => windows::counts(ctx, &numbers),
        "count_of_remembered" => windows::remembered(ctx, &numbers),
        "map" => numbers.map(|n| n * 10).print_n(100),
        "flat_map" => numbers.flat_map(|n| 0..n.min(3)).print_n(100),
        "filter" => numbers.filter(|n| n % 2 == 0).print_n(100),
        "map_partitions" => numbers.map_partitions(|values| Some((values.len() as u64, values.max()))).print_n(100),
        "glom" => numbers.glom().print_n(100),
        "union" => numbers.map(|n| n + 100).union(&numbers.filter(|n| *n > 2)).print_n(100),
        "union_of_partitions" => {
            let (even, odd) = (numbers.filter(|n| n % 2 == 0), numbers.filter(|n| n % 2 == 1).repartition(2));
            even.glom().union(&odd.glom()).map(|values| values.len() as u64).print_n(100)
        }
        "union_of_itself" => {
            let odd = numbers.filter(|n| n % 2 == 1);
            odd.union(&odd).map(|n| n * 2).print_n(100)
        }
        "union_after_shuffles" => {
            let sums = pairs(&numbers).reduce_by_key(|a, b| a + b);
            let counts = numbers.count().map(|n| (-1i64, n as i64));
            sums.union(&counts).print_n(100)
        }
        "union_of_many" => ctx.union(["lines", "more"].map(|source| ctx.stream::<i64>(source))).print_n(100),
        "repartition" => numbers.repartition(3).glom().print_n(100),
        "count" => numbers.count().print_n(100),
        "reduce" => numbers.reduce(|a, b| a - b).print_n(100),
        "count_by_value" => numbers.map(|n| n % 3).count_by_value().print_n(100),
        "reduce_by_key" => pairs(&numbers).reduce_by_key(|a, b| a - b).partitions(3).print_n(100),
        "group_by_key" => pairs(&numbers).group_by_key().print_n(100),
        "combine_by_key" => {
            let combined = pairs(&numbers).combine_by_key(
                |n| n.to_string(),
                |c, n| format!("{c}+{n}"),
                |a, b| format!("({a})({b})"),
            );
            combined.print_n(100)
        }
        "aggregate_by_key" => pairs(&numbers).aggregate_by_key(1i64, |a, n| a * n, |a, b| a + b).print_n(100),
        "map_values" => pairs(&numbers).map_values(|n| n as f64 / 2.0).print_n(100),
        "flat_map_values" => pairs(&numbers).flat_map_values(|n| [n, -n]).print_n(100),
        "keys" => pairs(&numbers).keys().print_n(100),
        "values" => pairs(&numbers).values().print_n(100),
        "logs" => {
            println!("build");
            let doubled = numbers.map(|n| {
                millstream::log(Level::Warn, "two operators");
                assert!(n != 13, "an unlucky number");
                n * 2
            });
            doubled.filter(|n| *n > 2).name("twice").print_n(100)
        }
        "shared" => {
            // A shuffle, an operator and an output read one stream.
            let doubled = numbers.map(|n| n * 2);
            doubled.print_n(100);
            doubled.filter(|n| *n > 4).print_n(100);
            doubled.count().print_n(100)
        }
        "save_as_text_files" => {
            // The same rows are saved twice and printed, in three partitions and in one.
            let prefix = &ctx.arg_or("prefix", "out/numbers".to_owned());
            let numbers = numbers.repartition(3);
            numbers.map(|n| (n, (n > 2).then_some(n as f64 / 2.0))).save_as_text_files(prefix, "txt").name("numbers");
            let total = numbers.reduce(|a, b| a + b).map(|sum| format!("sum\n{sum}"));
            total.save_as_text_files("sum", "");
            total.print_n(100)
        }
        other => return Err(format!("there is no operator `{other}`")),
    };
    Ok(())
}
millstream::plugin!(build);
