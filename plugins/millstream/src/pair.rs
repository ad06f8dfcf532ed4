//! Operations on streams of pairs, by key.

use crate::chain::{Chain, Cut};
use crate::context::cut;
use crate::dstream::DStream;
use crate::graph::Code;
use crate::key::Key;
use crate::record::{Record, fields_of};
use crate::task::{fused_combine, reduce_exchange};
use std::rc::Rc;

impl<K: Key, V: Record, C: Chain<Out = (K, V)>> DStream<(K, V), C> {
    /// Merges the values of each key, within a batch. `function` must be associative; values are merged in the order
    /// of the partitions and their rows, and keys come out in the order in which they first appear. Spark:
    /// `reduceByKey`.
    ///
    /// ```
    /// use millstream::testing;
    /// let batches = vec![vec![("b".to_string(), 1u64), ("a".into(), 2), ("b".into(), 3)], vec![]];
    /// let out = testing::run(batches, |pairs| pairs.reduce_by_key(|a, b| a + b));
    /// assert_eq!(out, [vec![("b".to_string(), 4), ("a".into(), 2)], vec![]]);
    /// ```
    pub fn reduce_by_key<F: Fn(V, V) -> V + 'static>(&self, function: F) -> DStream<(K, V), Cut<(K, V)>> {
        let merge = Rc::new(function);
        let code = Code {
            exchange: Some(reduce_exchange::<K, V, F>(Rc::clone(&merge))),
            fused_combine: Some(fused_combine(self.chain.clone(), merge)),
            ..Code::default()
        };
        let node = self.graph.add::<(K, V)>("reduce_by_key", vec![self.node], code);
        self.graph.change(node, |node| node.exchanged = Some(fields_of::<(K, V)>()));
        cut(&self.graph, node)
    }
}
