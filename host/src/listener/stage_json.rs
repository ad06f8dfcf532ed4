//! Stages, tasks and samples in the form of an event log.
//!
//! Owns the names and units of the members.

use super::info::{OperatorSample, StageInfo, StageOperator, StageRows};
use super::tasks::TaskInfo;
use crate::time::decimal_ms as span;
use serde::Serialize;

#[derive(Serialize)]
struct JsonOperator<'a> {
    node: u32,
    name: Option<&'a str>,
    kind: &'a str,
    role: &'a str,
}

#[derive(Serialize)]
struct JsonRows {
    kind: &'static str,
    node: u32,
    rows: u64,
}

#[derive(Serialize)]
pub(super) struct JsonStage<'a> {
    batch_time_ms: u64,
    stage_id: u32,
    operators: Vec<JsonOperator<'a>>,
    inputs: Vec<JsonRows>,
    output: JsonRows,
    rows_read: u64,
    rows_written: u64,
    bytes_read: u64,
    bytes_written: u64,
    shuffle_bytes_written: u64,
    num_tasks: u32,
    submission_time_ms: u64,
    completion_time_ms: u64,
    duration_ms: f64,
    task_time_ms: f64,
    plugin_time_ms: f64,
    plugin_calls: u64,
    plugin_memory_bytes: u64,
    failure_reason: Option<&'a str>,
    tasks: Vec<JsonTask<'a>>,
}

#[derive(Serialize)]
struct JsonTask<'a> {
    partition: u32,
    attempts: u32,
    start_time_ms: u64,
    duration_ms: f64,
    task_time_ms: f64,
    plugin_time_ms: f64,
    rows_read: u64,
    rows_written: u64,
    bytes_read: u64,
    bytes_written: u64,
    failure_reason: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct JsonSample {
    node: u32,
    role: &'static str,
    time_ms: f64,
}

impl<'a> From<&'a StageInfo> for JsonStage<'a> {
    fn from(info: &'a StageInfo) -> Self {
        let operator = |operator: &'a StageOperator| JsonOperator {
            node: operator.node.0,
            name: operator.name.as_deref(),
            kind: &operator.kind,
            role: operator.role,
        };
        Self {
            batch_time_ms: info.batch_time.as_ms(),
            stage_id: info.stage_id.0,
            operators: info.operators.iter().map(operator).collect(),
            inputs: info.inputs.iter().map(JsonRows::from).collect(),
            output: (&info.output).into(),
            rows_read: info.rows_read(),
            rows_written: info.output.rows,
            bytes_read: info.bytes_read,
            bytes_written: info.bytes_written,
            shuffle_bytes_written: info.shuffle_bytes_written,
            num_tasks: info.num_tasks,
            submission_time_ms: info.submission_time.as_ms(),
            completion_time_ms: info.completion_time.as_ms(),
            duration_ms: span(info.duration),
            task_time_ms: span(info.task_time),
            plugin_time_ms: span(info.plugin.time),
            plugin_calls: info.plugin.calls,
            plugin_memory_bytes: info.plugin.memory_bytes,
            failure_reason: info.failure_reason.as_deref(),
            tasks: info.tasks.iter().map(JsonTask::from).collect(),
        }
    }
}

impl From<&StageRows> for JsonRows {
    fn from(rows: &StageRows) -> Self {
        Self { kind: rows.kind, node: rows.node.0, rows: rows.rows }
    }
}

impl<'a> From<&'a TaskInfo> for JsonTask<'a> {
    fn from(info: &'a TaskInfo) -> Self {
        Self {
            partition: info.partition,
            attempts: info.attempts,
            start_time_ms: info.start_time.as_ms(),
            duration_ms: span(info.duration),
            task_time_ms: span(info.task_time),
            plugin_time_ms: span(info.plugin.time),
            rows_read: info.rows_read,
            rows_written: info.rows_written,
            bytes_read: info.bytes_read,
            bytes_written: info.bytes_written,
            failure_reason: info.failure_reason.as_deref(),
        }
    }
}

impl From<&OperatorSample> for JsonSample {
    fn from(sample: &OperatorSample) -> Self {
        Self { node: sample.node.0, role: sample.role, time_ms: span(sample.time) }
    }
}
