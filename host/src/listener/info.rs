//! The data of events about batches, outputs, receivers and stages. Names and fields are those of Spark's
//! `StreamingListener` where Spark has them.
//!
//! Owns plain data. Never decides anything.

use super::tasks::{PluginUse, TaskInfo};
use crate::ids::{NodeId, StageId};
use crate::shown::counted;
use crate::time::{Duration, Time};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// Lines that were dropped or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinesInfo {
    /// The number of lines.
    pub lines: u64,
    /// The file of the lines; `None` if the lines come from a receiver.
    pub file: Option<String>,
    /// The number of the first such line, from 1: in the file, or among all lines that the receiver has received.
    pub first_line: u64,
    /// The byte of the file after which `first_line` is counted; `None` if lines are counted from the beginning of the
    /// file.
    pub after_byte: Option<u64>,
}

impl fmt::Display for LinesInfo {
    /// Writes where the first of these lines is, such as `line 7 of in/a.txt`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.first_line)?;
        self.after_byte.iter().try_for_each(|byte| write!(f, " after byte {byte}"))?;
        self.file.iter().try_for_each(|file| write!(f, " of {file}"))
    }
}

/// Messages of a stream that are no records, and that the server does not deliver again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GivenUpInfo {
    /// The source.
    pub source: String,
    /// The stream.
    pub stream: String,
    /// The number of messages.
    pub messages: u64,
    /// The number of the first message in its stream.
    pub first_sequence: u64,
    /// What is wrong with the first message.
    pub problem: String,
}

impl fmt::Display for GivenUpInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, stream, messages, first_sequence, problem } = self;
        let count = counted(*messages, "message");
        write!(f, "{source}: {count} of stream `{stream}`; message {first_sequence} is no record: {problem}")
    }
}

/// The input of a batch from one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInputInfo {
    /// The source's number: sources are counted from 0 in the order in which the plugin first reads them.
    pub stream_id: u32,
    /// The source's name in the job file.
    pub name: String,
    /// The number of records. The number of records of files is known when the batch is completed.
    pub num_records: u64,
    /// A description of the input, such as the paths of files.
    pub description: Option<String>,
}

/// What is known of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchInfo {
    /// The batch.
    pub batch_time: Time,
    /// The inputs, by the number of the source.
    pub inputs: BTreeMap<u32, StreamInputInfo>,
    /// When the batch was queued.
    pub submission_time: Time,
    /// When the first output of the batch began.
    pub processing_start_time: Option<Time>,
    /// When the last output of the batch ended.
    pub processing_end_time: Option<Time>,
    /// How long the batch waited for earlier batches. Known once the batch is started.
    pub scheduling_delay: Option<Duration>,
    /// How long the outputs of the batch took. Known once the batch is completed.
    pub processing_delay: Option<Duration>,
    /// The outputs that began, by number.
    pub output_operations: BTreeMap<usize, OutputOperationInfo>,
}

impl BatchInfo {
    /// The time from submission to completion. Known once the batch is completed.
    pub fn total_delay(&self) -> Option<Duration> {
        Some(self.scheduling_delay? + self.processing_delay?)
    }

    /// The number of records that came in from all sources.
    pub fn num_records(&self) -> u64 {
        self.inputs.values().map(|input| input.num_records).sum()
    }

    /// The number of outputs of the batch that failed.
    pub fn outputs_failed(&self) -> usize {
        self.output_operations.values().filter(|output| output.failure_reason.is_some()).count()
    }
}

/// What is known of one output operation of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputOperationInfo {
    /// The batch.
    pub batch_time: Time,
    /// The number of the output, in order of definition, from 0.
    pub id: usize,
    /// The name that the plugin gives to the output, or the kind and the number of the output: `print-0`.
    pub name: String,
    /// A description of the output, for people.
    pub description: String,
    /// When the output began.
    pub start_time: Option<Time>,
    /// When the output ended.
    pub end_time: Option<Time>,
    /// How long the output took. Known once the output is completed.
    pub duration: Option<Duration>,
    /// What driver functions of the plugin have used while the output ran.
    pub driver: PluginUse,
    /// Why the output failed.
    pub failure_reason: Option<String>,
}

/// What is known of a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverInfo {
    /// The number of the receiver's source, as in [`StreamInputInfo`].
    pub stream_id: u32,
    /// The source's name in the job file.
    pub name: String,
    /// Whether the receiver is connected.
    pub active: bool,
    /// Where the receiver runs: `driver` is the host's own process.
    pub location: String,
    /// The message of the receiver's last error.
    pub last_error_message: Option<String>,
    /// When the last error happened.
    pub last_error_time: Option<Time>,
}

/// An operator of a stage, or the part of a shuffling operator that runs in the stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageOperator {
    /// The node of the operator.
    pub node: NodeId,
    /// The name that the author gave to the node.
    pub name: Option<String>,
    /// The kind of the node, as the plugin names it, such as `map`.
    pub kind: String,
    /// The part of the operator that runs in the stage: `apply`, or `combine` before a shuffle and `reduce` or `join`
    /// after it.
    pub role: &'static str,
}

/// Rows that a stage reads or writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageRows {
    /// Where the rows come from or go to: `source`, `shuffle` or `data_set`, or `output` for the rows of an output.
    pub kind: &'static str,
    /// The node: the source, the node that sends rows through the shuffle, the node whose rows are kept, or the output.
    pub node: NodeId,
    /// The number of rows.
    pub rows: u64,
}

/// What is known of one stage of a batch that has run. The operators run as one loop, so rows and time are those of the
/// whole stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageInfo {
    /// The batch.
    pub batch_time: Time,
    /// The stage, as `host explain` numbers it.
    pub stage_id: StageId,
    /// The operators, in order.
    pub operators: Vec<StageOperator>,
    /// The rows that the stage read, for each of its inputs.
    pub inputs: Vec<StageRows>,
    /// The rows that the stage wrote.
    pub output: StageRows,
    /// The size in memory, in bytes, of the rows that the stage read and wrote.
    pub bytes_read: u64,
    /// See `bytes_read`.
    pub bytes_written: u64,
    /// The size in memory, in bytes, of the rows that the stage wrote to a shuffle; zero without a shuffle.
    pub shuffle_bytes_written: u64,
    /// The number of tasks: one for each partition.
    pub num_tasks: u32,
    /// When the stage began.
    pub submission_time: Time,
    /// When the stage ended.
    pub completion_time: Time,
    /// The time from beginning to end.
    pub duration: Duration,
    /// The sum of the times of all tasks, failed attempts included.
    pub task_time: Duration,
    /// What code of the plugin has used in the attempts that succeeded.
    pub plugin: PluginUse,
    /// Why the stage failed. The numbers of rows are then those of the tasks that succeeded.
    pub failure_reason: Option<String>,
    /// The tasks, by partition. Of more than [`TASKS_MAX`](super::TASKS_MAX) tasks, those that failed and those that took longest.
    pub tasks: Vec<TaskInfo>,
}

/// The time of operators in a sample of rows: see `engine/sampler.rs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleInfo {
    /// The batch.
    pub batch_time: Time,
    /// The partition.
    pub partition: u32,
    /// The number of rows.
    pub rows: u64,
    /// The operators that saw rows.
    pub operators: Vec<OperatorSample>,
}

/// `2026-01-01T00:00:00Z: partition 0, 1024 rows`
impl fmt::Display for SampleInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: partition {}, {}", self.batch_time, self.partition, counted(self.rows, "row"))
    }
}

/// The time of one operator in a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperatorSample {
    /// The node of the operator.
    pub node: NodeId,
    /// The part of the operator, as in [`StageOperator`].
    pub role: &'static str,
    /// The time.
    pub time: Duration,
}

impl StageInfo {
    /// The number of rows of all inputs.
    pub fn rows_read(&self) -> u64 {
        self.inputs.iter().map(|input| input.rows).sum()
    }
}

/// A step of an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeInfo {
    /// The step: `preparing`, `warming up`, `comparing`, `ready`, `handing over`, `handed over`, `handing back`, `done`,
    /// `rolled back`, `withdrawn` or `aborted`.
    pub step: String,
    /// The new plugin.
    pub plugin: String,
    /// The last batch before the step takes effect. `None` if the step changes no results.
    pub after: Option<Time>,
    /// The number of batches that were compared.
    pub compared: u64,
    /// The number of differences in these batches: rows that only one run has, keys with other values, batches whose rows
    /// have another order, and batches that could not be compared.
    pub differences: u64,
    /// Why the step was taken. `None` if a user asked for it, or if it follows from the step before.
    pub reason: Option<String>,
}

impl fmt::Display for UpgradeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: plugin {}", self.step, self.plugin)?;
        if let Some(after) = self.after {
            write!(f, ", after batch {after}")?;
        }
        if self.compared > 0 {
            let compared = counted(self.compared, "batch");
            write!(f, ", {compared} compared, {}", counted(self.differences, "difference"))?;
        }
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// How far a job is behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LagInfo {
    /// The batch that was completed last.
    pub batch_time: Time,
    /// How long that batch had waited.
    pub scheduling_delay: Duration,
    /// How much longer the batch had waited than the first of the last batches; at most `scheduling_delay`.
    pub growth: Duration,
    /// How long the last batches took to process, on average.
    pub processing_delay_average: Duration,
    /// The batch interval.
    pub batch_interval: Duration,
}

/// What a job that resumes from a checkpoint does first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryInfo {
    /// The run: the name of its directory.
    pub run: String,
    /// When the first batch of the run began.
    pub zero: Time,
    /// The number of batches that are done and whose data sets windows still read: they are computed again, without
    /// outputs.
    pub restored: u64,
    /// Batches that were made and not done: they run again.
    pub rerun: Vec<Time>,
    /// The number of batches whose times passed while the job did not run: they are made now.
    pub missed: u64,
}

/// `0123456789abcdef-1: 3 batches restored, 1 run again, 2 missed`
impl fmt::Display for RecoveryInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, restored, rerun, missed, .. } = self;
        write!(f, "{run}: {} restored, {} run again, {missed} missed", counted(*restored, "batch"), rerun.len())
    }
}

/// A snapshot of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// The batch.
    pub batch: Time,
    /// Whether the snapshot has all keys. Otherwise it has the keys that changed after the snapshot before.
    pub is_full: bool,
    /// The number of keys that have state.
    pub keys: u64,
    /// The number of rows that were written: keys, and keys that were removed.
    pub rows: u64,
    /// The bytes that were written.
    pub bytes: u64,
    /// How long it took to write the snapshot.
    pub duration: Duration,
}
