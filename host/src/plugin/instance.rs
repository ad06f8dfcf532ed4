//! One instance of a plugin, for one task, inside its limits.
//!
//! Owns the life of an instance. An instance is taken from the pool, the task is opened in it, fed and finished, and
//! then the instance is thrown away. An instance in which a call has failed is never called again.

use super::bindings;
use super::bindings::exports::millstream::plugin::tasks;
use super::crossing::Crossing;
use super::emitted::EmittedRows;
use super::failure::{Failure, TracedPlace};
use super::limits::Limits;
use super::linked::Plugin;
use super::operator_clock::OperatorClock;
use super::program::{TaskProgram, task_request};
use super::state::{TaskState, classify, limited_store, refusal};
use crate::block::RowStorage;
use crate::data::schema::RecordType;
use crate::ids::NodeId;
use crate::listener::PluginUse;
use crate::time::Duration;
use crate::variables::Updates;
use arrow::array::RecordBatch;
use wasmtime::Store;

/// An instance and its store.
pub(super) struct Instance {
    store: Store<TaskState>,
    bindings: bindings::Plugin,
    limits: Limits,
    /// How many functions of the plugin were called.
    calls: u64,
}

impl Instance {
    pub(super) fn new(plugin: &Plugin, state: TaskState) -> Result<Self, Failure> {
        let limits = plugin.runtime.limits.clone();
        let mut store = limited_store(&plugin.runtime, state);
        let bindings = plugin.pre.instantiate(&mut store);
        let state = store.data_mut();
        state.stopwatch.stop();
        state.log.end_call(None);
        match bindings {
            Ok(bindings) => Ok(Self { store, bindings, limits, calls: 0 }),
            Err(error) => Err(classify(store.data_mut(), &limits, &error)),
        }
    }

    /// The host's side of the instance.
    pub(super) fn state(&mut self) -> &mut TaskState {
        self.store.data_mut()
    }

    /// Calls a function of the plugin, within the limits.
    pub(super) fn call<T>(
        &mut self,
        f: impl FnOnce(&bindings::Plugin, &mut Store<TaskState>) -> wasmtime::Result<T>,
    ) -> Result<T, Failure> {
        if self.store.data().cancel.is_cancelled() {
            return Err(Failure::Cancelled);
        }
        self.calls += 1;
        self.store.data_mut().stopwatch.start();
        // The epoch may have changed since the last call.
        self.store.set_epoch_deadline(1);
        let result = f(&self.bindings, &mut self.store);
        let state = self.store.data_mut();
        state.stopwatch.stop();
        state.operators.iter_mut().for_each(OperatorClock::pause);
        state.log.end_call(state.operator());
        result.map_err(|error| classify(state, &self.limits, &error))
    }
}

/// A task in an instance of the plugin. The task is opened, then fed, then finished.
pub struct TaskInstance {
    instance: Instance,
    /// The types of the rows of each input, by number.
    input_types: Vec<RecordType>,
    crossing: Crossing,
}

impl TaskInstance {
    /// Makes an instance and opens the task in it. If the task emits many rows, they wait in `storage`.
    ///
    /// # Errors
    /// If plugin code fails or refuses the task.
    pub fn open(
        plugin: &Plugin,
        program: &TaskProgram,
        storage: Option<&RowStorage>,
    ) -> Result<Self, (Failure, Option<TracedPlace>)> {
        let state = TaskState::new(&plugin.runtime, plugin.cancel(), Some(program.output_type.clone()));
        let mut task = Self::begin(plugin, program, state, storage)?;
        task.instance.store.data_mut().begin_task(program);
        Ok(task)
    }

    /// Runs a task, traced, on a few rows of an input, for at most `time_max`. Returns how many of the rows the task has begun,
    /// and the operators that saw them, with their times. What the task emits, updates and logs is dropped.
    ///
    /// # Errors
    /// If plugin code fails or refuses the task before the time is over.
    pub fn sample(
        plugin: &Plugin,
        program: &TaskProgram,
        (input, rows): (u32, &RecordBatch),
        time_max: Duration,
    ) -> Result<(u64, Vec<(NodeId, Duration)>), Failure> {
        let program = TaskProgram { traced: true, ..program.clone() };
        let mut state = TaskState::new(&plugin.runtime, plugin.cancel(), Some(program.output_type.clone()));
        state.stopwatch.allow_at_most(time_max);
        state.operators = Some(OperatorClock::default());
        let mut task = Self::begin(plugin, &program, state, None).map_err(|(failure, _)| failure)?;
        task.instance.store.data_mut().begin_at(program.seed, program.batch, program.partition);
        let rows_max = rows.num_rows() as u64;
        let begun = match task.push(input, rows).and_then(|_| task.finish()) {
            Ok(_) => rows_max,
            Err((Failure::TimedOut(_), place)) => place.map_or(0, |place| place.record + 1).min(rows_max),
            Err((failure, _)) => return Err(failure),
        };
        let times = task.instance.store.data_mut().operators.as_mut().map(OperatorClock::take);
        Ok((begun, times.unwrap_or_default()))
    }

    /// Makes an instance and opens the task in it. Its log lines are dropped, and it has not begun.
    fn begin(
        plugin: &Plugin,
        program: &TaskProgram,
        mut state: TaskState,
        storage: Option<&RowStorage>,
    ) -> Result<Self, (Failure, Option<TracedPlace>)> {
        state.expect_rows(program, storage);
        state.variables = plugin.variables.clone();
        let instance = Instance::new(plugin, state).map_err(|failure| (failure, None))?;
        let input_types = std::iter::once(&program.input_type).chain(&program.more_inputs).cloned().collect();
        let mut task = Self { instance, input_types, crossing: Crossing::default() };
        let request = task_request(program);
        task.run(|bindings, store| bindings.millstream_plugin_tasks().call_open(store, &request))?;
        Ok(task)
    }

    /// Feeds rows of an input to the task, and returns the rows that the plugin emitted meanwhile.
    ///
    /// # Errors
    /// If the program has no such input, or if plugin code fails or refuses the rows. In a traced run, the error also
    /// says how far the run had come.
    pub fn push(&mut self, input: u32, batch: &RecordBatch) -> Result<EmittedRows, (Failure, Option<TracedPlace>)> {
        let ty = usize::try_from(input).ok().and_then(|input| self.input_types.get(input));
        let Some(ty) = ty else {
            return Err((Failure::BrokenData(format!("input {input}: the task has no such input")), None));
        };
        let rows = self.crossing.encode(batch, ty).map_err(|failure| (failure, None))?;
        let result = self.run(|bindings, store| bindings.millstream_plugin_tasks().call_push(store, input, &rows));
        self.crossing.take_back(rows);
        result
    }

    /// Ends the input of the task, and returns the last rows that it emits.
    ///
    /// # Errors
    /// If plugin code fails or refuses to finish. In a traced run, the error also says how far the run had come.
    pub fn finish(&mut self) -> Result<EmittedRows, (Failure, Option<TracedPlace>)> {
        self.run(|bindings, store| bindings.millstream_plugin_tasks().call_finish(store))
    }

    /// Takes the states that the plugin has handed over since the last call, in order.
    ///
    /// # Errors
    /// If the states had to wait on the disk, and cannot be read.
    pub fn take_state(&mut self) -> Result<Vec<RecordBatch>, (Failure, Option<TracedPlace>)> {
        let state = self.instance.store.data_mut();
        let rows: Result<Vec<_>, _> = state.emitted_state.take().collect();
        rows.map_err(|error| (Failure::NotKept(error.to_string()), state.place))
    }

    /// Takes the updates of accumulators that the task has made so far. They are complete when the task is finished.
    pub fn take_updates(&mut self) -> Updates {
        std::mem::take(&mut self.instance.store.data_mut().updates)
    }

    /// What the instance has used so far.
    pub fn used(&self) -> PluginUse {
        self.instance.store.data().used(self.instance.calls)
    }

    fn run(
        &mut self,
        f: impl FnOnce(&bindings::Plugin, &mut Store<TaskState>) -> wasmtime::Result<Result<(), tasks::TaskError>>,
    ) -> Result<EmittedRows, (Failure, Option<TracedPlace>)> {
        let result = self.instance.call(f);
        let state = self.instance.store.data_mut();
        match result {
            Ok(Ok(())) => Ok(state.emitted.take()),
            Ok(Err(refused)) => Err((Failure::Refused(refusal(refused)), state.place)),
            Err(failure) => Err((failure, state.place)),
        }
    }
}
