//! The events. Names and fields are those of Spark's `StreamingListener`.

use crate::time::{Duration, Time};
use std::collections::BTreeMap;
use std::fmt;

/// What is known of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchInfo {
    /// The batch.
    pub batch_time: Time,
    /// Records that came in, by source.
    pub records: BTreeMap<String, u64>,
    /// How long it waited for earlier batches.
    pub scheduling_delay: Duration,
    /// How long its jobs took. Zero before it is completed.
    pub processing_delay: Duration,
    /// How many of its outputs failed. Zero before it is completed.
    pub outputs_failed: usize,
}

impl BatchInfo {
    /// From submission to completion.
    pub fn total_delay(&self) -> Duration {
        self.scheduling_delay + self.processing_delay
    }

    /// Records that came in from all sources.
    pub fn record_count(&self) -> u64 {
        self.records.values().sum()
    }
}

/// What is known of one output operation of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputOperationInfo {
    /// The batch.
    pub batch_time: Time,
    /// Which output it is, in order of definition, from 0.
    pub id: usize,
    /// What it is called.
    pub description: String,
    /// How long it took. Zero before it is completed.
    pub duration: Duration,
    /// Why it failed.
    pub failure_reason: Option<String>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The job runs.
    StreamingStarted {
        /// The job's name.
        job: String,
    },
    /// A receiver is connected to its source.
    ReceiverStarted {
        /// The source.
        source: String,
    },
    /// A receiver lost its source, or never reached it, and will try again.
    ReceiverError {
        /// The source.
        source: String,
        /// What happened.
        error: String,
        /// When it tries again.
        retry_in: Duration,
    },
    /// An input could not be asked for a batch's data. It is asked again for the next batch.
    InputError {
        /// The source.
        source: String,
        /// What happened.
        error: String,
    },
    /// Lines were dropped or changed that could not be taken as they were.
    LinesSkipped {
        /// The source.
        source: String,
        /// Lines that were too long, and dropped.
        too_long: u64,
        /// Lines with bytes that are not UTF-8, which were replaced.
        not_utf8: u64,
    },
    /// The beginning of a line was dropped whose end did not come before the receiver stopped or lost its server.
    LineCutOff {
        /// The source.
        source: String,
    },
    /// A receiver ended.
    ReceiverStopped {
        /// The source.
        source: String,
    },
    /// A batch waits for its turn.
    BatchSubmitted(BatchInfo),
    /// A batch's jobs run.
    BatchStarted(BatchInfo),
    /// A batch is done, whether its outputs succeeded or not.
    BatchCompleted(BatchInfo),
    /// An output operation runs.
    OutputOperationStarted(OutputOperationInfo),
    /// An output operation is done.
    OutputOperationCompleted(OutputOperationInfo),
    /// A task failed and runs again.
    TaskRetried {
        /// Which task.
        task: crate::ids::TaskId,
        /// Why.
        reason: String,
    },
    /// Nothing more will happen.
    StreamingStopped,
}

/// One line, without anything that differs between two runs of the same input except delays.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StreamingStarted { job } => write!(f, "StreamingStarted {job}"),
            Self::ReceiverStarted { source } => write!(f, "ReceiverStarted {source}"),
            Self::ReceiverError { source, error, retry_in } => {
                write!(f, "ReceiverError {source}: {error}; next try in {} ms", retry_in.as_millis())
            }
            Self::InputError { source, error } => write!(f, "InputError {source}: {error}"),
            Self::LinesSkipped { source, too_long, not_utf8 } => {
                write!(f, "LinesSkipped {source}: {too_long} too long, {not_utf8} not UTF-8")
            }
            Self::LineCutOff { source } => write!(f, "LineCutOff {source}: its end did not come"),
            Self::ReceiverStopped { source } => write!(f, "ReceiverStopped {source}"),
            Self::BatchSubmitted(info) => {
                write!(f, "BatchSubmitted {}: {} records", info.batch_time, info.record_count())
            }
            Self::BatchStarted(info) => write!(f, "BatchStarted {}", info.batch_time),
            Self::BatchCompleted(info) => {
                write!(f, "BatchCompleted {}", info.batch_time)?;
                if info.outputs_failed > 0 { write!(f, " ({} outputs failed)", info.outputs_failed) } else { Ok(()) }
            }
            Self::OutputOperationStarted(info) => {
                write!(f, "OutputOperationStarted {}: {} {}", info.batch_time, info.id, info.description)
            }
            Self::OutputOperationCompleted(info) => {
                write!(f, "OutputOperationCompleted {}: {} {}", info.batch_time, info.id, info.description)?;
                info.failure_reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
            }
            Self::TaskRetried { task, reason } => write!(f, "TaskRetried {task}: {reason}"),
            Self::StreamingStopped => f.write_str("StreamingStopped"),
        }
    }
}
