//! Windows with an inverse function: each window is computed from the window before, the values that leave it, and the
//! values that enter it.

use crate::chain::{Chain, Cut};
use crate::chunk::Chunk;
use crate::ends::{Emitter, TaskError};
use crate::flow::DStream;
use crate::key::Key;
use crate::kind::Kind;
use crate::record::{Column, Record, read_column};
#[cfg(not(target_family = "wasm"))]
use crate::stateful::model::{Form, model};
use crate::stateful::{StateCode, StateHead, StateTask, no_input};
use crate::window::Window;
use std::marker::PhantomData;
use std::rc::Rc;

impl<K: Record, V: Record, C: Chain<Out = (K, V)>> DStream<(K, V), C> {
    /// Merges the values of each key in each window, as [`reduce_by_key_and_window`](Self::reduce_by_key_and_window)
    /// does, but makes each window from the window before: `inverse` takes away the values that leave the window, and
    /// `function` adds the values that enter it. So the work depends on how many values enter and leave, and not on the
    /// length of the window. `inverse(a, b)` must give the `c` for which `function(c, b)` is `a`. Each batch is merged
    /// once. Keys come out in the order of their hashes.
    ///
    /// A key stays after its last value has left the window. Its value is then the remainder, such as zero. To remove
    /// such keys, use [`reduce_by_key_and_window_inverse_filtered`](Self::reduce_by_key_and_window_inverse_filtered).
    /// The job needs a checkpoint directory. `.partitions(..)` and `.checkpoint(..)` may follow. Spark:
    /// `reduceByKeyAndWindow`, `invReduceFunc`.
    ///
    /// ```
    /// use millstream::{seconds, testing};
    /// let batches = vec![vec![(1u8, 5u64)], vec![(1, 6)], vec![], vec![]];
    /// let out = testing::run(batches, |pairs| {
    ///     pairs.reduce_by_key_and_window_inverse(|a, b| a + b, |a, b| a - b, seconds(2))
    /// });
    /// assert_eq!(out, [vec![(1, 5)], vec![(1, 11)], vec![(1, 6)], vec![(1, 0)]]);
    /// ```
    #[doc(alias = "invReduceFunc")]
    #[doc(alias = "reduceByKeyAndWindow")]
    pub fn reduce_by_key_and_window_inverse<F, I>(
        &self,
        function: F,
        inverse: I,
        window: impl Into<Window>,
    ) -> DStream<(K, V), Cut<(K, V)>>
    where
        K: Key,
        F: Fn(V, V) -> V + Clone + 'static,
        I: Fn(V, V) -> V + 'static,
    {
        self.inverse_window(function, inverse, window.into(), |_, _, value| Some(value))
    }

    /// As [`reduce_by_key_and_window_inverse`](Self::reduce_by_key_and_window_inverse), but keeps a key only while
    /// `filter` returns true for the key and its value. A key that is not kept has no value any more: when the key
    /// comes back, its value starts anew. Spark: `reduceByKeyAndWindow` with `invReduceFunc` and `filterFunc`.
    ///
    /// ```
    /// use millstream::{seconds, testing};
    /// let batches = vec![vec![(1u8, 5u64)], vec![(1, 6)], vec![], vec![]];
    /// let out = testing::run(batches, |pairs| {
    ///     let not_zero = |(_, sum): &(u8, u64)| *sum > 0;
    ///     pairs.reduce_by_key_and_window_inverse_filtered(|a, b| a + b, |a, b| a - b, seconds(2), not_zero)
    /// });
    /// assert_eq!(out, [vec![(1, 5)], vec![(1, 11)], vec![(1, 6)], vec![]]);
    /// ```
    #[doc(alias = "reduceByKeyAndWindow")]
    pub fn reduce_by_key_and_window_inverse_filtered<F, I, P>(
        &self,
        function: F,
        inverse: I,
        window: impl Into<Window>,
        filter: P,
    ) -> DStream<(K, V), Cut<(K, V)>>
    where
        K: Key,
        F: Fn(V, V) -> V + Clone + 'static,
        I: Fn(V, V) -> V + 'static,
        P: Fn(&(K, V)) -> bool + 'static,
    {
        self.inverse_window(function, inverse, window.into(), move |keys: &K::Column, row, value| {
            let pair = (keys.get(row), value);
            filter(&pair).then_some(pair.1)
        })
    }

    /// Adds the operator. `keep` gets the column of keys and the row of the key there, and returns the value if it is
    /// kept.
    fn inverse_window<F, I, P>(&self, function: F, inverse: I, window: Window, keep: P) -> DStream<(K, V), Cut<(K, V)>>
    where
        K: Key,
        F: Fn(V, V) -> V + Clone + 'static,
        I: Fn(V, V) -> V + 'static,
        P: Fn(&K::Column, usize, V) -> Option<V> + 'static,
    {
        let of_batches = self.reduce_by_key(function.clone());
        let code = InverseHead::<K, V, F, I, P>::code(Functions { function, inverse, keep });
        let stream = of_batches.stateful::<V, _>(Kind::ReduceByKeyAndWindowInverse, code);
        self.graph.change(stream.node, |node| node.parameters.extend(window.parameters()));
        stream
    }
}

impl<T: Record, C: Chain<Out = T>> DStream<T, C> {
    /// Merges all values of each window into one value, as [`reduce_by_window`](Self::reduce_by_window) does, but makes
    /// each window from the window before: `inverse` takes away the values that leave the window, and `function` adds
    /// the values that enter it. Windows before the first value give no value; from then on, each window gives a value.
    /// The job needs a checkpoint directory. Spark: `reduceByWindow` with `invReduceFunc`.
    ///
    /// ```
    /// use millstream::{seconds, testing};
    /// let out = testing::run(vec![vec![], vec![1u32], vec![2, 3], vec![], vec![]], |numbers| {
    ///     numbers.reduce_by_window_inverse(|a, b| a + b, |a, b| a - b, seconds(2))
    /// });
    /// assert_eq!(out, [vec![], vec![1], vec![6], vec![5], vec![0]]);
    /// ```
    #[doc(alias = "reduceByWindow")]
    pub fn reduce_by_window_inverse<F, I, W: Into<Window>>(
        &self,
        function: F,
        inverse: I,
        window: W,
    ) -> DStream<T, impl Chain<Out = T> + use<T, C, F, I, W>>
    where
        F: Fn(T, T) -> T + Clone + 'static,
        I: Fn(T, T) -> T + 'static,
    {
        let pairs = self.map(|value| (0u8, value));
        pairs.reduce_by_key_and_window_inverse(function, inverse, window.into()).partitions(1).values()
    }
}

/// The functions of a window with an inverse function.
struct Functions<F, I, P> {
    function: F,
    inverse: I,
    keep: P,
}

/// The code of the role `inverse`.
struct InverseHead<K, V: Record, F, I, P> {
    functions: Rc<Functions<F, I, P>>,
    task: StateTask,
    out: Emitter<Option<V>>,
    kind: PhantomData<fn(K)>,
}

impl<K: Key, V: Record, F, I, P> InverseHead<K, V, F, I, P>
where
    F: Fn(V, V) -> V + 'static,
    I: Fn(V, V) -> V + 'static,
    P: Fn(&K::Column, usize, V) -> Option<V> + 'static,
{
    fn code(functions: Functions<F, I, P>) -> StateCode {
        let functions = Rc::new(functions);
        StateCode {
            role: "inverse",
            open: Box::new(move |task| {
                let functions = Rc::clone(&functions);
                Box::new(Self { functions, task, out: Emitter::default(), kind: PhantomData })
            }),
            initial: None,
            migrate: None,
            #[cfg(not(target_family = "wasm"))]
            model: model::<K, V, V>(Form::Inverse),
        }
    }
}

impl<K: Key, V: Record, F, I, P> StateHead for InverseHead<K, V, F, I, P>
where
    F: Fn(V, V) -> V + 'static,
    I: Fn(V, V) -> V + 'static,
    P: Fn(&K::Column, usize, V) -> Option<V> + 'static,
{
    fn push(&mut self, input: u32, chunk: Chunk) -> Result<(), TaskError> {
        if input != 0 {
            return Err(no_input(input));
        }
        let ((keys, states, leaving, entering), rows) = read_column::<(K, Option<V>, Vec<V>, Vec<V>)>(chunk)?;
        let Self { functions, task, out, .. } = self;
        let Functions { function, inverse, keep } = &**functions;
        for row in 0..rows {
            task.trace_row();
            let entering = entering.reduce(row, function);
            let value = match states.get(row) {
                // Values can leave a window without a value only if the filter has removed their key. Then the values
                // do not count.
                None => entering,
                Some(state) => {
                    let rest = match leaving.reduce(row, function) {
                        Some(leaving) => inverse(state, leaving),
                        None => state,
                    };
                    Some(match entering {
                        Some(entering) => function(rest, entering),
                        None => rest,
                    })
                }
            };
            out.push(value.and_then(|value| keep(&keys, row, value)));
        }
        Ok(())
    }

    fn finish(&mut self) {
        self.out.flush();
    }
}
