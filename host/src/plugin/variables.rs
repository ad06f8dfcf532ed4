//! The host functions for accumulators and broadcast variables.
//!
//! Owns the checks of what a plugin gives: types and rows. Updates of a task wait in its state until the task is done.
//! Calls of driver functions go through [`Functions`], which records them.

use super::answer::Answer;
use super::bindings::millstream::plugin::{shared_variables, types};
use super::crossing::encode;
use super::failure::Failure;
use super::functions::{Functions, Step};
use super::nodes::fields;
use super::state::TaskState;
use super::words::foreign;
use crate::data::schema::RecordType;
use crate::data::{chunk, key};
use crate::variables::{
    AccumulatorKind, BroadcastId, Content, SharedVariables, Sum, Total, VariableAnswer, VariableCall, VariableError,
};
use std::sync::Arc;

fn record_type(rows: types::Schema) -> Result<RecordType, Failure> {
    RecordType::parse(fields(rows)).map_err(|error| Failure::BrokenData(foreign(&error.to_string())))
}

fn content(rows: types::Schema, values: types::Chunk) -> Result<Content, Failure> {
    let ty = record_type(rows)?;
    let hash = key::hash(&values.data);
    let extents: Vec<(u32, u32)> = values.extents.iter().map(|extent| (extent.offset, extent.length)).collect();
    let decoded = chunk::decode(&ty, values.rows, &extents, values.data);
    let rows = decoded.map_err(|error| Failure::BrokenData(error.to_string()))?;
    Ok(Content { ty, rows, hash })
}

fn kind(kind: shared_variables::AccumulatorKind) -> Result<AccumulatorKind, Failure> {
    Ok(match kind {
        shared_variables::AccumulatorKind::Long => AccumulatorKind::Long,
        shared_variables::AccumulatorKind::Double => AccumulatorKind::Double,
        shared_variables::AccumulatorKind::Collection(rows) => AccumulatorKind::Collection(record_type(rows)?),
    })
}

fn addition(name: String, by: shared_variables::Update) -> Result<VariableCall, Failure> {
    Ok(match by {
        shared_variables::Update::Long(shared_variables::LongSum { sum, count }) => {
            VariableCall::AddLong(name, Sum { sum, count })
        }
        shared_variables::Update::Double(shared_variables::DoubleSum { sum, count }) => {
            VariableCall::AddDouble(name, Sum { sum, count })
        }
        shared_variables::Update::Collection((rows, values)) => VariableCall::AddValues(name, content(rows, values)?),
    })
}

fn unexpected() -> Failure {
    Failure::BrokenData("a shared variable gave an answer of another kind".to_owned())
}

impl TaskState {
    /// Whether the instance runs a task at the moment.
    fn is_in_task(&self) -> bool {
        self.driver.as_ref().map_or_else(|| self.is_task(), |functions| functions.step() == Step::InTask)
    }

    /// The object that answers the driver function that runs. `None` if none runs.
    fn function(&mut self) -> Option<&mut (dyn Functions + 'static)> {
        self.driver.as_deref_mut().filter(|functions| functions.step() == Step::InFunction)
    }

    fn shared(&self) -> Result<Arc<SharedVariables>, Failure> {
        let missing = || Failure::OutOfPlace("a shared variable is used where no job runs".to_owned());
        self.variables.clone().ok_or_else(missing)
    }

    /// Lets the driver function that runs do something with a shared variable.
    fn in_function(&mut self, call: VariableCall) -> Result<VariableAnswer, Failure> {
        let out_of_place =
            || Failure::OutOfPlace(format!("it asked for {}, which only a driver function can do", call.words()));
        match self.function() {
            Some(functions) => functions.variable(call),
            None => Err(out_of_place()),
        }
    }

    fn add_update(&mut self, name: String, by: shared_variables::Update) -> Result<(), Failure> {
        let call = addition(name, by)?;
        if !self.is_in_task() {
            return self.in_function(call).map(drop);
        }
        Ok(self.shared()?.add_to(&mut self.updates, call)?)
    }

    fn value_of(&mut self, name: String, kind: AccumulatorKind) -> Result<shared_variables::Total, Failure> {
        match self.in_function(VariableCall::Value(name, kind))? {
            VariableAnswer::Value(Total::Long(Sum { sum, count })) => {
                Ok(shared_variables::Total::Long(shared_variables::LongSum { sum, count }))
            }
            VariableAnswer::Value(Total::Double(Sum { sum, count })) => {
                Ok(shared_variables::Total::Double(shared_variables::DoubleSum { sum, count }))
            }
            VariableAnswer::Value(Total::Collection(values)) => {
                let storage = self.shared()?.storage().clone();
                let (partitions, ty) = (values.pieces().into(), values.ty().clone());
                let answer = Answer { partitions, limit: usize::MAX, ty, storage };
                Ok(shared_variables::Total::Collection(answer.chunks(self.result_bytes)?))
            }
            _ => Err(unexpected()),
        }
    }

    fn read_broadcast(&self, id: BroadcastId, ty: &RecordType) -> Result<types::Chunk, Failure> {
        let is_function = self.driver.as_ref().is_some_and(|functions| functions.step() == Step::InFunction);
        if !is_function && !self.is_in_task() {
            let message = "the value of a broadcast variable can be read only in driver functions and in tasks";
            return Err(Failure::OutOfPlace(message.to_owned()));
        }
        let stored = self.shared()?.read(id, ty)?;
        let unknown = || Failure::from(VariableError::Unknown(id.0));
        let row = stored.read(0).next().ok_or_else(unknown)?;
        encode(&row.map_err(|error| Failure::NotKept(error.to_string()))?, ty)
    }

    /// Does work that does not count as the plugin's time.
    fn outside<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Failure>) -> wasmtime::Result<T> {
        self.stopwatch.stop();
        let outcome = work(self);
        self.stopwatch.start();
        outcome.map_err(|failure| self.fail(failure))
    }
}

impl shared_variables::Host for TaskState {
    fn add(&mut self, name: String, by: shared_variables::Update) -> wasmtime::Result<()> {
        self.outside(|state| state.add_update(name, by))
    }

    fn value(
        &mut self,
        name: String,
        of: shared_variables::AccumulatorKind,
    ) -> wasmtime::Result<shared_variables::Total> {
        self.outside(|state| state.value_of(name, kind(of)?))
    }

    fn reset(&mut self, name: String, of: shared_variables::AccumulatorKind) -> wasmtime::Result<()> {
        self.outside(|state| state.in_function(VariableCall::Reset(name, kind(of)?)).map(drop))
    }

    fn find(&mut self, name: String, rows: types::Schema) -> wasmtime::Result<Option<u64>> {
        self.outside(|state| match state.in_function(VariableCall::Find(name, record_type(rows)?))? {
            VariableAnswer::Found(found) => Ok(found.map(|id| id.0)),
            _ => Err(unexpected()),
        })
    }

    fn broadcast(&mut self, name: String, rows: types::Schema, value: types::Chunk) -> wasmtime::Result<u64> {
        self.outside(|state| match state.in_function(VariableCall::Broadcast(name, content(rows, value)?))? {
            VariableAnswer::Made(id) => Ok(id.0),
            _ => Err(unexpected()),
        })
    }

    fn read(&mut self, id: u64, rows: types::Schema) -> wasmtime::Result<types::Chunk> {
        self.outside(|state| state.read_broadcast(BroadcastId(id), &record_type(rows)?))
    }

    fn unpersist(&mut self, id: u64) -> wasmtime::Result<()> {
        self.outside(|state| state.in_function(VariableCall::Unpersist(BroadcastId(id))).map(drop))
    }
}
