//! Accumulators in jobs that the test host runs.

use crate::{minutes, seconds, testing};

/// The nodes of a program run once a batch, whoever reads them; what a driver function makes runs for each action.
#[test]
fn a_function_counts_as_often_as_the_host_runs_it() {
    let job = testing::Job::new(|ctx| {
        let (streamed, windowed, made) =
            (ctx.long_accumulator("streamed"), ctx.long_accumulator("windowed"), ctx.long_accumulator("made"));
        let reads = [&streamed, &windowed, &made].map(Clone::clone);
        let mapped = ctx.stream::<i64>("n").map(move |n| {
            streamed.add(1);
            n
        });
        // Two outputs, a shuffle and a window read the same stream.
        mapped.print();
        mapped.map(|n| (n, n)).reduce_by_key(|a, b| a + b).print();
        let windows = mapped.map(move |n| {
            windowed.add(1);
            n
        });
        windows.window((seconds(2), seconds(1))).print();
        mapped.foreach_rdd_with_time(move |rdd, time| {
            let made = made.clone();
            let again = rdd.map(move |n| {
                made.add(n);
                n
            });
            let (kept, before) = (again.cache(), reads[2].value());
            // What was sent through a shuffle is there for the next action.
            let sent = rdd.context().long_accumulator("sent");
            let send = sent.clone();
            let sums = rdd.map(move |n| {
                send.add(1);
                (n % 2, n)
            });
            let sums = sums.reduce_by_key(|a, b| a + b);
            assert_eq!(sums.count(), sums.collect().len() as u64);
            assert_eq!(sent.value(), 3 * (time.as_ms() as i64 / 1000));
            assert_eq!((again.count(), again.count()), (3, 3));
            assert_eq!(reads[2].value() - before, 2 * rdd.fold(0, |a, b| a + b));
            kept.count();
            let batch = time.as_ms() as i64 / 1000;
            assert_eq!((reads[0].value(), reads[1].value()), (3 * batch, 3 * batch));
        });
    });
    job.batch("n", [1i64, 2, 3]).batch("n", [4i64, 5, 6]).run();
}

#[test]
fn handles_of_a_name_are_one_accumulator() {
    let job = testing::Job::new(|ctx| {
        let sum = ctx.long_accumulator("sum");
        // What `build` adds does not count.
        sum.add(1000);
        ctx.remember(minutes(1));
        ctx.stream::<i64>("n").foreach_rdd(move |rdd| {
            let same = rdd.context().long_accumulator("sum");
            assert_eq!((same.name(), same.value()), ("sum", 0));
            same.add(40);
            sum.add(2);
            assert_eq!(same.value(), 42);
            let add = rdd.context().long_accumulator("sum");
            rdd.foreach(move |n| add.add(n));
            assert_eq!((sum.value(), same.value()), (i64::MIN + 41, i64::MIN + 41));
            same.add(1);
            sum.reset();
            assert_eq!(same.value(), 0);
        });
    });
    job.batch("n", [i64::MAX]).run();
}

#[test]
fn a_long_list_stays_in_order() {
    const COUNT: u64 = 100_000;
    testing::batch(0..COUNT, |rdd| {
        let list = rdd.context().collection_accumulator::<(u64, String)>("list");
        let add = list.clone();
        rdd.foreach(move |n| add.add((n, format!("number {n}"))));
        let values = list.value();
        assert_eq!(values.len() as u64, COUNT);
        assert!(values.iter().zip(0..).all(|((n, text), at)| *n == at && *text == format!("number {at}")));
        list.reset();
        assert_eq!(list.value(), []);
    });
}

#[test]
fn sums_of_floats_are_added_in_order() {
    testing::batch([1e300, 1.0, -1e300, 0.5], |rdd| {
        let sum = rdd.context().double_accumulator("sum");
        let add = sum.clone();
        rdd.foreach(move |n| add.add(n));
        assert_eq!(sum.value(), 0.5);
    });
}

#[test]
#[should_panic(expected = "only a driver function can read the value of an accumulator")]
fn a_task_cannot_read_an_accumulator() {
    testing::batch([1u32], |rdd| {
        let sum = rdd.context().long_accumulator("sum");
        rdd.foreach(move |_| assert_eq!(sum.value(), 0));
    });
}

#[test]
#[should_panic(expected = "the accumulator `sum` is of another type")]
fn a_name_has_one_type() {
    testing::batch([1u32], |rdd| {
        assert_eq!(rdd.context().long_accumulator("sum").value(), 0);
        assert_eq!(rdd.context().double_accumulator("sum").value(), 0.0);
    });
}
