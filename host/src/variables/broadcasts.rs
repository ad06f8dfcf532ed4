//! Broadcast variables: values by name, each with an id.
//!
//! Owns which value a name stands for, and how long a value stays: a value that was removed can be read until the batch
//! is done, because tasks of the batch may have its id.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::error::{VARIABLES_MAX, Variable, VariableError, check_name, named};
use crate::block::StoredRows;
use crate::data::schema::RecordType;
use std::collections::BTreeMap;

/// Identifies a value of a broadcast variable in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BroadcastId(pub u64);

struct Broadcast {
    name: String,
    ty: RecordType,
    value: StoredRows,
    /// Whether the name does not stand for this value any more.
    is_removed: bool,
}

/// The broadcast variables of a run.
#[derive(Default)]
pub(super) struct Broadcasts {
    values: BTreeMap<BroadcastId, Broadcast>,
    next: u64,
}

impl Broadcasts {
    fn named(&self, name: &str) -> Option<(BroadcastId, &Broadcast)> {
        let found = self.values.iter().find(|(_, broadcast)| !broadcast.is_removed && broadcast.name == name);
        found.map(|(id, broadcast)| (*id, broadcast))
    }

    /// The id of the value that a name stands for. `None` if there is none.
    ///
    /// # Errors
    /// If the name is not valid, or if the value has another type.
    pub(super) fn find(&self, name: &str, ty: &RecordType) -> Result<Option<BroadcastId>, VariableError> {
        check_name(Variable::Broadcast, name)?;
        let Some((id, found)) = self.named(name) else { return Ok(None) };
        found.check_type(ty)?;
        Ok(Some(id))
    }

    /// Gives a name a value. The value that the name had before is removed.
    ///
    /// # Errors
    /// If the name is not valid, or if there are too many values.
    pub(super) fn make(&mut self, name: &str, ty: RecordType, value: StoredRows) -> Result<BroadcastId, VariableError> {
        check_name(Variable::Broadcast, name)?;
        // Removed values count as well: a function that makes values without end must find an end.
        if self.values.len() >= VARIABLES_MAX {
            return Err(VariableError::TooMany { what: Variable::Broadcast, name: named(name) });
        }
        if let Some((id, _)) = self.named(name) {
            self.remove(id)?;
        }
        let id = BroadcastId(self.next);
        self.next = self.next.saturating_add(1);
        self.values.insert(id, Broadcast { name: name.to_owned(), ty, value, is_removed: false });
        Ok(id)
    }

    /// The value with this id, as one row.
    ///
    /// # Errors
    /// If there is no such value, or if it has another type.
    pub(super) fn read(&self, id: BroadcastId, ty: &RecordType) -> Result<StoredRows, VariableError> {
        let found = self.values.get(&id).ok_or(VariableError::Unknown(id.0))?;
        found.check_type(ty)?;
        Ok(found.value.clone())
    }

    /// Removes the value with this id at the end of the batch.
    ///
    /// # Errors
    /// If there is no such value.
    pub(super) fn remove(&mut self, id: BroadcastId) -> Result<(), VariableError> {
        self.values.get_mut(&id).ok_or(VariableError::Unknown(id.0))?.is_removed = true;
        Ok(())
    }

    /// Drops the values that were removed in a batch that is done.
    pub(super) fn end_batch(&mut self) {
        self.values.retain(|_, broadcast| !broadcast.is_removed);
    }
}

impl Broadcast {
    fn check_type(&self, ty: &RecordType) -> Result<(), VariableError> {
        if self.ty == *ty {
            return Ok(());
        }
        let (is, used) = (format!("of type {}", self.ty), format!("one of type {ty}"));
        Err(VariableError::OtherType { what: Variable::Broadcast, name: named(&self.name), is, used })
    }
}
