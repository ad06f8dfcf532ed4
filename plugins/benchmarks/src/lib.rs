//! The programs that benchmarks measure. The job's argument `program` chooses one. Each program of `bench-programs` has a
//! counterpart in `tests/src/bin/native_programs.rs`, which computes the same from the same lines. `bench-state` measures
//! the programs whose names begin with `state-`, `bench-upgrade` the program `window`, and `bench-receive` the programs
//! `count` and `first`, and `bench-kafka` the program `kafka`. `prove-kafka` runs the program `files-and-kafka`. The program
//! `soak` runs for a long time.

mod soak;
mod states;

use millstream::{DStream, Record, StreamingContext, Text, seconds};

/// A record of ten fields.
#[derive(Record, Clone)]
struct Trade {
    id: u64,
    account: u32,
    symbol: Text,
    price: f64,
    quantity: u32,
    is_sale: bool,
    fee: f64,
    venue: Text,
    time_ms: u64,
    note: Text,
}

/// The trade of a line, whose fields are separated by `,`. `None` if a field is missing or is not a number.
fn trade(line: &Text) -> Option<Trade> {
    let mut fields = line.split(',');
    Some(Trade {
        id: fields.next()?.parse().ok()?,
        account: fields.next()?.parse().ok()?,
        symbol: fields.next()?,
        price: fields.next()?.parse().ok()?,
        quantity: fields.next()?.parse().ok()?,
        is_sale: &*fields.next()? == "sell",
        fee: fields.next()?.parse().ok()?,
        venue: fields.next()?,
        time_ms: fields.next()?.parse().ok()?,
        note: fields.next()?,
    })
}

/// A key and a value, separated by a space.
fn pair<V: std::str::FromStr>(line: &Text) -> Option<(u64, V)> {
    let (key, value) = line.split_once(' ')?;
    Some((key.parse().ok()?, value.parse().ok()?))
}

/// The pairs of the lines that begin with `side` and a space.
fn side(lines: &DStream<Text>, side: &'static str) -> DStream<(u64, u64)> {
    let pair_of =
        move |line: Text| line.split_once(' ').filter(|(found, _)| *found == side).and_then(|(_, rest)| pair(&rest));
    lines.flat_map(pair_of).erase()
}

fn build(ctx: &StreamingContext) {
    let program = ctx.arg("program");
    match program.as_deref() {
        Some(program) if program.starts_with("state-") => return states::build(ctx, program),
        Some("soak") => return soak::build(ctx),
        _ => {}
    }
    let lines = ctx.text_stream("lines");
    match program.as_deref() {
        Some("grep") => lines.filter(|line| line.contains("needle")).count().print(),
        Some("count-by-value") => lines.flat_map(|line| line.split(' ')).count_by_value().count().print(),
        Some("count") => lines.count().print(),
        Some("first") => lines.print_n(1),
        Some("kafka") => lines.save_to_kafka(&ctx.arg_or("topic", "out".to_owned())),
        Some("files-and-kafka") => {
            let lines = lines.erase();
            lines.save_as_text_files("lines", "txt").name("lines");
            lines.save_to_kafka("copies").name("copies")
        }
        Some("save") => lines.filter(|line| line.contains("77")).save_as_text_files("out:saved", ""),
        Some("sums") => {
            let sums = lines.flat_map(|line| pair::<f64>(&line)).reduce_by_key(|a, b| a + b);
            sums.map(|(_, sum)| sum).reduce(|a, b| a + b).print()
        }
        Some("join") => {
            let lines = lines.erase();
            let joined = side(&lines, "l").join(&side(&lines, "r"));
            joined.map(|(_, (left, right))| left * right).reduce(|a, b| a + b).print()
        }
        Some("structs") => {
            let trades = lines.flat_map(|line| trade(&line));
            let charged = trades.map(|trade| Trade { fee: trade.price * f64::from(trade.quantity), ..trade });
            charged.filter(|trade| trade.is_sale).map(|trade| trade.fee).reduce(|a, b| a + b).print();
            charged.map(|trade| u64::from(trade.account)).reduce(|a, b| a.max(b)).print()
        }
        Some("window") => {
            let length = ctx.arg_or("length", 1);
            lines.flat_map(|line| line.split(' ')).count_by_window(seconds(length)).print()
        }
        other => panic!("there is no program {other:?}"),
    };
}
millstream::plugin!(build);
