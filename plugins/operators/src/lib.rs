//! Each operator on its own, on a stream of numbers or pairs: the job's argument `operator` chooses.

use millstream::{Bytes, Chain, DStream, StreamingContext};

/// Numbers with their remainder of three as key.
fn pairs<C: Chain<Out = i64>>(numbers: &DStream<i64, C>) -> DStream<(i64, i64)> {
    numbers.map(|n| (n.rem_euclid(3), n)).erase()
}

fn build(ctx: &StreamingContext) {
    let numbers = ctx.stream::<i64>("lines");
    let operator = ctx.arg("operator").unwrap_or_default().to_owned();
    match operator.as_str() {
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
        "union_of_many" => {
            let streams = ["lines", "more"].map(|source| ctx.stream::<i64>(source).erase());
            ctx.union(streams).print_n(100)
        }
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
        "shared" => {
            // One stream, read by a shuffle, by an operator and by an output.
            let doubled = numbers.map(|n| n * 2);
            doubled.print_n(100);
            doubled.filter(|n| *n > 4).print_n(100);
            doubled.count().print_n(100)
        }
        other => panic!("no operator {other}"),
    };
}
millstream::plugin!(build);
