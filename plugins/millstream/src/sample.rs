//! `sample`: values chosen at random, the same values whenever a partition is computed.

use crate::chain::Apply;
use crate::ids::NodeId;
use crate::place::partition_of;
use crate::record::Record;
use std::cell::Cell;
use std::marker::PhantomData;

/// Chooses values at random.
pub(crate) struct Sample<T> {
    node: NodeId,
    replacement: bool,
    fraction: f64,
    seed: u64,
    /// The state of the random numbers. `None` before the first value of a partition.
    state: Cell<Option<u64>>,
    kind: PhantomData<fn(T)>,
}

impl<T> Sample<T> {
    pub fn new(node: NodeId, replacement: bool, fraction: f64, seed: u64) -> Self {
        Self { node, replacement, fraction, seed, state: Cell::new(None), kind: PhantomData }
    }

    /// The next random number, at least 0 and below 1: splitmix64, by Sebastiano Vigna (public domain).
    fn next(&self) -> f64 {
        let state = self.state.get().unwrap_or_else(|| {
            let partition = partition_of(self.node);
            self.seed ^ partition.batch().as_ms().rotate_left(32) ^ u64::from(partition.index()).rotate_left(16)
        });
        let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(Some(state));
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// How many times a value occurs in the sample: a number from Poisson's distribution, by Knuth's algorithm.
    fn times(&self) -> u32 {
        let end = (-self.fraction.max(0.0)).exp();
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
        let times = if self.replacement { self.times() } else { u32::from(self.next() < self.fraction) };
        (0..times).for_each(|_| sink(value.clone()));
    }
    fn finish<S: FnMut(T)>(&self, _: &mut S) {
        self.state.set(None);
    }
}
