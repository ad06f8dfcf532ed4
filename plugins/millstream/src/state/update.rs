//! The code of `update_state_by_key` and its forms, as tasks run it.

use crate::chunk::Chunk;
use crate::ends::{Emitter, TaskError};
use crate::key::Key;
use crate::record::{Column, Record, read_column};
#[cfg(not(target_family = "wasm"))]
use crate::stateful::model::{Form, model};
use crate::stateful::{StateCode, StateHead, StateTask, no_input};
use crate::time::Time;
use std::marker::PhantomData;
use std::rc::Rc;

/// The code of the role `update`: calls the function for each key.
pub(super) struct UpdateHead<K, V, S: Record, F> {
    update: Rc<F>,
    task: StateTask,
    out: Emitter<Option<S>>,
    kind: PhantomData<fn(K, V)>,
}

impl<K: Key, V: Record, S: Record, F> UpdateHead<K, V, S, F>
where
    F: Fn(Time, &K::Column, usize, Vec<V>, Option<S>) -> Option<S> + 'static,
{
    pub fn code(update: F) -> StateCode {
        let update = Rc::new(update);
        StateCode {
            role: "update",
            open: Box::new(move |task| {
                Box::new(Self { update: Rc::clone(&update), task, out: Emitter::default(), kind: PhantomData })
            }),
            initial: None,
            migrate: None,
            #[cfg(not(target_family = "wasm"))]
            model: model::<K, V, S>(Form::Update),
        }
    }
}

impl<K: Key, V: Record, S: Record, F> StateHead for UpdateHead<K, V, S, F>
where
    F: Fn(Time, &K::Column, usize, Vec<V>, Option<S>) -> Option<S> + 'static,
{
    fn push(&mut self, input: u32, chunk: Chunk) -> Result<(), TaskError> {
        if input != 0 {
            return Err(no_input(input));
        }
        let ((keys, states, values), rows) = read_column::<(K, Option<S>, Vec<V>)>(chunk)?;
        let Self { update, task, out, .. } = self;
        for row in 0..rows {
            task.trace_row();
            out.push(update(task.time, &keys, row, values.get(row), states.get(row)));
        }
        Ok(())
    }

    fn finish(&mut self) {
        self.out.flush();
    }
}

/// The code of the role `update_partition`: collects the keys, and calls the function once.
pub(super) struct PartitionHead<K, V, S, F> {
    update: Rc<F>,
    task: StateTask,
    rows: Vec<(K, Vec<V>, Option<S>)>,
}

impl<K: Key, V: Record, S: Record, R, F> PartitionHead<K, V, S, F>
where
    R: IntoIterator<Item = (K, S)>,
    F: Fn(std::vec::IntoIter<(K, Vec<V>, Option<S>)>) -> R + 'static,
{
    pub fn code(update: F) -> StateCode {
        let update = Rc::new(update);
        StateCode {
            role: "update_partition",
            open: Box::new(move |task| Box::new(Self { update: Rc::clone(&update), task, rows: Vec::new() })),
            initial: None,
            migrate: None,
            #[cfg(not(target_family = "wasm"))]
            model: model::<K, V, S>(Form::Partition),
        }
    }
}

impl<K: Key, V: Record, S: Record, R, F> StateHead for PartitionHead<K, V, S, F>
where
    R: IntoIterator<Item = (K, S)>,
    F: Fn(std::vec::IntoIter<(K, Vec<V>, Option<S>)>) -> R + 'static,
{
    fn push(&mut self, input: u32, chunk: Chunk) -> Result<(), TaskError> {
        if input != 0 {
            return Err(no_input(input));
        }
        let ((keys, states, values), rows) = read_column::<(K, Option<S>, Vec<V>)>(chunk)?;
        self.rows.extend((0..rows).map(|row| {
            // The function sees a row as late as in `finish`, but a decoder of the author may fail here.
            self.task.trace_row();
            (keys.get(row), values.get(row), states.get(row))
        }));
        Ok(())
    }

    fn finish(&mut self) {
        if let Some(node) = self.task.traced {
            crate::chain::trace(node);
        }
        let mut out = Emitter::<(K, S)>::default();
        (self.update)(std::mem::take(&mut self.rows).into_iter()).into_iter().for_each(|row| out.push(row));
        out.flush();
    }
}
