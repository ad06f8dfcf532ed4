//! Single window operators.

use crate::pairs;
use millstream::{Cut, DStream, Output, StorageLevel, StreamingContext, Text, Window, seconds};

/// A window of numbers. `None` if there is no such operator.
pub fn windows(numbers: &DStream<i64, Cut<i64>>, operator: &str) -> Option<Output> {
    let two_every_three = (seconds(2), seconds(3));
    Some(match operator {
        "window" => numbers.window(seconds(2)).print_n(100),
        "window_every_third_batch" => numbers.window(two_every_three).map(|n| n * 10).print_n(100),
        "window_of_windows" => {
            let windows = numbers.map(|n| n + 1).window((seconds(2), seconds(2)));
            windows.window(seconds(4)).print_n(100)
        }
        "window_of_partitions" => numbers.repartition(3).window(seconds(2)).glom().print_n(100),
        "windows_of_one_stream" => {
            // Two windows, an operator and an output read the stream. The windows are united again.
            let odd = numbers.filter(|n| n % 2 == 1);
            odd.print_n(100);
            odd.map(|n| n * 100).print_n(100);
            let (short, long) = (odd.window(seconds(2)).count(), odd.window(seconds(3)).map(|n| n as u64));
            short.union(&long).print_n(100)
        }
        "windows_of_a_source" => {
            numbers.window((seconds(2), seconds(2))).count().print_n(100);
            numbers.print_n(100)
        }
        "window_that_does_not_fit" => {
            numbers.window((seconds(2), seconds(2))).name("counts").window(seconds(7)).print_n(100)
        }
        "union_of_slides" => numbers.union(&numbers.window((seconds(2), seconds(2)))).print_n(100),
        "window_of_a_shuffle" => pairs(numbers).reduce_by_key(|a, b| a + b).window(seconds(2)).print_n(100),
        "window_of_a_transform" => {
            let marked = numbers.transform(|rdd| {
                let count = rdd.count() as i64;
                rdd.map(move |n| (n, count))
            });
            marked.window(seconds(2)).print_n(100)
        }
        "transform_of_a_window" => {
            let windows = numbers.window((seconds(2), seconds(2)));
            windows.transform(|rdd| rdd.sort_by(|n| *n, false).zip_with_index()).print_n(100)
        }
        "persist" => {
            // The stream is kept on disk, and once more in memory. It is computed once, although two nodes read it.
            let sums = pairs(numbers).reduce_by_key(|a, b| a + b).persist(StorageLevel::DiskOnly2);
            let values = sums.values().map(|n| n + 1).cache();
            values.print_n(100);
            sums.keys().unpersist().print_n(100)
        }
        "count_by_window" => numbers.count_by_window(seconds(3)).print_n(100),
        "reduce_by_window" => numbers.reduce_by_window(|a, b| a.max(b), two_every_three).print_n(100),
        "reduce_by_key_and_window" => {
            pairs(numbers).reduce_by_key_and_window(|a, b| a + b, seconds(2)).partitions(3).print_n(100)
        }
        "count_by_value_and_window" => numbers.map(|n| n % 3).count_by_value_and_window(two_every_three).print_n(100),
        "group_by_key_and_window" => pairs(numbers).group_by_key_and_window(seconds(3)).print_n(100),
        _ => return None,
    })
}

/// A window whose length and slide are two arguments, in seconds.
fn window(ctx: &StreamingContext, length: &str, slide: &str) -> Window {
    let given = |name: &str| ctx.arg(name).and_then(|count| count.parse().ok()).map(seconds);
    let window = Window::of(given(length).expect("a window has a length"));
    given(slide).map_or(window, |slide| window.every(slide))
}

/// The sizes of windows of a source. The rows are counted; with the argument `merged`, the counts of the batches are
/// added up.
pub fn counts(ctx: &StreamingContext, numbers: &DStream<i64, Cut<i64>>) -> Output {
    let window = window(ctx, "length", "slide");
    match ctx.arg("merged") {
        Some(_) => numbers.count_by_window(window).print(),
        None => numbers.window(window).count().print(),
    }
}

/// Windows of many short lines. Each number makes `rows` lines, about `keys` different keys. All lines are kept, or
/// only the results of batches. `None` if there is no such operator.
pub fn generated(ctx: &StreamingContext, numbers: &DStream<i64, Cut<i64>>, operator: &str) -> Option<Output> {
    if !operator.starts_with("generated_") {
        return None;
    }
    let argument = |name: &str| ctx.arg(name).and_then(|number| number.parse().ok());
    let (rows, keys) = (argument("rows").unwrap_or(1000), argument("keys").unwrap_or(100));
    let lines = numbers.flat_map(move |n| {
        let first = n as u64 * rows;
        (first..first + rows).map(move |n| format!("key{} {n}", (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % keys))
    });
    let pairs = lines.map(|line| (Text::from(line.split(' ').next().unwrap_or_default()), 1u64));
    Some(match operator {
        "generated_lines" => lines.window(window(ctx, "length", "slide")).count().print(),
        "generated_counts" => lines.count_by_window(window(ctx, "length", "slide")).print(),
        "generated_sums" => pairs.reduce_by_key_and_window(|a, b| a + b, window(ctx, "length", "slide")).print(),
        "generated_batches" => pairs.reduce_by_key(|a, b| a + b).print(),
        _ => return None,
    })
}

/// The sizes of batches that are kept, with the argument `remember` for this many seconds.
pub fn remembered(ctx: &StreamingContext, numbers: &DStream<i64, Cut<i64>>) -> Output {
    if let Some(count) = ctx.arg("remember").and_then(|count| count.parse().ok()) {
        ctx.remember(seconds(count));
    }
    numbers.map(|n| n).cache().count().print()
}

/// Windows, and windows of windows. The number 13 makes them fail.
pub fn all(ctx: &StreamingContext, numbers: &DStream<i64, Cut<i64>>) -> Output {
    let (inner, outer) = (window(ctx, "length", "slide"), window(ctx, "outer_length", "outer_slide"));
    let lucky = numbers.map(|n| {
        assert!(n != 13, "an unlucky number");
        n
    });
    lucky.window(inner).print_n(1000);
    lucky.window(inner).window(outer).print_n(1000);
    lucky.count_by_window(inner).print();
    lucky.reduce_by_window(|a, b| a.min(b), inner).print();
    pairs(&lucky).reduce_by_key_and_window(|a, b| a + b, inner).print();
    pairs(&lucky).group_by_key_and_window(inner).print();
    lucky.map(|n| n % 3).count_by_value_and_window(inner).print();
    numbers.count().print()
}
