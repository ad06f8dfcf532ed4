//! The specification of a `map_with_state`: its function, initial state, partitions and timeout.

use crate::key::Key;
use crate::record::{Field, Record, fields_of};
use crate::stateful::{InitialHead, MigrateHead, OpenState};
use crate::time::Time;
use std::marker::PhantomData;
use std::time::Duration;

/// The state of a key, in the function of a `map_with_state`. Spark: `State`.
pub struct State<S> {
    pub(super) value: Option<S>,
    /// Whether the current record has removed the state.
    removed: bool,
    /// Whether a record of the chunk has updated or removed the state.
    pub(super) changed: bool,
    timing_out: bool,
}

impl<S> State<S> {
    pub(super) const fn new(value: Option<S>) -> Self {
        Self { value, removed: false, changed: false, timing_out: false }
    }

    pub(super) const fn timing_out(value: S) -> Self {
        Self { value: Some(value), removed: false, changed: false, timing_out: true }
    }

    /// Begins another record of the same key. A state that was removed can be set again.
    #[inline]
    pub(super) const fn begin_record(&mut self) {
        self.removed = false;
    }

    /// Whether the key has a state.
    pub const fn exists(&self) -> bool {
        self.value.is_some()
    }

    /// The state of the key.
    ///
    /// # Panics
    /// If the key has no state. [`exists`](Self::exists) and [`get_option`](Self::get_option) say whether there is one.
    #[inline]
    pub fn get(&self) -> &S {
        match &self.value {
            Some(value) => value,
            None => panic!("the state is not set: `get` needs a state; ask `exists` first, or use `get_option`"),
        }
    }

    /// The state of the key; `None` if the key has no state.
    pub const fn get_option(&self) -> Option<&S> {
        self.value.as_ref()
    }

    /// Sets the state of the key.
    ///
    /// # Panics
    /// If the state was removed in this call of the function, or if the state is timing out.
    #[inline]
    pub fn update(&mut self, state: S) {
        assert!(!self.removed, "cannot update the state after it has been removed");
        assert!(!self.timing_out, "cannot update the state that is timing out: ask `is_timing_out` first");
        self.value = Some(state);
        self.changed = true;
    }

    /// Removes the state of the key. The key gets a new state when a later record of the key sets one.
    ///
    /// # Panics
    /// If the state was removed in this call of the function, or if the state is timing out.
    #[inline]
    pub fn remove(&mut self) {
        assert!(!self.timing_out, "cannot remove the state that is timing out: it is removed after this call");
        assert!(!self.removed, "cannot remove the state that has already been removed");
        self.value = None;
        self.removed = true;
        self.changed = true;
    }

    /// Whether the key times out: the function is called without a value, for the last time with this state.
    pub const fn is_timing_out(&self) -> bool {
        self.timing_out
    }
}

/// Everything that a [`map_with_state`](crate::DStream::map_with_state) needs: its function and its options. Spark:
/// `StateSpec`.
///
/// ```
/// use millstream::{State, StateSpec, minutes, testing};
/// // Counts the records of each key, and starts anew when a key was silent for a minute.
/// let spec = StateSpec::function(|key: &String, value: Option<bool>, count: &mut State<u64>| {
///     if count.is_timing_out() {
///         return (key.clone(), *count.get());
///     }
///     let next = count.get_option().copied().unwrap_or(0) + u64::from(value.is_some());
///     count.update(next);
///     (key.clone(), next)
/// });
/// let spec = spec.initial_state(|| [("a".to_string(), 6)]).timeout(minutes(1));
/// let out = testing::run(vec![vec![("a".to_string(), true)]], |pairs| pairs.map_with_state(spec).into_stream());
/// assert_eq!(out, [vec![("a".to_string(), 7)]]);
/// ```
pub struct StateSpec<K, V, S, M, F = ()> {
    pub(super) function: F,
    pub(super) initial: Option<OpenState>,
    /// The code that migrates earlier states, and the type of these states with their keys.
    pub(super) migrate: Option<(OpenState, Vec<Field>)>,
    pub(super) partitions: Option<u32>,
    pub(super) timeout: Option<Duration>,
    kind: PhantomData<fn(K, V, S) -> M>,
}

impl<K: Key, V: Record, S: Record, M: Record> StateSpec<K, V, S, M> {
    /// Makes the specification of a function that is called with each record: with its key, its value and the state of
    /// the key. The function returns one value for each record. If there is a timeout, the function is also called for
    /// each key that times out, without a value. Spark: `StateSpec.function`.
    #[expect(clippy::type_complexity, reason = "the type of the function names all types of the operator")]
    pub fn function(
        function: impl Fn(&K, Option<V>, &mut State<S>) -> M + 'static,
    ) -> StateSpec<K, V, S, M, impl Fn(Time, &K, Option<V>, &mut State<S>) -> Option<M> + 'static> {
        Self::function_with_time(move |_, key, value, state| Some(function(key, value, state)))
    }

    /// As [`function`](Self::function), but the function also gets the batch's time, and may return `None` to give no
    /// value.
    ///
    /// ```
    /// use millstream::{State, StateSpec, Time, testing};
    /// // The first record of each key, with the time of its batch.
    /// let spec = StateSpec::function_with_time(|time: Time, key: &u8, _: Option<bool>, seen: &mut State<bool>| {
    ///     let is_new = !seen.exists();
    ///     seen.update(true);
    ///     is_new.then(|| (*key, time.as_ms()))
    /// });
    /// let batches = vec![vec![(7u8, true), (7, true)], vec![(7, true), (8, true)]];
    /// let out = testing::run(batches, |pairs| pairs.map_with_state(spec).into_stream());
    /// assert_eq!(out, [vec![(7, 1000)], vec![(8, 2000)]]);
    /// ```
    pub fn function_with_time<F>(function: F) -> StateSpec<K, V, S, M, F>
    where
        F: Fn(Time, &K, Option<V>, &mut State<S>) -> Option<M> + 'static,
    {
        StateSpec { function, initial: None, migrate: None, partitions: None, timeout: None, kind: PhantomData }
    }
}

impl<K: Key, V: Record, S: Record, M: Record, F> StateSpec<K, V, S, M, F> {
    /// Sets the states that keys have before the first batch. `rows` is called only when the host needs the initial
    /// state. If a job goes on from a checkpoint, the state comes from the checkpoint. If `rows` gives a key twice, the
    /// last state of the key counts. Spark: `initialState`.
    #[doc(alias = "initialState")]
    #[must_use]
    pub fn initial_state<R: IntoIterator<Item = (K, S)>>(mut self, rows: impl Fn() -> R + 'static) -> Self {
        self.initial = Some(InitialHead::code(rows));
        self
    }

    /// Makes this version of the plugin able to take over states of type `E`, which an earlier version has kept: see
    /// [`migrate_state`](crate::DStream::migrate_state).
    #[must_use]
    pub fn migrate_state<E: Record>(mut self, migrate: impl Fn(&K, E) -> Result<Option<S>, String> + 'static) -> Self {
        self.migrate = Some((MigrateHead::<K, E, S, _>::code(migrate), fields_of::<(K, E)>()));
        self
    }

    /// Sets the number of partitions. Without this call, the number is the job's `parallelism`. Spark: `numPartitions`.
    #[doc(alias = "numPartitions")]
    #[must_use]
    pub const fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// Removes the state of a key when the key had no record for longer than `idle`. In the batch in which this
    /// happens, the function is called for the key once more, without a value; [`State::is_timing_out`] is true then. A
    /// key that has a record in this batch does not time out. Spark: `timeout`.
    ///
    /// ```
    /// use millstream::{State, StateSpec, seconds, testing};
    /// let spec = StateSpec::function(|key: &u8, value: Option<u64>, last: &mut State<u64>| match value {
    ///     Some(value) => {
    ///         last.update(value);
    ///         format!("{key}: {value}")
    ///     }
    ///     None => format!("{key} ends with {}", last.get()),
    /// });
    /// let batches = vec![vec![(7u8, 5u64)], vec![], vec![], vec![]];
    /// let out = testing::run(batches, |pairs| pairs.map_with_state(spec.timeout(seconds(1))).into_stream());
    /// assert_eq!(out, [vec!["7: 5"], vec![], vec!["7 ends with 5"], vec![]]);
    /// ```
    #[must_use]
    pub const fn timeout(mut self, idle: Duration) -> Self {
        self.timeout = Some(idle);
        self
    }
}
