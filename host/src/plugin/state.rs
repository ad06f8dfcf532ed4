//! The host's side of an instance: its limits, what it has written and emitted, and why it failed.
//!
//! Owns the host functions that a plugin may call in every task: rows, log, trace.

use super::bindings::exports::millstream::plugin::tasks;
use super::bindings::millstream::plugin::{runtime as interface, types};
use super::emitted::Emitted;
use super::failure::{Failure, TracedPlace};
use super::functions::Functions;
use super::limits::{Limits, MemoryLimiter, Stopwatch};
use super::log::{Output, PluginLog};
use super::off_limits::OffLimits;
use super::operator_clock::OperatorClock;
use super::program::TaskProgram;
use super::runtime::{Cancel, Runtime};
use super::words::foreign;
use crate::block::RowStorage;
use crate::data::chunk;
use crate::data::schema::RecordType;
use crate::ids::NodeId;
use crate::listener::PluginUse;
use crate::time::Time;
use crate::variables::{SharedVariables, Updates};
use std::sync::Arc;
use wasmtime::{Store, Trap, UpdateDeadline};

/// The cost of a chunk besides its data, in bytes. With this cost, many small chunks reach the limit as well.
const CHUNK_COST_BYTES: u64 = 512;

/// What the rows mean that a plugin hands over.
enum Destination {
    /// Rows that the task emits.
    Rows,
    /// States that the task has changed.
    State,
}

/// The host's side of an instance.
pub(super) struct TaskState {
    pub(super) limiter: MemoryLimiter,
    pub(super) stopwatch: Stopwatch,
    pub(super) cancel: Cancel,
    task_time: crate::time::Duration,
    pub(super) result_bytes: u64,
    batch: Time,
    random: u64,
    result_left: u64,
    output_type: Option<RecordType>,
    pub(super) emitted: Emitted,
    state_type: Option<RecordType>,
    pub(super) emitted_state: Emitted,
    panic: Option<String>,
    failure: Option<Failure>,
    /// The last thing that the plugin asked for and that the sandbox does not have.
    pub(super) off_limits: Option<OffLimits>,
    batch_interval: crate::time::Duration,
    /// The arguments that the program has read; `None` if the plugin does not say it.
    pub(super) arguments_read: Option<Vec<String>>,
    pub(super) place: Option<TracedPlace>,
    /// Times the operators. `None` unless the task is a sample.
    pub(super) operators: Option<OperatorClock>,
    pub(super) log: PluginLog,
    /// The shared variables of the run. `None` if the instance belongs to no run.
    pub(super) variables: Option<Arc<SharedVariables>>,
    /// The updates of accumulators that the task has made.
    pub(super) updates: Updates,
    /// Answers driver functions. `None` in a task without replays.
    pub(super) driver: Option<Box<dyn Functions>>,
}

impl TaskState {
    /// Makes the state in which a program builds its graph. The clock and the random numbers are the same in `describe`
    /// and in every task, so that the graph is the same.
    pub(super) fn new(runtime: &Runtime, cancel: Cancel, output_type: Option<RecordType>) -> Self {
        Self {
            limiter: MemoryLimiter::new(&runtime.limits),
            stopwatch: Stopwatch::new(&runtime.limits),
            cancel,
            task_time: runtime.limits.task_time,
            result_bytes: runtime.limits.result_bytes,
            batch: Time::default(),
            random: 0,
            result_left: runtime.limits.result_bytes,
            log: PluginLog::new(output_type.is_some()),
            output_type,
            emitted: Emitted::new(None),
            state_type: None,
            emitted_state: Emitted::new(None),
            panic: None,
            failure: None,
            off_limits: None,
            batch_interval: runtime.batch_interval,
            arguments_read: None,
            place: None,
            operators: None,
            variables: None,
            updates: Updates::default(),
            driver: None,
        }
    }

    /// Says where the rows that a task emits and hands over wait, and the type of the states that it may hand over.
    pub(super) fn expect_rows(&mut self, program: &TaskProgram, storage: Option<&RowStorage>) {
        self.emitted = Emitted::new(storage.cloned());
        self.emitted_state = Emitted::new(storage.cloned());
        self.state_type = program.state_type.clone();
    }

    /// Whether the instance runs a task, or is about to run it.
    pub(super) fn is_task(&self) -> bool {
        self.output_type.is_some()
    }

    /// Sets the clock and the random numbers to those of the task.
    pub(super) fn begin_task(&mut self, program: &TaskProgram) {
        self.log.end_call(None);
        self.log.begin_task(program.operators.clone(), program.batch, program.partition);
        self.begin_at(program.seed, program.batch, program.partition);
    }

    /// Sets the clock and the random numbers to those of a batch.
    pub(super) fn begin_at(&mut self, seed: u64, batch: Time, partition: u32) {
        self.batch = batch;
        self.random = seed ^ batch.as_ms().rotate_left(32) ^ u64::from(partition);
    }

    pub(super) fn batch_ms(&self) -> u64 {
        self.batch.as_ms()
    }

    /// The next random number. The sequence follows from the seed: splitmix64, by Sebastiano Vigna (public domain).
    pub(super) fn random_u64(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn random_bytes(&mut self, count: u64) -> wasmtime::Result<Vec<u8>> {
        const BYTES_MAX: u64 = 64 * 1024;
        wasmtime::ensure!(count <= BYTES_MAX, "asked for {count} random bytes at once, more than {BYTES_MAX}");
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < count {
            bytes.extend_from_slice(&self.random_u64().to_le_bytes());
        }
        bytes.truncate(usize::try_from(count).unwrap_or(0));
        Ok(bytes)
    }

    pub(super) fn standard_output(&mut self, output: Output, bytes: &[u8]) {
        self.log.write(output, bytes, self.operator());
    }

    /// The operator that a traced run has reached.
    pub(super) fn operator(&self) -> Option<NodeId> {
        self.place.map(|place| place.operator)
    }

    /// Checks rows that the plugin hands over, and adds them to the rows that wait. All rows of a task count against
    /// one limit, whatever they are.
    fn collect(&mut self, rows: types::Chunk, destination: Destination) -> Result<(), Failure> {
        let bytes = rows.data.len() as u64 + rows.extents.len() as u64 * 8 + CHUNK_COST_BYTES;
        match self.result_left.checked_sub(bytes) {
            Some(left) => self.result_left = left,
            None => return Err(Failure::ResultTooLarge(self.result_bytes)),
        }
        if self.operators.is_some() {
            // The rows of a sample are dropped.
            return Ok(());
        }
        let (ty, waiting, misplaced) = match destination {
            Destination::Rows => (&self.output_type, &mut self.emitted, "rows outside of a task"),
            Destination::State => (&self.state_type, &mut self.emitted_state, "a task without state emitted state"),
        };
        let Some(ty) = ty else { return Err(Failure::BrokenData(misplaced.to_owned())) };
        let extents: Vec<(u32, u32)> = rows.extents.iter().map(|extent| (extent.offset, extent.length)).collect();
        let batch = chunk::decode(ty, rows.rows, &extents, rows.data)
            .map_err(|error| Failure::BrokenData(error.to_string()))?;
        let added = waiting.add(batch, usize::try_from(bytes).unwrap_or(usize::MAX));
        added.map_err(|error| Failure::NotKept(error.to_string()))
    }

    /// Makes the running call fail with this failure.
    pub(super) fn fail(&mut self, failure: Failure) -> wasmtime::Error {
        let error = wasmtime::Error::msg(failure.to_string());
        self.failure = Some(failure);
        error
    }
}

impl interface::Host for TaskState {
    fn log(&mut self, level: interface::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            interface::Level::Error => tracing::Level::ERROR,
            interface::Level::Warn => tracing::Level::WARN,
            interface::Level::Info => tracing::Level::INFO,
            interface::Level::Debug => tracing::Level::DEBUG,
        };
        self.log.line(level, &message, self.operator());
        Ok(())
    }

    fn emit(&mut self, rows: types::Chunk) -> wasmtime::Result<()> {
        self.collect(rows, Destination::Rows).map_err(|failure| self.fail(failure))
    }

    fn emit_state(&mut self, rows: types::Chunk) -> wasmtime::Result<()> {
        self.collect(rows, Destination::State).map_err(|failure| self.fail(failure))
    }

    fn at(&mut self, operator: types::NodeId, record: u64) -> wasmtime::Result<()> {
        self.place = Some(TracedPlace { operator: NodeId(operator), record });
        if let Some(operators) = &mut self.operators {
            operators.switch(NodeId(operator));
        }
        Ok(())
    }

    fn batch_interval(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::try_from(self.batch_interval.as_millis()).unwrap_or(u64::MAX))
    }

    fn arguments_read(&mut self, names: Vec<String>) -> wasmtime::Result<()> {
        self.arguments_read = Some(names);
        Ok(())
    }

    fn panicked(&mut self, message: String) -> wasmtime::Result<()> {
        self.panic = Some(foreign(&message));
        Ok(())
    }
}

impl types::Host for TaskState {}

impl TaskState {
    /// What an instance with this state has used in `calls` calls.
    pub(super) fn used(&self, calls: u64) -> PluginUse {
        PluginUse { time: self.stopwatch.counted(), calls, memory_bytes: self.limiter.granted() as u64 }
    }
}

/// Makes a store whose code keeps within the limits.
pub(super) fn limited_store(runtime: &Runtime, state: TaskState) -> Store<TaskState> {
    let mut store = Store::new(&runtime.engine, state);
    store.limiter(|state| &mut state.limiter);
    // The most bytes that one call may pass to the host. `emit` counts the sum of all calls.
    let result_bytes = runtime.limits.result_bytes;
    store.set_hostcall_fuel(usize::try_from(result_bytes).unwrap_or(usize::MAX).saturating_add(64 * 1024));
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut store| {
        let state = store.data_mut();
        if state.cancel.is_cancelled() {
            return Err(state.fail(Failure::Cancelled));
        }
        if state.stopwatch.is_over() {
            let limit = state.task_time;
            return Err(state.fail(Failure::TimedOut(limit)));
        }
        Ok(UpdateDeadline::Continue(1))
    });
    store.data_mut().stopwatch.start();
    store
}

/// Finds the reason of a failed call from the state of the instance and the error.
pub(super) fn classify(state: &mut TaskState, limits: &Limits, error: &wasmtime::Error) -> Failure {
    let trap = error.downcast_ref::<Trap>();
    if let Some(asked) = state.limiter.refused {
        return Failure::OutOfMemory { asked: asked as u64, limit: limits.memory_bytes };
    }
    match (state.failure.take(), state.panic.take(), trap) {
        (Some(failure), _, _) => failure,
        (None, Some(message), _) => {
            let found = OffLimits::of_panic(&message).or(state.off_limits);
            Failure::Panicked(OffLimits::advise(found, message))
        }
        (None, None, Some(Trap::StackOverflow)) => Failure::StackOverflow,
        (None, None, _) => {
            // The root cause is the reason. The rest of the error is a backtrace.
            let cause = error.root_cause().to_string();
            // The type of this error is private to the engine.
            if cause.ends_with("fuel allocated for hostcalls has been exhausted") {
                return Failure::HandedTooMuch(limits.result_bytes);
            }
            Failure::Trapped(OffLimits::advise(state.off_limits, foreign(&cause)))
        }
    }
}

/// The message of a plugin that refuses a task.
pub(super) fn refusal(error: tasks::TaskError) -> String {
    foreign(&match error {
        tasks::TaskError::Unsupported(what) => format!("the plugin does not support {what}"),
        tasks::TaskError::Chunk(why) => format!("the plugin cannot read its input: {why}"),
        tasks::TaskError::Failed(why) => why,
    })
}
