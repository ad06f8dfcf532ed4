//! Accumulators: values to which tasks add, and that driver functions read.
//!
//! Owns how an instance adds up, and when the instance hands a sum to the host: once for a task, so that an addition
//! costs no call of the host.

use crate::context::StreamingContext;
use crate::ends::is_chunk;
use crate::load::DriverContext;
use crate::pending::Pending;
use crate::record::{Builder, Column, Record, fields_of, read_column, write_chunk};
use crate::variables::{self, AccumulatorKind, Total, Update};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// The part of a sum that was not handed to the host yet.
struct Sum<N> {
    name: String,
    sum: Cell<N>,
    /// The number of values in the sum.
    count: Cell<u64>,
}

impl<N: Copy + Default> Sum<N> {
    /// Takes the sum and the number of values in it. `None` if there are no values.
    fn take(&self) -> Option<(N, u64)> {
        let count = self.count.take();
        (count > 0).then(|| (self.sum.take(), count))
    }

    #[inline]
    fn set(&self, sum: N) {
        self.sum.set(sum);
        self.count.set(self.count.get().wrapping_add(1));
    }
}

impl Pending for Sum<i64> {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), sum: Cell::default(), count: Cell::default() }
    }

    fn hand_over(&self) {
        if let Some((sum, count)) = self.take() {
            variables::add(&self.name, Update::Long(sum, count));
        }
    }

    fn forget(&self) {
        self.take();
    }
}

impl Pending for Sum<f64> {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), sum: Cell::default(), count: Cell::default() }
    }

    fn hand_over(&self) {
        if let Some((sum, count)) = self.take() {
            variables::add(&self.name, Update::Double(sum, count));
        }
    }

    fn forget(&self) {
        self.take();
    }
}

/// The values of a list that were not handed to the host yet.
struct Values<T: Record> {
    name: String,
    values: RefCell<(T::Builder, usize)>,
}

impl<T: Record> Values<T> {
    fn push(&self, value: T) {
        let mut values = self.values.borrow_mut();
        let (builder, count) = &mut *values;
        builder.push(value);
        *count += 1;
        let is_full = is_chunk(builder, *count);
        drop(values);
        if is_full {
            self.hand_over();
        }
    }
}

impl<T: Record> Pending for Values<T> {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), values: RefCell::default() }
    }

    fn hand_over(&self) {
        let (mut builder, count) = self.values.take();
        if count > 0 {
            variables::add(&self.name, Update::Collection(fields_of::<T>(), write_chunk(&mut builder, count)));
        }
    }

    fn forget(&self) {
        self.values.take();
    }
}

/// A sum of integers to which tasks add. Spark: `LongAccumulator`.
///
/// All handles of the same name stand for the same accumulator. See [`StreamingContext::long_accumulator`].
#[derive(Clone)]
pub struct LongAccumulator(Rc<Sum<i64>>);

impl LongAccumulator {
    /// Adds `n`. The sum wraps around at the limits of an `i64`.
    #[inline]
    pub fn add(&self, n: i64) {
        self.0.set(self.0.sum.get().wrapping_add(n));
    }

    fn total(&self) -> (i64, u64) {
        self.0.hand_over();
        match variables::value(&self.0.name, &AccumulatorKind::Long) {
            Total::Long(sum, count) => (sum, count),
            _ => (0, 0),
        }
    }

    /// Returns the sum. May be called only in a driver function.
    pub fn value(&self) -> i64 {
        self.total().0
    }

    /// Returns the sum, as [`value`](Self::value) does. May be called only in a driver function.
    pub fn sum(&self) -> i64 {
        self.value()
    }

    /// Returns how many values were added. May be called only in a driver function.
    pub fn count(&self) -> u64 {
        self.total().1
    }

    /// Returns the mean of the values that were added: the sum, divided by their number. `NaN` if there were none. May
    /// be called only in a driver function.
    pub fn avg(&self) -> f64 {
        let (sum, count) = self.total();
        sum as f64 / count as f64
    }

    /// Sets the sum and the number of values to 0. May be called only in a driver function.
    pub fn reset(&self) {
        self.0.forget();
        variables::reset(&self.0.name, &AccumulatorKind::Long);
    }

    /// The name of the accumulator.
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

/// A sum of floating-point numbers to which tasks add. Spark: `DoubleAccumulator`.
///
/// The numbers are added in a fixed order, so that the sum has the same bits each time. All handles of the same name
/// stand for the same accumulator. See [`StreamingContext::double_accumulator`].
#[derive(Clone)]
pub struct DoubleAccumulator(Rc<Sum<f64>>);

impl DoubleAccumulator {
    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: f64) {
        self.0.set(self.0.sum.get() + n);
    }

    fn total(&self) -> (f64, u64) {
        self.0.hand_over();
        match variables::value(&self.0.name, &AccumulatorKind::Double) {
            Total::Double(sum, count) => (sum, count),
            _ => (0.0, 0),
        }
    }

    /// Returns the sum. May be called only in a driver function.
    pub fn value(&self) -> f64 {
        self.total().0
    }

    /// Returns the sum, as [`value`](Self::value) does. May be called only in a driver function.
    pub fn sum(&self) -> f64 {
        self.value()
    }

    /// Returns how many values were added. May be called only in a driver function.
    pub fn count(&self) -> u64 {
        self.total().1
    }

    /// Returns the mean of the values that were added: the sum, divided by their number. `NaN` if there were none. May
    /// be called only in a driver function.
    pub fn avg(&self) -> f64 {
        let (sum, count) = self.total();
        sum / count as f64
    }

    /// Sets the sum and the number of values to 0. May be called only in a driver function.
    pub fn reset(&self) {
        self.0.forget();
        variables::reset(&self.0.name, &AccumulatorKind::Double);
    }

    /// The name of the accumulator.
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

/// A list to which tasks add values. Spark: `CollectionAccumulator`.
///
/// The values are in a fixed order: stage by stage, the values of each stage by partition, and the values of each
/// partition as its task added them. The list has at most `limits.result_size` bytes. All handles of the same name
/// stand for the same accumulator. See [`StreamingContext::collection_accumulator`].
pub struct CollectionAccumulator<T: Record>(Rc<Values<T>>);

impl<T: Record> Clone for CollectionAccumulator<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T: Record> CollectionAccumulator<T> {
    /// Appends `value`.
    #[inline]
    pub fn add(&self, value: T) {
        self.0.push(value);
    }

    /// Returns the values. May be called only in a driver function.
    pub fn value(&self) -> Vec<T> {
        self.0.hand_over();
        let Total::Collection(chunks) = variables::value(&self.0.name, &AccumulatorKind::Collection(fields_of::<T>()))
        else {
            return Vec::new();
        };
        let mut values = Vec::new();
        for chunk in chunks {
            let (column, rows) = read_column::<T>(chunk).expect("the host returns valid rows");
            values.extend((0..rows).map(|row| column.get(row)));
        }
        values
    }

    /// Removes all values. May be called only in a driver function.
    pub fn reset(&self) {
        self.0.forget();
        variables::reset(&self.0.name, &AccumulatorKind::Collection(fields_of::<T>()));
    }

    /// The name of the accumulator.
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

macro_rules! shown_by_name {
    ($($name:ident$(<$parameter:ident>)?),*) => {
        $(
            impl$(<$parameter: Record>)? fmt::Debug for $name$(<$parameter>)? {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.debug_tuple(stringify!($name)).field(&self.name()).finish()
                }
            }
        )*
    };
}

shown_by_name!(LongAccumulator, DoubleAccumulator, CollectionAccumulator<T>);

impl StreamingContext {
    /// Returns the accumulator of this name, a sum of integers that begins with 0. Spark:
    /// `SparkContext.longAccumulator`.
    ///
    /// Functions of operations add to the accumulator, in tasks. A driver function reads the sum, after an action. Each
    /// task counts once, however often it is tried: the updates of an attempt that fails are dropped. The host holds
    /// the sum for the length of a run, by its name, and shows the sum in `host status` and in events. A run that
    /// resumes from a checkpoint begins with 0 again.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| {
    ///     let bad = ctx.long_accumulator("bad lines");
    ///     let read = bad.clone();
    ///     let numbers = ctx.text_stream("lines").flat_map(move |line| {
    ///         let number = line.parse::<i64>().ok();
    ///         bad.add(i64::from(number.is_none()));
    ///         number
    ///     });
    ///     numbers.foreach_rdd(move |rdd| println!("{} numbers, {} bad lines so far", rdd.count(), read.value()));
    /// });
    /// job.batch("lines", ["1", "two", "3"]).run();
    /// ```
    pub fn long_accumulator(&self, name: &str) -> LongAccumulator {
        LongAccumulator(self.graph.accumulators.of_name(name))
    }

    /// Returns the accumulator of this name, a sum of floating-point numbers that begins with 0. Spark:
    /// `SparkContext.doubleAccumulator`. See [`long_accumulator`](Self::long_accumulator).
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| {
    ///     let total = ctx.double_accumulator("total");
    ///     ctx.stream::<f64>("prices").foreach_rdd(move |rdd| {
    ///         let add = total.clone();
    ///         rdd.foreach(move |price| add.add(price));
    ///         assert_eq!(total.value(), 1.75);
    ///     });
    /// });
    /// job.batch("prices", [1.5, 0.25]).run();
    /// ```
    pub fn double_accumulator(&self, name: &str) -> DoubleAccumulator {
        DoubleAccumulator(self.graph.accumulators.of_name(name))
    }

    /// Returns the accumulator of this name, a list that begins empty. Spark: `SparkContext.collectionAccumulator`. See
    /// [`long_accumulator`](Self::long_accumulator).
    ///
    /// ```
    /// use millstream::{Text, testing};
    /// let job = testing::Job::new(|ctx| {
    ///     let long = ctx.collection_accumulator::<Text>("long words");
    ///     ctx.text_stream("words").foreach_rdd(move |rdd| {
    ///         let add = long.clone();
    ///         rdd.foreach(move |word| if word.len() > 3 { add.add(word) });
    ///         assert_eq!(long.value(), ["question", "whether"]);
    ///         long.reset();
    ///     });
    /// });
    /// job.batch("words", ["the", "question", "whether"]).run();
    /// ```
    pub fn collection_accumulator<T: Record>(&self, name: &str) -> CollectionAccumulator<T> {
        CollectionAccumulator(self.graph.accumulators.of_name(name))
    }
}

impl DriverContext {
    /// Returns the accumulator of this name, as [`StreamingContext::long_accumulator`] does. The name makes the
    /// accumulator a singleton: all driver functions of all batches get the same one, and the first one makes it.
    ///
    /// ```
    /// use millstream::testing;
    /// let job = testing::Job::new(|ctx| {
    ///     ctx.stream::<i64>("numbers").foreach_rdd(|rdd| {
    ///         let odd = rdd.context().long_accumulator("odd numbers");
    ///         let add = odd.clone();
    ///         rdd.foreach(move |n| add.add(n % 2));
    ///         println!("{} odd numbers so far", odd.value());
    ///     });
    /// });
    /// job.batch("numbers", [1i64, 2, 3]).run();
    /// ```
    pub fn long_accumulator(&self, name: &str) -> LongAccumulator {
        LongAccumulator(self.graph.accumulators.of_name(name))
    }

    /// Returns the accumulator of this name, as [`StreamingContext::double_accumulator`] does.
    ///
    /// ```
    /// use millstream::testing;
    /// testing::batch([0.5, 1.0], |rdd| {
    ///     let sum = rdd.context().double_accumulator("sum");
    ///     let add = sum.clone();
    ///     rdd.foreach(move |n| add.add(n));
    ///     assert_eq!(sum.value(), 1.5);
    /// });
    /// ```
    pub fn double_accumulator(&self, name: &str) -> DoubleAccumulator {
        DoubleAccumulator(self.graph.accumulators.of_name(name))
    }

    /// Returns the accumulator of this name, as [`StreamingContext::collection_accumulator`] does.
    ///
    /// ```
    /// use millstream::testing;
    /// testing::batch([1u32, 12, 7], |rdd| {
    ///     let large = rdd.context().collection_accumulator::<u32>("large");
    ///     let add = large.clone();
    ///     rdd.foreach(move |n| if n > 5 { add.add(n) });
    ///     assert_eq!(large.value(), [12, 7]);
    /// });
    /// ```
    pub fn collection_accumulator<T: Record>(&self, name: &str) -> CollectionAccumulator<T> {
        CollectionAccumulator(self.graph.accumulators.of_name(name))
    }
}

#[cfg(test)]
mod tests {
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
}
