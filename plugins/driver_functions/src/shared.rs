//! Driver functions with accumulators and broadcast variables.

use millstream::{Chain, DStream, Level, Rdd, State, StateSpec, StreamingContext, log, seconds};

/// The sums and the list of a data set.
fn summed_up(rdd: &Rdd<i64>) -> (i64, f64, Vec<(i64, bool)>) {
    let context = rdd.context();
    let odd = context.long_accumulator("odd");
    let halves = context.double_accumulator("halves");
    let seen = context.collection_accumulator::<(i64, bool)>("seen");
    odd.reset();
    halves.reset();
    seen.reset();
    let add = (odd.clone(), halves.clone(), seen.clone());
    rdd.foreach(move |n| {
        add.0.add(n % 2);
        add.1.add(n as f64 / 2.0);
        add.2.add((n, n % 2 == 0));
    });
    (odd.value(), halves.value(), seen.value())
}

/// The sum, the number and the mean of all numbers, and the number and the mean of the halves of the odd ones.
fn means(rdd: &Rdd<i64>) -> (i64, u64, f64, u64, f64) {
    let (all, halves) = (rdd.context().long_accumulator("all"), rdd.context().double_accumulator("halves of odd"));
    all.reset();
    halves.reset();
    assert!(all.count() == 0 && all.avg().is_nan() && halves.avg().is_nan(), "a reset forgets the number of values");
    let (add_all, add_half) = (all.clone(), halves.clone());
    rdd.foreach(move |n| {
        add_all.add(n);
        if n % 2 != 0 {
            add_half.add(n as f64 / 2.0);
        }
    });
    assert_eq!((all.sum(), halves.sum()), (all.value(), halves.value()));
    (all.sum(), all.count(), all.avg(), halves.count(), halves.avg())
}

/// Returns its argument, and counts the calls.
fn counting(ctx: &StreamingContext, name: &str) -> impl Fn(i64) -> i64 + 'static {
    let calls = ctx.long_accumulator(name);
    move |n| {
        calls.add(1);
        n
    }
}

/// Functions that count their calls.
fn counters<C: Chain<Out = i64>>(ctx: &StreamingContext, numbers: &DStream<i64, C>, function: &str) -> bool {
    match function {
        // Counts in all functions that a task can run, and in the driver function itself.
        "counters" => {
            let (mapped, reduced) = (ctx.long_accumulator("mapped"), ctx.long_accumulator("reduced"));
            let (count, read) = (mapped.clone(), mapped);
            let sums = numbers.map(move |n| {
                count.add(1);
                (n % 3, n)
            });
            let sums = sums.group_by_key().map_values(move |values| {
                reduced.add(1);
                values.len() as u64
            });
            sums.foreach_rdd(move |rdd| {
                let calls = rdd.context().long_accumulator("calls");
                calls.add(1);
                let keys = rdd.context().collection_accumulator::<i64>("keys");
                let add = keys.clone();
                rdd.foreach_partition(move |_, values| values.for_each(|(key, _)| add.add(key)));
                calls.add(10);
                let (mapped, calls, keys) = (read.value(), calls.value(), keys.value());
                log(Level::Info, &format!("mapped {mapped}, calls {calls}, keys {keys:?}"));
            })
        }
        // A node with many readers runs once. A data set that a function makes runs for each action.
        "counters_of_shared_nodes" => {
            let once = counting(ctx, "once");
            let mapped = numbers.map(once);
            mapped.count().print();
            mapped.window((seconds(2), seconds(1))).count().print();
            mapped.foreach_rdd(move |rdd| {
                let context = rdd.context();
                let [again, shuffled, cached] =
                    ["again", "shuffled", "cached"].map(|name| context.long_accumulator(name));
                let made = rdd.map(move |n| {
                    again.add(1);
                    n
                });
                let sums = rdd.map(move |n| {
                    shuffled.add(1);
                    (n % 3, n)
                });
                let sums = sums.reduce_by_key(|a, b| a + b);
                let kept = rdd.map(move |n| {
                    cached.add(1);
                    n
                });
                let kept = kept.cache();
                for _ in 0..2 {
                    assert!((made.count(), sums.count()) <= (kept.count(), kept.count()));
                }
            })
        }
        // Functions on states.
        "counters_of_states" => {
            let (called, read) = (ctx.long_accumulator("called"), ctx.long_accumulator("called"));
            let spec = StateSpec::function(move |_: &i64, value: Option<i64>, state: &mut State<i64>| {
                called.add(1);
                let sum = state.get_option().copied().unwrap_or(0) + value.unwrap_or(0);
                state.update(sum);
                sum
            });
            let sums = numbers.map(|n| (n % 3, n)).map_with_state(spec);
            sums.foreach_rdd(move |rdd| log(Level::Info, &format!("{} {}", rdd.count(), read.value())))
        }
        // The second batch fails.
        "counters_of_a_failure" => {
            let seen = ctx.long_accumulator("seen");
            let numbers = numbers.map(move |n| {
                seen.add(1);
                assert!(n != 7, "seven");
                n
            });
            numbers.print_n(100)
        }
        _ => return false,
    };
    true
}

/// Runs the function of this name, if there is one.
pub fn functions<C: Chain<Out = i64>>(ctx: &StreamingContext, numbers: &DStream<i64, C>, function: &str) -> bool {
    match function {
        // The sums begin anew in each batch, so that a batch gives the same after a restart.
        "accumulators" => {
            let summed = numbers.transform(|rdd| {
                let (odd, halves, seen) = summed_up(&rdd.map(|n| n).erase());
                rdd.map(move |n| (n, odd, halves, seen.clone()))
            });
            summed.print_n(100)
        }
        "accumulator_means" => {
            let with_means = numbers.transform(|rdd| {
                let (sum, count, mean, odd, mean_of_halves) = means(&rdd.map(|n| n).erase());
                rdd.map(move |n| (n, sum, count, mean, odd, mean_of_halves))
            });
            with_means.print_n(100)
        }
        // Each batch makes a new value. Tasks use the value of the function that made them, although the name has
        // another value by then.
        "broadcast" => {
            let known = numbers.transform(|rdd| {
                let first = rdd.context().broadcast("numbers", || rdd.collect());
                first.unpersist();
                let second = rdd.context().broadcast("numbers", || rdd.map(|n| n * 10).collect());
                let length = second.value().len() as u64;
                second.unpersist();
                let known = rdd.map(move |n| (n, first.value().clone(), second.value().clone(), length));
                known.filter(|(n, ..)| n % 2 == 1)
            });
            known.print_n(100)
        }
        // Several functions ask for the same variables.
        "singletons" => {
            let list = |rdd: &Rdd<i64>| {
                let made = rdd.context().long_accumulator("made");
                rdd.context().broadcast("list", || {
                    made.add(1);
                    vec![1i64, 2, 3]
                })
            };
            let known = numbers.transform(move |rdd| {
                let list = list(&rdd);
                rdd.filter(move |n| list.value().contains(n))
            });
            known.foreach_rdd(move |rdd| {
                let (list, seen) = (list(&rdd), rdd.context().long_accumulator("seen"));
                rdd.foreach(move |n| seen.add(i64::from(list.value().contains(&n))));
            })
        }
        _ => return counters(ctx, numbers, function),
    };
    true
}
