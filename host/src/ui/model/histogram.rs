//! How spans of time are distributed: the number of spans in each of a few ranges.
//!
//! Owns the bounds of the ranges. Never keeps the spans themselves.

use serde::{Deserialize, Serialize};

/// The upper bounds of the ranges but the last, in microseconds. The last range has no upper bound.
pub(in crate::ui) const BOUNDS_US: [u64; 20] = [
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    1_800_000_000,
];

/// The number of ranges.
const RANGES: usize = BOUNDS_US.len() + 1;

/// Spans, by range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::ui) struct Histogram {
    counts: [u32; RANGES],
}

impl Histogram {
    /// Counts a span.
    pub(in crate::ui) fn add(&mut self, us: u64) {
        let range = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(count) = self.counts.get_mut(range) {
            *count = count.saturating_add(1);
        }
    }

    /// Counts all spans of another histogram.
    pub(in crate::ui) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
    }

    /// The number of spans in each range, in the order of the ranges.
    pub(in crate::ui) fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// The number of all spans.
    pub(in crate::ui) fn count(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// A span that is at least as long as this share of all spans: the upper bound of its range, in microseconds. `None`
    /// without spans, and if the span is longer than all bounds.
    pub(in crate::ui) fn quantile_us(&self, share: f64) -> Option<u64> {
        let wanted = (self.count() as f64 * share).ceil().max(1.0);
        let mut seen = 0.0;
        let range = self.counts.iter().position(|count| {
            seen += f64::from(*count);
            seen >= wanted
        })?;
        BOUNDS_US.get(range).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_span_belongs_to_the_first_range_that_holds_it() {
        let mut histogram = Histogram::default();
        [0, 100, 101, 1_800_000_000, 1_800_000_001].iter().for_each(|us| histogram.add(*us));
        assert_eq!((histogram.counts()[0], histogram.counts()[1]), (2, 1));
        assert_eq!((histogram.counts()[19], histogram.counts()[20]), (1, 1));
        assert_eq!(histogram.quantile_us(0.5), Some(200));
        assert_eq!((histogram.quantile_us(1.0), Histogram::default().quantile_us(0.5)), (None, None));
    }

    proptest! {
        /// A quantile is the smallest bound that at least its share of the spans do not exceed.
        #[test]
        fn quantiles_are_bounds_of_the_sorted_spans(mut spans in prop::collection::vec(0u64..1_000_000_000, 1..80), share in 0.01f64..1.0) {
            let mut histogram = Histogram::default();
            spans.iter().for_each(|us| histogram.add(*us));
            spans.sort_unstable();
            let at = ((spans.len() as f64 * share).ceil() as usize).clamp(1, spans.len()) - 1;
            let expected = BOUNDS_US.iter().copied().find(|bound| *bound >= spans[at]);
            prop_assert_eq!(histogram.quantile_us(share), expected);
            prop_assert_eq!(histogram.count(), spans.len() as u64);
        }
    }
}
