//! How the host works on states, for the test harness.
//!
//! Owns which rows a task with state gets, and what becomes of the rows that the task gives. Keys come in the host's
//! order: by the hashes of their encodings. Never calls the program's functions: tasks do.

use crate::chunk::Chunk;
use crate::key::Key;
use crate::record::{Record, chunk_of, rows_of};
use crate::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;
use twox_hash::XxHash3_64;

/// A key: its hash, then its encoding. The order of these pairs is the order in which the host keeps keys.
type KeyId = (u64, Vec<u8>);

/// The state of a key.
#[derive(Clone)]
struct Held {
    /// The state, as one row.
    row: Chunk,
    /// The time of the last batch that set the state, or that kept it from timing out.
    time: Time,
}

/// The states of all keys.
#[derive(Clone, Default)]
pub(crate) struct States(BTreeMap<KeyId, Held>);

/// The rows that a node with state reads in a batch.
pub(crate) struct Input {
    /// The rows that leave a window. Other operators have none.
    pub leaving: Vec<Chunk>,
    /// The rows of the batch, or the rows that enter a window.
    pub entering: Vec<Chunk>,
}

/// What a task has given: its rows, and the states that it handed over.
#[derive(PartialEq)]
pub(crate) struct Given {
    pub rows: Vec<Chunk>,
    pub states: Vec<Chunk>,
}

/// How a node works on its state.
pub(crate) trait Model {
    /// The states that the rows of an initial state give.
    fn hold(&self, rows: Vec<Chunk>, time: Time) -> States;
    /// Makes the pushes of a task, lets it `run`, and returns the node's rows and the states after the batch.
    fn step(
        &self,
        before: &States,
        input: Input,
        time: Time,
        run: &dyn Fn(Vec<(u32, Chunk)>) -> Given,
    ) -> (Vec<Chunk>, States);
    /// The states as rows.
    fn rows(&self, states: &States) -> Vec<Chunk>;
}

/// The operators with state.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    Update,
    Partition,
    Mapped { timeout: Option<Duration> },
    Inverse,
}

struct ModelOf<K, V, S> {
    form: Form,
    kind: PhantomData<(K, V, S)>,
}

/// Makes the model of an operator with these types of keys, values and states.
pub(crate) fn model<K: Key, V: Record, S: Record>(form: Form) -> Rc<dyn Model> {
    Rc::new(ModelOf::<K, V, S> { form, kind: PhantomData })
}

fn id_of<K: Key>(key: &K) -> KeyId {
    let mut bytes = Vec::new();
    key.encode(true, &mut bytes);
    (XxHash3_64::oneshot(&bytes), bytes)
}

fn key_of<K: Key>((_, bytes): &KeyId) -> K {
    K::decode(&mut bytes.as_slice(), true)
}

fn all_rows<T: Record>(chunks: Vec<Chunk>) -> Vec<T> {
    chunks.into_iter().flat_map(rows_of).collect()
}

impl States {
    fn set<S: Record>(&mut self, id: KeyId, state: S, time: Time) {
        self.0.insert(id, Held { row: chunk_of(vec![state]), time });
    }

    fn get<S: Record>(&self, id: &KeyId) -> Option<S> {
        self.0.get(id).and_then(|held| rows_of(held.row.clone()).pop())
    }
}

impl<K: Key, V: Record, S: Record> ModelOf<K, V, S> {
    /// The values of each key, in order.
    fn grouped(chunks: Vec<Chunk>) -> BTreeMap<KeyId, Vec<V>> {
        let mut groups = BTreeMap::<KeyId, Vec<V>>::new();
        for (key, value) in all_rows::<(K, V)>(chunks) {
            groups.entry(id_of(&key)).or_default().push(value);
        }
        groups
    }

    fn held(rows: Vec<(K, S)>, time: Time) -> States {
        let mut states = States::default();
        rows.into_iter().for_each(|(key, state)| states.set(id_of(&key), state, time));
        states
    }

    fn update(before: &States, input: Input) -> (Vec<KeyId>, Chunk) {
        let mut groups = Self::grouped(input.entering);
        let ids: BTreeSet<KeyId> = before.0.keys().chain(groups.keys()).cloned().collect();
        let row = |id: &KeyId| (key_of::<K>(id), before.get::<S>(id), groups.remove(id).unwrap_or_default());
        let rows = ids.iter().map(row).collect();
        (ids.into_iter().collect(), chunk_of::<(K, Option<S>, Vec<V>)>(rows))
    }

    fn inverse(before: &States, input: Input) -> (Vec<KeyId>, Chunk) {
        let (mut leaving, mut entering) = (Self::grouped(input.leaving), Self::grouped(input.entering));
        let ids: BTreeSet<KeyId> = before.0.keys().chain(leaving.keys()).chain(entering.keys()).cloned().collect();
        let row = |id: &KeyId| {
            let leaving = leaving.remove(id).unwrap_or_default();
            (key_of::<K>(id), before.get::<S>(id), leaving, entering.remove(id).unwrap_or_default())
        };
        let rows = ids.iter().map(row).collect();
        (ids.into_iter().collect(), chunk_of::<(K, Option<S>, Vec<V>, Vec<V>)>(rows))
    }

    /// The states that a task gave for these keys.
    fn answers(ids: Vec<KeyId>, given: Given, time: Time) -> States {
        let states = all_rows::<Option<S>>(given.rows);
        assert_eq!(states.len(), ids.len(), "a task gives a state for each key");
        let mut after = States::default();
        for (id, state) in ids.into_iter().zip(states) {
            if let Some(state) = state {
                after.set(id, state, time);
            }
        }
        after
    }

    fn mapped(
        before: &States,
        input: Input,
        time: Time,
        timeout: Option<Duration>,
        run: &dyn Fn(Vec<(u32, Chunk)>) -> Given,
    ) -> (Vec<Chunk>, States) {
        let records = all_rows::<(K, V)>(input.entering);
        let (mut slots, mut ids) = (BTreeMap::new(), Vec::new());
        let mut slot_of = |key: &K| {
            let id = id_of(key);
            *slots.entry(id.clone()).or_insert_with(|| {
                ids.push(id);
                ids.len() - 1
            })
        };
        let rows: Vec<(u32, K, V)> =
            records.into_iter().map(|(key, value)| (slot_of(&key) as u32, key, value)).collect();
        let states: Vec<Option<S>> = ids.iter().map(|id| before.get(id)).collect();
        // A key that has a record does not time out.
        let is_idle = |id: &KeyId, held: &Held| {
            timeout.is_some_and(|timeout| held.time < time - timeout) && !slots.contains_key(id)
        };
        let idle: Vec<KeyId> =
            before.0.iter().filter(|(id, held)| is_idle(id, held)).map(|(id, _)| id.clone()).collect();
        let idle_rows: Vec<(K, S)> = idle.iter().filter_map(|id| Some((key_of(id), before.get(id)?))).collect();
        let mut pushes = Vec::new();
        if !rows.is_empty() {
            pushes.extend([(1, chunk_of(states)), (0, chunk_of(rows))]);
        }
        if !idle_rows.is_empty() {
            pushes.push((2, chunk_of(idle_rows)));
        }
        let given = run(pushes);
        let mut after = before.clone();
        for (slot, state) in all_rows::<(u32, Option<S>)>(given.states) {
            let id = ids[slot as usize].clone();
            match state {
                Some(state) => after.set(id, state, time),
                None => drop(after.0.remove(&id)),
            }
        }
        idle.iter().for_each(|id| drop(after.0.remove(id)));
        (given.rows, after)
    }
}

impl<K: Key, V: Record, S: Record> Model for ModelOf<K, V, S> {
    fn hold(&self, rows: Vec<Chunk>, time: Time) -> States {
        Self::held(all_rows(rows), time)
    }

    fn step(
        &self,
        before: &States,
        input: Input,
        time: Time,
        run: &dyn Fn(Vec<(u32, Chunk)>) -> Given,
    ) -> (Vec<Chunk>, States) {
        let after = match self.form {
            Form::Mapped { timeout } => return Self::mapped(before, input, time, timeout, run),
            Form::Update | Form::Inverse => {
                let is_update = matches!(self.form, Form::Update);
                let (ids, rows) = if is_update { Self::update(before, input) } else { Self::inverse(before, input) };
                Self::answers(ids, run(vec![(0, rows)]), time)
            }
            Form::Partition => {
                let (_, rows) = Self::update(before, input);
                // If the function gives a key twice, the first state counts.
                let mut given = all_rows(run(vec![(0, rows)]).rows);
                given.reverse();
                Self::held(given, time)
            }
        };
        (self.rows(&after), after)
    }

    fn rows(&self, states: &States) -> Vec<Chunk> {
        let row = |id: &KeyId| Some((key_of::<K>(id), states.get::<S>(id)?));
        vec![chunk_of(states.0.keys().filter_map(row).collect())]
    }
}
