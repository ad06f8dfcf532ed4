//! `native-programs PROGRAM FILE THREADS`: the programs of `plugins/benchmarks`, written by hand without a framework.
//! The whole file is read into memory, each thread takes a range of its lines, and the results of the threads are
//! merged. Prints the same as the plugin.

use millstream_tests::ranges::ranges;
use std::collections::HashMap;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [program, file, threads] = &args[..] else {
        eprintln!("usage: native-programs PROGRAM FILE THREADS");
        return ExitCode::from(2);
    };
    let run: fn(&str, usize) -> String = match program.as_str() {
        "grep" => grep,
        "count-by-value" => count_by_value,
        "sums" => sums,
        "join" => join,
        "structs" => structs,
        other => {
            eprintln!("native-programs: there is no program {other}");
            return ExitCode::from(2);
        }
    };
    match std::fs::read_to_string(file) {
        Ok(text) => {
            println!("{}", run(&text, threads.parse().unwrap_or(1)));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("native-programs: {file}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The results of `work`, one for the range of each thread.
fn parallel<'a, R: Send>(text: &'a str, threads: usize, work: fn(&'a str) -> R) -> Vec<R> {
    let (first, others) = ranges(text.as_bytes(), threads);
    // A range ends after a line end, and so between characters.
    let whole = |range| work(std::str::from_utf8(range).expect("lines of a text are text"));
    std::thread::scope(|scope| {
        let others: Vec<_> = others.into_iter().map(|range| scope.spawn(move || whole(range))).collect();
        let first = whole(first);
        std::iter::once(first).chain(others.into_iter().map(|thread| thread.join().expect("no panic"))).collect()
    })
}

fn grep(text: &str, threads: usize) -> String {
    let count = |text: &str| text.lines().filter(|line| line.contains("needle")).count();
    parallel(text, threads, count).into_iter().sum::<usize>().to_string()
}

fn count_by_value(text: &str, threads: usize) -> String {
    fn count(text: &str) -> HashMap<&str, u64> {
        let mut counts = HashMap::new();
        text.lines().flat_map(|line| line.split(' ')).for_each(|word| *counts.entry(word).or_default() += 1);
        counts
    }
    let mut tables = parallel(text, threads, count).into_iter();
    let mut total = tables.next().unwrap_or_default();
    tables.flatten().for_each(|(word, count)| *total.entry(word).or_default() += count);
    total.len().to_string()
}

fn sums(text: &str, threads: usize) -> String {
    fn sum(text: &str) -> HashMap<u64, f64> {
        let mut sums = HashMap::new();
        for line in text.lines() {
            let Some((key, value)) = line.split_once(' ') else { continue };
            let (Ok(key), Ok(value)) = (key.parse::<u64>(), value.parse::<f64>()) else { continue };
            *sums.entry(key).or_default() += value;
        }
        sums
    }
    let mut tables = parallel(text, threads, sum).into_iter();
    let mut total = tables.next().unwrap_or_default();
    tables.flatten().for_each(|(key, sum)| *total.entry(key).or_default() += sum);
    total.values().sum::<f64>().to_string()
}

fn join(text: &str, threads: usize) -> String {
    type Side = Vec<(u64, u64)>;
    fn sides(text: &str) -> (Side, Side) {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for line in text.lines() {
            let mut words = line.split(' ');
            let (Some(side), Some(key), Some(value)) = (words.next(), words.next(), words.next()) else { continue };
            let (Ok(key), Ok(value)) = (key.parse(), value.parse()) else { continue };
            if side == "l" { left.push((key, value)) } else { right.push((key, value)) }
        }
        (left, right)
    }
    let (mut rights, mut sum) = (HashMap::<u64, Vec<u64>>::new(), 0);
    let sides = parallel(text, threads, sides);
    sides.iter().flat_map(|(_, right)| right).for_each(|(key, value)| rights.entry(*key).or_default().push(*value));
    for (key, left) in sides.iter().flat_map(|(left, _)| left) {
        rights.get(key).into_iter().flatten().for_each(|right| sum += left * right);
    }
    sum.to_string()
}

struct Trade<'a> {
    _id: u64,
    account: u32,
    _symbol: &'a str,
    price: f64,
    quantity: u32,
    is_sale: bool,
    fee: f64,
    _venue: &'a str,
    _time_ms: u64,
    _note: &'a str,
}

fn structs(text: &str, threads: usize) -> String {
    fn trade(line: &str) -> Option<Trade<'_>> {
        let mut fields = line.split(',');
        Some(Trade {
            _id: fields.next()?.parse().ok()?,
            account: fields.next()?.parse().ok()?,
            _symbol: fields.next()?,
            price: fields.next()?.parse().ok()?,
            quantity: fields.next()?.parse().ok()?,
            is_sale: fields.next()? == "sell",
            fee: fields.next()?.parse().ok()?,
            _venue: fields.next()?,
            _time_ms: fields.next()?.parse().ok()?,
            _note: fields.next()?,
        })
    }
    // Both results are taken of the same records, which are kept as they are in the data set of the plugin.
    fn trades(text: &str) -> (f64, u32) {
        fn charge(trade: Trade<'_>) -> Trade<'_> {
            Trade { fee: trade.price * f64::from(trade.quantity), ..trade }
        }
        let trades: Vec<Trade<'_>> = text.lines().filter_map(trade).map(charge).collect();
        let fees = trades.iter().filter(|trade| trade.is_sale).map(|trade| trade.fee).sum();
        (fees, trades.iter().map(|trade| trade.account).max().unwrap_or_default())
    }
    let found = parallel(text, threads, trades);
    let fees: f64 = found.iter().map(|(fees, _)| fees).sum();
    format!("{fees}\n{}", found.iter().map(|(_, account)| account).max().unwrap_or(&0))
}
