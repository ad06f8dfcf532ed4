//! [`OperatorState`]: the facts that are reported for an operator with state.

use crate::shown::Shown as _;
use serde::{Deserialize, Serialize};

/// The state of an operator, in the form in which it is sent and printed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OperatorState {
    /// The position of the operator in the graph.
    pub node: u32,
    /// The name that the plugin's author gave to the operator.
    pub name: Option<String>,
    /// The kind of the operator.
    pub kind: String,
    /// The number of keys that have state.
    pub keys: u64,
    /// The bytes of the stored rows.
    pub bytes: u64,
    /// The type of the keys.
    pub key_type: String,
    /// The type of the state of a key.
    pub state_type: String,
    /// The batch after which the operator had this state. `None` if there is no state yet.
    pub batch_ms: Option<u64>,
}

impl OperatorState {
    /// The operator, in the words of messages.
    pub fn label(&self) -> String {
        operator_label(self.name.as_deref(), &self.kind, self.node)
    }
}

/// An operator, in the words of messages. Name and kind are escaped.
pub fn operator_label(name: Option<&str>, kind: &str, node: u32) -> String {
    let kind = kind.shown();
    match name {
        Some(name) => format!("`{}` ({kind}, node {node})", name.shown()),
        None => format!("`{kind}` (node {node})"),
    }
}
