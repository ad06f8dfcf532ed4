//! The code of nodes that keep state, as tasks run it.
//!
//! Owns what these nodes have in common. `wit/task.wit` says which rows a task gets and gives in each role.

#[cfg(not(target_family = "wasm"))]
pub(crate) mod model;

use crate::chunk::Chunk;
use crate::ends::{Emitter, TaskError};
use crate::ids::NodeId;
use crate::key::Key;
use crate::record::{Column, Record, read_column};
use crate::time::Time;
use std::marker::PhantomData;
use std::rc::Rc;

/// The code of a task whose only step is a node that keeps state.
pub(crate) trait StateHead {
    fn push(&mut self, input: u32, chunk: Chunk) -> Result<(), TaskError>;
    fn finish(&mut self);
}

/// The facts that a task with state needs besides its rows.
#[derive(Clone, Copy)]
pub(crate) struct StateTask {
    /// The time of the batch.
    pub time: Time,
    /// The node, if the task is traced.
    pub traced: Option<NodeId>,
}

impl StateTask {
    /// In a traced run: reports that the function is about to see the next row.
    #[inline]
    pub fn trace_row(&self) {
        if let Some(node) = self.traced {
            crate::chain::trace(node);
            crate::chain::next_record();
        }
    }
}

/// Makes the code of a task.
pub(crate) type OpenState = Box<dyn Fn(StateTask) -> Box<dyn StateHead>>;

/// The code of a node that keeps state.
pub(crate) struct StateCode {
    /// The role in which the node's function runs.
    pub role: &'static str,
    pub open: OpenState,
    /// The code of the role `initial`. `None` if there is no initial state.
    pub initial: Option<OpenState>,
    /// The code of the role `migrate`. `None` if no earlier states are migrated.
    pub migrate: Option<OpenState>,
    /// How the test harness keeps the state.
    #[cfg(not(target_family = "wasm"))]
    pub model: Rc<dyn model::Model>,
}

impl StateCode {
    /// Makes the code of a task with this role. `None` if the node does not have the role.
    pub fn open(&self, role: &str, task: StateTask) -> Option<Box<dyn StateHead>> {
        let open = match role {
            role if role == self.role => Some(&self.open),
            "initial" => self.initial.as_ref(),
            "migrate" => self.migrate.as_ref(),
            _ => None,
        };
        open.map(|open| open(task))
    }
}

/// The error that a task with state gets rows of an input that its role does not have.
pub(crate) fn no_input(input: u32) -> TaskError {
    TaskError::Unsupported(format!("input {input} of this task"))
}

/// The code of the role `initial`: emits the initial state.
pub(crate) struct InitialHead<K, S, F> {
    rows: Rc<F>,
    kind: PhantomData<fn() -> (K, S)>,
}

impl<K: Key, S: Record, R: IntoIterator<Item = (K, S)>, F: Fn() -> R + 'static> InitialHead<K, S, F> {
    pub fn code(rows: F) -> OpenState {
        let rows = Rc::new(rows);
        Box::new(move |_| Box::new(Self { rows: Rc::clone(&rows), kind: PhantomData }))
    }
}

impl<K: Key, S: Record, R: IntoIterator<Item = (K, S)>, F: Fn() -> R + 'static> StateHead for InitialHead<K, S, F> {
    fn push(&mut self, input: u32, _: Chunk) -> Result<(), TaskError> {
        Err(no_input(input))
    }

    fn finish(&mut self) {
        let mut out = Emitter::<(K, S)>::default();
        (self.rows)().into_iter().for_each(|row| out.push(row));
        out.flush();
    }
}

/// The code of the role `migrate`: converts states that an earlier version of the plugin has left.
pub(crate) struct MigrateHead<K, E, S: Record, F> {
    migrate: Rc<F>,
    task: StateTask,
    out: Emitter<Option<S>>,
    kind: PhantomData<fn(K, E)>,
}

impl<K: Key, E: Record, S: Record, F> MigrateHead<K, E, S, F>
where
    F: Fn(&K, E) -> Result<Option<S>, String> + 'static,
{
    pub fn code(migrate: F) -> OpenState {
        let migrate = Rc::new(migrate);
        Box::new(move |task| {
            Box::new(Self { migrate: Rc::clone(&migrate), task, out: Emitter::default(), kind: PhantomData })
        })
    }
}

impl<K: Key, E: Record, S: Record, F> StateHead for MigrateHead<K, E, S, F>
where
    F: Fn(&K, E) -> Result<Option<S>, String> + 'static,
{
    fn push(&mut self, input: u32, chunk: Chunk) -> Result<(), TaskError> {
        if input != 0 {
            return Err(no_input(input));
        }
        let ((keys, states), rows) = read_column::<(K, E)>(chunk)?;
        for row in 0..rows {
            self.task.trace_row();
            match (self.migrate)(&keys.get(row), states.get(row)) {
                Ok(state) => self.out.push(state),
                // The host knows which key this is.
                Err(reason) => panic!("the state cannot be migrated: {reason}"),
            }
        }
        Ok(())
    }

    fn finish(&mut self) {
        self.out.flush();
    }
}
