//! Operations that only a data set has: actions, which compute the data set and give the driver function its rows.
//!
//! All actions use one basic action, which gives all rows or the first rows of a data set. An operator does the work
//! that is possible on each partition alone. The driver function does the rest.

use crate::action;
use crate::chain::Chain;
use crate::driver::check;
use crate::flow::{Rdd, cut};
use crate::fold::FoldPartition;
use crate::graph::Code;
use crate::key::Key;
use crate::kind::Kind;
use crate::place::Partition;
use crate::record::{Column, Record, read_column};

/// Actions.
impl<T: Record, C: Chain<Out = T>> Rdd<T, C> {
    /// The first `limit` rows, or all rows if `limit` is `None`.
    fn rows(&self, limit: Option<u64>) -> Vec<T> {
        check(&self.graph);
        self.emits();
        let mut rows = Vec::new();
        for chunk in action::run(&self.graph, self.node, limit) {
            let (column, count) =
                read_column::<T>(chunk).unwrap_or_else(|error| panic!("a chunk from the host is malformed: {error}"));
            rows.extend((0..count).map(|row| column.get(row)));
        }
        // The host sends no more rows than the limit; the test harness may send more.
        rows.truncate(limit.map_or(usize::MAX, |limit| limit as usize));
        rows
    }

    /// Returns all values, in order. The values have to fit into the plugin's memory and into `limits.result_size`.
    /// Spark: `collect`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1, 2], |rdd| assert_eq!(rdd.map(|n| n * 10).collect(), [30, 10, 20]));
    /// ```
    pub fn collect(&self) -> Vec<T> {
        self.rows(None)
    }

    /// Returns the first `count` values. The whole data set is computed. Spark: `take`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1, 2], |rdd| assert_eq!(rdd.take(2), [3, 1]));
    /// ```
    pub fn take(&self, count: u64) -> Vec<T> {
        self.rows(Some(count))
    }

    /// Returns the first value; `None` if there are no values. Spark: `first`, which fails if there are no values.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1, 2], |rdd| assert_eq!(rdd.first(), Some(3)));
    /// ```
    pub fn first(&self) -> Option<T> {
        self.take(1).pop()
    }

    /// Whether the data set has no values. Spark: `isEmpty`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32], |rdd| assert!(rdd.filter(|n| *n > 3).is_empty()));
    /// ```
    #[doc(alias = "isEmpty")]
    pub fn is_empty(&self) -> bool {
        self.take(1).is_empty()
    }

    /// Counts the values. Spark: `count`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1, 2], |rdd| assert_eq!(rdd.count(), 3));
    /// ```
    pub fn count(&self) -> u64 {
        self.then(Kind::CountPartition, FoldPartition::new(None, |count: Option<u64>, _| count.unwrap_or(0) + 1))
            .collect()
            .into_iter()
            .sum()
    }

    /// Merges all values into one, in order; `None` if there are no values. `function` must be associative. Spark:
    /// `reduce`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1, 2], |rdd| assert_eq!(rdd.reduce(|a, b| a + b), Some(6)));
    /// ```
    pub fn reduce(&self, function: impl Fn(T, T) -> T + Clone + 'static) -> Option<T>
    where
        T: Clone,
    {
        let merge = function.clone();
        let add = move |first: Option<T>, value| match first {
            Some(first) => function(first, value),
            None => value,
        };
        self.then(Kind::ReducePartition, FoldPartition::new(None, add)).collect().into_iter().reduce(merge)
    }

    /// Merges the values of each partition into `zero`, then the results of the partitions into `zero`, in order.
    /// Spark: `fold`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1, 2], |rdd| assert_eq!(rdd.fold(0, |a, b| a + b), 6));
    /// ```
    pub fn fold(&self, zero: T, function: impl Fn(T, T) -> T + Clone + 'static) -> T
    where
        T: Clone,
    {
        self.aggregate(zero, function.clone(), function)
    }

    /// Adds the values of each partition to `zero` with `add`, then merges the results of the partitions into `zero`
    /// with `merge`, in order. Spark: `aggregate`.
    ///
    /// ```
    /// # use millstream::testing;
    /// // Sum and number, for a mean.
    /// testing::batch([3u32, 1, 2], |rdd| {
    ///     let sum = rdd.aggregate((0, 0u64), |(sum, count), n| (sum + n, count + 1), |a, b| (a.0 + b.0, a.1 + b.1));
    ///     assert_eq!(sum, (6, 3));
    /// });
    /// ```
    pub fn aggregate<A: Record + Clone>(
        &self,
        zero: A,
        add: impl Fn(A, T) -> A + 'static,
        merge: impl Fn(A, A) -> A,
    ) -> A {
        let start = zero.clone();
        let add = move |first: Option<A>, value| add(first.unwrap_or_else(|| start.clone()), value);
        let partitions = self.then(Kind::AggregatePartition, FoldPartition::new(Some(zero.clone()), add)).collect();
        partitions.into_iter().fold(zero, merge)
    }

    /// Returns the `count` smallest values, in ascending order. The order is that of [`Key::compare`]. Equal values
    /// keep their order. Spark: `takeOrdered`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1, 2], |rdd| assert_eq!(rdd.take_ordered(2), [1, 2]));
    /// ```
    #[doc(alias = "takeOrdered")]
    pub fn take_ordered(&self, count: usize) -> Vec<T>
    where
        T: Key,
    {
        self.first_by(count, T::compare)
    }

    /// Returns the `count` values for which `function` gives the smallest keys, ordered as
    /// [`take_ordered`](Self::take_ordered) orders values. Spark: `takeOrdered` with an ordering.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3i32, 1, -2], |rdd| assert_eq!(rdd.take_ordered_by(2, |n| n.abs()), [1, -2]));
    /// ```
    #[doc(alias = "takeOrdered")]
    pub fn take_ordered_by<R: Key>(&self, count: usize, function: impl Fn(&T) -> R + Clone + 'static) -> Vec<T> {
        self.first_by(count, move |a, b| function(a).compare(&function(b)))
    }

    /// Returns the `count` largest values, in descending order. The order is the reverse of [`Key::compare`], so NaN
    /// comes first. Equal values keep their order. Spark: `top`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1, 2], |rdd| assert_eq!(rdd.top(2), [3, 2]));
    /// ```
    pub fn top(&self, count: usize) -> Vec<T>
    where
        T: Key,
    {
        self.first_by(count, |a, b| b.compare(a))
    }

    /// Returns the `count` values for which `function` gives the largest keys, ordered as [`top`](Self::top) orders
    /// values. Spark: `top` with an ordering.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([(7u32, 0.5), (8, 1.5)], |rdd| assert_eq!(rdd.top_by(1, |(_, score)| *score), [(8, 1.5)]));
    /// ```
    #[doc(alias = "top")]
    pub fn top_by<R: Key>(&self, count: usize, function: impl Fn(&T) -> R + Clone + 'static) -> Vec<T> {
        self.first_by(count, move |a, b| function(b).compare(&function(a)))
    }

    fn first_by(&self, count: usize, compare: impl Fn(&T, &T) -> std::cmp::Ordering + Clone + 'static) -> Vec<T> {
        let first = move |values: &mut Vec<T>| {
            values.sort_by(&compare);
            values.truncate(count);
        };
        let of_partition = first.clone();
        let partitions = self.map_partitions(move |values| {
            let mut values = values.collect();
            of_partition(&mut values);
            values
        });
        let mut values = partitions.collect();
        first(&mut values);
        values
    }

    /// Counts how often each value occurs. Values come out in the order in which they first appear. Spark:
    /// `countByValue`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([7u32, 8, 7], |rdd| assert_eq!(rdd.count_by_value(), [(7, 2), (8, 1)]));
    /// ```
    #[doc(alias = "countByValue")]
    pub fn count_by_value(&self) -> Vec<(T, u64)>
    where
        T: Key,
    {
        self.map(|value| (value, 1u64)).reduce_by_key(|a, b| a + b).collect()
    }

    /// Calls `function` with each value, in the tasks. Spark: `foreach`.
    ///
    /// Each task has an instance of the plugin of its own: what `function` writes to a captured variable, such as a `Cell`,
    /// is lost with the instance. To count, use an [accumulator](crate::LongAccumulator).
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1, 2], |rdd| rdd.foreach(|n| println!("{n}")));
    /// ```
    pub fn foreach(&self, function: impl Fn(T) + 'static) {
        self.foreach_partition(move |_, values| values.for_each(&function));
    }

    /// Calls `function` with the values of each partition, in the tasks. A task may run more than once. If `function`
    /// changes an external system, name each change by [`Partition::unique_id`]. Spark: `foreachPartition`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1, 2], |rdd| {
    ///     rdd.foreach_partition(|partition, values| println!("{}: {} values", partition.unique_id(), values.len()));
    /// });
    /// ```
    #[doc(alias = "foreachPartition")]
    pub fn foreach_partition(&self, function: impl Fn(Partition, std::vec::IntoIter<T>) + 'static) {
        let effect = self.with_partition(Kind::ForeachPartition, move |partition, values| {
            function(partition, values);
            None::<bool>
        });
        effect.rows(Some(0));
    }
}

/// Actions on pairs.
impl<K: Record, V: Record, C: Chain<Out = (K, V)>> Rdd<(K, V), C> {
    /// Counts the values of each key. Keys come out in the order in which they first appear. Spark: `countByKey`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([(7u32, true), (8, true), (7, false)], |rdd| assert_eq!(rdd.count_by_key(), [(7, 2), (8, 1)]));
    /// ```
    #[doc(alias = "countByKey")]
    pub fn count_by_key(&self) -> Vec<(K, u64)>
    where
        K: Key,
    {
        self.keys().count_by_value()
    }

    /// Returns the values of one key, in order. Spark: `lookup`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([(7u32, 'a' as u32), (8, 'b' as u32)], |rdd| assert_eq!(rdd.lookup(8), ['b' as u32]));
    /// ```
    pub fn lookup(&self, key: K) -> Vec<V>
    where
        K: PartialEq,
    {
        self.filter(move |(found, _)| *found == key).values().collect()
    }
}

/// Operations that depend on the rows of other partitions, and so need an action.
impl<T: Record, C: Chain<Out = T>> Rdd<T, C> {
    /// Pairs each value with its position in the data set. This call counts the values first, which computes the data
    /// set: so call `cache` on the data set before. Spark: `zipWithIndex`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1], |rdd| assert_eq!(rdd.zip_with_index().collect(), [(3, 0), (1, 1)]));
    /// ```
    #[doc(alias = "zipWithIndex")]
    pub fn zip_with_index(&self) -> Rdd<(T, u64), impl Chain<Out = (T, u64)> + use<T, C>> {
        self.with_positions(self.partition_sizes())
    }

    /// The number of values of each partition.
    pub(crate) fn partition_sizes(&self) -> Vec<u64> {
        let count = |count: Option<u64>, _| count.unwrap_or(0) + 1;
        self.then(Kind::CountPartition, FoldPartition::new(Some(0), count)).collect()
    }

    /// Pairs each value with its position. `sizes` are the sizes of the partitions.
    pub(crate) fn with_positions(&self, sizes: Vec<u64>) -> Rdd<(T, u64), impl Chain<Out = (T, u64)> + use<T, C>> {
        self.with_partition(Kind::ZipWithIndex, move |partition, values| {
            let start: u64 = sizes.iter().take(partition.index() as usize).sum();
            values.zip(start..).collect::<Vec<_>>()
        })
    }

    /// Pairs the first value with the first value of `other`, the second with the second, and so on. This call counts the
    /// values of both data sets, which computes the data sets: so call `cache` on them before. The pairs come in one
    /// partition. Spark: `zip`, which needs partitions of equal sizes.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1, 2], |rdd| {
    ///     assert_eq!(rdd.zip(&rdd.map(|n| n * 10)).collect(), [(3, 30), (1, 10), (2, 20)]);
    /// });
    /// ```
    ///
    /// # Panics
    /// If the data sets have different numbers of values.
    #[track_caller]
    pub fn zip<U: Record, D: Chain<Out = U>>(
        &self,
        other: &Rdd<U, D>,
    ) -> Rdd<(T, U), impl Chain<Out = (T, U)> + use<T, C, U, D>> {
        let (sizes, others) = (self.partition_sizes(), other.partition_sizes());
        let (count, of_other) = (sizes.iter().sum::<u64>(), others.iter().sum::<u64>());
        assert!(
            count == of_other,
            "`zip` of data sets with {count} and {of_other} values: their numbers must be equal"
        );
        let own = self.with_positions(sizes).map(|(value, at)| (at, value));
        let others = other.with_positions(others).map(|(value, at)| (at, value));
        own.join(&others).sort_by_key(true).values()
    }

    /// Gives all pairs of a value of this data set and a value of `other`. `other` is collected, so it has to fit into
    /// the plugin's memory. Spark: `cartesian`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1], |rdd| {
    ///     assert_eq!(rdd.cartesian(&rdd).collect(), [(3, 3), (3, 1), (1, 3), (1, 1)]);
    /// });
    /// ```
    pub fn cartesian<U, D>(&self, other: &Rdd<U, D>) -> Rdd<(T, U), impl Chain<Out = (T, U)> + use<T, C, U, D>>
    where
        T: Clone,
        U: Record + Clone,
        D: Chain<Out = U>,
    {
        let others = other.collect();
        self.flat_map(move |value| others.iter().map(|other| (value.clone(), other.clone())).collect::<Vec<_>>())
    }

    /// Keeps the data set once it is computed, so that it is not computed again for each use. Spark: `cache`.
    ///
    /// ```
    /// # use millstream::testing;
    /// testing::batch([3u32, 1], |rdd| {
    ///     let squares = rdd.map(|n| n * n).cache();
    ///     assert_eq!((squares.count(), squares.collect()), (2, vec![9, 1]));
    /// });
    /// ```
    pub fn cache(&self) -> Rdd<T, crate::Cut<T>> {
        self.emits();
        let node = self.graph.add::<T>(Kind::Cache, vec![self.node], Code::default());
        cut(&self.graph, node)
    }
}
