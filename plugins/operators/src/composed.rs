//! Operators that are made of others, and records without content: statistics, samples, pieces of text, and streams that were built in different ways.

use crate::pairs;
use millstream::{Cut, DStream, Level, Output, StreamingContext, Text, batches, log, seconds};

/// What the methods of `Text` make of a text such as ` a=1, b=2, rest `.
fn pieces(text: &Text) -> Vec<Text> {
    let mut pieces: Vec<Text> = text.trim_start().split(", ").collect();
    pieces.extend(text.splitn(2, ','));
    pieces.extend(text.trim_end().strip_suffix("rest"));
    let values = text.split(',').filter_map(|piece| piece.trim().split_once("=").map(|(_, value)| value));
    pieces.extend(values.collect::<Vec<_>>());
    let reversed: String = text.trim().chars().rev().collect();
    pieces.push(Text::from(reversed));
    pieces.push(text.slice_ref(&text.as_str()[1..3]));
    pieces
}

/// A program with one of these operators. `None` if there is no such operator.
pub fn composed(ctx: &StreamingContext, numbers: &DStream<i64, Cut<i64>>, operator: &str) -> Option<Output> {
    Some(match operator {
        "statistics" => {
            let halves = numbers.map(|n| n as f64 / 2.0);
            ctx.union((halves.max(), halves.min(), halves.sum(), halves.mean())).print_n(100);
            numbers.sum().print_n(100);
            let stats = numbers.stats();
            stats.map(|stats| (stats.count, stats.mean, stats.variance(), stats.min, stats.max)).print_n(100)
        }
        "fold_by_key" => pairs(numbers).fold_by_key(0, |a, b| a + b).partitions(3).print_n(100),
        "random_split" => {
            let many = numbers.flat_map(|n| (0..10).map(move |at| n * 10 + at));
            let [small, large] = many.random_split([1.0, 3.0], 7);
            small.map(|n| (false, n)).union(&large.map(|n| (true, n))).print_n(100)
        }
        "filter_map" => {
            let seen = numbers.inspect(|n| log(Level::Debug, &format!("number {n}")));
            seen.filter_map(|n| (n % 2 == 0).then_some(n * 10)).print_n(100)
        }
        "text_pieces" => {
            // The texts share a chunk after the shuffle.
            let texts = numbers.map(|n| Text::from(format!(" a={n}, b={}, rest ", n * 2))).repartition(2);
            texts.flat_map(|text| pieces(&text)).print_n(100)
        }
        "units" => {
            numbers.map(|n| (n, (n > 2).then_some(()))).print_n(100);
            numbers.map(|n| ((), n)).reduce_by_key(|a, b| a + b).print_n(100)
        }
        "union_of_chains" => ctx.union((numbers, numbers.map(|n| n * 10), numbers.filter(|n| n % 2 == 1))).print_n(100),
        "window_of_batches" => {
            let windows = numbers.window((batches(2), seconds(3)));
            let spans = (ctx.batch_interval().as_millis() as u64, windows.slide_duration().as_millis() as u64);
            windows.map(move |n| (n, spans)).print_n(100)
        }
        _ => return None,
    })
}
