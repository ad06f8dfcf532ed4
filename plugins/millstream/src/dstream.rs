//! [`DStream`]: a series of data sets, one for each batch interval, and its operations. Most of these operations exist
//! for a single data set, [`Rdd`], too.
//!
//! Operations on pairs are in `pair.rs`, operations of data sets alone in `rdd.rs`, outputs in `output.rs`, driver
//! functions in `driver.rs`. Nothing is computed here: each call adds a node to the graph.

use crate::aggregate::{Aggregate, Count, CountByValue, Distinct, Reduce};
use crate::chain::{Chain, Cut, Filter, FlatMap, Map, MapPartitions, Then, Union};
use crate::flow::{DStream, Flow, cut};
use crate::graph::{Code, Value};
use crate::key::Key;
use crate::kind::Kind;
use crate::record::{IfRecord, Record};
use crate::runtime;
use std::marker::PhantomData;
use std::time::Duration;

/// Operations that streams and data sets both have.
impl<T: Record, C: Chain<Out = T>, K> Flow<T, C, K> {
    /// Passes each value through `function`. Spark: `map`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![1i64, 2], vec![3]], |numbers| numbers.map(|n| n * 10));
    /// assert_eq!(out, [vec![10, 20], vec![30]]);
    /// ```
    #[expect(clippy::type_complexity, reason = "the type of a fused chain names all its operators")]
    pub fn map<R: Record, F: Fn(T) -> R + 'static>(
        &self,
        function: F,
    ) -> IfRecord<R, Flow<R, Then<C, Map<F, T, R>>, K>> {
        self.then(Kind::Map, Map::new(function))
    }

    /// Replaces each value by the values that `function` gives for it. There may be none, one or many. Spark:
    /// `flatMap`.
    ///
    /// ```
    /// use millstream::{Text, testing};
    /// let lines = vec![vec![Text::from("to be"), Text::from("")]];
    /// let out = testing::run(lines, |lines| lines.flat_map(|line| line.split_whitespace()));
    /// assert_eq!(out, [vec!["to", "be"]]);
    /// ```
    #[doc(alias = "flatMap")]
    #[expect(clippy::type_complexity, reason = "the type of a fused chain names all its operators")]
    pub fn flat_map<R, F>(&self, function: F) -> IfRecord<R::Item, Flow<R::Item, Then<C, FlatMap<F, T, R>>, K>>
    where
        R: IntoIterator<Item: Record> + 'static,
        F: Fn(T) -> R + 'static,
    {
        self.then(Kind::FlatMap, FlatMap::new(function))
    }

    /// Keeps the values for which `function` returns true. Spark: `filter`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![1u32, 2, 3]], |numbers| numbers.filter(|n| n % 2 == 1));
    /// assert_eq!(out, [vec![1, 3]]);
    /// ```
    pub fn filter<F: Fn(&T) -> bool + 'static>(&self, function: F) -> Flow<T, Then<C, Filter<F, T>>, K> {
        self.then(Kind::Filter, Filter::new(function))
    }

    /// Passes each value through `function`, and keeps what is `Some`. Spark: `flatMap` with an option.
    ///
    /// ```
    /// use millstream::{Text, testing};
    /// let out = testing::run(vec![vec!["1", "x", "3"]], |lines| lines.filter_map(|line| line.parse::<u32>().ok()));
    /// assert_eq!(out, [vec![1, 3]]);
    /// ```
    #[doc(alias = "flatMap")]
    #[expect(clippy::type_complexity, reason = "the type of a fused chain names all its operators")]
    pub fn filter_map<R, F>(&self, function: F) -> IfRecord<R, Flow<R, Then<C, FlatMap<F, T, Option<R>>>, K>>
    where
        R: Record,
        F: Fn(T) -> Option<R> + 'static,
    {
        self.then(Kind::FlatMap, FlatMap::new(function))
    }

    /// Calls `function` with each value, and gives the same values: for log lines while a program is being written. A task
    /// that runs again calls `function` again.
    ///
    /// ```
    /// use millstream::{Level, log, testing};
    /// let out = testing::run(vec![vec![1u32, 2]], |numbers| {
    ///     numbers.inspect(|n| log(Level::Debug, &format!("number {n}"))).map(|n| n * 2)
    /// });
    /// assert_eq!(out, [vec![2, 4]]);
    /// ```
    pub fn inspect<F: Fn(&T) + 'static>(&self, function: F) -> Flow<T, impl Chain<Out = T> + use<T, C, K, F>, K> {
        self.map(move |value| {
            function(&value);
            value
        })
    }

    /// Passes all values of a partition through `function` at once. The function is called once for each partition,
    /// also for an empty one. The values of a partition have to fit into the plugin's memory. Spark: `mapPartitions`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![3u32, 1, 2]], |numbers| numbers.map_partitions(|values| values.max()));
    /// assert_eq!(out, [vec![3]]);
    /// ```
    #[doc(alias = "mapPartitions")]
    #[expect(clippy::type_complexity, reason = "the type of a fused chain names all its operators")]
    pub fn map_partitions<R, F>(
        &self,
        function: F,
    ) -> IfRecord<R::Item, Flow<R::Item, Then<C, MapPartitions<F, T, R>>, K>>
    where
        R: IntoIterator<Item: Record> + 'static,
        F: Fn(std::vec::IntoIter<T>) -> R + 'static,
    {
        self.then(Kind::MapPartitions, MapPartitions::new(function))
    }

    /// As [`map_partitions`](Self::map_partitions), but the function also gets the index of the partition. Spark:
    /// `mapPartitionsWithIndex`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![3u32, 1]], |numbers| {
    ///     numbers.map_partitions_with_index(|index, values| values.map(move |n| (index, n)).collect::<Vec<_>>())
    /// });
    /// assert_eq!(out, [vec![(0, 3), (0, 1)]]);
    /// ```
    #[doc(alias = "mapPartitionsWithIndex")]
    pub fn map_partitions_with_index<R, F>(
        &self,
        function: F,
    ) -> Flow<R::Item, impl Chain<Out = R::Item> + use<T, C, K, R, F>, K>
    where
        R: IntoIterator<Item: Record> + 'static,
        F: Fn(u32, std::vec::IntoIter<T>) -> R + 'static,
    {
        self.with_partition(Kind::MapPartitionsWithIndex, move |partition, values| function(partition.index(), values))
    }

    /// Makes one list of all values of each partition. Spark: `glom`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![3u32, 1, 2]], |numbers| numbers.glom());
    /// assert_eq!(out, [vec![vec![3, 1, 2]]]);
    /// ```
    pub fn glom(&self) -> Flow<Vec<T>, impl Chain<Out = Vec<T>> + use<T, C, K>, K> {
        self.then(Kind::Glom, MapPartitions::new(|values: std::vec::IntoIter<T>| Some(values.collect::<Vec<T>>())))
    }

    /// Gives the values of both streams: first the values of this stream, then the values of `other`. Spark: `union`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![1u32, 2]], |numbers| numbers.union(&numbers.map(|n| n * 10)));
    /// assert_eq!(out, [vec![1, 2, 10, 20]]);
    /// ```
    pub fn union<D: Chain<Out = T>>(&self, other: &Flow<T, D, K>) -> Flow<T, Union<C, D>, K> {
        let node = self.graph.add::<T>(Kind::Union, vec![self.node, other.node], Code::default());
        let chain = Union { first: self.chain.clone(), second: other.chain.clone() };
        Flow::new(&self.graph, node, chain)
    }

    /// Gives the same values in `partitions` partitions, dealt out in turn. This costs a shuffle. Spark: `repartition`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![1u32, 2, 3]], |numbers| numbers.repartition(2));
    /// assert_eq!(out, [vec![1, 2, 3]]);
    /// ```
    pub fn repartition(&self, partitions: u32) -> Flow<T, Cut<T>, K> {
        self.emits();
        let node = self.graph.add::<T>(Kind::Repartition, vec![self.node], Code::default());
        let parameter = ("partitions", Value::Integer(i64::from(partitions)));
        self.graph.change(node, |node| {
            node.exchanged = Some(node.rows.clone());
            node.parameters.push(parameter);
        });
        cut(&self.graph, node)
    }

    /// Gives the same values in at most `partitions` partitions. Neighbouring partitions are put together, without a
    /// shuffle. Spark: `coalesce`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![1u32, 2, 3]], |numbers| numbers.coalesce(1));
    /// assert_eq!(out, [vec![1, 2, 3]]);
    /// ```
    pub fn coalesce(&self, partitions: u32) -> Flow<T, Cut<T>, K> {
        self.emits();
        let node = self.graph.add::<T>(Kind::Coalesce, vec![self.node], Code::default());
        let parameter = ("partitions", Value::Integer(i64::from(partitions)));
        self.graph.change(node, |node| node.parameters.push(parameter));
        cut(&self.graph, node)
    }

    /// Gives each value once. The values come out in the order in which they first appear. Spark: `distinct`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![3u32, 1, 3]], |numbers| numbers.distinct());
    /// assert_eq!(out, [vec![3, 1]]);
    /// ```
    pub fn distinct(&self) -> Flow<T, Cut<T>, K>
    where
        T: Key,
    {
        self.shuffled(Kind::Distinct, Distinct(PhantomData))
    }

    /// Makes a pair of each value: its key, which `function` gives, and the value itself. Spark: `keyBy`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![3u32, 1]], |numbers| numbers.key_by(|n| n % 2 == 0));
    /// assert_eq!(out, [vec![(false, 3), (false, 1)]]);
    /// ```
    #[doc(alias = "keyBy")]
    #[expect(clippy::type_complexity, reason = "the type of a fused chain names all its operators")]
    pub fn key_by<R: Record, F: Fn(&T) -> R + 'static>(
        &self,
        function: F,
    ) -> IfRecord<R, Flow<(R, T), impl Chain<Out = (R, T)> + use<T, C, K, R, F>, K>> {
        self.then(Kind::KeyBy, Map::new(move |value: T| (function(&value), value)))
    }

    /// Groups the values by the key that `function` gives for each value, and makes a list of the values of each key.
    /// Spark: `groupBy`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![3u32, 2, 1]], |numbers| numbers.group_by(|n| n % 2));
    /// assert_eq!(out, [vec![(1, vec![3, 1]), (0, vec![2])]]);
    /// ```
    #[doc(alias = "groupBy")]
    #[expect(clippy::type_complexity, reason = "a stream names its type twice")]
    pub fn group_by<R: Key, F: Fn(&T) -> R + 'static>(&self, function: F) -> Flow<(R, Vec<T>), Cut<(R, Vec<T>)>, K> {
        self.key_by(function).group_by_key()
    }

    /// Gives the values that are in both streams, each value once. Spark: `intersection`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![3u32, 2, 1, 3]], |numbers| numbers.intersection(&numbers.filter(|n| *n > 1)));
    /// assert_eq!(out, [vec![3, 2]]);
    /// ```
    pub fn intersection<D: Chain<Out = T>>(
        &self,
        other: &Flow<T, D, K>,
    ) -> Flow<T, impl Chain<Out = T> + use<T, C, D, K>, K>
    where
        T: Key,
    {
        let sides = self.map(|value| (value, 1u8)).union(&other.map(|value| (value, 2u8)));
        sides.reduce_by_key(|a, b| a | b).filter(|(_, sides)| *sides == 3).keys()
    }

    /// Gives the values of this stream that are not in `other`. A value that occurs several times is kept as often. The
    /// values come out in the order in which they first appear. Spark: `subtract`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![3u32, 2, 1, 3]], |numbers| numbers.subtract(&numbers.filter(|n| *n < 3)));
    /// assert_eq!(out, [vec![3, 3]]);
    /// ```
    pub fn subtract<D: Chain<Out = T>>(
        &self,
        other: &Flow<T, D, K>,
    ) -> Flow<T, impl Chain<Out = T> + use<T, C, D, K>, K>
    where
        T: Key + Clone,
    {
        let sides = self.map(|value| (value, (1u64, false))).union(&other.map(|value| (value, (0u64, true))));
        let counted = sides.reduce_by_key(|a, b| (a.0 + b.0, a.1 || b.1)).filter(|(_, (_, is_other))| !is_other);
        counted.flat_map(|(value, (count, _))| (0..count).map(move |_| value.clone()))
    }

    /// Sorts the values into one partition, by the key that `function` gives for each value. Values with equal keys
    /// keep their order. The order of keys is that of [`sort_by_key`](Flow::sort_by_key). Spark: `sortBy`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![3i32, -5, 1]], |numbers| numbers.sort_by(|n| n.abs(), true));
    /// assert_eq!(out, [vec![1, 3, -5]]);
    /// ```
    #[doc(alias = "sortBy")]
    pub fn sort_by<R: Key, F: Fn(&T) -> R + 'static>(
        &self,
        function: F,
        ascending: bool,
    ) -> Flow<T, impl Chain<Out = T> + use<T, C, K, R, F>, K> {
        self.key_by(function).sort_by_key(ascending).values()
    }

    /// Sets the number of partitions that the shuffle before this stream makes. Without this call, the number is the
    /// job's `parallelism`. May be called only on streams that come directly out of a shuffle. Spark: `numPartitions`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![(1u8, 1u64), (1, 2)]], |pairs| pairs.reduce_by_key(|a, b| a + b).partitions(4));
    /// assert_eq!(out, [vec![(1, 3)]]);
    /// ```
    #[doc(alias = "numPartitions")]
    pub fn partitions(self, partitions: u32) -> Self {
        let mut problem = None;
        if self.graph.is_told(self.node) {
            self.graph.invalid(format!("partitions({partitions}) follows an action on the same data set"));
        }
        self.graph.change(self.node, |node| match node.exchanged.is_some() || node.kind.is_join() {
            true if node.parameters.iter().any(|(name, _)| *name == "partitions") => {
                problem =
                    Some(format!("partitions({partitions}) follows `{}`, which has its own number", node.kind.name()));
            }
            true => node.parameters.push(("partitions", Value::Integer(i64::from(partitions)))),
            false => {
                problem =
                    Some(format!("partitions({partitions}) follows `{}`, which does not shuffle", node.kind.name()))
            }
        });
        if let Some(problem) = problem {
            self.graph.invalid(problem);
            return self;
        }
        // The batches of such a window are merged by a node of their own, which belongs to the same operation.
        let merged = {
            let nodes = self.graph.nodes();
            let node = nodes.get(&self.node).filter(|node| node.kind == Kind::ReduceByKeyAndWindowInverse);
            node.and_then(|node| node.parents.first().copied())
        };
        if let Some(merged) = merged {
            let partitions = ("partitions", Value::Integer(i64::from(partitions)));
            self.graph.change(merged, |node| node.parameters.push(partitions));
        }
        self
    }
}

impl<T: Record, C: Chain<Out = T>> DStream<T, C> {
    /// The time from one data set of this stream to the next: the slide of the windows that it comes from, or the batch
    /// interval. Spark: `slideDuration`.
    ///
    /// ```
    /// use millstream::{seconds, testing};
    /// let job = testing::Job::new(|ctx| {
    ///     let numbers = ctx.stream::<u32>("numbers");
    ///     let windows = numbers.window((seconds(4), seconds(2))).map(|n| n + 1);
    ///     assert_eq!((numbers.slide_duration(), windows.slide_duration()), (seconds(1), seconds(2)));
    ///     windows.print();
    /// });
    /// job.batch("numbers", [1u32]).run();
    /// ```
    #[doc(alias = "slideDuration")]
    pub fn slide_duration(&self) -> Duration {
        self.graph.slide(self.node).unwrap_or_else(runtime::batch_interval)
    }

    /// Adds an aggregation of all values into one partition.
    fn aggregate_all<A: Aggregate<In = T>>(&self, kind: Kind, aggregate: A) -> DStream<A::Out, Cut<A::Out>> {
        let stream = self.shuffled(kind, aggregate);
        self.graph.change(stream.node, |node| node.parameters.push(("partitions", Value::Integer(1))));
        stream
    }

    /// Counts the values of each batch. The result is 0 for an empty batch. Spark: `count`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![7u32, 7], vec![]], |numbers| numbers.count());
    /// assert_eq!(out, [vec![2], vec![0]]);
    /// ```
    pub fn count(&self) -> DStream<u64, Cut<u64>> {
        self.aggregate_all(Kind::Count, Count(PhantomData))
    }

    /// Merges all values of each batch into one value; an empty batch gives no value. `function` must be associative.
    /// Values are merged in the order of the partitions and of their rows. Spark: `reduce`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![1u32, 2, 3], vec![]], |numbers| numbers.reduce(|a, b| a + b));
    /// assert_eq!(out, [vec![6], vec![]]);
    /// ```
    pub fn reduce<F: Fn(T, T) -> T + 'static>(&self, function: F) -> DStream<T, Cut<T>> {
        self.aggregate_all(Kind::Reduce, Reduce { function, kind: PhantomData })
    }

    /// Counts how often each value occurs in each batch. Spark: `countByValue`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![7u32, 8, 7]], |numbers| numbers.count_by_value());
    /// assert_eq!(out, [vec![(7, 2), (8, 1)]]);
    /// ```
    #[doc(alias = "countByValue")]
    pub fn count_by_value(&self) -> DStream<(T, u64), Cut<(T, u64)>>
    where
        T: Key,
    {
        self.shuffled(Kind::CountByValue, CountByValue(PhantomData))
    }
}
