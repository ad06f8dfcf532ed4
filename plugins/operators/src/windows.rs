//! Windows, each on its own.

use crate::pairs;
use millstream::{Cut, DStream, Output, seconds};

/// A window of numbers. Nothing if the operator is another.
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
            // Read by two windows, by an operator and by an output; the windows come together again.
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
        "window_of_a_shuffle" => pairs(numbers).reduce_by_key(|a, b| a + b).window(seconds(2)).print_n(100),
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
