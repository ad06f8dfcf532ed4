//! Calls of driver functions: once in each batch, and again in tasks that need their closures.
//!
//! Never computes a data set: the caller passes [`DataSets`], which does.

use super::bindings::exports::millstream::plugin::{driver, tasks};
use super::data_sets::{DataSets, DriverCall, RowsStream};
use super::emitted::{Emitted, EmittedRows};
use super::failure::{Failure, TracedPlace};
use super::functions::Step;
use super::linked::Plugin;
use super::live::Live;
use super::log::PluginLog;
use super::program::{TaskProgram, task_request};
use super::record::RecordedCall;
use super::replay::Replay;
use super::state::{TaskState, classify, limited_store, refusal};
use super::words::foreign;
use crate::block::RowStorage;
use crate::listener::PluginUse;
use crate::variables::Updates;
use std::sync::Arc;
use wasmtime::Store;

impl Plugin {
    /// Calls a driver function, in an instance of its own and within the limits of a task. Time that is spent in
    /// `data_sets` does not count as the plugin's time. Returns what the function has used, too.
    ///
    /// # Errors
    /// If plugin code fails or refuses the call, or if `data_sets` refuses something that the function asks for.
    pub async fn invoke(&self, call: &DriverCall, data_sets: Box<dyn DataSets>) -> (PluginUse, Result<(), Failure>) {
        let mut state = TaskState::new(&self.runtime, self.cancel(), None);
        state.log = PluginLog::new(true);
        state.variables = self.variables.clone();
        state.driver = Some(Box::new(Live::new(call.clone(), data_sets)));
        let mut store = limited_store(&self.runtime, state);
        let request = driver::Call {
            node: call.node.0,
            first: call.first.0,
            batch: call.batch.as_ms(),
            arguments: call.arguments.to_vec(),
        };
        let outcome = async {
            let instance = self.driver.pre.instantiate_async(&mut store).await?;
            let invoke = instance
                .get_typed_func::<(&driver::Call,), (Result<(), driver::CallError>,)>(&mut store, self.driver.invoke)?;
            invoke.call_async(&mut store, (&request,)).await
        };
        let outcome = outcome.await;
        let state = store.data_mut();
        state.stopwatch.stop();
        state.log.end_call(None);
        let used = state.used(1);
        let outcome = match outcome {
            Ok((Ok(()),)) => Ok(()),
            Ok((Err(driver::CallError::Unsupported(what)),)) => {
                Err(Failure::Refused(foreign(&format!("the plugin does not support {what}"))))
            }
            Ok((Err(driver::CallError::Failed(why)),)) => Err(Failure::Refused(foreign(&why))),
            Err(error) => Err(self.classified(&mut store, &error)),
        };
        (used, outcome)
    }

    /// Runs a task that needs the closures of driver functions, and returns its rows, its updates of accumulators and what
    /// it has used.
    /// The functions run again first, and get the answers that `records` holds from their first run. If the task emits
    /// many rows, they wait in `storage`.
    ///
    /// # Errors
    /// If plugin code fails or refuses the task, or if a function does not do the same as the first time. In a traced
    /// run, the error also says how far the run had come.
    pub async fn run_again(
        &self,
        program: &TaskProgram,
        records: Vec<Arc<RecordedCall>>,
        input: RowsStream,
        storage: &RowStorage,
    ) -> Result<(EmittedRows, Updates, PluginUse), (Failure, Option<TracedPlace>)> {
        let mut state = TaskState::new(&self.runtime, self.cancel(), Some(program.output_type.clone()));
        state.emitted = Emitted::new(Some(storage.clone()));
        state.variables = self.variables.clone();
        state.driver = Some(Box::new(Replay::new(program.clone(), records, input)));
        let mut store = limited_store(&self.runtime, state);
        let request = task_request(program);
        let outcome = async {
            let instance = self.driver.pre.instantiate_async(&mut store).await?;
            let open = instance
                .get_typed_func::<(&tasks::Task,), (Result<(), tasks::TaskError>,)>(&mut store, self.driver.open)?;
            open.call_async(&mut store, (&request,)).await
        };
        let outcome = outcome.await;
        let place = store.data().place.map(|place| place.operator);
        store.data_mut().log.end_call(place);
        let is_done = |state: &TaskState, step| state.driver.as_ref().is_some_and(|functions| functions.step() == step);
        let state = store.data();
        match outcome {
            Ok((Ok(()),)) if is_done(state, Step::InTask) => Ok(results(&mut store)),
            Ok((Ok(()),)) => Err((Failure::BrokenData("it did not begin its task".to_owned()), None)),
            Ok((Err(refused),)) => Err((Failure::Refused(refusal(refused)), state.place)),
            Err(_) if is_done(state, Step::Done) => Ok(results(&mut store)),
            Err(error) => {
                let place = state.place;
                Err((self.classified(&mut store, &error), place))
            }
        }
    }

    fn classified(&self, store: &mut Store<TaskState>, error: &wasmtime::Error) -> Failure {
        classify(store.data_mut(), &self.runtime.limits, error)
    }
}

/// The rows and the updates of a task that is done, and what the task has used in its one call.
fn results(store: &mut Store<TaskState>) -> (EmittedRows, Updates, PluginUse) {
    let state = store.data_mut();
    state.stopwatch.stop();
    (state.emitted.take(), std::mem::take(&mut state.updates), state.used(1))
}
