//! How far a batch reads each partition, as a pure function of what is there and of the limits.

use crate::env::{Offsets, TopicPartition};
use crate::time::Duration;
use std::collections::BTreeMap;

/// The limits of a source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limits {
    /// The most records a second of all partitions together, as backpressure sets it. `None` if there is no such limit.
    pub rate: Option<u64>,
    /// The most records a second of each partition. `None` if there is no such limit.
    pub max_rate_per_partition: Option<u32>,
    /// The fewest records of a partition that a batch takes, if there are as many and a rate is limited.
    pub min_rate_per_partition: u32,
    /// The batch interval.
    pub interval: Duration,
}

impl Limits {
    /// The offset up to which a batch reads each partition that has records after its position in `positions`. The source
    /// has records up to `ends`. The limit of all partitions is divided among them by what each has left.
    pub(super) fn untils(&self, positions: &Offsets, ends: &Offsets) -> BTreeMap<TopicPartition, i64> {
        let lag = |(partition, position): (&TopicPartition, &i64)| {
            let lag = ends.get(partition)?.saturating_sub(*position);
            (lag > 0).then(|| (partition.clone(), *position, lag))
        };
        let lags: Vec<(TopicPartition, i64, i64)> = positions.iter().filter_map(lag).collect();
        let all: f64 = lags.iter().map(|(.., lag)| *lag as f64).sum();
        let until = |(partition, position, lag): (TopicPartition, i64, i64)| {
            let share = self.rate.map(|rate| rate as f64 * (lag as f64 / all));
            let taken = match (share, self.max_rate_per_partition.map(f64::from)) {
                (None, None) => lag,
                (Some(rate), None) | (None, Some(rate)) => self.records(rate).min(lag),
                (Some(share), Some(max)) => self.records(share.min(max)).min(lag),
            };
            (partition, position.saturating_add(taken))
        };
        lags.into_iter().map(until).filter(|(partition, until)| positions.get(partition) != Some(until)).collect()
    }

    /// The records of a batch at a rate.
    fn records(&self, rate: f64) -> i64 {
        ((rate * self.interval.as_secs_f64()) as i64).max(i64::from(self.min_rate_per_partition))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition { topic: "t".to_owned(), number }
    }

    fn offsets(of: &[i64]) -> Offsets {
        (0..).map(partition).zip(of.iter().copied()).collect()
    }

    fn limits(rate: Option<u64>, max: Option<u32>, min: u32) -> Limits {
        Limits { rate, max_rate_per_partition: max, min_rate_per_partition: min, interval: Duration::from_millis(500) }
    }

    #[test]
    fn a_rate_is_divided_by_what_is_left() {
        let untils = |limits: Limits| limits.untils(&offsets(&[0, 10, 5]), &offsets(&[300, 110, 5]));
        assert_eq!(untils(limits(None, None, 1)), [(partition(0), 300), (partition(1), 110)].into());
        // 100 records a second are 50 for this batch.
        assert_eq!(untils(limits(Some(100), None, 1)), [(partition(0), 37), (partition(1), 22)].into());
        assert_eq!(untils(limits(Some(100), Some(40), 1)), [(partition(0), 20), (partition(1), 22)].into());
        assert_eq!(untils(limits(None, Some(40), 1)), [(partition(0), 20), (partition(1), 30)].into());
        assert_eq!(untils(limits(Some(0), None, 3)), [(partition(0), 3), (partition(1), 13)].into());
        assert_eq!(untils(limits(Some(0), None, 0)), BTreeMap::new());
    }

    proptest! {
        /// A batch reads forward, not behind the end, and within the limits; without limits it reads everything.
        #[test]
        fn a_batch_takes_what_is_there_within_the_limits(
            lags in prop::collection::vec((0i64..1_000_000, -5i64..1_000_000), 0..6),
            rate in prop::option::of(0u64..100_000), max in prop::option::of(1u32..100_000), min in 0u32..10,
        ) {
            let positions = offsets(&lags.iter().map(|(position, _)| *position).collect::<Vec<_>>());
            let ends = offsets(&lags.iter().map(|(position, lag)| position + lag).collect::<Vec<_>>());
            let limits = limits(rate, max, min);
            let untils = limits.untils(&positions, &ends);
            let mut taken = 0;
            for (partition, until) in &untils {
                let (position, end) = (positions[partition], ends[partition]);
                prop_assert!(position < *until && *until <= end);
                if let Some(max) = max {
                    prop_assert!(until - position <= i64::from(max.div_ceil(2)).max(i64::from(min)));
                }
                taken += until - position;
            }
            if let Some(rate) = rate {
                prop_assert!(taken <= (rate / 2 + 1) as i64 + i64::from(min) * untils.len() as i64);
            }
            if rate.is_none() && max.is_none() {
                let all: i64 = lags.iter().map(|(_, lag)| (*lag).max(0)).sum();
                prop_assert_eq!(taken, all);
            }
        }
    }
}
