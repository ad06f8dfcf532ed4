//! Numbers of a data set as a whole: the largest, the smallest, the sum, the mean, and all of them at once.
//!
//! Owns [`Number`] and [`Stats`]. The operations are made of `map` and `reduce`.

use crate::chain::{Chain, Cut};
use crate::flow::{DStream, Rdd};
use crate::key::Key;
use crate::record::Record;
use std::fmt;

/// A number that can be added up: an integer or a float.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no number",
    label = "not a number",
    note = "take the number out of each value first, as in `.map(|line| line.bytes).sum()`"
)]
pub trait Number: Record + Copy {
    /// The number zero.
    const ZERO: Self;
    /// The sum of two numbers. A sum of integers that does not fit panics, unless the plugin is built without
    /// `overflow-checks`.
    #[must_use]
    fn plus(self, other: Self) -> Self;
    /// The nearest `f64`.
    fn to_f64(self) -> f64;
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Number for $type {
            const ZERO: Self = 0 as Self;
            #[inline]
            fn plus(self, other: Self) -> Self {
                self + other
            }
            #[inline]
            fn to_f64(self) -> f64 {
                self as f64
            }
        }
    )*};
}

numbers!(i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);

/// How many numbers there are, their mean, how far they are spread, the smallest and the largest. Spark: `StatCounter`.
///
/// ```
/// use millstream::testing;
/// testing::batch([1u32, 2, 3, 6], |rdd| {
///     let stats = rdd.stats();
///     assert_eq!((stats.count, stats.mean, stats.sum(), stats.min, stats.max), (4, 3.0, 12.0, 1.0, 6.0));
///     assert_eq!((stats.variance(), stats.stdev()), (3.5, 3.5f64.sqrt()));
///     assert_eq!(stats.to_string(), "(count: 4, mean: 3, stdev: 1.8708286933869707, max: 6, min: 1)");
/// });
/// ```
#[derive(crate::Record, Clone, Copy, Debug, PartialEq)]
#[doc(alias = "StatCounter")]
pub struct Stats {
    /// How many numbers there are.
    pub count: u64,
    /// The mean. NaN if there are no numbers.
    pub mean: f64,
    /// The sum of the squares of the distances to the mean.
    pub squares: f64,
    /// The smallest number. NaN only if all numbers are NaN, and infinity if there are no numbers.
    pub min: f64,
    /// The largest number. NaN only if all numbers are NaN, and negative infinity if there are no numbers.
    pub max: f64,
}

/// The statistics of no numbers.
impl Default for Stats {
    fn default() -> Self {
        Self { count: 0, mean: f64::NAN, squares: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

impl Stats {
    /// The statistics of one number.
    pub fn of(number: impl Number) -> Self {
        let number = number.to_f64();
        Self { count: 1, mean: number, squares: 0.0, min: number, max: number }
    }

    /// The statistics of the numbers of both, by the method of Chan, Golub and LeVeque. Spark: `merge`.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        if self.count == 0 {
            return other;
        }
        if other.count == 0 {
            return self;
        }
        let count = self.count + other.count;
        let (own, others, all) = (self.count as f64, other.count as f64, count as f64);
        let distance = other.mean - self.mean;
        Self {
            count,
            mean: (self.mean * own + other.mean * others) / all,
            squares: self.squares + other.squares + distance * distance * own * others / all,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }

    /// The sum of the numbers. Spark: `sum`.
    pub fn sum(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.mean * self.count as f64 }
    }

    /// The variance of the numbers. NaN if there are none. Spark: `variance`, `popVariance`.
    #[doc(alias = "popVariance")]
    pub fn variance(&self) -> f64 {
        self.squares / self.count as f64
    }

    /// The standard deviation of the numbers. NaN if there are none. Spark: `stdev`, `popStdev`.
    #[doc(alias = "popStdev")]
    pub fn stdev(&self) -> f64 {
        self.variance().sqrt()
    }

    /// The variance of all values from which these numbers are a sample. NaN if there are fewer than two. Spark:
    /// `sampleVariance`.
    #[doc(alias = "sampleVariance")]
    pub fn sample_variance(&self) -> f64 {
        if self.count < 2 { f64::NAN } else { self.squares / (self.count - 1) as f64 }
    }

    /// The standard deviation of all values from which these numbers are a sample. NaN if there are fewer than two.
    /// Spark: `sampleStdev`.
    #[doc(alias = "sampleStdev")]
    pub fn sample_stdev(&self) -> f64 {
        self.sample_variance().sqrt()
    }
}

/// Shows the statistics as Spark does.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, mean, min, max, .. } = self;
        write!(f, "(count: {count}, mean: {mean}, stdev: {}, max: {max}, min: {min})", self.stdev())
    }
}

/// The larger of two values, the first of equal ones.
fn larger<T: Key>(a: T, b: T) -> T {
    if b.compare(&a).is_gt() { b } else { a }
}

/// The smaller of two values, the first of equal ones.
fn smaller<T: Key>(a: T, b: T) -> T {
    if b.compare(&a).is_lt() { b } else { a }
}

/// One value for each batch. A batch without values gives none.
impl<T: Record, C: Chain<Out = T>> DStream<T, C> {
    /// Gives the largest value of each batch, in the order of [`Key::compare`], in which NaN is larger than all other
    /// values. An empty batch gives no value. Spark: `max`.
    ///
    /// ```
    /// use millstream::testing;
    /// assert_eq!(testing::run(vec![vec![3u32, 1, 7], vec![]], |numbers| numbers.max()), [vec![7], vec![]]);
    /// ```
    pub fn max(&self) -> DStream<T, Cut<T>>
    where
        T: Key,
    {
        self.reduce(larger)
    }

    /// Gives the smallest value of each batch, in the order of [`Key::compare`]. An empty batch gives no value. Spark:
    /// `min`.
    ///
    /// ```
    /// use millstream::testing;
    /// assert_eq!(testing::run(vec![vec![3u32, 1, 7], vec![]], |numbers| numbers.min()), [vec![1], vec![]]);
    /// ```
    pub fn min(&self) -> DStream<T, Cut<T>>
    where
        T: Key,
    {
        self.reduce(smaller)
    }

    /// Adds up the numbers of each batch. An empty batch gives no value. Spark: `sum`.
    ///
    /// ```
    /// use millstream::testing;
    /// assert_eq!(testing::run(vec![vec![3u32, 1, 7], vec![]], |numbers| numbers.sum()), [vec![11], vec![]]);
    /// ```
    pub fn sum(&self) -> DStream<T, Cut<T>>
    where
        T: Number,
    {
        self.reduce(T::plus)
    }

    /// Gives the mean of the numbers of each batch. An empty batch gives no value. Spark: `mean`.
    ///
    /// ```
    /// use millstream::testing;
    /// assert_eq!(testing::run(vec![vec![3u32, 1, 8], vec![]], |numbers| numbers.mean()), [vec![4.0], vec![]]);
    /// ```
    pub fn mean(&self) -> DStream<f64, impl Chain<Out = f64> + use<T, C>>
    where
        T: Number,
    {
        let sums = self.map(|number| (number.to_f64(), 1u64)).reduce(|a, b| (a.0 + b.0, a.1 + b.1));
        sums.map(|(sum, count)| sum / count as f64)
    }

    /// Gives the statistics of the numbers of each batch. An empty batch gives no value. Spark: `stats`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![3u32, 1, 8]], |numbers| numbers.stats().map(|stats| (stats.count, stats.max)));
    /// assert_eq!(out, [vec![(3, 8.0)]]);
    /// ```
    pub fn stats(&self) -> DStream<Stats, Cut<Stats>>
    where
        T: Number,
    {
        self.map(Stats::of).reduce(Stats::merge)
    }
}

/// Actions.
impl<T: Record, C: Chain<Out = T>> Rdd<T, C> {
    /// Returns the smallest value, in the order of [`Key::compare`]; `None` if there are no values. If several values
    /// are smallest, returns the first of them. Spark: `min`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([2.5, f64::NAN, -1.0], |rdd| assert_eq!(rdd.min(), Some(-1.0)));
    /// ```
    pub fn min(&self) -> Option<T>
    where
        T: Key + Clone,
    {
        self.reduce(smaller)
    }

    /// Returns the largest value, in the order of [`Key::compare`]; `None` if there are no values. In this order NaN is
    /// larger than all other values. If several values are largest, returns the first of them. Spark: `max`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1, 2], |rdd| assert_eq!(rdd.max(), Some(3)));
    /// ```
    pub fn max(&self) -> Option<T>
    where
        T: Key + Clone,
    {
        self.reduce(larger)
    }

    /// Returns the sum of the numbers; zero if there are none. Spark: `sum`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1, 2], |rdd| assert_eq!(rdd.sum(), 6));
    /// ```
    pub fn sum(&self) -> T
    where
        T: Number,
    {
        self.fold(T::ZERO, T::plus)
    }

    /// Returns the mean of the numbers; `None` if there are none. Spark: `mean`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1, 2], |rdd| assert_eq!(rdd.mean(), Some(2.0)));
    /// ```
    pub fn mean(&self) -> Option<f64>
    where
        T: Number,
    {
        let add = |(sum, count), number: T| (sum + number.to_f64(), count + 1);
        let (sum, count) = self.aggregate((0.0, 0u64), add, |a, b| (a.0 + b.0, a.1 + b.1));
        (count > 0).then(|| sum / count as f64)
    }

    /// Returns the statistics of the numbers. Spark: `stats`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1, 2], |rdd| assert_eq!(rdd.stats().stdev(), (2.0f64 / 3.0).sqrt()));
    /// ```
    pub fn stats(&self) -> Stats
    where
        T: Number,
    {
        self.aggregate(Stats::default(), |stats, number| stats.merge(Stats::of(number)), Stats::merge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However numbers are divided and merged, the statistics are those of the whole list.
        #[test]
        fn merged_statistics_are_those_of_the_whole(numbers in prop::collection::vec(-1000i32..1000, 0..40), cut in 0usize..40) {
            let of = |numbers: &[i32]| {
                numbers.iter().fold(Stats::default(), |stats, number| stats.merge(Stats::of(*number)))
            };
            let (first, second) = numbers.split_at(cut.min(numbers.len()));
            let merged = of(first).merge(of(second));
            prop_assert_eq!(merged.count, numbers.len() as u64);
            if numbers.is_empty() {
                prop_assert_eq!((merged.sum(), merged.mean.is_nan()), (0.0, true));
                return Ok(());
            }
            let count = numbers.len() as f64;
            let mean = numbers.iter().copied().map(f64::from).sum::<f64>() / count;
            let variance = numbers.iter().map(|n| (f64::from(*n) - mean).powi(2)).sum::<f64>() / count;
            prop_assert!((merged.mean - mean).abs() < 1e-6 && (merged.variance() - variance).abs() < 1e-3);
            prop_assert_eq!(Some(merged.max), numbers.iter().max().map(|n| f64::from(*n)));
            prop_assert_eq!(Some(merged.min), numbers.iter().min().map(|n| f64::from(*n)));
        }
    }
}
