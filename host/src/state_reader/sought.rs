//! [`Sought`]: a key of an operator that somebody asks for, and the answer.

use super::error::StateReadError;
use super::{KeyState, key};
use crate::data::json::row_to_json;
use crate::data::schema::RecordType;
use crate::listener::OperatorState;
use crate::state::{Layout, SoughtKey, StateError};
use arrow::array::RecordBatch;
use serde_json::Value;
use std::sync::Arc;

/// A key that is looked for, and its operator.
pub struct Sought<'a> {
    operator: &'a OperatorState,
    pair: &'a RecordType,
    /// How the state of the operator is stored.
    pub layout: Arc<Layout>,
    /// The key.
    pub key: SoughtKey,
    shown: Value,
}

impl<'a> Sought<'a> {
    /// Reads a key of the operator, whose pairs of key and state are of type `pair`.
    pub fn new(operator: &'a OperatorState, pair: &'a RecordType, text: &str) -> Result<Self, StateReadError> {
        let label = || operator.label();
        let unknown = || StateReadError::UnknownType { operator: label() };
        let refused = |why: String| {
            let (text, key_type) = (text.to_owned(), operator.key_type.clone());
            StateReadError::Key { text, operator: label(), why, key_type }
        };
        let (key_type, _) = pair.pair().ok_or_else(unknown)?;
        let layout = Layout::new(pair).map(Arc::new).ok_or_else(unknown)?;
        let (keys, shown) = key::read(&key_type, text).map_err(refused)?;
        let sought = SoughtKey::new(&layout, &keys).map_err(|error| refused(error.to_string()))?;
        let key = sought.ok_or_else(|| refused("it is empty".to_owned()))?;
        Ok(Self { operator, pair, layout, key, shown })
    }

    /// The error that rows of the state cannot be read.
    pub fn failed(&self, error: StateError) -> StateReadError {
        StateReadError::Rows { operator: self.operator.label(), error }
    }

    /// The answer, from the pair of the key and its state. `None` stands for a key without state.
    pub fn told(&self, pair: Option<RecordBatch>) -> Result<KeyState, StateReadError> {
        let state = pair.map(|pair| row_to_json(&pair, self.pair, 0)).transpose();
        let state = state.map_err(|error| self.failed(error.into()))?;
        Ok(KeyState {
            operator: self.operator.clone(),
            key: self.shown.clone(),
            exists: state.is_some(),
            state: state.and_then(|pair| pair.get(1).cloned()).unwrap_or_default(),
        })
    }
}
