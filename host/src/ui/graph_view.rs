//! The graph of a job with the figures of its stages, as `/api/millstream/v1/graph` says them and the page shows them.
//!
//! Owns the names and units of the members, which `openapi.json` describes: change both together.

use super::batch_view::{OperatorView, operators};
use super::model::{Model, Rows, Stage, ms};
use serde::Serialize;
use serde_json::Value;

/// Over how many of the last batches shares of the time are taken.
const RECENT: usize = 20;

/// The graph with its figures.
#[derive(Serialize)]
pub(super) struct GraphView<'a> {
    /// The graph and its stages as the job was started, as `host explain --json` prints them.
    graph: &'a Value,
    /// The figures of the stages that have run.
    stages: Vec<StageView<'a>>,
    /// The outputs that have run.
    outputs: Vec<OutputView<'a>>,
    /// How many of the last batches `recent_ms` covers.
    recent_batches: usize,
}

#[derive(Serialize)]
struct StageView<'a> {
    run_id: u32,
    stage: u32,
    label: String,
    /// The part of the time of tasks that is spent in code of the plugin, from 0 to 1.
    plugin_part: f64,
    operators: Vec<OperatorView<'a>>,
    inputs: &'a [Rows],
    output: &'a Rows,
    runs: u64,
    failures: u64,
    tasks: u64,
    retries: u64,
    duration_ms: f64,
    task_time_ms: f64,
    plugin_time_ms: f64,
    plugin_calls: u64,
    plugin_memory_bytes: u64,
    shuffle_bytes: u64,
    /// The time of the stage in the last batches.
    recent_ms: f64,
    /// The rows that the stage has read and written in the last batches, a second of batch time.
    rows_read_per_second: f64,
    rows_written_per_second: f64,
}

#[derive(Serialize)]
struct OutputView<'a> {
    id: usize,
    name: &'a str,
    description: &'a str,
    runs: u64,
    failures: u64,
}

/// The graph of a job.
pub(super) fn graph<'a>(model: &'a Model, graph: &'a Value) -> GraphView<'a> {
    let recent_batches = model.batches.done().take(RECENT).count();
    let seconds = (recent_batches as u64).saturating_mul(model.batch_interval_ms) as f64 / 1e3;
    let stage = |((run_id, number), stage): ((u32, u32), &'a Stage)| {
        let recent = || {
            let batches = model.batches.done().take(RECENT).filter(move |batch| batch.run == run_id);
            batches.flat_map(|batch| &batch.stages).filter(move |told| told.stage == number)
        };
        let rate = |rows: u64| if seconds > 0.0 { rows as f64 / seconds } else { 0.0 };
        StageView {
            run_id,
            stage: number,
            label: stage.label(),
            plugin_part: stage.plugin_part(),
            operators: operators(stage),
            inputs: &stage.inputs,
            output: &stage.output,
            runs: stage.runs,
            failures: stage.failures,
            tasks: stage.tasks,
            retries: stage.retries,
            duration_ms: ms(stage.duration_us),
            task_time_ms: ms(stage.task_time_us),
            plugin_time_ms: ms(stage.plugin_us),
            plugin_calls: stage.plugin_calls,
            plugin_memory_bytes: stage.plugin_memory_bytes,
            shuffle_bytes: stage.shuffle_bytes,
            recent_ms: ms(recent().map(|told| told.work.duration_us).sum()),
            rows_read_per_second: rate(recent().map(|told| told.work.rows_read).sum()),
            rows_written_per_second: rate(recent().map(|told| told.work.rows_written).sum()),
        }
    };
    let output = |(id, output): (&usize, &'a super::model::OutputName)| OutputView {
        id: *id,
        name: &output.name,
        description: &output.description,
        runs: output.runs,
        failures: output.failures,
    };
    GraphView {
        graph,
        stages: model.stages.all().map(stage).collect(),
        outputs: model.outputs.iter().map(output).collect(),
        recent_batches,
    }
}
