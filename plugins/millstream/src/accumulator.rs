//! Accumulators: values to which tasks add, and that driver functions read.
//!
//! Owns the handles of accumulators. An instance adds up by itself (`accumulator/unsent.rs`), so that an addition costs no
//! call of the host.

mod unsent;

use self::unsent::{Sum, Values};
use crate::context::StreamingContext;
use crate::load::DriverContext;
use crate::pending::Pending as _;
use crate::record::{Column, Record, fields_of, read_column};
use crate::variables::{self, AccumulatorKind, Total};
use std::fmt;
use std::rc::Rc;

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
    #[doc(alias = "longAccumulator")]
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
    #[doc(alias = "doubleAccumulator")]
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
    #[doc(alias = "collectionAccumulator")]
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
mod tests;
