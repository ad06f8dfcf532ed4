//! Driver functions on a stream of numbers. The job's argument `function` chooses one.

mod files;
mod shared;

use millstream::{Chain, DStream, Key, Rdd, Record, StreamingContext};

/// Numbers with their remainder of three as key.
fn pairs<C: Chain<Out = i64>>(numbers: &Rdd<i64, C>) -> Rdd<(i64, i64)> {
    numbers.map(|n| (n.rem_euclid(3), n)).erase()
}

/// A function that is written for a data set and used on a stream.
fn above_zero(numbers: Rdd<i64>) -> Rdd<i64> {
    numbers.filter(|n| *n > 0).erase()
}

fn transforms<C: Chain<Out = i64>>(ctx: &StreamingContext, numbers: &DStream<i64, C>, function: &str) -> bool {
    match function {
        "map" => numbers.transform(|rdd| rdd.map(|n| n * 10)).print_n(100),
        "identity" => numbers.transform(|rdd| rdd).print_n(100),
        "reused_function" => numbers.transform(above_zero).map(|n| n + 1).print_n(100),
        "between_operators" => {
            let doubled = numbers.map(|n| n * 2).filter(|n| *n > 2);
            let sums = doubled.transform(|rdd| pairs(&rdd).reduce_by_key(|a, b| a + b).map_values(|n| n + 1));
            sums.map(|(key, sum)| (sum, key)).group_by_key().print_n(100)
        }
        "action_inside" => {
            let mean = |rdd: Rdd<i64>| {
                let count = rdd.count() as i64;
                let sum = rdd.reduce(|a, b| a + b).unwrap_or(0);
                rdd.filter(move |n| n * count >= sum)
            };
            numbers.map(|n| n + 1).transform(mean).print_n(100)
        }
        "another_shape_each_batch" => {
            let shape = |rdd: Rdd<i64>| match rdd.count() {
                0 => rdd.map(|_| -1i64).erase(),
                n if n % 2 == 0 => rdd.repartition(n as u32).map_partitions(|values| values.max()).erase(),
                _ => pairs(&rdd).reduce_by_key(|a, b| a + b).partitions(3).values().erase(),
            };
            numbers.transform(shape).glom().map(|values| (values.len() as u64, values)).print_n(100)
        }
        "time" => numbers.transform_with_time(|rdd, time| rdd.map(move |n| (time.as_ms() as i64, n))).print_n(100),
        "with" => {
            let odd = numbers.filter(|n| n % 2 == 1);
            numbers.transform_with(&odd, |all, odd, _| all.subtract(&odd)).print_n(100)
        }
        "of_several" => {
            let streams = [1i64, 10, 100].map(|factor| numbers.map(move |n| n * factor).erase());
            ctx.transform(streams, |rdds, _| rdds[2].union(&rdds[0]).union(&rdds[1])).print_n(100)
        }
        "of_a_transform" => {
            // The second function needs the rows of the first, and each makes closures.
            let big = numbers.transform(|rdd| {
                let max = rdd.reduce(i64::max).unwrap_or(0);
                rdd.map(move |n| (n, max))
            });
            let last = big.transform(|rdd| {
                let first = rdd.first().map_or(0, |(n, _)| n);
                rdd.map(move |(n, max)| (n, max, first))
            });
            last.print_n(100)
        }
        "two_outputs" => {
            let transformed = numbers.transform(|rdd| pairs(&rdd).group_by_key());
            transformed.count().print_n(100);
            transformed.print_n(100)
        }
        _ => return false,
    };
    true
}

/// Data sets of rows that the function has.
fn of_rows<C: Chain<Out = i64>>(ctx: &StreamingContext, numbers: &DStream<i64, C>, function: &str) -> bool {
    match function {
        "parallelize" => {
            let largest = |rdd: Rdd<i64>| {
                let largest = rdd.parallelize(rdd.top(2));
                let more = rdd.context().parallelize([100i64]).union(&rdd.context().empty());
                largest.union(&more).map(|n| (n, n * 2))
            };
            numbers.transform(largest).print_n(100)
        }
        "zip" => {
            numbers.transform(|rdd| rdd.filter(|n| *n > 1).zip(&rdd.map(|n| n * 10).filter(|n| *n > 10))).print_n(100)
        }
        "take_sample" => {
            let samples = |rdd: Rdd<i64>| {
                let (once, often) = (rdd.take_sample(false, 3, 1), rdd.take_sample(true, 4, 2));
                rdd.parallelize([once, often])
            };
            numbers.transform(samples).print_n(100)
        }
        "of_several_types" => {
            let texts = numbers.map(|n| (n, n.to_string()));
            let counts = numbers.count();
            let joined = ctx.transform((numbers, &texts, counts), |(numbers, texts, counts), time| {
                let (count, time) = (counts.first().unwrap_or_default(), time.as_ms());
                pairs(&numbers).map(|(_, n)| (n, n * 2)).join(&texts).map_values(move |both| (both, count, time))
            });
            joined.print_n(100)
        }
        "statistics" => {
            let statistics = |rdd: Rdd<i64>| {
                let stats = rdd.stats();
                rdd.parallelize([(rdd.sum(), rdd.mean(), (stats.count, stats.sum(), stats.min, stats.max))])
            };
            numbers.transform(statistics).print_n(100)
        }
        _ => return false,
    };
    true
}

fn operations<C: Chain<Out = i64>>(numbers: &DStream<i64, C>, operation: &str) -> bool {
    match operation {
        "distinct" => numbers.transform(|rdd| rdd.distinct()).print_n(100),
        "intersection" => numbers.transform(|rdd| rdd.intersection(&rdd.map(|n| n + 1))).print_n(100),
        "subtract" => numbers.transform(|rdd| rdd.subtract(&rdd.map(|n| n + 1))).print_n(100),
        "cartesian" => numbers.transform(|rdd| rdd.cartesian(&rdd.filter(|n| n % 2 == 0))).print_n(100),
        "group_by" => numbers.transform(|rdd| rdd.group_by(|n| n.rem_euclid(3))).print_n(100),
        "zip_with_index" => numbers
            .transform(|rdd| rdd.map(|n| n * 2).union(&rdd).zip_with_index().filter(|(n, _)| *n > 2))
            .print_n(100),
        "map_partitions_with_index" => {
            let index = |rdd: Rdd<i64>| {
                let sizes = |index: u32, values: std::vec::IntoIter<i64>| Some((index, values.len() as u64));
                // Partitions count from 0 on both sides of the union, and continue through the whole union.
                let both = rdd.map_partitions_with_index(sizes).union(&rdd.map_partitions_with_index(sizes));
                both.map_partitions_with_index(|index, sizes| Some((index, sizes.collect::<Vec<_>>())))
            };
            numbers.transform(index).print_n(100)
        }
        "coalesce" => numbers.transform(|rdd| rdd.repartition(5).coalesce(2).map(|n| n + 1).glom()).print_n(100),
        "sample" => numbers.transform(|rdd| rdd.sample(false, 0.5, 1).union(&rdd.sample(true, 1.5, 2))).print_n(100),
        "join" => {
            let joined =
                |rdd: Rdd<i64>| pairs(&rdd).join(&pairs(&rdd.filter(|n| n % 2 == 0))).map_values(|(a, b)| a * b);
            numbers.transform(joined).print_n(100)
        }
        "sort_by" => {
            let sorted = |rdd: Rdd<i64>| {
                let ascending = rdd.map(|n| (n, n % 2 == 0)).sort_by(|(n, even)| (*even, (*n > 3).then_some(*n)), true);
                ascending.union(&rdd.map(|n| (n, true)).sort_by(|(n, _)| n.to_string(), false))
            };
            numbers.transform(sorted).print_n(100)
        }
        "cache" => {
            let cached = |rdd: Rdd<i64>| {
                let squares = rdd.map(|n| n * n).cache();
                let (count, last) = (squares.count(), squares.top(1));
                squares.map(move |n| (n, count, last.clone()))
            };
            numbers.transform(cached).print_n(100)
        }
        _ => return false,
    };
    true
}

fn orders<C: Chain<Out = i64>>(numbers: &DStream<i64, C>, function: &str) -> bool {
    match function {
        "sort_floats" => {
            let sorted = |rdd: Rdd<i64>| {
                let floats = rdd.map(|n| (n, float(n)));
                let plain = [true, false].map(|ascending| floats.sort_by(|(_, float)| *float, ascending).erase());
                let nested = [true, false].map(|ascending| floats.sort_by(|(n, _)| places(*n), ascending).erase());
                let [first, second, third, fourth] = [&plain[0], &plain[1], &nested[0], &nested[1]];
                first.union(second).union(third).union(fourth)
            };
            numbers.transform(sorted).print_n(100)
        }
        "first_of_floats" => {
            let firsts = |rdd: Rdd<i64>| {
                let floats = rdd.map(float).cache();
                let firsts = vec![floats.top(3), floats.take_ordered(3)];
                let ends = (floats.min(), floats.max());
                let by = (rdd.top_by(3, |n| float(*n)), rdd.take_ordered_by(3, |n| (float(*n), -n)));
                rdd.filter(|n| *n == 1).map(move |_| (firsts.clone(), ends, by.clone()))
            };
            numbers.transform(firsts).print_n(100)
        }
        _ => return false,
    };
    true
}

/// Numbers that stand for floats. A sort by bits would put some of these floats into other places.
fn float(n: i64) -> f64 {
    match n {
        1 => f64::NAN,
        2 => 1.0,
        3 => -f64::NAN,
        4 => f64::NEG_INFINITY,
        5 => f64::INFINITY,
        6 => -0.0,
        7 => 0.0,
        _ => n as f64,
    }
}

/// A float in a struct.
#[derive(Record, Key, Clone)]
struct Place {
    ratio: Option<f32>,
}

/// A float in a tuple, a list, an option and a struct.
fn places(n: i64) -> (u8, Vec<Place>) {
    (0, vec![Place { ratio: (n != 2).then_some(float(n) as f32) }])
}

fn outputs<C: Chain<Out = i64>>(numbers: &DStream<i64, C>, function: &str) {
    match function {
        // An output reports its result by failing, because there is no other way to report it.
        "actions" => {
            numbers.map(|n| n * 2).foreach_rdd_with_time(|rdd, time| {
                if time.as_ms() % 10_000 != 2000 {
                    return;
                }
                let sum =
                    rdd.aggregate((0, 0u64), |(sum, n), value| (sum + value, n + 1), |a, b| (a.0 + b.0, a.1 + b.1));
                let limit = sum.0 / (sum.1 as i64).max(1);
                let above = rdd.filter(move |n| *n > limit);
                panic!(
                    "{:?} {:?} {:?} {:?} {:?} {:?} {} {} {:?} {:?} {:?} {:?}",
                    sum,
                    above.collect(),
                    rdd.take(2),
                    rdd.take_ordered(2),
                    rdd.top(2),
                    rdd.first(),
                    rdd.is_empty(),
                    above.fold(0, |a, b| a + b),
                    rdd.map(|n| n % 3).count_by_value(),
                    pairs(&rdd).count_by_key(),
                    pairs(&rdd).lookup(1),
                    rdd.filter(|n| *n > 1_000_000).reduce(|a, b| a + b),
                );
            });
        }
        "partitions" => {
            numbers.repartition(2).foreach_rdd(|rdd| {
                rdd.foreach_partition(|partition, values| {
                    assert!(values.len() < 2, "{} has {} values", partition.unique_id(), values.len());
                });
            });
        }
        "without_action" => {
            numbers.map(|_| -> i64 { panic!("nobody asked for this") }).foreach_rdd(|rdd| {
                let _ = rdd.map(|n| n + 1);
            });
        }
        other => panic!("no function {other}"),
    }
}

fn build(ctx: &StreamingContext) {
    let numbers = ctx.stream::<i64>("lines");
    let function = ctx.arg("function").unwrap_or_default();
    let is_known = transforms(ctx, &numbers, &function)
        || of_rows(ctx, &numbers, &function)
        || operations(&numbers, &function)
        || orders(&numbers, &function)
        || files::functions(ctx, &numbers, &function)
        || shared::functions(ctx, &numbers, &function);
    if !is_known {
        outputs(&numbers, &function);
    }
}
millstream::plugin!(build);
