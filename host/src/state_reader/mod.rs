//! State as people and other programs look at it: the state of the last snapshot, and the state of a running job.
//!
//! Owns which operator and which key a text means, and which snapshots have the last state. Needs no plugin: snapshots
//! have the types of their rows. Never changes state, and never delays a batch: versions of state are immutable.

mod chain;
mod error;
mod key;
mod live;
mod operator;
mod saved;
mod sought;

pub use chain::{ChainError, SnapshotChain};
pub use error::StateReadError;
pub use live::LiveStates;
pub use saved::{SavedRows, SavedStates, operators};

use crate::listener::OperatorState;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The state of one key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyState {
    /// The operator, with the batch after which the state is this.
    pub operator: OperatorState,
    /// The key.
    pub key: Value,
    /// Whether the key has state.
    pub exists: bool,
    /// The state of the key. `null` if the key has none, or if the state itself is absent.
    pub state: Value,
}

#[cfg(test)]
mod tests;
