//! One instance of a plugin, for one task, inside its limits.
//!
//! Owns the life of an instance: made from the pool, opened, fed, finished, thrown away; never used again after a
//! failure. Owns what the plugin may call back: rows, log, trace.

use super::bindings::exports::millstream::plugin::tasks;
use super::bindings::millstream::plugin::{runtime as interface, types};
use super::bindings::{self};
use super::driver::Driver;
use super::emitted::{Emitted, EmittedRows};
use super::failure::{Failure, Place};
use super::limits::{MemoryLimiter, Stopwatch};
use super::load::Plugin;
use super::log::{LINE_BYTES_MAX, Output, PluginLog};
use super::replay::RecordId;
use super::runtime::Cancel;
use crate::block::Storage;
use crate::data::chunk;
use crate::data::schema::RecordType;
use crate::ids::NodeId;
use crate::time::Time;
use arrow::array::RecordBatch;
use std::sync::Arc;
use wasmtime::{Store, Trap, UpdateDeadline};

/// What a chunk costs the host besides its data, so that many small ones are not free.
const CHUNK_COST_BYTES: u64 = 512;

/// What a task asks of the plugin, without the data. It can be rebuilt from the stage graph anywhere.
#[derive(Clone, Debug)]
pub struct TaskProgram {
    /// The batch.
    pub batch: Time,
    /// The partition, from 0.
    pub partition: u32,
    /// The job's arguments.
    pub arguments: Arc<[(String, String)]>,
    /// Seeds random numbers in the task: follows from job and operator, never from the attempt.
    pub seed: u64,
    /// The node whose rows come in, or are exchanged.
    pub input: NodeId,
    /// The type of the rows that come in.
    pub input_type: RecordType,
    /// What to do: node and role.
    pub steps: Arc<[TaskStep]>,
    /// The operators that do it, as the graph shows them: for the log.
    pub operators: Arc<[(NodeId, String)]>,
    /// The type of the rows that go out.
    pub output_type: RecordType,
    /// Whether to report each record first.
    pub traced: bool,
    /// Whether none of the steps makes a row of none.
    pub is_quiet: bool,
    /// The driver functions to run again first, by what names the record of what they did.
    pub replays: Arc<[RecordId]>,
}

/// One thing to do with the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskStep {
    /// For which node.
    pub node: NodeId,
    /// What, as the interface calls it.
    pub role: &'static str,
    /// Which partition of the node's rows.
    pub partition: u32,
}

/// The host's side of an instance.
pub(super) struct TaskState {
    pub(super) limiter: MemoryLimiter,
    pub(super) stopwatch: Stopwatch,
    cancel: Cancel,
    task_time: crate::time::Duration,
    pub(super) result_bytes: u64,
    batch: Time,
    random: u64,
    result_left: u64,
    output_type: Option<RecordType>,
    pub(super) emitted: Emitted,
    panic: Option<String>,
    failure: Option<Failure>,
    pub(super) place: Option<Place>,
    pub(super) log: PluginLog,
    /// What driver functions find. Nothing in a task without replays.
    pub(super) driver: Option<Driver>,
}

impl TaskState {
    /// The state in which a program builds its graph: the same clock and random numbers in `describe` and in every task,
    /// so that it is the same graph.
    pub(super) fn new(plugin: &Plugin, output_type: Option<RecordType>) -> Self {
        let runtime = &plugin.runtime;
        Self {
            limiter: MemoryLimiter::new(&runtime.limits),
            stopwatch: Stopwatch::new(&runtime.limits),
            cancel: plugin.cancel(),
            task_time: runtime.limits.task_time,
            result_bytes: runtime.limits.result_bytes,
            batch: Time::default(),
            random: 0,
            result_left: runtime.limits.result_bytes,
            log: PluginLog::new(output_type.is_some()),
            output_type,
            emitted: Emitted::new(None),
            panic: None,
            failure: None,
            place: None,
            driver: None,
        }
    }

    /// From here on clock and random numbers are those of the task.
    pub(super) fn begin_task(&mut self, program: &TaskProgram) {
        self.log.end_call(None);
        self.log.begin_task(program.operators.clone(), program.batch, program.partition);
        self.begin_at(program.seed, program.batch, program.partition);
    }

    /// From here on clock and random numbers are those of a batch.
    pub(super) fn begin_at(&mut self, seed: u64, batch: Time, partition: u32) {
        self.batch = batch;
        self.random = seed ^ batch.as_ms().rotate_left(32) ^ u64::from(partition);
    }

    pub(super) fn batch_ms(&self) -> u64 {
        self.batch.as_ms()
    }

    /// The next of a sequence of numbers that follows from the seed: splitmix64, by Sebastiano Vigna (public domain).
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

    /// The operator that a traced run has come to.
    fn operator(&self) -> Option<NodeId> {
        self.place.map(|place| place.operator)
    }

    /// Fails the running call with a reason of our own.
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
        let bytes = rows.data.len() as u64 + rows.extents.len() as u64 * 8 + CHUNK_COST_BYTES;
        match self.result_left.checked_sub(bytes) {
            Some(left) => self.result_left = left,
            None => return Err(self.fail(Failure::ResultTooLarge(self.result_bytes))),
        }
        let Some(ty) = &self.output_type else {
            return Err(self.fail(Failure::BrokenData("rows outside of a task".to_owned())));
        };
        let extents: Vec<(u32, u32)> = rows.extents.iter().map(|extent| (extent.offset, extent.length)).collect();
        let added = match chunk::decode(ty, rows.rows, &extents, rows.data) {
            Ok(batch) => self.emitted.add(batch, usize::try_from(bytes).unwrap_or(usize::MAX)),
            Err(error) => return Err(self.fail(Failure::BrokenData(error.to_string()))),
        };
        added.map_err(|error| self.fail(Failure::NotKept(error.to_string())))
    }

    fn at(&mut self, operator: types::NodeId, record: u64) -> wasmtime::Result<()> {
        self.place = Some(Place { operator: NodeId(operator), record });
        Ok(())
    }

    fn panicked(&mut self, message: String) -> wasmtime::Result<()> {
        self.panic = Some(foreign(&message));
        Ok(())
    }
}

impl types::Host for TaskState {}

/// Words of a plugin as they may stand in a message: not too long, without control characters, and with lines after the
/// first indented, so that none can pass for a line of our own.
pub(super) fn foreign(words: &str) -> String {
    let words: String = words.chars().take(LINE_BYTES_MAX).collect();
    let lines: Vec<_> = words.lines().map(crate::shown::escape_control).collect();
    lines.join("\n  ")
}

/// A store whose code keeps within the limits.
pub(super) fn limited_store(plugin: &Plugin, state: TaskState) -> Store<TaskState> {
    let mut store = Store::new(&plugin.runtime.engine, state);
    store.limiter(|state| &mut state.limiter);
    // What one call may hand over at once. The sum is counted in `emit`.
    let result_bytes = plugin.runtime.limits.result_bytes;
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

/// An instance and its store.
pub(super) struct Instance {
    store: Store<TaskState>,
    bindings: bindings::Plugin,
    limits: super::Limits,
}

impl Instance {
    pub(super) fn new(plugin: &Plugin, state: TaskState) -> Result<Self, Failure> {
        let limits = plugin.runtime.limits.clone();
        let mut store = limited_store(plugin, state);
        let bindings = plugin.pre.instantiate(&mut store);
        let state = store.data_mut();
        state.stopwatch.stop();
        state.log.end_call(None);
        match bindings {
            Ok(bindings) => Ok(Self { store, bindings, limits }),
            Err(error) => Err(classify(store.data_mut(), &limits, &error)),
        }
    }

    /// Calls into the plugin, within the limits.
    pub(super) fn call<T>(
        &mut self,
        f: impl FnOnce(&bindings::Plugin, &mut Store<TaskState>) -> wasmtime::Result<T>,
    ) -> Result<T, Failure> {
        if self.store.data().cancel.is_cancelled() {
            return Err(Failure::Cancelled);
        }
        self.store.data_mut().stopwatch.start();
        // An epoch may have passed since the last call.
        self.store.set_epoch_deadline(1);
        let result = f(&self.bindings, &mut self.store);
        let state = self.store.data_mut();
        state.stopwatch.stop();
        state.log.end_call(state.operator());
        result.map_err(|error| classify(state, &self.limits, &error))
    }
}

/// Tells the reason of a failed call from what the host saw of it.
pub(super) fn classify(state: &mut TaskState, limits: &super::Limits, error: &wasmtime::Error) -> Failure {
    let trap = error.downcast_ref::<Trap>();
    if let Some(asked) = state.limiter.refused {
        return Failure::OutOfMemory { asked: asked as u64, limit: limits.memory_bytes };
    }
    match (state.failure.take(), state.panic.take(), trap) {
        (Some(failure), _, _) => failure,
        (None, Some(message), _) => Failure::Panicked(message),
        (None, None, Some(Trap::StackOverflow)) => Failure::StackOverflow,
        (None, None, _) => {
            // The root cause says what happened; what stands around it is a backtrace.
            let cause = error.root_cause().to_string();
            // Its type is private to the engine.
            if cause.ends_with("fuel allocated for hostcalls has been exhausted") {
                return Failure::HandedTooMuch(limits.result_bytes);
            }
            Failure::Trapped(foreign(&cause))
        }
    }
}

/// A task inside the plugin: opened, then fed, then finished.
pub struct TaskInstance {
    instance: Instance,
    input_type: RecordType,
    extents: Vec<(u32, u32)>,
    data: Vec<u8>,
}

impl TaskInstance {
    /// Makes an instance and opens the task in it. Rows that it emits wait in `storage` if they are many.
    ///
    /// # Errors
    /// When plugin code fails or refuses.
    pub fn open(
        plugin: &Plugin,
        program: &TaskProgram,
        storage: Option<&Storage>,
    ) -> Result<Self, (Failure, Option<Place>)> {
        let mut state = TaskState::new(plugin, Some(program.output_type.clone()));
        state.emitted = Emitted::new(storage.cloned());
        let instance = Instance::new(plugin, state).map_err(|failure| (failure, None))?;
        let mut task = Self { instance, input_type: program.input_type.clone(), extents: Vec::new(), data: Vec::new() };
        let request = task_request(program);
        task.run(|bindings, store| bindings.millstream_plugin_tasks().call_open(store, &request))?;
        task.instance.store.data_mut().begin_task(program);
        Ok(task)
    }

    /// Feeds rows and returns what the plugin emitted meanwhile.
    ///
    /// # Errors
    /// When plugin code fails or refuses; then also how far a traced run had come.
    pub fn push(&mut self, input: u32, batch: &RecordBatch) -> Result<EmittedRows, (Failure, Option<Place>)> {
        let (mut extents, mut data) = (std::mem::take(&mut self.extents), std::mem::take(&mut self.data));
        chunk::encode(batch, &self.input_type, &mut extents, &mut data)
            .map_err(|error| (Failure::BrokenData(format!("input: {error}")), None))?;
        let rows = types::Chunk {
            rows: u32::try_from(batch.num_rows()).unwrap_or(u32::MAX),
            extents: extents.iter().map(|&(offset, length)| types::Extent { offset, length }).collect(),
            data,
        };
        let result = self.run(|bindings, store| bindings.millstream_plugin_tasks().call_push(store, input, &rows));
        (self.extents, self.data) = (extents, rows.data);
        result
    }

    /// Ends the input and returns the last rows.
    ///
    /// # Errors
    /// When plugin code fails or refuses; then also how far a traced run had come.
    pub fn finish(&mut self) -> Result<EmittedRows, (Failure, Option<Place>)> {
        self.run(|bindings, store| bindings.millstream_plugin_tasks().call_finish(store))
    }

    /// The most linear memory the instance had, in bytes.
    pub fn peak_memory_bytes(&self) -> usize {
        self.instance.store.data().limiter.granted()
    }

    fn run(
        &mut self,
        f: impl FnOnce(&bindings::Plugin, &mut Store<TaskState>) -> wasmtime::Result<Result<(), tasks::TaskError>>,
    ) -> Result<EmittedRows, (Failure, Option<Place>)> {
        let result = self.instance.call(f);
        let state = self.instance.store.data_mut();
        match result {
            Ok(Ok(())) => Ok(state.emitted.take()),
            Ok(Err(refused)) => Err((Failure::Refused(refusal(refused)), state.place)),
            Err(failure) => Err((failure, state.place)),
        }
    }
}

/// A task as the interface says it.
pub(super) fn task_request(program: &TaskProgram) -> tasks::Task {
    let step =
        |step: &TaskStep| tasks::Step { node: step.node.0, role: step.role.to_owned(), partition: step.partition };
    tasks::Task {
        batch: program.batch.as_ms(),
        partition: program.partition,
        arguments: program.arguments.to_vec(),
        input: program.input.0,
        steps: program.steps.iter().map(step).collect(),
        traced: program.traced,
        replays: program.replays.iter().map(|record| record.request()).collect(),
    }
}

/// Rows as they cross into the plugin.
pub(super) fn encode(batch: &RecordBatch, ty: &RecordType) -> Result<types::Chunk, Failure> {
    let (mut extents, mut data) = (Vec::new(), Vec::new());
    chunk::encode(batch, ty, &mut extents, &mut data)
        .map_err(|error| Failure::BrokenData(format!("input: {error}")))?;
    let rows = u32::try_from(batch.num_rows()).unwrap_or(u32::MAX);
    let extents = extents.iter().map(|&(offset, length)| types::Extent { offset, length }).collect();
    Ok(types::Chunk { rows, extents, data })
}

pub(super) fn refusal(error: tasks::TaskError) -> String {
    foreign(&match error {
        tasks::TaskError::Unsupported(what) => format!("the plugin does not support {what}"),
        tasks::TaskError::Chunk(why) => format!("the plugin cannot read its input: {why}"),
        tasks::TaskError::Failed(why) => why,
    })
}
