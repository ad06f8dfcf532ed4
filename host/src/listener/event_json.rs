//! Events as JSON, one object a line: what `host run --events` and `--json` write.
//!
//! Owns the JSON form, which `docs/events.md` describes: change both together. Times are whole milliseconds since the
//! Unix epoch, and spans are milliseconds with up to three decimals. Never decides which events there are.

use super::stage_json::{JsonSample, JsonStage};
use super::{
    AccumulatorInfo, BatchInfo, Event, GivenUpInfo, LagInfo, LinesInfo, OutputOperationInfo, PassedOverInfo,
    RateLimitInfo, RateReason, ReceiverInfo, SampleInfo, StreamInputInfo, UpgradeInfo,
};
use crate::ids::RunId;
use crate::shown::json;
use crate::time::{Duration, Time, decimal_ms as span};
use serde::Serialize;

/// An event of a run that was posted at the time `at`, as one line of JSON with its line end.
pub fn json_line(at: Time, run: RunId, event: &Event) -> String {
    let run_id = (run != RunId::FIRST).then_some(run.0);
    let line = Line { time_ms: at.as_ms(), run_id, event: JsonEvent::from(event) };
    // Numbers, texts, lists and objects with text keys can always be written as JSON.
    let text = serde_json::to_string(&line).unwrap_or_default();
    format!("{}\n", json(&text))
}

#[derive(Serialize)]
struct Line<'a> {
    time_ms: u64,
    /// `None` for the first run.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<u32>,
    #[serde(flatten)]
    event: JsonEvent<'a>,
}

#[derive(Serialize)]
struct JsonDropped<'a> {
    source: &'a str,
    #[serde(flatten)]
    lines: JsonLines<'a>,
}

#[derive(Serialize)]
struct JsonReplaced<'a> {
    source: Option<&'a str>,
    encoding: &'a str,
    #[serde(flatten)]
    lines: JsonLines<'a>,
}

#[derive(Serialize)]
struct JsonLines<'a> {
    lines: u64,
    file: Option<&'a str>,
    first_line: u64,
    after_byte: Option<u64>,
}

impl<'a> From<&'a LinesInfo> for JsonLines<'a> {
    fn from(info: &'a LinesInfo) -> Self {
        let LinesInfo { lines, file, first_line, after_byte } = info;
        Self { lines: *lines, file: file.as_deref(), first_line: *first_line, after_byte: *after_byte }
    }
}

#[derive(Serialize)]
#[serde(tag = "event")]
enum JsonEvent<'a> {
    StreamingStarted { job: &'a str, start_time_ms: u64, batch_interval_ms: u64 },
    ReceiverStarted { receiver: JsonReceiver<'a> },
    ReceiverError { receiver: JsonReceiver<'a>, retry_in_ms: Option<u64> },
    ReceiverListens { source: &'a str, url: &'a str },
    PageListens { url: &'a str },
    ReceiverStopped { receiver: JsonReceiver<'a> },
    RateLimitChanged(JsonRateLimit<'a>),
    InputError { source: &'a str, error: &'a str },
    FilesPassedOver { source: &'a str, cause: &'a str, files: u64, example: &'a str },
    FileChanged { source: &'a str, batch_time_ms: u64, file: &'a str, unread_bytes: Option<u64> },
    FileMissing { source: &'a str, batch_time_ms: u64, file: &'a str },
    DataLost { source: &'a str, partition: &'a str, position: i64, problem: &'a str },
    FileDone { source: &'a str, file: &'a str, moved_to: Option<&'a str> },
    FileLeft { source: &'a str, file: &'a str, reason: &'a str },
    LinesDropped(JsonDropped<'a>),
    TextReplaced(JsonReplaced<'a>),
    LineCutOff { source: &'a str },
    RecordsDropped { source: &'a str, records: u64 },
    MessagesGivenUp(&'a GivenUpInfo),
    BatchSubmitted { batch: JsonBatch<'a> },
    BatchStarted { batch: JsonBatch<'a> },
    BatchCompleted { batch: JsonBatch<'a> },
    OutputOperationStarted { output_operation: JsonOutput<'a> },
    OutputOperationCompleted { output_operation: JsonOutput<'a> },
    StageCompleted { stage: JsonStage<'a> },
    OperatorsSampled { batch_time_ms: u64, partition: u32, rows: u64, operators: Vec<JsonSample> },
    TaskRetried { batch_time_ms: u64, stage_id: u32, partition: u32, reason: &'a str, retry_in_ms: u64 },
    AccumulatorsUpdated { batch_time_ms: u64, accumulators: &'a [AccumulatorInfo] },
    DataSpilled { batch_time_ms: u64, bytes: u64 },
    FallingBehind { lag: JsonLag },
    CaughtUp { lag: JsonLag },
    EventsDropped { count: u64 },
    RecoveryStarted { run: &'a str, zero_time_ms: u64, restored: u64, rerun_ms: Vec<u64>, missed: u64 },
    RecordsLost { source: &'a str, batch_time_ms: u64, records: u64 },
    RecordsRecovered { source: &'a str, blocks: u64, records: u64 },
    BatchesWithoutData { from_ms: u64, through_ms: u64, batches: u64 },
    CheckpointOpened { run: &'a str, epoch: u64 },
    SnapshotWritten { batch_time_ms: u64, is_full: bool, keys: u64, rows: u64, bytes: u64, duration_ms: f64 },
    CheckpointWritten { written_time_ms: u64 },
    CheckpointFailed { what: &'a str, error: &'a str },
    CheckpointResumed { what: &'a str },
    SettingChanged { key: &'a str, before: Option<&'a str>, after: &'a str },
    UpgradeChanged(JsonUpgrade<'a>),
    HostPanicked { what: &'a str, batch_time_ms: Option<u64>, message: &'a str },
    ClockSetBack { from_ms: u64, to_ms: u64, next_batch_time_ms: u64 },
    StreamingStopped { end_time_ms: u64, error: Option<&'a str> },
}

#[derive(Serialize)]
struct JsonUpgrade<'a> {
    step: &'a str,
    plugin: &'a str,
    after_batch_time_ms: Option<u64>,
    compared: u64,
    differences: u64,
    reason: Option<&'a str>,
}

impl<'a> From<&'a UpgradeInfo> for JsonUpgrade<'a> {
    fn from(info: &'a UpgradeInfo) -> Self {
        let UpgradeInfo { step, plugin, after, compared, differences, reason } = info;
        let (after_batch_time_ms, reason) = (after.map(Time::as_ms), reason.as_deref());
        Self { step, plugin, after_batch_time_ms, compared: *compared, differences: *differences, reason }
    }
}

#[derive(Serialize)]
struct JsonReceiver<'a> {
    stream_id: u32,
    name: &'a str,
    active: bool,
    location: &'a str,
    last_error_message: Option<&'a str>,
    last_error_time_ms: Option<u64>,
}

#[derive(Serialize)]
struct JsonRateLimit<'a> {
    stream_id: u32,
    source: &'a str,
    records_per_second: Option<u64>,
    reason: &'a str,
    measured: Option<JsonMeasured>,
}

#[derive(Serialize)]
struct JsonMeasured {
    batch_time_ms: u64,
    num_records: u64,
    processing_time_ms: f64,
    scheduling_delay_ms: f64,
    processing_rate: u64,
}

impl<'a> From<&'a RateLimitInfo> for JsonRateLimit<'a> {
    fn from(info: &'a RateLimitInfo) -> Self {
        let RateLimitInfo { stream_id, source, limit } = info;
        let measured = match &limit.reason {
            RateReason::Backpressure(batch) => Some(JsonMeasured {
                batch_time_ms: batch.batch.as_ms(),
                num_records: batch.records,
                processing_time_ms: span(batch.processing_delay),
                scheduling_delay_ms: span(batch.scheduling_delay),
                processing_rate: batch.processing_rate,
            }),
            _ => None,
        };
        let (records_per_second, reason) = (limit.rate, limit.reason.word());
        Self { stream_id: *stream_id, source, records_per_second, reason, measured }
    }
}

#[derive(Serialize)]
struct JsonInput<'a> {
    stream_id: u32,
    name: &'a str,
    num_records: u64,
    description: Option<&'a str>,
}

#[derive(Serialize)]
struct JsonBatch<'a> {
    batch_time_ms: u64,
    num_records: u64,
    inputs: Vec<JsonInput<'a>>,
    submission_time_ms: u64,
    processing_start_time_ms: Option<u64>,
    processing_end_time_ms: Option<u64>,
    scheduling_delay_ms: Option<f64>,
    processing_time_ms: Option<f64>,
    total_delay_ms: Option<f64>,
    output_operations: Vec<JsonOutput<'a>>,
}

#[derive(Serialize)]
struct JsonOutput<'a> {
    batch_time_ms: u64,
    id: usize,
    name: &'a str,
    description: &'a str,
    start_time_ms: Option<u64>,
    end_time_ms: Option<u64>,
    duration_ms: Option<f64>,
    driver_time_ms: f64,
    failure_reason: Option<&'a str>,
}

#[derive(Serialize)]
struct JsonLag {
    batch_time_ms: u64,
    scheduling_delay_ms: f64,
    growth_ms: f64,
    processing_time_average_ms: f64,
    batch_interval_ms: u64,
}

fn whole(duration: Duration) -> u64 {
    crate::time::whole_ms(duration)
}

impl<'a> From<&'a Event> for JsonEvent<'a> {
    fn from(event: &'a Event) -> Self {
        match event {
            Event::StreamingStarted { job, time, batch_interval } => {
                Self::StreamingStarted { job, start_time_ms: time.as_ms(), batch_interval_ms: whole(*batch_interval) }
            }
            Event::ReceiverStarted(info) => Self::ReceiverStarted { receiver: info.into() },
            Event::ReceiverError { receiver, retry_in } => {
                Self::ReceiverError { receiver: receiver.into(), retry_in_ms: retry_in.map(whole) }
            }
            Event::ReceiverListens { source, url } => Self::ReceiverListens { source, url },
            Event::PageListens { url } => Self::PageListens { url },
            Event::ReceiverStopped(info) => Self::ReceiverStopped { receiver: info.into() },
            Event::RateLimitChanged(info) => Self::RateLimitChanged(info.into()),
            Event::InputError { source, error } => Self::InputError { source, error },
            Event::FilesPassedOver(info) => passed_over(info),
            Event::FileChanged { source, batch, file, unread_bytes } => {
                Self::FileChanged { source, batch_time_ms: batch.as_ms(), file, unread_bytes: *unread_bytes }
            }
            Event::DataLost { source, partition, position, problem } => {
                Self::DataLost { source, partition, position: *position, problem }
            }
            Event::FileMissing { source, batch, file } => {
                Self::FileMissing { source, batch_time_ms: batch.as_ms(), file }
            }
            Event::FileDone { source, file, moved_to } => {
                Self::FileDone { source, file, moved_to: moved_to.as_deref() }
            }
            Event::FileLeft { source, file, reason } => Self::FileLeft { source, file, reason },
            Event::LinesDropped { source, lines } => Self::LinesDropped(JsonDropped { source, lines: lines.into() }),
            Event::TextReplaced { source, encoding, lines } => {
                Self::TextReplaced(JsonReplaced { source: source.as_deref(), encoding, lines: lines.into() })
            }
            Event::LineCutOff { source } => Self::LineCutOff { source },
            Event::RecordsDropped { source, records } => Self::RecordsDropped { source, records: *records },
            Event::MessagesGivenUp(info) => Self::MessagesGivenUp(info),
            Event::BatchSubmitted(info) => Self::BatchSubmitted { batch: info.into() },
            Event::BatchStarted(info) => Self::BatchStarted { batch: info.into() },
            Event::BatchCompleted(info) => Self::BatchCompleted { batch: info.into() },
            Event::OutputOperationStarted(info) => Self::OutputOperationStarted { output_operation: info.into() },
            Event::OutputOperationCompleted(info) => Self::OutputOperationCompleted { output_operation: info.into() },
            Event::StageCompleted(info) => Self::StageCompleted { stage: info.into() },
            Event::OperatorsSampled(info) => sampled(info),
            Event::TaskRetried { task, reason, retry_in } => Self::TaskRetried {
                batch_time_ms: task.batch.as_ms(),
                stage_id: task.stage.0,
                partition: task.partition,
                reason,
                retry_in_ms: whole(*retry_in),
            },
            Event::AccumulatorsUpdated { batch, accumulators } => {
                Self::AccumulatorsUpdated { batch_time_ms: batch.as_ms(), accumulators }
            }
            Event::DataSpilled { batch, bytes } => Self::DataSpilled { batch_time_ms: batch.as_ms(), bytes: *bytes },
            Event::FallingBehind(lag) => Self::FallingBehind { lag: lag.into() },
            Event::CaughtUp(lag) => Self::CaughtUp { lag: lag.into() },
            Event::EventsDropped { count } => Self::EventsDropped { count: *count },
            Event::RecoveryStarted(info) => Self::RecoveryStarted {
                run: &info.run,
                zero_time_ms: info.zero.as_ms(),
                restored: info.restored,
                rerun_ms: info.rerun.iter().map(|batch| batch.as_ms()).collect(),
                missed: info.missed,
            },
            Event::RecordsRecovered { source, blocks, records } => {
                Self::RecordsRecovered { source, blocks: *blocks, records: *records }
            }
            Event::RecordsLost { source, batch, records } => {
                Self::RecordsLost { source, batch_time_ms: batch.as_ms(), records: *records }
            }
            Event::BatchesWithoutData { from, through, batches } => {
                Self::BatchesWithoutData { from_ms: from.as_ms(), through_ms: through.as_ms(), batches: *batches }
            }
            Event::CheckpointOpened { run, epoch } => Self::CheckpointOpened { run, epoch: *epoch },
            Event::SnapshotWritten(info) => Self::SnapshotWritten {
                batch_time_ms: info.batch.as_ms(),
                is_full: info.is_full,
                keys: info.keys,
                rows: info.rows,
                bytes: info.bytes,
                duration_ms: info.duration.as_secs_f64() * 1000.0,
            },
            Event::CheckpointWritten { time } => Self::CheckpointWritten { written_time_ms: time.as_ms() },
            Event::CheckpointFailed { what, error } => Self::CheckpointFailed { what, error },
            Event::CheckpointResumed { what } => Self::CheckpointResumed { what },
            Event::SettingChanged { key, before, after } => {
                Self::SettingChanged { key, before: before.as_deref(), after }
            }
            Event::UpgradeChanged(info) => Self::UpgradeChanged(info.into()),
            Event::HostPanicked { what, batch, message } => {
                Self::HostPanicked { what, batch_time_ms: batch.map(Time::as_ms), message }
            }
            Event::ClockSetBack { from, to, next_batch } => {
                Self::ClockSetBack { from_ms: from.as_ms(), to_ms: to.as_ms(), next_batch_time_ms: next_batch.as_ms() }
            }
            Event::StreamingStopped { time, error } => {
                Self::StreamingStopped { end_time_ms: time.as_ms(), error: error.as_deref() }
            }
        }
    }
}

fn sampled(info: &SampleInfo) -> JsonEvent<'_> {
    JsonEvent::OperatorsSampled {
        batch_time_ms: info.batch_time.as_ms(),
        partition: info.partition,
        rows: info.rows,
        operators: info.operators.iter().map(JsonSample::from).collect(),
    }
}

fn passed_over(info: &PassedOverInfo) -> JsonEvent<'_> {
    let PassedOverInfo { source, files, example, .. } = info;
    JsonEvent::FilesPassedOver { source, cause: info.cause.word(), files: *files, example }
}

impl<'a> From<&'a ReceiverInfo> for JsonReceiver<'a> {
    fn from(info: &'a ReceiverInfo) -> Self {
        Self {
            stream_id: info.stream_id,
            name: &info.name,
            active: info.active,
            location: &info.location,
            last_error_message: info.last_error_message.as_deref(),
            last_error_time_ms: info.last_error_time.map(Time::as_ms),
        }
    }
}

impl<'a> From<&'a StreamInputInfo> for JsonInput<'a> {
    fn from(info: &'a StreamInputInfo) -> Self {
        Self {
            stream_id: info.stream_id,
            name: &info.name,
            num_records: info.num_records,
            description: info.description.as_deref(),
        }
    }
}

impl<'a> From<&'a BatchInfo> for JsonBatch<'a> {
    fn from(info: &'a BatchInfo) -> Self {
        Self {
            batch_time_ms: info.batch_time.as_ms(),
            num_records: info.num_records(),
            inputs: info.inputs.values().map(JsonInput::from).collect(),
            submission_time_ms: info.submission_time.as_ms(),
            processing_start_time_ms: info.processing_start_time.map(Time::as_ms),
            processing_end_time_ms: info.processing_end_time.map(Time::as_ms),
            scheduling_delay_ms: info.scheduling_delay.map(span),
            processing_time_ms: info.processing_delay.map(span),
            total_delay_ms: info.total_delay().map(span),
            output_operations: info.output_operations.values().map(JsonOutput::from).collect(),
        }
    }
}

impl<'a> From<&'a OutputOperationInfo> for JsonOutput<'a> {
    fn from(info: &'a OutputOperationInfo) -> Self {
        Self {
            batch_time_ms: info.batch_time.as_ms(),
            id: info.id,
            name: &info.name,
            description: &info.description,
            start_time_ms: info.start_time.map(Time::as_ms),
            end_time_ms: info.end_time.map(Time::as_ms),
            duration_ms: info.duration.map(span),
            driver_time_ms: span(info.driver.time),
            failure_reason: info.failure_reason.as_deref(),
        }
    }
}

impl From<&LagInfo> for JsonLag {
    fn from(lag: &LagInfo) -> Self {
        Self {
            batch_time_ms: lag.batch_time.as_ms(),
            scheduling_delay_ms: span(lag.scheduling_delay),
            growth_ms: span(lag.growth),
            processing_time_average_ms: span(lag.processing_delay_average),
            batch_interval_ms: whole(lag.batch_interval),
        }
    }
}
