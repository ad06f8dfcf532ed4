//! The events. Events that Spark has too have Spark's names.

use super::accumulators::AccumulatorInfo;
use super::files::PassedOverInfo;
use super::info::{
    BatchInfo, GivenUpInfo, LagInfo, LinesInfo, OutputOperationInfo, ReceiverInfo, RecoveryInfo, SampleInfo,
    SnapshotInfo, StageInfo, UpgradeInfo,
};
use super::rates::RateLimitInfo;
use crate::ids::TaskId;
use crate::shown::{Shown as _, counted};
use crate::time::{Duration, Time};
use std::fmt;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The job runs.
    StreamingStarted {
        /// The job's name.
        job: String,
        /// The time of the event.
        time: Time,
        /// The batch interval.
        batch_interval: Duration,
    },
    /// A receiver is connected to its source.
    ReceiverStarted(ReceiverInfo),
    /// A receiver takes requests of clients.
    ReceiverListens {
        /// The source.
        source: String,
        /// The URL to which clients send.
        url: String,
    },
    /// The page of the job is served.
    PageListens {
        /// The URL of the page.
        url: String,
    },
    /// A receiver lost its source, or never reached it, or reports an error and continues.
    ReceiverError {
        /// The receiver, whose last error is the reason of the event.
        receiver: ReceiverInfo,
        /// The time until the receiver is started again; `None` if the receiver continues or has ended.
        retry_in: Option<Duration>,
    },
    /// A receiver ended.
    ReceiverStopped(ReceiverInfo),
    /// The limit of the rate of a receiver is another one, or has another reason.
    RateLimitChanged(RateLimitInfo),
    /// An input could not be read for a batch. It is read again for the next batch.
    InputError {
        /// The source.
        source: String,
        /// The error.
        error: String,
    },
    /// A source does not read files that it sees. Posted once for each cause, and again when there are ten times as
    /// many files.
    FilesPassedOver(PassedOverInfo),
    /// A file changed after it was given to a batch, and is not read again while it is remembered. Posted once for each
    /// file.
    FileChanged {
        /// The source.
        source: String,
        /// The batch that the file was given to.
        batch: Time,
        /// The file.
        file: String,
        /// The number of appended bytes; `None` unless the file only grew.
        unread_bytes: Option<u64>,
    },
    /// A file that a batch was to read is gone, and the batch continues without the file, as the job file says.
    FileMissing {
        /// The source.
        source: String,
        /// The batch.
        batch: Time,
        /// The file.
        file: String,
    },
    /// A log has lost records before a batch was given them.
    DataLost {
        /// The source.
        source: String,
        /// The partition of the log.
        partition: String,
        /// The position after the last record that a batch was given. All later records of the partition are lost.
        position: i64,
        /// What has happened, in words.
        problem: String,
    },
    /// Nothing needs a file any more, and the file was removed or moved, as the job file says.
    FileDone {
        /// The source.
        source: String,
        /// The file.
        file: String,
        /// The new path of the file; `None` if the file was removed.
        moved_to: Option<String>,
    },
    /// Nothing needs a file any more, and the file stays where it is, because it changed or cannot be moved.
    FileLeft {
        /// The source.
        source: String,
        /// The file.
        file: String,
        /// Why the file stays.
        reason: String,
    },
    /// Lines were dropped because they are longer than the source's `max_line`.
    LinesDropped {
        /// The source.
        source: String,
        /// The lines.
        lines: LinesInfo,
    },
    /// Lines have bytes that are not valid in their encoding. Each sequence of such bytes was replaced by U+FFFD. The
    /// lines are kept.
    TextReplaced {
        /// The source; `None` if a driver function loads the file.
        source: Option<String>,
        /// The encoding.
        encoding: String,
        /// The lines.
        lines: LinesInfo,
    },
    /// The beginning of a line was dropped, because the receiver stopped or lost its server before the end of the line
    /// came.
    LineCutOff {
        /// The source.
        source: String,
    },
    /// Records were dropped because the block store was full, as the job file says.
    RecordsDropped {
        /// The source.
        source: String,
        /// The number of records.
        records: u64,
    },
    /// Messages of a stream are no records, and the server was told not to deliver them again, as the job file says.
    MessagesGivenUp(GivenUpInfo),
    /// A batch waits for its turn.
    BatchSubmitted(BatchInfo),
    /// A batch's outputs run.
    BatchStarted(BatchInfo),
    /// A batch is done, whether its outputs succeeded or not.
    BatchCompleted(BatchInfo),
    /// An output operation runs.
    OutputOperationStarted(OutputOperationInfo),
    /// An output operation is done.
    OutputOperationCompleted(OutputOperationInfo),
    /// A stage of a batch has run.
    StageCompleted(StageInfo),
    /// The operators of a task were timed on some of its rows.
    OperatorsSampled(SampleInfo),
    /// A task failed and runs again.
    TaskRetried {
        /// The task.
        task: TaskId,
        /// Why the task failed.
        reason: String,
        /// The pause before the task runs again; zero if it runs again at once.
        retry_in: Duration,
    },
    /// Accumulators were used for the first time, updated or reset in a batch.
    AccumulatorsUpdated {
        /// The batch that is done now.
        batch: Time,
        /// These accumulators, with their values at the end of the batch.
        accumulators: Vec<AccumulatorInfo>,
    },
    /// Data was written to disk since the last batch was done, because it did not fit into memory.
    DataSpilled {
        /// The batch that is done now.
        batch: Time,
        /// The number of bytes that were written.
        bytes: u64,
    },
    /// Batches wait longer and longer, or longer than a batch interval for some time. Posted once, until the job has
    /// caught up.
    FallingBehind(LagInfo),
    /// The job was behind, and batches begin without delay again.
    CaughtUp(LagInfo),
    /// A listener was too slow for its queue, and missed events. Only that listener gets this event.
    EventsDropped {
        /// The number of missed events since the last such event.
        count: u64,
    },
    /// The job resumes from a checkpoint.
    RecoveryStarted(RecoveryInfo),
    /// Records that were allocated to a batch were never logged, and are lost.
    RecordsLost {
        /// The source.
        source: String,
        /// The batch.
        batch: Time,
        /// The number of records.
        records: u64,
    },
    /// Records of a source were in the write-ahead log when the job started. Batches read those that no batch was given,
    /// and read the others again as far as windows, state and batches that run again need them.
    RecordsRecovered {
        /// The source.
        source: String,
        /// The number of blocks.
        blocks: u64,
        /// The number of records.
        records: u64,
    },
    /// Missed batches had no data, and the graph makes no rows without data. They are counted and not run.
    BatchesWithoutData {
        /// The time of the first batch.
        from: Time,
        /// The time of the last batch.
        through: Time,
        /// The number of batches.
        batches: u64,
    },
    /// The job owns its checkpoint directory.
    CheckpointOpened {
        /// The run: the name of its directory below `runs`.
        run: String,
        /// The number of this owner among all owners of the directory.
        epoch: u64,
    },
    /// A snapshot of the state of the run is on stable storage.
    SnapshotWritten(SnapshotInfo),
    /// A checkpoint of the run is on stable storage.
    CheckpointWritten {
        /// The time of the event.
        time: Time,
    },
    /// Something cannot be written to the checkpoint directory. Outputs wait until the write succeeds. Posted once.
    CheckpointFailed {
        /// What cannot be written.
        what: String,
        /// The error.
        error: String,
    },
    /// A write that had failed succeeded again.
    CheckpointResumed {
        /// What could not be written before.
        what: String,
    },
    /// A key of the job file was set while the job runs.
    SettingChanged {
        /// The key, dotted.
        key: String,
        /// The value before, as TOML or text; `None` if the key was not given.
        before: Option<String>,
        /// The value now, as TOML.
        after: String,
    },
    /// An upgrade of the job has come a step further.
    UpgradeChanged(UpgradeInfo),
    /// Code of the host panicked: a defect. The run ends, and the batch does not count as done.
    HostPanicked {
        /// What panicked, as in `the actor "tracker"`.
        what: String,
        /// The batch that the code worked on, or else the batch that the host began last. `None` if there was no batch.
        batch: Option<Time>,
        /// Where the code panicked, and the message of the panic.
        message: String,
    },
    /// The clock was set back, so that the next batch comes later. Posted once each time that this happens.
    ClockSetBack {
        /// The time that the clock would show without the change.
        from: Time,
        /// The time that the clock shows.
        to: Time,
        /// The next batch, which waits until the clock shows its time.
        next_batch: Time,
    },
    /// The run has ended: this is the last event.
    StreamingStopped {
        /// The time of the event.
        time: Time,
        /// The error that ended the run; `None` if the run was stopped.
        error: Option<String>,
    },
}

/// One line, without anything that differs between two runs of the same input except delays.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StreamingStarted { job, .. } => write!(f, "StreamingStarted {job}"),
            Self::ReceiverStarted(receiver) => write!(f, "ReceiverStarted {}", receiver.name),
            Self::ReceiverError { receiver, retry_in } => {
                let error = receiver.last_error_message.as_deref().unwrap_or("it has ended");
                write!(f, "ReceiverError {}: {error}", receiver.name)?;
                retry_in.iter().try_for_each(|delay| write!(f, "; next try in {} ms", delay.as_millis()))
            }
            Self::ReceiverListens { source, url } => write!(f, "ReceiverListens {source}: {url}"),
            Self::PageListens { url } => write!(f, "PageListens: {url}"),
            Self::ReceiverStopped(receiver) => write!(f, "ReceiverStopped {}", receiver.name),
            Self::RateLimitChanged(info) => write!(f, "RateLimitChanged {}: {}", info.source, info.limit),
            Self::InputError { source, error } => write!(f, "InputError {source}: {error}"),
            Self::FilesPassedOver(info) => write!(f, "FilesPassedOver {info}"),
            Self::FileChanged { source, batch, file, unread_bytes } => {
                fmt_changed(source, *batch, file, *unread_bytes, f)
            }
            Self::FileMissing { source, batch, file } => {
                write!(f, "FileMissing {source}: {file} is gone; batch {batch} goes on without it")
            }
            Self::DataLost { source, partition, position, problem } => {
                write!(f, "DataLost {source}: whatever followed position {position} of {partition} is lost: {problem}")
            }
            Self::FileDone { source, file, moved_to: Some(place) } => {
                write!(f, "FileDone {source}: {file} was moved to {place}")
            }
            Self::FileDone { source, file, moved_to: None } => write!(f, "FileDone {source}: {file} was removed"),
            Self::FileLeft { source, file, reason } => {
                write!(f, "FileLeft {source}: {file} stays where it is: {reason}")
            }
            Self::LinesDropped { source, lines } => {
                let count = counted(lines.lines, "line");
                write!(f, "LinesDropped {source}: {count} longer than max_line; the first is {lines}")
            }
            Self::TextReplaced { source, encoding, lines } => {
                f.write_str("TextReplaced")?;
                source.iter().try_for_each(|source| write!(f, " {source}"))?;
                let count = counted(lines.lines, "line");
                write!(f, ": {count} with bytes that are not {encoding}, which U+FFFD replaces; the first is {lines}")
            }
            Self::LineCutOff { source } => write!(f, "LineCutOff {source}: its end did not come"),
            Self::RecordsDropped { source, records } => {
                write!(f, "RecordsDropped {source}: {}, as the block store is full", counted(*records, "record"))
            }
            Self::MessagesGivenUp(info) => write!(f, "MessagesGivenUp {info}"),
            Self::BatchSubmitted(info) => {
                write!(f, "BatchSubmitted {}: {}", info.batch_time, counted(info.num_records(), "record"))
            }
            Self::BatchStarted(info) => write!(f, "BatchStarted {}", info.batch_time),
            Self::BatchCompleted(info) => {
                write!(f, "BatchCompleted {}", info.batch_time)?;
                match info.outputs_failed() {
                    0 => Ok(()),
                    failed => write!(f, " ({} failed)", counted(failed as u64, "output")),
                }
            }
            Self::OutputOperationStarted(info) => {
                write!(f, "OutputOperationStarted {}: {} {}", info.batch_time, info.id, info.description)
            }
            Self::OutputOperationCompleted(info) => {
                write!(f, "OutputOperationCompleted {}: {} {}", info.batch_time, info.id, info.description)?;
                info.failure_reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
            }
            Self::StageCompleted(info) => fmt_stage(info, f),
            Self::OperatorsSampled(info) => write!(f, "OperatorsSampled {info}"),
            Self::TaskRetried { task, reason, retry_in } => {
                write!(f, "TaskRetried {task}: {reason}")?;
                if retry_in.is_zero() { Ok(()) } else { write!(f, "; next try in {} ms", retry_in.as_millis()) }
            }
            Self::AccumulatorsUpdated { batch, accumulators } => fmt_accumulators(*batch, accumulators, f),
            Self::DataSpilled { batch, bytes } => write!(f, "DataSpilled {batch}: {}", counted(*bytes, "byte")),
            Self::FallingBehind(lag) => fmt_lag("FallingBehind", lag, f),
            Self::CaughtUp(lag) => fmt_lag("CaughtUp", lag, f),
            Self::EventsDropped { count } => write!(f, "EventsDropped {count}"),
            Self::RecoveryStarted(info) => write!(f, "RecoveryStarted {info}"),
            Self::RecordsLost { source, batch, records } => fmt_lost(source, *batch, *records, f),
            Self::RecordsRecovered { source, blocks, records } => fmt_recovered(source, *blocks, *records, f),
            Self::BatchesWithoutData { from, through, batches } => {
                write!(f, "BatchesWithoutData {from} to {through}: {}", counted(*batches, "batch"))
            }
            Self::CheckpointOpened { run, epoch } => write!(f, "CheckpointOpened {run}: owner {epoch}"),
            Self::CheckpointWritten { .. } => f.write_str("CheckpointWritten"),
            Self::SnapshotWritten(info) => write!(f, "SnapshotWritten {} ({})", info.batch, counted(info.keys, "key")),
            Self::CheckpointFailed { error, .. } => write!(f, "CheckpointFailed: {error}"),
            Self::CheckpointResumed { what } => write!(f, "CheckpointResumed: {what}"),
            Self::SettingChanged { key, before, after } => {
                write!(f, "SettingChanged {key}: {} -> {after}", before.as_deref().unwrap_or("not given"))
            }
            Self::UpgradeChanged(info) => write!(f, "UpgradeChanged {info}"),
            Self::HostPanicked { what, batch, message } => {
                write!(f, "HostPanicked")?;
                batch.iter().try_for_each(|batch| write!(f, " {batch}"))?;
                write!(f, ": {what} panicked {message}")
            }
            Self::ClockSetBack { from, to, next_batch } => fmt_set_back(*from, *to, *next_batch, f),
            Self::StreamingStopped { .. } => f.write_str("StreamingStopped"),
        }
    }
}

fn fmt_set_back(from: Time, to: Time, next_batch: Time, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "ClockSetBack from {from} to {to}: batch times never go back, so the next batch is still {next_batch}: it \
         runs when the clock reaches this time again"
    )
}

fn fmt_lost(source: &str, batch: Time, records: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let records = counted(records, "record");
    write!(f, "RecordsLost {source}: {records} of batch {batch}, received and not logged")
}

fn fmt_recovered(source: &str, blocks: u64, records: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (records, blocks) = (counted(records, "record"), counted(blocks, "block"));
    write!(f, "RecordsRecovered {source}: {records} in {blocks}, from the write-ahead log")
}

fn fmt_changed(
    source: &str,
    batch: Time,
    file: &str,
    unread_bytes: Option<u64>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    match unread_bytes {
        Some(bytes) => write!(
            f,
            "FileChanged {source}: {file} grew by {} after it was given to batch {batch}",
            counted(bytes, "byte")
        )?,
        None => write!(f, "FileChanged {source}: {file} was written over after it was given to batch {batch}")?,
    }
    f.write_str(": that is not read; a later modification makes a new version of the file, which is read whole")
}

fn fmt_stage(info: &StageInfo, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "StageCompleted {}: stage {}, {}, {} read, {} written",
        info.batch_time,
        info.stage_id,
        counted(info.num_tasks.into(), "task"),
        counted(info.rows_read(), "row"),
        counted(info.output.rows, "row")
    )?;
    info.failure_reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
}

fn fmt_accumulators(batch: Time, accumulators: &[AccumulatorInfo], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "AccumulatorsUpdated {batch}")?;
    accumulators.iter().enumerate().try_for_each(|(at, accumulator)| {
        let before = if at == 0 { ':' } else { ';' };
        write!(f, "{before} {} = {}", accumulator.name.shown(), accumulator.value)
    })
}

fn fmt_lag(what: &str, lag: &LagInfo, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{what} {}: scheduling delay {} ms", lag.batch_time, lag.scheduling_delay.as_millis())
}
