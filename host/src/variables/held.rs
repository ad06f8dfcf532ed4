//! [`SharedVariables`]: the accumulators and broadcast variables of a run.

use super::broadcasts::{BroadcastId, Broadcasts};
use super::call::{Content, VariableAnswer, VariableCall};
use super::error::{Variable, VariableError, named};
use super::totals::{AccumulatorKind, Collection, Sum, Total, Updates};
use crate::block::{RowStorage, SpillError, StoredRows};
use crate::data::schema::RecordType;
use crate::data::{text, written_bytes_max};
use crate::listener::{AccumulatorInfo, AccumulatorValue};
use crate::lock::lock;
use crate::shown;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};

/// How many values of a collection are shown.
const VALUES_SHOWN_MAX: usize = 10;
/// A value is not shown if its text may be longer than this, because the text takes memory that is not reserved.
const WRITTEN_BYTES_MAX: usize = 64 * 1024;

/// The accumulators and broadcast variables of a run.
pub struct SharedVariables {
    storage: RowStorage,
    limit: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    accumulators: Updates,
    /// The accumulators that were used since the last batch was done.
    changed: BTreeSet<String>,
    broadcasts: Broadcasts,
}

impl SharedVariables {
    /// Makes the variables of a run: there are none yet. `limit` is the most bytes that a value may have.
    pub fn new(storage: RowStorage, limit: u64) -> Self {
        Self { storage, limit, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The storage of values.
    pub const fn storage(&self) -> &RowStorage {
        &self.storage
    }

    /// Adds updates of a task to those that it had before.
    ///
    /// # Errors
    /// If the update is not valid, or if there is no room for its values.
    pub fn add_to(&self, updates: &mut Updates, call: VariableCall) -> Result<(), VariableError> {
        let Some((name, by)) = self.update(call)? else { return Ok(()) };
        updates.add(&name, by, self.limit)
    }

    /// What a call adds. `None` if the call adds nothing.
    fn update(&self, call: VariableCall) -> Result<Option<(String, Total)>, VariableError> {
        Ok(Some(match call {
            VariableCall::AddLong(name, by) => (name, Total::Long(by)),
            VariableCall::AddDouble(name, by) => (name, Total::Double(by)),
            VariableCall::AddValues(name, Content { ty, rows, .. }) => {
                let mut values = Collection::new(ty);
                values.append(rows, &self.storage).map_err(|error| not_kept(Variable::Accumulator, &name, &error))?;
                (name, Total::Collection(values))
            }
            _ => return Ok(None),
        }))
    }

    /// Adds the updates of a task to those of its stage.
    ///
    /// # Errors
    /// If the updates do not fit together.
    pub fn collect(&self, stage: &mut Updates, task: Updates) -> Result<(), VariableError> {
        stage.absorb(task, self.limit)
    }

    /// Adds the updates of a stage that has run to the values.
    ///
    /// # Errors
    /// If an update does not fit the type of an accumulator, or if a limit is reached. Then nothing is added.
    pub fn count(&self, stage: Updates) -> Result<(), VariableError> {
        let mut state = self.lock();
        let names: Vec<String> = stage.iter().map(|(name, _)| name.to_owned()).collect();
        state.accumulators.absorb(stage, self.limit)?;
        state.changed.extend(names);
        state.accumulators.put_together(&self.storage);
        Ok(())
    }

    /// Does what a driver function asks for.
    ///
    /// # Errors
    /// If the request is not valid, or if there is no room for its values.
    pub fn answer(&self, call: VariableCall) -> Result<VariableAnswer, VariableError> {
        match call {
            VariableCall::Value(name, kind) => Ok(VariableAnswer::Value(self.accumulator(&name, &kind)?)),
            VariableCall::Reset(name, kind) => {
                let mut state = self.lock();
                *state.accumulators.entry(&name, &kind)? = Total::zero(&kind);
                state.changed.insert(name);
                Ok(VariableAnswer::Done)
            }
            VariableCall::Find(name, ty) => Ok(VariableAnswer::Found(self.lock().broadcasts.find(&name, &ty)?)),
            VariableCall::Broadcast(name, value) => Ok(VariableAnswer::Made(self.make(&name, value)?)),
            VariableCall::Unpersist(id) => {
                self.lock().broadcasts.remove(id)?;
                Ok(VariableAnswer::Done)
            }
            add => {
                let Some((name, by)) = self.update(add)? else { return Ok(VariableAnswer::Done) };
                let mut state = self.lock();
                state.accumulators.add(&name, by, self.limit)?;
                state.changed.insert(name);
                state.accumulators.put_together(&self.storage);
                Ok(VariableAnswer::Done)
            }
        }
    }

    fn accumulator(&self, name: &str, kind: &AccumulatorKind) -> Result<Total, VariableError> {
        let mut state = self.lock();
        let is_new = state.accumulators.iter().all(|(known, _)| known != name);
        let value = state.accumulators.entry(name, kind)?.clone();
        if is_new {
            state.changed.insert(name.to_owned());
        }
        Ok(value)
    }

    fn make(&self, name: &str, value: Content) -> Result<BroadcastId, VariableError> {
        let rows = value.rows.num_rows();
        if rows != 1 {
            return Err(VariableError::NotOneRow { name: named(name), rows });
        }
        let mut writer = self.storage.writer(1);
        writer.append(0, value.rows).map_err(|error| not_kept(Variable::Broadcast, name, &error))?;
        let stored = writer.finish();
        if stored.bucket_size(0).bytes > self.limit {
            let (what, limit) = (Variable::Broadcast, self.limit);
            return Err(VariableError::TooLarge { what, name: named(name), limit });
        }
        self.lock().broadcasts.make(name, value.ty, stored)
    }

    /// The value of a broadcast variable, as one row.
    ///
    /// # Errors
    /// If there is no such value, or if it has another type.
    pub fn read(&self, id: BroadcastId, ty: &RecordType) -> Result<StoredRows, VariableError> {
        self.lock().broadcasts.read(id, ty)
    }

    /// Ends a batch: drops the broadcast variables that were removed. Returns the accumulators that were used for the
    /// first time, updated or reset since the batch before.
    pub fn end_batch(&self) -> Vec<AccumulatorInfo> {
        let mut state = self.lock();
        state.broadcasts.end_batch();
        let changed = std::mem::take(&mut state.changed);
        let values = state.accumulators.iter().filter(|(name, _)| changed.contains(*name));
        let values: Vec<(String, Total)> = values.map(|(name, total)| (name.to_owned(), total.clone())).collect();
        drop(state);
        values.into_iter().map(|(name, total)| AccumulatorInfo { name, value: shown(&total) }).collect()
    }
}

fn not_kept(what: Variable, name: &str, error: &SpillError) -> VariableError {
    VariableError::NotKept { what, name: named(name), why: error.to_string() }
}

/// A value for listeners.
fn shown(total: &Total) -> AccumulatorValue {
    match total {
        Total::Long(Sum { sum, count }) => AccumulatorValue::long(*sum, *count),
        Total::Double(Sum { sum, count }) => AccumulatorValue::double(*sum, *count),
        Total::Collection(values) => AccumulatorValue::Collection { count: values.len(), first: first_values(values) },
    }
}

/// The first values of a collection, as `print` shows them. A value that cannot be read or is too long is left out.
fn first_values(values: &Collection) -> Vec<String> {
    let mut first = Vec::new();
    for rows in values.pieces().iter().flat_map(|piece| piece.read(0)) {
        let Ok(rows) = rows else { break };
        for row in 0..rows.num_rows() {
            if first.len() == VALUES_SHOWN_MAX {
                return first;
            }
            let mut value = String::new();
            let is_short = written_bytes_max(&rows, row..row + 1) <= WRITTEN_BYTES_MAX;
            if is_short && text::write_row(&rows, values.ty(), row, &mut value).is_ok() {
                first.push(shown::value(&value));
            }
        }
    }
    first
}
