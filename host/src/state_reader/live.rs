//! [`LiveStates`]: the state of a running job, after the batch whose state was made last.

use super::KeyState;
use super::error::StateReadError;
use super::operator::choose;
use super::sought::Sought;
use crate::data::schema::RecordType;
use crate::graph::{Graph, Node};
use crate::ids::NodeId;
use crate::listener::OperatorState;
use crate::lock::lock;
use crate::state::{StateStore, Version};
use std::sync::{Arc, Mutex};

/// The state of a running job. Clones show the same job.
#[derive(Clone)]
pub struct LiveStates {
    shown: Arc<Mutex<RunStates>>,
}

/// The state of the run whose results are shown.
#[derive(Clone)]
struct RunStates {
    /// The operators with state, as they are before the first batch, and the types of their pairs of key and state.
    operators: Arc<[(OperatorState, RecordType)]>,
    state: StateStore,
}

impl LiveStates {
    /// Shows the state of the operators of a graph.
    pub fn new(graph: &Graph, state: StateStore) -> Self {
        let operator = |node: &Node| {
            let pair = node.state.clone()?;
            let (key, value) = pair.pair()?;
            let told = OperatorState {
                node: node.id.0,
                name: node.name.clone(),
                kind: node.kind.clone(),
                key_type: key.to_string(),
                state_type: value.to_string(),
                ..OperatorState::default()
            };
            Some((told, pair))
        };
        Self::of(graph.nodes().iter().filter_map(operator).collect(), state)
    }

    /// Shows the state of some operators, which are told as they are before the first batch.
    pub fn of(operators: Vec<(OperatorState, RecordType)>, state: StateStore) -> Self {
        Self { shown: Arc::new(Mutex::new(RunStates { operators: operators.into(), state })) }
    }

    /// Shows the state that `other` shows, from now on.
    pub fn show(&self, other: &Self) {
        let shown = other.shown();
        *lock(&self.shown) = shown;
    }

    fn shown(&self) -> RunStates {
        lock(&self.shown).clone()
    }

    /// The operators with state.
    pub fn list(&self) -> Vec<OperatorState> {
        self.shown().list()
    }

    /// The state of one key of an operator. Reads one page of the state, and waits for the disk if the page is there.
    ///
    /// # Errors
    /// Returns an error if the operator or the key is not clear, or if the page cannot be read.
    pub fn get(&self, operator: Option<&str>, key: &str) -> Result<KeyState, StateReadError> {
        self.shown().get(operator, key)
    }
}

impl RunStates {
    /// The current version of an operator's state. `None` if there is no state yet.
    fn version(&self, operator: &OperatorState) -> Option<Version> {
        self.state.version(NodeId(operator.node))
    }

    fn list(&self) -> Vec<OperatorState> {
        self.operators.iter().map(|(operator, _)| told(operator, self.version(operator).as_ref())).collect()
    }

    fn get(&self, operator: Option<&str>, key: &str) -> Result<KeyState, StateReadError> {
        let operators: Vec<OperatorState> = self.operators.iter().map(|(operator, _)| operator.clone()).collect();
        let chosen = self.operators.get(choose(&operators, operator)?);
        let (operator, pair) = chosen.ok_or(StateReadError::NoOperator)?;
        let version = self.version(operator);
        let operator = told(operator, version.as_ref());
        let sought = Sought::new(&operator, pair, key)?;
        let found = version.as_ref().map(|version| sought.key.pair_in(version)).transpose();
        sought.told(found.map_err(|error| sought.failed(error))?.flatten())
    }
}

/// An operator with what is known of a version.
fn told(operator: &OperatorState, version: Option<&Version>) -> OperatorState {
    let Some(version) = version else { return operator.clone() };
    let (keys, bytes, batch_ms) = (version.keys(), version.bytes(), Some(version.batch.as_ms()));
    OperatorState { keys, bytes, batch_ms, ..operator.clone() }
}
