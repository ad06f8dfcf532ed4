//! Values chosen at random: `sample`, `random_split` and `take_sample`.
//!
//! Owns the random numbers. They follow from the seed, the batch and the partition, so that the same values are chosen
//! whenever a partition is computed.

use crate::chain::{Apply, Chain};
use crate::flow::{Flow, Rdd};
use crate::ids::NodeId;
use crate::kind::Kind;
use crate::place::partition_of;
use crate::record::Record;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::Range;

/// Random numbers: splitmix64, by Sebastiano Vigna (public domain).
#[derive(Clone, Copy)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number that is at least 0 and below 1.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number below `end`, which is not zero.
    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}

/// How often a value is chosen.
enum Choice {
    /// Once, if its random number lies in the range.
    Once(Range<f64>),
    /// This many times on average.
    Times(f64),
}

/// Chooses values at random.
pub(crate) struct Sample<T> {
    node: NodeId,
    choice: Choice,
    seed: u64,
    /// The random numbers of the partition. `None` before its first value.
    random: Cell<Option<Random>>,
    kind: PhantomData<fn(T)>,
}

impl<T> Sample<T> {
    fn new(node: NodeId, choice: Choice, seed: u64) -> Self {
        Self { node, choice, seed, random: Cell::new(None), kind: PhantomData }
    }

    /// The next random number, at least 0 and below 1.
    fn next(&self) -> f64 {
        let mut random = self.random.get().unwrap_or_else(|| {
            let partition = partition_of(self.node);
            let place = partition.batch().as_ms().rotate_left(32) ^ u64::from(partition.index()).rotate_left(16);
            Random(self.seed ^ place)
        });
        let fraction = random.fraction();
        self.random.set(Some(random));
        fraction
    }

    /// How many times a value occurs in the sample: a number from Poisson's distribution, by Knuth's algorithm.
    fn times(&self, mean: f64) -> u32 {
        let end = (-mean.max(0.0)).exp();
        let (mut times, mut product) = (0, self.next());
        while product > end {
            times += 1;
            product *= self.next();
        }
        times
    }
}

impl<T: Record + Clone> Apply for Sample<T> {
    type In = T;
    type Out = T;
    fn apply<S: FnMut(T)>(&self, value: T, sink: &mut S) {
        match &self.choice {
            Choice::Once(range) => {
                if range.contains(&self.next()) {
                    sink(value);
                }
            }
            Choice::Times(mean) => (0..self.times(*mean)).for_each(|_| sink(value.clone())),
        }
    }
    fn finish<S: FnMut(T)>(&self, _: &mut S) {
        self.random.set(None);
    }
}

impl<T: Record, C: Chain<Out = T>, K> Flow<T, C, K> {
    /// Chooses some of the values at random. Without `replacement`, each value is kept with the probability `fraction`.
    /// With `replacement`, each value occurs `fraction` times on average. The same `seed` chooses the same values.
    /// Spark: `sample`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![(0..1000u32).collect()], |numbers| numbers.sample(false, 0.1, 7));
    /// assert!((50..150).contains(&out[0].len()));
    /// ```
    pub fn sample(&self, replacement: bool, fraction: f64, seed: u64) -> Flow<T, impl Chain<Out = T> + use<T, C, K>, K>
    where
        T: Clone,
    {
        let choice = if replacement { Choice::Times(fraction) } else { Choice::Once(0.0..fraction) };
        self.then_at(Kind::Sample, |node| Sample::new(node, choice, seed))
    }

    /// Divides the values at random into as many parts as there are `weights`. Each value is in exactly one part, and the
    /// sizes of the parts are about in proportion to their weights. The same `seed` divides the same values in the same
    /// way. Spark: `randomSplit`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![(0..1000u32).collect()], |numbers| {
    ///     let [small, large] = numbers.random_split([1.0, 9.0], 7);
    ///     small.count().union(&large.count())
    /// });
    /// assert!((50..150).contains(&out[0][0]) && out[0][0] + out[0][1] == 1000);
    /// ```
    #[doc(alias = "randomSplit")]
    pub fn random_split<const N: usize>(
        &self,
        weights: [f64; N],
        seed: u64,
    ) -> [Flow<T, impl Chain<Out = T> + use<T, C, K, N>, K>; N]
    where
        T: Clone,
    {
        let sum: f64 = weights.iter().sum();
        if weights.iter().any(|weight| *weight < 0.0) || !(sum > 0.0 && sum.is_finite()) {
            self.graph.invalid(format!(
                "random_split({weights:?}, ..) needs finite weights that are not negative and not all zero"
            ));
        }
        // The last part ends at 1, whatever the sums are rounded to.
        let last = weights.iter().rposition(|weight| *weight > 0.0);
        let mut from = 0.0;
        std::array::from_fn(|at| {
            let to = match last {
                Some(last) if at >= last => 1.0,
                _ => from + weights[at] / sum,
            };
            let choice = Choice::Once(from..to);
            from = to;
            self.then_at(Kind::Sample, |node| Sample::new(node, choice, seed))
        })
    }
}

/// The positions of `count` values that are chosen at random from `all`, in the order of the choice.
fn positions(replacement: bool, count: u64, all: u64, seed: u64) -> Vec<u64> {
    let mut random = Random(seed);
    if all == 0 {
        return Vec::new();
    }
    if replacement {
        return (0..count).map(|_| random.below(all)).collect();
    }
    // The first steps of a shuffle of all positions. Only the positions that have moved are kept.
    let mut moved: BTreeMap<u64, u64> = BTreeMap::new();
    let choose = |at: u64| {
        let from = at + random.below(all - at);
        let (chosen, here) = (moved.get(&from).copied().unwrap_or(from), moved.get(&at).copied().unwrap_or(at));
        moved.insert(from, here);
        chosen
    };
    (0..count.min(all)).map(choose).collect()
}

impl<T: Record, C: Chain<Out = T>> Rdd<T, C> {
    /// Returns `count` values that are chosen at random, in random order. Without `replacement`, each value is chosen at
    /// most once, and there are fewer than `count` values if the data set has fewer. The same `seed` chooses the same
    /// values. The data set is computed twice, so call `cache` on it before. Spark: `takeSample`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch(0..1000u32, |rdd| {
    ///     let sample = rdd.take_sample(false, 3, 7);
    ///     assert_eq!((sample.len(), sample), (3, rdd.take_sample(false, 3, 7)));
    ///     assert_eq!(rdd.take_sample(false, 2000, 7).len(), 1000);
    ///     assert_eq!(rdd.take_sample(true, 2000, 7).len(), 2000);
    /// });
    /// ```
    #[doc(alias = "takeSample")]
    pub fn take_sample(&self, replacement: bool, count: usize, seed: u64) -> Vec<T>
    where
        T: Clone,
    {
        let sizes = self.partition_sizes();
        let positions = positions(replacement, count as u64, sizes.iter().sum(), seed);
        let mut wanted = positions.clone();
        wanted.sort_unstable();
        wanted.dedup();
        let chosen = self.with_positions(sizes).filter(move |(_, at)| wanted.binary_search(at).is_ok()).collect();
        let chosen: BTreeMap<u64, T> = chosen.into_iter().map(|(value, at)| (at, value)).collect();
        positions.iter().filter_map(|at| chosen.get(at).cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn chosen_positions_exist_and_differ(count in 0u64..40, all in 0u64..30, seed: u64, replacement: bool) {
            let chosen = positions(replacement, count, all, seed);
            prop_assert!(chosen.iter().all(|at| *at < all));
            let expected = match replacement {
                true if all > 0 => count,
                _ => count.min(all),
            };
            prop_assert_eq!(chosen.len() as u64, expected);
            if !replacement {
                prop_assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), chosen.len());
            }
        }

        #[test]
        fn each_value_is_in_one_part(weights: [u8; 3], seed: u64) {
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let weights = weights.map(f64::from);
            let parts = crate::testing::run(vec![(0..100u32).collect()], |numbers| {
                let [a, b, c] = numbers.random_split(weights, seed);
                a.map(|n| (n, 0u8)).union(&b.map(|n| (n, 1))).union(&c.map(|n| (n, 2)))
            });
            let mut numbers: Vec<u32> = parts[0].iter().map(|(n, _)| *n).collect();
            numbers.sort_unstable();
            prop_assert_eq!(numbers, (0..100).collect::<Vec<_>>());
            prop_assert!(parts[0].iter().all(|(_, part)| weights[usize::from(*part)] > 0.0));
        }
    }
}
