//! The batches of a node that keeps state, in a test.

use crate::chunk::Chunk;
use crate::stateful::model::States;
use std::collections::BTreeMap;

/// The result of a node with state in a batch.
#[derive(Clone, Default)]
pub(super) struct Outcome {
    pub rows: Vec<Chunk>,
    /// All states after the batch.
    pub snapshot: Vec<Chunk>,
}

/// The batches of a node with state, as far as they are done.
#[derive(Default)]
pub(super) struct History {
    /// How many batches are done.
    pub done: usize,
    /// The states after these batches; `None` before the first of them.
    pub states: Option<States>,
    pub outcomes: BTreeMap<usize, Outcome>,
}
