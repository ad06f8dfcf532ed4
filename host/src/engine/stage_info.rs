//! The report of a stage of a batch that has run: its operators, rows and time.
//!
//! Owns the sums over the tasks of the stage. Rows are counted by chunk, never one by one.

use super::JobRequest;
use crate::graph::{Graph, Stage, StageInput, StageOutput};
use crate::ids::NodeId;
use crate::listener::{PluginUse, StageInfo, StageOperator, StageRows};
use crate::time::{Duration, Time};
use datafusion_physical_plan::ExecutionPlan;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The numbers of rows and bytes of one task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TaskMetrics {
    pub rows_read: u64,
    pub rows_written: u64,
    /// The bytes of rows that the task wrote to a shuffle.
    pub shuffle_bytes_written: u64,
    /// The time of the task, including attempts that failed.
    pub time: Duration,
    /// What code of the plugin has used in the attempt that succeeded.
    pub plugin: PluginUse,
}

/// The number of rows that the leaves of a plan have read.
pub(super) fn rows_read(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    let children = plan.children();
    if children.is_empty() {
        return plan.metrics().and_then(|metrics| metrics.output_rows()).unwrap_or(0) as u64;
    }
    children.into_iter().map(rows_read).sum()
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
            shuffle_bytes_written: 0,
            num_tasks,
            submission_time: now,
            completion_time: now,
            duration: Duration::ZERO,
            task_time: Duration::ZERO,
            plugin: PluginUse::default(),
            failure_reason: None,
        };
        Self { info }
    }

    /// Adds the metrics of a task of this branch.
    pub(super) fn add(&mut self, branch: usize, metrics: TaskMetrics) {
        let info = &mut self.info;
        if let Some(input) = info.inputs.get_mut(branch) {
            input.rows += metrics.rows_read;
        }
        info.output.rows += metrics.rows_written;
        info.shuffle_bytes_written += metrics.shuffle_bytes_written;
        info.task_time += metrics.time;
        info.plugin.add(metrics.plugin);
    }

    /// Makes the report of the stage when it has ended.
    pub(super) fn finish(mut self, now: Time, duration: Duration, failure_reason: Option<String>) -> StageInfo {
        self.info.completion_time = now;
        self.info.duration = duration;
        self.info.failure_reason = failure_reason;
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
