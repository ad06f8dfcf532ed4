//! Operations that keep state between batches, by key.
//!
//! Owns `update_state_by_key`, and what all streams with state have in common: the initial state and the interval
//! between checkpoints. `map_with_state` is in `state/mapped.rs`, windows with an inverse function are in
//! `state/inverse.rs`. The host keeps the state: see `stateful.rs` for the code that tasks run.

mod inverse;
mod mapped;
pub(crate) mod spec;
mod update;

pub use mapped::MapWithStateDStream;
pub use spec::{State, StateSpec};

use crate::chain::{Chain, Cut};
use crate::flow::{DStream, cut};
use crate::graph::{Code, Value};
use crate::ids::NodeId;
use crate::key::Key;
use crate::kind::Kind;
use crate::record::{Record, fields_of};
use crate::stateful::{InitialHead, MigrateHead, StateCode};
use crate::time::Time;
use std::time::Duration;
use update::{PartitionHead, UpdateHead};

impl<K: Record, V: Record, C: Chain<Out = (K, V)>> DStream<(K, V), C> {
    /// Adds a node that keeps states of type `S` by key, and produces rows of type `R`.
    fn stateful<S: Record, R: Record>(&self, kind: Kind, code: StateCode) -> DStream<R, Cut<R>>
    where
        K: Key,
    {
        self.emits();
        let node = self.graph.add::<R>(kind, vec![self.node], Code { state: Some(code), ..Code::default() });
        self.graph.change(node, |node| {
            node.exchanged = Some(fields_of::<(K, V)>());
            node.state = Some(fields_of::<(K, S)>());
        });
        cut(&self.graph, node)
    }

    /// Keeps a state for each key, and gives the states of all keys in each batch. In each batch, `update` is called
    /// once for each key that has a state, and once for each new key. `update` gets the values of the key in this
    /// batch, in the order of the partitions and of their rows, and the state of the key. There are no values if the
    /// batch has none for the key. `update` returns the new state; `None` removes the key. Keys come out in the order
    /// of their hashes.
    ///
    /// The job needs a checkpoint directory. `.initial_state(..)`, `.partitions(..)` and `.checkpoint(..)` may follow.
    /// If only few keys change in a batch, use [`map_with_state`](Self::map_with_state) instead: its work follows the
    /// number of changed keys. Spark: `updateStateByKey`.
    ///
    /// ```
    /// use millstream::testing;
    /// let batches = vec![vec![(1u8, 5u64), (1, 6)], vec![], vec![(1, 0)]];
    /// let out = testing::run(batches, |pairs| {
    ///     // A running sum. A zero ends it.
    ///     pairs.update_state_by_key(|values, sum: Option<u64>| match values.contains(&0) {
    ///         true => None,
    ///         false => Some(sum.unwrap_or(0) + values.iter().sum::<u64>()),
    ///     })
    /// });
    /// assert_eq!(out, [vec![(1, 11)], vec![(1, 11)], vec![]]);
    /// ```
    #[doc(alias = "updateStateByKey")]
    pub fn update_state_by_key<S: Record, F>(&self, update: F) -> DStream<(K, S), Cut<(K, S)>>
    where
        K: Key,
        F: Fn(Vec<V>, Option<S>) -> Option<S> + 'static,
    {
        self.update_by_key(move |_, _, _, values, state| update(values, state))
    }

    /// As [`update_state_by_key`](Self::update_state_by_key), but the function also gets the batch's time and the key.
    /// Spark: `updateStateByKey`.
    ///
    /// ```
    /// use millstream::testing;
    /// // The time at which each key was last seen. A key is forgotten two seconds later.
    /// let out = testing::run(vec![vec![("a".to_string(), true)], vec![], vec![]], |pairs| {
    ///     pairs.update_state_by_key_with_time(|time, _key, values, seen: Option<u64>| match values.is_empty() {
    ///         true => seen.filter(|seen| seen + 2000 > time.as_ms()),
    ///         false => Some(time.as_ms()),
    ///     })
    /// });
    /// assert_eq!(out, [vec![("a".to_string(), 1000)], vec![("a".to_string(), 1000)], vec![]]);
    /// ```
    #[doc(alias = "updateStateByKey")]
    pub fn update_state_by_key_with_time<S: Record, F>(&self, update: F) -> DStream<(K, S), Cut<(K, S)>>
    where
        K: Key,
        F: Fn(Time, &K, Vec<V>, Option<S>) -> Option<S> + 'static,
    {
        use crate::record::Column as _;
        self.update_by_key(move |time, keys: &K::Column, row, values, state| {
            update(time, &keys.get(row), values, state)
        })
    }

    /// Adds an operator. The function gets the time, the column of keys, the row of the key in this column, the values
    /// and the state. So a function that does not use the key does not pay for decoding the key.
    fn update_by_key<S: Record, F>(&self, update: F) -> DStream<(K, S), Cut<(K, S)>>
    where
        K: Key,
        F: Fn(Time, &K::Column, usize, Vec<V>, Option<S>) -> Option<S> + 'static,
    {
        let code = UpdateHead::<K, V, S, F>::code(update);
        self.stateful::<S, _>(Kind::UpdateStateByKey, code)
    }

    /// As [`update_state_by_key`](Self::update_state_by_key), but the function sees a whole partition at once: each key
    /// with its values and its state. The function returns the keys that have a state from now on, with their states. A
    /// key that the function does not return has no state any more. If the function returns a key twice, the first
    /// state of the key counts. All keys of a partition have to fit into the plugin's memory.
    /// Spark: `updateStateByKey`.
    ///
    /// ```
    /// use millstream::testing;
    /// let batches = vec![vec![(1u8, 5u64), (2, 6)], vec![(3, 1)]];
    /// let out = testing::run(batches, |pairs| {
    ///     // Only the key with the largest sum is kept.
    ///     pairs.update_state_by_partition(|keys| {
    ///         let sums = keys.map(|(key, values, sum): (u8, Vec<u64>, Option<u64>)| {
    ///             (key, sum.unwrap_or(0) + values.iter().sum::<u64>())
    ///         });
    ///         sums.max_by_key(|(_, sum)| *sum)
    ///     })
    /// });
    /// assert_eq!(out, [vec![(2, 6)], vec![(2, 6)]]);
    /// ```
    #[doc(alias = "updateStateByKey")]
    pub fn update_state_by_partition<S: Record, R, F>(&self, update: F) -> DStream<(K, S), Cut<(K, S)>>
    where
        K: Key,
        R: IntoIterator<Item = (K, S)>,
        F: Fn(std::vec::IntoIter<(K, Vec<V>, Option<S>)>) -> R + 'static,
    {
        let code = PartitionHead::<K, V, S, F>::code(update);
        self.stateful::<S, _>(Kind::UpdateStateByPartition, code)
    }
}

impl<K: Key, S: Record> DStream<(K, S), Cut<(K, S)>> {
    /// Sets the states that keys have before the first batch. `rows` is called only when the host needs the initial
    /// state. If a job goes on from a checkpoint, the state comes from the checkpoint. May be called only after
    /// `update_state_by_key`, its form `_with_time`, and `update_state_by_partition`. If `rows` gives a key twice, the
    /// last state of the key counts. Spark: `initialRDD`.
    ///
    /// ```
    /// use millstream::testing;
    /// let out = testing::run(vec![vec![("hello".to_string(), 1u64)]], |pairs| {
    ///     let counts = pairs.update_state_by_key(|ones, count: Option<u64>| {
    ///         Some(count.unwrap_or(0) + ones.iter().sum::<u64>())
    ///     });
    ///     counts.initial_state(|| [("hello".to_string(), 1), ("world".to_string(), 1)])
    /// });
    /// assert_eq!(out, [vec![("hello".to_string(), 2), ("world".to_string(), 1)]]);
    /// ```
    #[doc(alias = "initialRDD")]
    pub fn initial_state<R: IntoIterator<Item = (K, S)>>(self, rows: impl Fn() -> R + 'static) -> Self {
        let mut other = None;
        self.graph.change(self.node, |node| match (node.kind, &mut node.code.state) {
            (Kind::UpdateStateByKey | Kind::UpdateStateByPartition, Some(code)) => {
                code.initial = Some(InitialHead::code(rows));
                node.parameters.retain(|(name, _)| *name != "initial");
                node.parameters.push(("initial", Value::Flag(true)));
            }
            (kind, _) => other = Some(kind),
        });
        if let Some(kind) = other {
            self.graph.invalid(format!(
                "initial_state(..) follows `{}`: it belongs directly after update_state_by_key or update_state_by_partition; \
                 for map_with_state, set it in the StateSpec",
                kind.name()
            ));
        }
        self
    }
}

impl<K: Key, S: Record> DStream<(K, S), Cut<(K, S)>> {
    /// Makes this version of the plugin able to take over states of another type, which an earlier version has kept. When a
    /// job is upgraded with `--carry-state`, and the operator of the running plugin has states of type `E`, `migrate` is
    /// called for each key. `Ok(None)` drops the key. An error stops the upgrade, and the message names the key; the
    /// earlier version goes on. May be called only after `update_state_by_key` and its form `_with_time`.
    ///
    /// ```
    /// use millstream::testing;
    /// // The earlier version kept a count. This version also keeps the last value.
    /// let out = testing::run(vec![vec![("hello".to_string(), 7u64)]], |pairs| {
    ///     let counts = pairs.update_state_by_key(|values, state: Option<(u64, u64)>| {
    ///         let (count, last) = state.unwrap_or_default();
    ///         Some((count + values.len() as u64, values.last().copied().unwrap_or(last)))
    ///     });
    ///     counts.migrate_state(|_, count: u64| Ok(Some((count, 0))))
    /// });
    /// assert_eq!(out, [vec![("hello".to_string(), (1, 7))]]);
    /// ```
    pub fn migrate_state<E: Record>(self, migrate: impl Fn(&K, E) -> Result<Option<S>, String> + 'static) -> Self {
        let mut other = None;
        self.graph.change(self.node, |node| match (node.kind, &mut node.code.state) {
            (Kind::UpdateStateByKey, Some(code)) => {
                code.migrate = Some(MigrateHead::<K, E, S, _>::code(migrate));
                node.earlier_state = Some(fields_of::<(K, E)>());
            }
            (kind, _) => other = Some(kind),
        });
        if let Some(kind) = other {
            self.graph.invalid(format!(
                "migrate_state(..) follows `{}`: it belongs directly after update_state_by_key; for map_with_state, set it \
                 in the StateSpec",
                kind.name()
            ));
        }
        self
    }
}

impl<T: Record, C: Chain<Out = T>> DStream<T, C> {
    /// Sets how often the host writes the state of this stream to the checkpoint directory. The interval must be a
    /// multiple of the stream's slide. A crash makes the host compute the batches since the last checkpoint again; a
    /// checkpoint costs time for each key that has changed. May be called only on streams that keep state. Spark:
    /// `checkpoint`.
    ///
    /// ```
    /// use millstream::{seconds, testing};
    /// let out = testing::run(vec![vec![(1u8, 5u64)]], |pairs| {
    ///     pairs.update_state_by_key(|values, _| values.last().copied()).checkpoint(seconds(30))
    /// });
    /// assert_eq!(out, [vec![(1, 5)]]);
    /// ```
    pub fn checkpoint(self, interval: Duration) -> Self {
        let (kind, parent) = {
            let nodes = self.graph.nodes();
            let node = nodes.get(&self.node);
            (node.map(|node| node.kind), node.and_then(|node| node.parents.first().copied()))
        };
        // `reduce_by_window_inverse` ends with the values of a node with state.
        let node = match (kind, parent) {
            (Some(Kind::Values), Some(parent)) if self.graph.has_state(parent) => parent,
            _ => self.node,
        };
        if self.graph.has_state(node) {
            set_parameter(&self.graph, node, "checkpoint", Value::Duration(interval));
        } else {
            self.graph.invalid(format!(
                "checkpoint({interval:?}) follows `{}`, which keeps no state: the host writes other data sets to the \
                 checkpoint directory by itself, so remove the call",
                kind.map_or("an unknown stream", Kind::name)
            ));
        }
        self
    }
}

/// Sets a parameter of a node, in place of an earlier value.
fn set_parameter(graph: &crate::graph::Graph, node: NodeId, name: &'static str, value: Value) {
    graph.change(node, |node| {
        node.parameters.retain(|(other, _)| *other != name);
        node.parameters.push((name, value));
    });
}

#[cfg(test)]
mod tests;
