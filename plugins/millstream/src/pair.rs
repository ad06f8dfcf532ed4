//! Operations on streams of pairs, by key.

use crate::aggregate::{CombineByKey, ReduceByKey};
use crate::chain::{Chain, Cut};
use crate::flow::{Flow, cut};
use crate::graph::{Code, Value};
use crate::key::Key;
use crate::kind::Kind;
use crate::record::Record;
use std::marker::PhantomData;

impl<K: Record, V: Record, C: Chain<Out = (K, V)>, S> Flow<(K, V), C, S> {
    /// Merges the values of each key, within a batch. `function` must be associative. Values are merged in the order of
    /// the partitions and of their rows. Keys come out in the order in which they first appear. Spark: `reduceByKey`.
    ///
    /// ```
    /// use millstream::testing;
    /// let batches = vec![vec![("b".to_string(), 1u64), ("a".into(), 2), ("b".into(), 3)], vec![]];
    /// let out = testing::run(batches, |pairs| pairs.reduce_by_key(|a, b| a + b));
    /// assert_eq!(out, [vec![("b".to_string(), 4), ("a".into(), 2)], vec![]]);
    /// ```
    #[doc(alias = "reduceByKey")]
    pub fn reduce_by_key<F: Fn(V, V) -> V + 'static>(&self, function: F) -> Flow<(K, V), Cut<(K, V)>, S>
    where
        K: Key,
    {
        self.shuffled(Kind::ReduceByKey, ReduceByKey { function, kind: PhantomData })
    }

    /// Makes a list of the values of each key, in the order of the partitions and of their rows. All values of a
    /// partition have to fit into the plugin's memory. If the result of a key is smaller than its values, use
    /// `reduce_by_key` or `combine_by_key` instead. Spark: `groupByKey`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![(1u8, 5u32), (2, 6), (1, 7)]], |pairs| pairs.group_by_key());
    /// assert_eq!(out, [vec![(1, vec![5, 7]), (2, vec![6])]]);
    /// ```
    #[doc(alias = "groupByKey")]
    #[expect(clippy::type_complexity, reason = "a stream names its type twice")]
    pub fn group_by_key(&self) -> Flow<(K, Vec<V>), Cut<(K, Vec<V>)>, S>
    where
        K: Key,
    {
        let add = |mut group: Vec<V>, value| {
            group.push(value);
            group
        };
        let merge = |mut first: Vec<V>, second: Vec<V>| {
            first.extend(second);
            first
        };
        self.shuffled(Kind::GroupByKey, CombineByKey { create: |value| vec![value], add, merge, kind: PhantomData })
    }

    /// Combines the values of each key. `create` makes a combiner of the first value, `merge_value` adds a further
    /// value, and `merge_combiners` merges the combiners of different partitions, in order. Spark: `combineByKey`.
    ///
    /// ```
    /// use millstream::testing;
    /// // Sum and number, for a mean.
    /// let out = testing::run(vec![vec![(1u8, 5u32), (1, 7)]], |pairs| {
    ///     pairs.combine_by_key(|n| (n, 1u32), |(sum, count), n| (sum + n, count + 1), |a, b| (a.0 + b.0, a.1 + b.1))
    /// });
    /// assert_eq!(out, [vec![(1, (12, 2))]]);
    /// ```
    #[doc(alias = "combineByKey")]
    pub fn combine_by_key<B: Record>(
        &self,
        create: impl Fn(V) -> B + 'static,
        merge_value: impl Fn(B, V) -> B + 'static,
        merge_combiners: impl Fn(B, B) -> B + 'static,
    ) -> Flow<(K, B), Cut<(K, B)>, S>
    where
        K: Key,
    {
        let aggregate = CombineByKey { create, add: merge_value, merge: merge_combiners, kind: PhantomData };
        self.shuffled(Kind::CombineByKey, aggregate)
    }

    /// Adds the values of each key to `zero` with `add`, and merges the results of different partitions with `merge`.
    /// Spark: `aggregateByKey`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![(1u8, 5u32), (1, 7)]], |pairs| {
    ///     pairs.aggregate_by_key(0u64, |sum, n| sum + u64::from(n), |a, b| a + b)
    /// });
    /// assert_eq!(out, [vec![(1, 12)]]);
    /// ```
    #[doc(alias = "aggregateByKey")]
    pub fn aggregate_by_key<B: Record + Clone>(
        &self,
        zero: B,
        add: impl Fn(B, V) -> B + Clone + 'static,
        merge: impl Fn(B, B) -> B + 'static,
    ) -> Flow<(K, B), Cut<(K, B)>, S>
    where
        K: Key,
    {
        let first = add.clone();
        let create = move |value| first(zero.clone(), value);
        self.shuffled(Kind::AggregateByKey, CombineByKey { create, add, merge, kind: PhantomData })
    }

    /// Merges the values of each key and `zero`. `zero` may be merged in several times: once for each partition and key. So
    /// it should change nothing, as 0 does in a sum. Spark: `foldByKey`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![(1u8, 5u32), (1, 7), (2, 1)]], |pairs| pairs.fold_by_key(0, |a, b| a + b));
    /// assert_eq!(out, [vec![(1, 12), (2, 1)]]);
    /// ```
    #[doc(alias = "foldByKey")]
    pub fn fold_by_key(&self, zero: V, function: impl Fn(V, V) -> V + Clone + 'static) -> Flow<(K, V), Cut<(K, V)>, S>
    where
        K: Key,
        V: Clone,
    {
        self.aggregate_by_key(zero, function.clone(), function)
    }

    /// Gives the pairs whose key is not a key of `other`. The pairs of a key come out together, and keys come out in
    /// the order in which they first appear. Spark: `subtractByKey`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![(1u8, 5u32), (2, 6), (1, 7)]], |pairs| {
    ///     pairs.subtract_by_key(&pairs.filter(|(key, _)| *key == 2).map_values(|_| true))
    /// });
    /// assert_eq!(out, [vec![(1, 5), (1, 7)]]);
    /// ```
    #[doc(alias = "subtractByKey")]
    pub fn subtract_by_key<W: Record, D: Chain<Out = (K, W)>>(
        &self,
        other: &Flow<(K, W), D, S>,
    ) -> Flow<(K, V), impl Chain<Out = (K, V)> + use<K, V, C, S, W, D>, S>
    where
        K: Key,
        K: Clone,
    {
        // `None` stands for a pair of `other`.
        let sides = self.map(|(key, value)| (key, Some(value))).union(&other.map(|(key, _)| (key, None)));
        let add = |values: Option<Vec<V>>, value: Option<V>| {
            values.zip(value).map(|(mut values, value)| {
                values.push(value);
                values
            })
        };
        let merge = |first: Option<Vec<V>>, second: Option<Vec<V>>| {
            first.zip(second).map(|(mut first, second)| {
                first.extend(second);
                first
            })
        };
        let values = sides.combine_by_key(|value| value.map(|value| vec![value]), add, merge);
        values.flat_map(|(key, values)| values.into_iter().flatten().map(move |value| (key.clone(), value)))
    }

    /// Sorts pairs by their key into one partition. Pairs with equal keys keep their order. The order of keys is that
    /// of [`Key::compare`], or its reverse. NaN comes last in an ascending order, and first in a descending order.
    /// Spark: `sortByKey`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![(2u8, 'a' as u32), (1, 98), (2, 99)]], |pairs| pairs.sort_by_key(false));
    /// assert_eq!(out, [vec![(2, 97), (2, 99), (1, 98)]]);
    /// ```
    #[doc(alias = "sortByKey")]
    pub fn sort_by_key(&self, ascending: bool) -> Flow<(K, V), Cut<(K, V)>, S>
    where
        K: Key,
    {
        self.emits();
        let code = Code {
            #[cfg(not(target_family = "wasm"))]
            sort: Some(std::rc::Rc::new(move |chunks| {
                let mut rows: Vec<(K, V)> = chunks.into_iter().flat_map(crate::testing::rows_of).collect();
                let compare = |a: &(K, V), b: &(K, V)| {
                    let order = a.0.compare(&b.0);
                    if ascending { order } else { order.reverse() }
                };
                rows.sort_by(compare);
                vec![crate::testing::chunk_of(rows)]
            })),
            ..Code::default()
        };
        let node = self.graph.add::<(K, V)>(Kind::Sort, vec![self.node], code);
        self.graph.change(node, |node| {
            node.exchanged = Some(node.rows.clone());
            node.parameters.push(("descending", Value::Flag(!ascending)));
        });
        cut(&self.graph, node)
    }
}
