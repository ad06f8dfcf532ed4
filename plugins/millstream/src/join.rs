//! Operations that join or group the pairs of several streams by key, within a batch.
//!
//! Nothing is joined in the plugin: the host joins, between two stages. The test harness has a model of what the host
//! does.

#[cfg(not(target_family = "wasm"))]
mod model;

use crate::chain::{Chain, Cut};
use crate::flow::{Flow, cut};
use crate::graph::{Code, Graph};
use crate::ids::NodeId;
use crate::key::Key;
use crate::kind::Kind;
use crate::record::Record;
use std::rc::Rc;

/// Adds a node that joins the streams `parents`, which belong to the same graph.
fn join_node<T: Record, S>(graph: &Rc<Graph>, kind: Kind, parents: Vec<NodeId>) -> Flow<T, Cut<T>, S> {
    cut(graph, graph.add::<T>(kind, parents, Code::default()))
}

/// Adds a node that sends the rows of a stream unchanged through a shuffle.
fn sent<K: Key, V: Record, C: Chain<Out = (K, V)>, S>(stream: &Flow<(K, V), C, S>) -> NodeId {
    stream.emits();
    stream.node
}

/// A stream of joined pairs.
type Pairs<K, V, W, S> = Flow<(K, (V, W)), Cut<(K, (V, W))>, S>;
/// A stream of three values for each key.
type Triples<K, V, W, X, S> = Flow<(K, (V, W, X)), Cut<(K, (V, W, X))>, S>;

/// Joined pairs come out in the order of this stream's pairs. Each pair of this stream comes with the matching pairs of
/// the other stream, in the order of the other stream. If a partition is large, keys are processed in an order that
/// follows from their hashes.
impl<K: Record, V: Record, C: Chain<Out = (K, V)>, S> Flow<(K, V), C, S> {
    /// Gives each value of this stream with each value of `other` that has the same key in the batch. Spark: `join`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![(1u8, 5u32), (2, 6), (1, 7)]], |pairs| {
    ///     pairs.join(&pairs.filter(|(_, n)| *n < 7).map_values(|n| n * 10))
    /// });
    /// assert_eq!(out, [vec![(1, (5, 50)), (2, (6, 60)), (1, (7, 50))]]);
    /// ```
    pub fn join<W: Record, D: Chain<Out = (K, W)>>(&self, other: &Flow<(K, W), D, S>) -> Pairs<K, V, W, S>
    where
        K: Key,
    {
        let stream = join_node(&self.graph, Kind::Join, vec![sent(self), sent(other)]);
        #[cfg(not(target_family = "wasm"))]
        let stream = model::set(stream, model::pairs::<K, V, W, V, W>(|v| v, |w| w));
        stream
    }

    /// As [`Flow::join`], and also gives each value of this stream whose key is not in `other`. Spark: `leftOuterJoin`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![(1u8, 5u32), (2, 6)]], |pairs| {
    ///     pairs.left_outer_join(&pairs.filter(|(key, _)| *key == 2))
    /// });
    /// assert_eq!(out, [vec![(1, (5, None)), (2, (6, Some(6)))]]);
    /// ```
    #[doc(alias = "leftOuterJoin")]
    pub fn left_outer_join<W: Record, D: Chain<Out = (K, W)>>(
        &self,
        other: &Flow<(K, W), D, S>,
    ) -> Pairs<K, V, Option<W>, S>
    where
        K: Key,
    {
        let stream = join_node(&self.graph, Kind::LeftOuterJoin, vec![sent(self), sent(other)]);
        #[cfg(not(target_family = "wasm"))]
        let stream = model::set(stream, model::pairs::<K, V, W, V, Option<W>>(|v| v, Some));
        stream
    }

    /// As [`Flow::join`], and after the joined pairs gives each value of `other` whose key is not in this stream.
    /// Spark: `rightOuterJoin`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![(1u8, 5u32), (2, 6)]], |pairs| {
    ///     pairs.filter(|(key, _)| *key == 2).right_outer_join(&pairs)
    /// });
    /// assert_eq!(out, [vec![(2, (Some(6), 6)), (1, (None, 5))]]);
    /// ```
    #[doc(alias = "rightOuterJoin")]
    pub fn right_outer_join<W: Record, D: Chain<Out = (K, W)>>(
        &self,
        other: &Flow<(K, W), D, S>,
    ) -> Pairs<K, Option<V>, W, S>
    where
        K: Key,
    {
        let stream = join_node(&self.graph, Kind::RightOuterJoin, vec![sent(self), sent(other)]);
        #[cfg(not(target_family = "wasm"))]
        let stream = model::set(stream, model::pairs::<K, V, W, Option<V>, W>(Some, |w| w));
        stream
    }

    /// As [`Flow::join`], and also gives the values of each stream whose keys are not in the other. Spark:
    /// `fullOuterJoin`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![(1u8, 5u32), (2, 6)]], |pairs| {
    ///     pairs.filter(|(key, _)| *key == 1).full_outer_join(&pairs.filter(|(key, _)| *key == 2))
    /// });
    /// assert_eq!(out, [vec![(1, (Some(5), None)), (2, (None, Some(6)))]]);
    /// ```
    #[doc(alias = "fullOuterJoin")]
    pub fn full_outer_join<W: Record, D: Chain<Out = (K, W)>>(
        &self,
        other: &Flow<(K, W), D, S>,
    ) -> Pairs<K, Option<V>, Option<W>, S>
    where
        K: Key,
    {
        let stream = join_node(&self.graph, Kind::FullOuterJoin, vec![sent(self), sent(other)]);
        #[cfg(not(target_family = "wasm"))]
        let stream = model::set(stream, model::pairs::<K, V, W, Option<V>, Option<W>>(Some, Some));
        stream
    }

    /// For each key of either stream, gives two lists: its values in this stream, and its values in `other`. Keys come
    /// out in the order in which they first appear, the keys of this stream first. All values of a key have to fit into
    /// memory. Spark: `cogroup`, `groupWith`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![(1u8, 5u32), (2, 6), (1, 7)]], |pairs| {
    ///     pairs.filter(|(key, _)| *key == 1).cogroup(&pairs)
    /// });
    /// assert_eq!(out, [vec![(1, (vec![5, 7], vec![5, 7])), (2, (vec![], vec![6]))]]);
    /// ```
    #[doc(alias = "groupWith")]
    pub fn cogroup<W: Record, D: Chain<Out = (K, W)>>(&self, other: &Flow<(K, W), D, S>) -> Pairs<K, Vec<V>, Vec<W>, S>
    where
        K: Key,
    {
        let stream = join_node(&self.graph, Kind::Cogroup, vec![sent(self), sent(other)]);
        #[cfg(not(target_family = "wasm"))]
        let stream = model::set(stream, model::groups2::<K, V, W>());
        stream
    }

    /// As [`Flow::cogroup`], for three streams. Spark: `cogroup`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![(1u8, 5u32), (2, 6)]], |pairs| {
    ///     pairs.cogroup3(&pairs.map_values(|n| n > 5), &pairs.filter(|(key, _)| *key == 2))
    /// });
    /// assert_eq!(out, [vec![(1, (vec![5], vec![false], vec![])), (2, (vec![6], vec![true], vec![6]))]]);
    /// ```
    #[doc(alias = "cogroup")]
    pub fn cogroup3<W: Record, X: Record, D: Chain<Out = (K, W)>, E: Chain<Out = (K, X)>>(
        &self,
        second: &Flow<(K, W), D, S>,
        third: &Flow<(K, X), E, S>,
    ) -> Triples<K, Vec<V>, Vec<W>, Vec<X>, S>
    where
        K: Key,
    {
        let stream = join_node(&self.graph, Kind::Cogroup, vec![sent(self), sent(second), sent(third)]);
        #[cfg(not(target_family = "wasm"))]
        let stream = model::set(stream, model::groups3::<K, V, W, X>());
        stream
    }
}
