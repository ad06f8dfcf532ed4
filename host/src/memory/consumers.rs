//! The pool of a budget, which also knows who has reserved how much.
//!
//! Owns the names of consumers. The policy is that of DataFusion's pool. Never refuses what that pool allows.

use crate::lock::lock;
use datafusion_common::Result;
use datafusion_execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

/// The most names that are told apart. All further ones count together.
const NAMES_MAX: usize = 64;
/// The name of all further consumers.
const OTHERS: &str = "others";

/// A pool that counts by consumer.
#[derive(Debug)]
pub(super) struct CountedPool {
    pool: FairSpillPool,
    /// The reserved bytes, by the name of the consumer.
    taken: Mutex<BTreeMap<String, usize>>,
}

/// The name under which a consumer is counted: DataFusion adds the partition and details to it, as in
/// `ExternalSorter[3]`.
fn name_of(reservation: &MemoryReservation) -> &str {
    let name = reservation.consumer().name();
    name.split(['[', '(']).next().unwrap_or(name).trim_end()
}

impl CountedPool {
    pub(super) fn new(bytes: usize) -> Self {
        Self { pool: FairSpillPool::new(bytes), taken: Mutex::default() }
    }

    /// The reserved bytes of all consumers that have ever reserved any, by name.
    pub(super) fn taken(&self) -> BTreeMap<String, usize> {
        lock(&self.taken).clone()
    }

    fn count(&self, reservation: &MemoryReservation, change: impl Fn(usize) -> usize) {
        let mut taken = lock(&self.taken);
        let name = name_of(reservation);
        let name = if taken.len() < NAMES_MAX || taken.contains_key(name) { name } else { OTHERS };
        match taken.get_mut(name) {
            Some(bytes) => *bytes = change(*bytes),
            None => _ = taken.insert(name.to_owned(), change(0)),
        }
    }
}

impl MemoryPool for CountedPool {
    fn name(&self) -> &str {
        self.pool.name()
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.pool.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.pool.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.pool.grow(reservation, additional);
        self.count(reservation, |bytes| bytes.saturating_add(additional));
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.pool.shrink(reservation, shrink);
        self.count(reservation, |bytes| bytes.saturating_sub(shrink));
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.pool.try_grow(reservation, additional)?;
        self.count(reservation, |bytes| bytes.saturating_add(additional));
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.pool.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.pool.memory_limit()
    }
}

impl fmt::Display for CountedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pool.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn reservation(pool: &Arc<CountedPool>, name: &str) -> MemoryReservation {
        let pool: Arc<dyn MemoryPool> = pool.clone();
        MemoryConsumer::new(name).register(&pool)
    }

    #[test]
    fn details_of_a_name_are_left_out() {
        let pool = Arc::new(CountedPool::new(1000));
        let sorters = [reservation(&pool, "ExternalSorter[0]"), reservation(&pool, "ExternalSorter[1]")];
        sorters.iter().for_each(|one| one.grow(10));
        let groups = reservation(&pool, "GroupedHashAggregateStream[7] (count(1))");
        groups.grow(5);
        let expected = [("ExternalSorter".to_owned(), 20), ("GroupedHashAggregateStream".to_owned(), 5)];
        assert_eq!(pool.taken(), BTreeMap::from(expected));
        drop(sorters);
        assert_eq!(pool.taken().get("ExternalSorter"), Some(&0));
    }

    #[test]
    fn the_number_of_names_is_bounded() {
        let pool = Arc::new(CountedPool::new(10_000));
        let all: Vec<_> = (0..200).map(|number| reservation(&pool, &format!("consumer {number}"))).collect();
        all.iter().for_each(|one| one.grow(1));
        assert_eq!(pool.taken().len(), NAMES_MAX + 1);
        assert_eq!(pool.taken().get(OTHERS), Some(&(200 - NAMES_MAX)));
    }

    proptest! {
        /// Whatever is reserved and released: the sum over all consumers is what the pool has reserved.
        #[test]
        fn the_consumers_add_up(steps in prop::collection::vec((0usize..6, any::<bool>(), 0usize..400), 0..60)) {
            let pool = Arc::new(CountedPool::new(1000));
            let all: Vec<_> = (0..6).map(|number| reservation(&pool, &format!("c{}[{number}]", number % 3))).collect();
            for (number, grows, bytes) in steps {
                match grows {
                    true => _ = all[number].try_grow(bytes),
                    false => all[number].shrink(bytes.min(all[number].size())),
                }
                prop_assert_eq!(pool.taken().values().sum::<usize>(), pool.reserved());
            }
        }
    }
}
