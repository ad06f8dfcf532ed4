//! The types of the rows that go between the host and a plugin for a stateful node.
//!
//! Owns no rows and no state: see `host/src/state` and `engine/state`.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::data::schema::{RecordType, SchemaError};

/// The types of the rows that go between the host and a plugin for a stateful node: see `wit/task.wit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateTypes {
    /// The state of a key, absent if the key has no state: `option S`.
    pub state: RecordType,
    /// A key with its state and its new values: `(K, option S, list V)`.
    pub update: RecordType,
    /// A record with the number of its key among the keys of the chunk: `(u32, K, V)`.
    pub record: RecordType,
    /// The number of a key, and the key's new state: `(u32, option S)`.
    pub change: RecordType,
    /// A key with its state and its values that leave and that enter a window: `(K, option S, list V, list V)`.
    pub window: RecordType,
}

impl StateTypes {
    /// The types for these types of key, state and value.
    ///
    /// # Errors
    /// If a type would be too large.
    pub fn of(key: &RecordType, state: &RecordType, value: &RecordType) -> Result<Self, SchemaError> {
        let (number, values, state) = (RecordType::number(), value.list()?, state.optional()?);
        Ok(Self {
            update: RecordType::tuple(&[key, &state, &values])?,
            record: RecordType::tuple(&[&number, key, value])?,
            change: RecordType::tuple(&[&number, &state])?,
            window: RecordType::tuple(&[key, &state, &values, &values])?,
            state,
        })
    }
}
