//! What events tell of batches, outputs, receivers and stages. Names and fields are those of Spark's `StreamingListener`
//! where it has them.
//!
//! Owns plain data. Never decides anything.

use crate::ids::{NodeId, StageId};
use crate::time::{Duration, Time};
use std::collections::BTreeMap;
use std::fmt;

/// Lines in which something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinesInfo {
    /// How many.
    pub lines: u64,
    /// The file in which they are; `None` if they come from a receiver.
    pub file: Option<String>,
    /// The number of the first of them, from 1: in the file, or among all that the receiver has received.
    pub first_line: u64,
    /// Where the count begins that `first_line` goes on with, if that is not the beginning of the file: behind so many bytes.
    pub after_byte: Option<u64>,
}

impl fmt::Display for LinesInfo {
    /// Where the first of them is, such as `line 7 of in/a.txt`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.first_line)?;
        self.after_byte.iter().try_for_each(|byte| write!(f, " after byte {byte}"))?;
        self.file.iter().try_for_each(|file| write!(f, " of {file}"))
    }
}

/// What a batch got from one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInputInfo {
    /// The source's number: sources are counted from 0 in the order in which the plugin first reads them.
    pub stream_id: u32,
    /// The source's name in the job file.
    pub name: String,
    /// Records that came in. Those of files are known when the batch is completed.
    pub num_records: u64,
    /// What it is made of, such as the paths of files.
    pub description: Option<String>,
}

/// What is known of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchInfo {
    /// The batch.
    pub batch_time: Time,
    /// What came in, by the source's number.
    pub inputs: BTreeMap<u32, StreamInputInfo>,
    /// When it was queued.
    pub submission_time: Time,
    /// When its first output began.
    pub processing_start_time: Option<Time>,
    /// When its last output ended.
    pub processing_end_time: Option<Time>,
    /// How long it waited for earlier batches. Known once it is started.
    pub scheduling_delay: Option<Duration>,
    /// How long its outputs took. Known once it is completed.
    pub processing_delay: Option<Duration>,
    /// Its outputs that began, by number.
    pub output_operations: BTreeMap<usize, OutputOperationInfo>,
}

impl BatchInfo {
    /// From submission to completion. Known once it is completed.
    pub fn total_delay(&self) -> Option<Duration> {
        Some(self.scheduling_delay? + self.processing_delay?)
    }

    /// Records that came in from all sources.
    pub fn num_records(&self) -> u64 {
        self.inputs.values().map(|input| input.num_records).sum()
    }

    /// How many of its outputs failed.
    pub fn outputs_failed(&self) -> usize {
        self.output_operations.values().filter(|output| output.failure_reason.is_some()).count()
    }
}

/// What is known of one output operation of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputOperationInfo {
    /// The batch.
    pub batch_time: Time,
    /// Which output it is, in order of definition, from 0.
    pub id: usize,
    /// The name that the plugin gives it, or its kind and its number: `print-0`.
    pub name: String,
    /// What it is, for people.
    pub description: String,
    /// When it began.
    pub start_time: Option<Time>,
    /// When it ended.
    pub end_time: Option<Time>,
    /// How long it took. Known once it is completed.
    pub duration: Option<Duration>,
    /// Why it failed.
    pub failure_reason: Option<String>,
}

/// What is known of a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverInfo {
    /// The number of its source, as in [`StreamInputInfo`].
    pub stream_id: u32,
    /// The source's name in the job file.
    pub name: String,
    /// Whether it is connected.
    pub active: bool,
    /// Where it runs: `driver` is the host's own process.
    pub location: String,
    /// What its last error said.
    pub last_error_message: Option<String>,
    /// When that was.
    pub last_error_time: Option<Time>,
}

/// What runs in a stage: one operator, or a part of one that shuffles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageOperator {
    /// Its node.
    pub node: NodeId,
    /// The name its author gave it.
    pub name: Option<String>,
    /// What the node is, as the plugin calls it, such as `map`.
    pub kind: String,
    /// What is done of it here: `apply`, or `combine` before a shuffle and `reduce` or `join` after it.
    pub role: &'static str,
}

/// What goes into a stage, or comes out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageRows {
    /// What it is: `source`, `shuffle` or `data_set`; `output` for what comes out at the end.
    pub kind: &'static str,
    /// The node: the source, the one that exchanges its rows, the one whose rows are kept, the output.
    pub node: NodeId,
    /// How many rows.
    pub rows: u64,
}

/// What is known of one stage of a batch that has run. Its operators run as one, so rows and time are those of the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageInfo {
    /// The batch.
    pub batch_time: Time,
    /// The stage, as `host explain` numbers it.
    pub stage_id: StageId,
    /// What runs in it, in order.
    pub operators: Vec<StageOperator>,
    /// What it read, by way into it.
    pub inputs: Vec<StageRows>,
    /// What it wrote.
    pub output: StageRows,
    /// Bytes of the rows that it wrote to a shuffle, as they are in memory; zero if it writes none.
    pub shuffle_bytes_written: u64,
    /// How many tasks it had: one for each partition.
    pub num_tasks: u32,
    /// When it began.
    pub submission_time: Time,
    /// When it ended.
    pub completion_time: Time,
    /// How long that was.
    pub duration: Duration,
    /// The time that all its tasks took together, attempts that failed included.
    pub task_time: Duration,
    /// Why it failed. Rows are then those of the tasks that did not.
    pub failure_reason: Option<String>,
}

impl StageInfo {
    /// Rows that came in, on all ways.
    pub fn rows_read(&self) -> u64 {
        self.inputs.iter().map(|input| input.rows).sum()
    }
}

/// How far a job is behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LagInfo {
    /// The batch that was completed last.
    pub batch_time: Time,
    /// How long it had waited.
    pub scheduling_delay: Duration,
    /// How much longer than the first of the last batches it had waited, at most that long.
    pub growth: Duration,
    /// How long the last batches took to process, on average.
    pub processing_delay_average: Duration,
    /// The batch interval.
    pub batch_interval: Duration,
}

/// What a job does first that goes on from a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryInfo {
    /// The run: the name of its directory.
    pub run: String,
    /// When the first batch of the run began.
    pub zero: Time,
    /// Batches that are done, whose data sets windows still read: they are computed again, without outputs.
    pub restored: u64,
    /// Batches that were made and not done: they run again.
    pub rerun: Vec<Time>,
    /// Batches whose times passed while the job did not run: they are made now.
    pub missed: u64,
}

/// `0123456789abcdef-1: 3 batches restored, 1 run again, 2 missed`
impl fmt::Display for RecoveryInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, restored, rerun, missed, .. } = self;
        write!(f, "{run}: {restored} batches restored, {} run again, {missed} missed", rerun.len())
    }
}
