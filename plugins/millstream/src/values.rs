//! Operations on streams of pairs that work on keys or values alone, without a shuffle.

use crate::chain::{Chain, FlatMap, Map};
use crate::flow::Flow;
use crate::kind::Kind;
use crate::record::{IfRecord, Record};

impl<K: Record, V: Record, C: Chain<Out = (K, V)>, S> Flow<(K, V), C, S> {
    /// Passes each value through `function`; the keys stay the same. Spark: `mapValues`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![(1u8, 5u32)]], |pairs| pairs.map_values(|n| n * 10));
    /// assert_eq!(out, [vec![(1, 50)]]);
    /// ```
    #[doc(alias = "mapValues")]
    #[expect(clippy::type_complexity, reason = "a stream names its type twice")]
    pub fn map_values<R: Record, F: Fn(V) -> R + 'static>(
        &self,
        function: F,
    ) -> IfRecord<R, Flow<(K, R), impl Chain<Out = (K, R)> + use<K, V, C, R, F, S>, S>> {
        self.then(Kind::MapValues, Map::new(move |(key, value): (K, V)| (key, function(value))))
    }

    /// Replaces each value by the values that `function` gives for it. Each of these gets the key of the replaced
    /// value. Spark: `flatMapValues`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![(1u8, 2u32)]], |pairs| pairs.flat_map_values(|n| 0..n));
    /// assert_eq!(out, [vec![(1, 0), (1, 1)]]);
    /// ```
    #[doc(alias = "flatMapValues")]
    #[expect(clippy::type_complexity, reason = "a stream names its type twice")]
    pub fn flat_map_values<R, F>(
        &self,
        function: F,
    ) -> IfRecord<R::Item, Flow<(K, R::Item), impl Chain<Out = (K, R::Item)> + use<K, V, C, R, F, S>, S>>
    where
        K: Clone,
        R: IntoIterator<Item: Record> + 'static,
        F: Fn(V) -> R + 'static,
    {
        let function = move |(key, value): (K, V)| {
            let values: Vec<(K, R::Item)> = function(value).into_iter().map(|value| (key.clone(), value)).collect();
            values
        };
        self.then(Kind::FlatMapValues, FlatMap::new(function))
    }

    /// Gives the keys alone. Spark: `keys`.
    ///
    /// ```
    /// use millstream::testing;
    /// assert_eq!(testing::run(vec![vec![(1u8, 2u32)]], |pairs| pairs.keys()), [vec![1]]);
    /// ```
    pub fn keys(&self) -> Flow<K, impl Chain<Out = K> + use<K, V, C, S>, S> {
        self.then(Kind::Keys, Map::new(|(key, _): (K, V)| key))
    }

    /// Gives the values alone. Spark: `values`.
    ///
    /// ```
    /// use millstream::testing;
    /// assert_eq!(testing::run(vec![vec![(1u8, 2u32)]], |pairs| pairs.values()), [vec![2]]);
    /// ```
    pub fn values(&self) -> Flow<V, impl Chain<Out = V> + use<K, V, C, S>, S> {
        self.then(Kind::Values, Map::new(|(_, value): (K, V)| value))
    }
}
