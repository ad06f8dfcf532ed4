//! The report of a stage of a batch that has run: its operators, rows and time.
//!
//! Owns the sums over the tasks of the stage. Rows are counted by chunk, never one by one.

use super::JobRequest;
use crate::graph::{Graph, Stage, StageInput, StageOutput};
use crate::ids::NodeId;
use crate::listener::{PluginUse, StageInfo, StageOperator, StageRows, TASKS_MAX, TaskInfo, keep_tasks};
use crate::time::{Duration, Time};
use datafusion_physical_plan::ExecutionPlan;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The numbers of rows and bytes of one task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TaskMetrics {
    pub rows_read: u64,
    pub rows_written: u64,
    /// The size of these rows, in bytes.
    pub bytes_read: u64,
    /// See `bytes_read`.
    pub bytes_written: u64,
    /// The bytes of rows that the task wrote to a shuffle.
    pub shuffle_bytes_written: u64,
    /// What code of the plugin has used in the attempt that succeeded.
    pub plugin: PluginUse,
}

/// When a task ran, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TaskRun {
    /// When the first attempt began, and the same on the monotonic clock.
    pub start_time: Time,
    pub begun: Duration,
    /// The attempts that have ended.
    pub attempts: u32,
    /// The time from the begin of the first attempt to the end of the last one.
    pub duration: Duration,
    /// The time of all attempts.
    pub time: Duration,
}

/// The name of the metric with the bytes of the rows that a leaf has read.
pub(super) const BYTES_READ: &str = "bytes_read";

/// The numbers of rows and of bytes that the leaves of a plan have read.
pub(super) fn read_by(plan: &Arc<dyn ExecutionPlan>) -> (u64, u64) {
    let children = plan.children();
    if !children.is_empty() {
        let read = children.into_iter().map(read_by);
        return read.fold((0, 0), |(rows, bytes), (more_rows, more_bytes)| (rows + more_rows, bytes + more_bytes));
    }
    let Some(metrics) = plan.metrics() else { return (0, 0) };
    let bytes = metrics.sum_by_name(BYTES_READ).map_or(0, |bytes| bytes.as_usize());
    (metrics.output_rows().unwrap_or(0) as u64, bytes as u64)
}

/// Adds up the metrics of the tasks of a stage.
pub(super) struct StageTally {
    info: StageInfo,
}

impl StageTally {
    /// Makes the tally of a stage that begins now and has this many tasks.
    pub(super) fn new(graph: &Graph, stage: &Stage, request: &JobRequest, num_tasks: u32, now: Time) -> Self {
        let input = |input: StageInput| {
            let (kind, node) = match input {
                StageInput::Source { node } => ("source", node),
                StageInput::Load { node } => ("file", node),
                StageInput::Shuffle { node, .. } | StageInput::Shuffles { node } => ("shuffle", node),
                StageInput::DataSet { node }
                | StageInput::Slice { node, .. }
                | StageInput::Empty { node }
                | StageInput::Coalesced { of: node, .. } => ("data_set", node),
                StageInput::Window { node, .. } | StageInput::Sliding { node, .. } => ("window", node),
                StageInput::State { of: node, .. } => ("state", node),
            };
            StageRows { kind, node, rows: 0 }
        };
        let (kind, node) = match stage.output {
            StageOutput::Shuffle { node, .. } => ("shuffle", node),
            StageOutput::DataSet { node } => ("data_set", node),
            StageOutput::Result => ("output", request.job.output),
        };
        let info = StageInfo {
            batch_time: request.batch,
            stage_id: stage.id,
            operators: operators(graph, stage),
            inputs: stage.branches.iter().map(|branch| input(branch.input)).collect(),
            output: StageRows { kind, node, rows: 0 },
            bytes_read: 0,
            bytes_written: 0,
            shuffle_bytes_written: 0,
            num_tasks,
            submission_time: now,
            completion_time: now,
            duration: Duration::ZERO,
            task_time: Duration::ZERO,
            plugin: PluginUse::default(),
            failure_reason: None,
            tasks: Vec::new(),
        };
        Self { info }
    }

    /// Adds a task of this branch: how it ran, its metrics if it succeeded, or else why it failed.
    pub(super) fn add(&mut self, partition: u32, branch: usize, run: TaskRun, ended: Result<TaskMetrics, &str>) {
        let info = &mut self.info;
        let (metrics, failure) = match ended {
            Ok(metrics) => (metrics, None),
            Err(reason) => (TaskMetrics::default(), Some(reason.to_owned())),
        };
        info.tasks.push(TaskInfo {
            partition,
            attempts: run.attempts,
            start_time: run.start_time,
            duration: run.duration,
            task_time: run.time,
            rows_read: metrics.rows_read,
            rows_written: metrics.rows_written,
            bytes_read: metrics.bytes_read,
            bytes_written: metrics.bytes_written,
            plugin: metrics.plugin,
            failure_reason: failure,
        });
        if info.tasks.len() >= 2 * TASKS_MAX {
            keep_tasks(&mut info.tasks, TASKS_MAX);
        }
        if let Some(input) = info.inputs.get_mut(branch) {
            input.rows += metrics.rows_read;
        }
        info.output.rows += metrics.rows_written;
        info.bytes_read += metrics.bytes_read;
        info.bytes_written += metrics.bytes_written;
        info.shuffle_bytes_written += metrics.shuffle_bytes_written;
        info.task_time += run.time;
        info.plugin.add(metrics.plugin);
    }

    /// Makes the report of the stage when it has ended.
    pub(super) fn finish(mut self, now: Time, duration: Duration, failure_reason: Option<String>) -> StageInfo {
        self.info.completion_time = now;
        self.info.duration = duration;
        self.info.failure_reason = failure_reason;
        keep_tasks(&mut self.info.tasks, TASKS_MAX);
        self.info
    }
}

/// The operators of a stage. Each step is listed once, even if several branches contain it.
fn operators(graph: &Graph, stage: &Stage) -> Vec<StageOperator> {
    let mut seen: BTreeSet<(NodeId, &'static str)> = BTreeSet::new();
    let run = stage.branches.iter().flat_map(|branch| {
        let join = match branch.input {
            StageInput::Shuffles { node } => Some((node, "join")),
            _ => None,
        };
        join.into_iter().chain(branch.steps.iter().map(|step| (step.node, step.role.name())))
    });
    let operator = |(node, role): (NodeId, &'static str)| {
        let node = graph.node(node)?;
        let is_new = seen.insert((node.id, role));
        is_new.then(|| StageOperator { node: node.id, name: node.name.clone(), kind: node.kind.clone(), role })
    };
    run.filter_map(operator).collect()
}
