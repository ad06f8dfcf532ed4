//! Operators that bring several streams of pairs together.

use crate::{pairs, reading};
use millstream::{Cut, DStream, Output};
use std::time::Duration;

/// Operators on several streams of pairs: numbers with their remainder of three, and some of them as text.
pub fn joins(numbers: &DStream<i64, Cut<i64>>, operator: &str) -> Option<Output> {
    if !operator.contains("join") && !operator.contains("cogroup") {
        return None;
    }
    let pairs = pairs(numbers);
    let texts = numbers.filter(|n| n % 2 == 0).map(|n| (n % 4, format!("t{n}")));
    Some(match operator {
        "join" => pairs.join(&texts).print_n(100),
        "left_outer_join" => pairs.left_outer_join(&texts).print_n(100),
        "right_outer_join" => pairs.right_outer_join(&texts).partitions(3).print_n(100),
        "full_outer_join" => pairs.full_outer_join(&texts).print_n(100),
        "cogroup" => pairs.cogroup(&texts).partitions(1).print_n(100),
        "cogroup3" => {
            let options = numbers.map(|n| (n % 5, (n > 4).then_some(n as f64 / 2.0)));
            pairs.cogroup3(&texts, &options).print_n(100)
        }
        "join_of_itself" => pairs.join(&pairs).print_n(100),
        "join_of_options" => {
            let options = numbers.map(|n| (n.rem_euclid(3), Some(n).filter(|n| n % 2 == 0)));
            options.full_outer_join(&options.filter(|(key, _)| *key > 0).map(|(key, n)| (key + 1, n))).print_n(100)
        }
        "join_after_shuffles" => {
            // Both sides come out of shuffles, and the joined rows go through operators and another shuffle.
            let sums = pairs.reduce_by_key(|a, b| a + b);
            let joined =
                sums.join(&texts.group_by_key()).map_values(|(sum, texts)| format!("{sum}: {}", texts.join("+")));
            joined.map(|(key, text)| (key % 2, text)).group_by_key().print_n(100)
        }
        "join_of_unions" => {
            let more = pairs.map(|(key, n)| (key + 1, n * 100));
            pairs.union(&more).join(&texts.union(&texts)).map(|(key, (n, text))| (key, n, text)).print_n(100)
        }
        "join_on_floats" => {
            // -0.0 equals 0.0, and every NaN equals every other NaN.
            let zeros = numbers.map(|n| ((if n % 2 == 0 { 0.0 } else { f64::NAN }, n % 2 == 0), n));
            let signed = numbers.map(|n| ((if n % 2 == 0 { -0.0 } else { -f64::NAN }, n % 2 == 0), -n));
            zeros.join(&signed).print_n(100)
        }
        "join_of_windows" => {
            let (long, short) = (pairs.window(Duration::from_secs(3)), texts.window(Duration::from_secs(1)));
            long.join(&short).print_n(100)
        }
        "join_on_records" => {
            let readings = numbers.map(|n| (reading(n), n));
            readings.join(&readings.filter(|(_, n)| *n > 2)).map(|(_, values)| values).print_n(100)
        }
        _ => return None,
    })
}
