//! `map_with_state`: a function of each record and the state of its key.

use super::spec::{State, StateSpec};
use crate::chain::{Chain, Cut};
use crate::chunk::Chunk;
use crate::ends::{Emitter, TaskError, is_chunk};
use crate::flow::{DStream, cut};
use crate::graph::{Code, Value};
use crate::key::Key;
use crate::kind::Kind;
use crate::record::{Builder, Column, Record, read_column, write_chunk};
use crate::runtime;
#[cfg(not(target_family = "wasm"))]
use crate::stateful::model::{Form, model};
use crate::stateful::{StateCode, StateHead, StateTask, no_input};
use crate::time::Time;
use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

impl<K: Record, V: Record, C: Chain<Out = (K, V)>> DStream<(K, V), C> {
    /// Keeps a state for each key, and passes each record through the function of `spec`, together with the state of
    /// its key. The function may update or remove the state, and returns a value. The records of a key are passed in
    /// the order of the partitions and of their rows. The result is the stream of the returned values: one for each
    /// record, in the order of the records within a partition, and after them the values for the keys that time out.
    ///
    /// The job needs a checkpoint directory. The work in a batch follows the number of records, not the number of keys.
    /// Spark: `mapWithState`.
    ///
    /// ```
    /// use millstream::{State, StateSpec, testing};
    /// let spec = StateSpec::function(|word: &String, one: Option<u64>, count: &mut State<u64>| {
    ///     let next = count.get_option().copied().unwrap_or(0) + one.unwrap_or(0);
    ///     count.update(next);
    ///     (word.clone(), next)
    /// });
    /// let word = |word: &str| (word.to_string(), 1u64);
    /// let batches = vec![vec![word("to"), word("be"), word("to")], vec![word("be")]];
    /// let out = testing::run(batches, |words| words.map_with_state(spec).into_stream());
    /// let count = |word: &str, count| (word.to_string(), count);
    /// assert_eq!(out, [vec![count("to", 1), count("be", 1), count("to", 2)], vec![count("be", 2)]]);
    /// ```
    #[doc(alias = "mapWithState")]
    pub fn map_with_state<S: Record, M: Record, F>(
        &self,
        spec: StateSpec<K, V, S, M, F>,
    ) -> MapWithStateDStream<K, S, M>
    where
        K: Key,
        F: Fn(Time, &K, Option<V>, &mut State<S>) -> Option<M> + 'static,
    {
        let StateSpec { function, initial, migrate, partitions, timeout, .. } = spec;
        let (migrate, earlier) = migrate.unzip();
        let has_initial = initial.is_some();
        let code = StateCode { initial, migrate, ..MappedHead::<K, V, S, M, F>::code(function, timeout) };
        let stream = self.stateful::<S, M>(Kind::MapWithState, code);
        self.graph.change(stream.node, |node| {
            let partitions = partitions.map(|partitions| ("partitions", Value::Integer(i64::from(partitions))));
            let initial = has_initial.then_some(("initial", Value::Flag(true)));
            let timeout = timeout.map(|timeout| ("timeout", Value::Duration(timeout)));
            node.parameters.extend([partitions, initial, timeout].into_iter().flatten());
            node.earlier_state = earlier;
        });
        MapWithStateDStream { stream, kind: PhantomData }
    }
}

/// The stream that [`map_with_state`](DStream::map_with_state) makes: every operation of [`DStream`] can be called on
/// it. Spark: `MapWithStateDStream`.
#[must_use = "nothing is computed unless an output such as `print()` reads the result"]
pub struct MapWithStateDStream<K: Key, S: Record, M: Record> {
    stream: DStream<M, Cut<M>>,
    kind: PhantomData<fn() -> (K, S)>,
}

impl<K: Key, S: Record, M: Record> Deref for MapWithStateDStream<K, S, M> {
    type Target = DStream<M, Cut<M>>;
    fn deref(&self) -> &Self::Target {
        &self.stream
    }
}

impl<K: Key, S: Record, M: Record> MapWithStateDStream<K, S, M> {
    /// Gives the states of all keys in each batch, after the batch. Keys come out in the order of their hashes. Spark:
    /// `stateSnapshots`.
    ///
    /// ```
    /// use millstream::{State, StateSpec, testing};
    /// let spec = StateSpec::function(|_: &u8, value: Option<u64>, last: &mut State<u64>| {
    ///     last.update(value.unwrap_or(0));
    ///     true
    /// });
    /// let batches = vec![vec![(1u8, 5u64), (1, 6)], vec![]];
    /// let out = testing::run(batches, |pairs| pairs.map_with_state(spec).state_snapshots());
    /// assert_eq!(out, [vec![(1, 6)], vec![(1, 6)]]);
    /// ```
    #[doc(alias = "stateSnapshots")]
    pub fn state_snapshots(&self) -> DStream<(K, S), Cut<(K, S)>> {
        let parents = vec![self.stream.node];
        let node = self.stream.graph.add::<(K, S)>(Kind::StateSnapshots, parents, Code::default());
        cut(&self.stream.graph, node)
    }

    /// Sets how often the host writes the state to the checkpoint directory. See [`DStream::checkpoint`].
    pub fn checkpoint(self, interval: Duration) -> Self {
        Self { stream: self.stream.checkpoint(interval), kind: PhantomData }
    }

    /// Names the operation. See [`DStream::name`](crate::chain::Flow::name).
    pub fn name(self, name: &str) -> Self {
        Self { stream: self.stream.name(name), kind: PhantomData }
    }

    /// Gives the stream itself, for places that need a [`DStream`].
    pub fn into_stream(self) -> DStream<M, Cut<M>> {
        self.stream
    }
}

/// The code of the role `map_with_state`.
struct MappedHead<K, V, S, M: Record, F> {
    function: Rc<F>,
    has_timeout: bool,
    task: StateTask,
    /// The states of the keys of the current chunk, by slot.
    slots: Vec<State<S>>,
    out: Emitter<M>,
    kind: PhantomData<fn(K, V)>,
}

impl<K: Key, V: Record, S: Record, M: Record, F> MappedHead<K, V, S, M, F>
where
    F: Fn(Time, &K, Option<V>, &mut State<S>) -> Option<M> + 'static,
{
    fn code(function: F, timeout: Option<Duration>) -> StateCode {
        let function = Rc::new(function);
        StateCode {
            role: "map_with_state",
            open: Box::new(move |task| {
                Box::new(Self {
                    function: Rc::clone(&function),
                    has_timeout: timeout.is_some(),
                    task,
                    slots: Vec::new(),
                    out: Emitter::default(),
                    kind: PhantomData,
                })
            }),
            initial: None,
            migrate: None,
            #[cfg(not(target_family = "wasm"))]
            model: model::<K, V, S>(Form::Mapped { timeout }),
        }
    }

    fn states(&mut self, chunk: Chunk) -> Result<(), TaskError> {
        let (states, rows) = read_column::<Option<S>>(chunk)?;
        self.slots.clear();
        self.slots.extend((0..rows).map(|row| State::new(states.get(row))));
        Ok(())
    }

    fn records(&mut self, chunk: Chunk) -> Result<(), TaskError> {
        let ((slots, keys, values), rows) = read_column::<(u32, K, V)>(chunk)?;
        let Self { function, task, slots: states, out, .. } = self;
        for row in 0..rows {
            task.trace_row();
            let slot = slots.get(row);
            let Some(state) = states.get_mut(slot as usize) else {
                return Err(TaskError::Chunk(format!("a record has the slot {slot}, which has no state")));
            };
            state.begin_record();
            if let Some(mapped) = function(task.time, &keys.get(row), Some(values.get(row)), state) {
                out.push(mapped);
            }
        }
        self.hand_over();
        Ok(())
    }

    /// Hands over the states that have changed, and forgets all states.
    fn hand_over(&mut self) {
        let mut columns = <(u32, Option<S>) as Record>::Builder::default();
        let mut rows = 0;
        for (slot, state) in (0u32..).zip(self.slots.drain(..)) {
            if state.changed || self.has_timeout && state.exists() {
                columns.push((slot, state.value));
                rows += 1;
                if is_chunk(&columns, rows) {
                    runtime::emit_state(write_chunk(&mut columns, rows));
                    rows = 0;
                }
            }
        }
        if rows > 0 {
            runtime::emit_state(write_chunk(&mut columns, rows));
        }
    }

    fn timed_out(&mut self, chunk: Chunk) -> Result<(), TaskError> {
        let ((keys, states), rows) = read_column::<(K, S)>(chunk)?;
        for row in 0..rows {
            self.task.trace_row();
            let mut state = State::timing_out(states.get(row));
            if let Some(mapped) = (self.function)(self.task.time, &keys.get(row), None, &mut state) {
                self.out.push(mapped);
            }
        }
        Ok(())
    }
}

impl<K: Key, V: Record, S: Record, M: Record, F> StateHead for MappedHead<K, V, S, M, F>
where
    F: Fn(Time, &K, Option<V>, &mut State<S>) -> Option<M> + 'static,
{
    fn push(&mut self, input: u32, chunk: Chunk) -> Result<(), TaskError> {
        match input {
            0 => self.records(chunk),
            1 => self.states(chunk),
            2 => self.timed_out(chunk),
            _ => Err(no_input(input)),
        }
    }

    fn finish(&mut self) {
        self.out.flush();
    }
}
