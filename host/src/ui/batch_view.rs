//! What `/api/millstream/v1` says of batches, and the page shows.
//!
//! Owns the names and units of the members, which `openapi.json` describes: change both together. Names of sources,
//! outputs and operators are `null` if they are not known any more.

use super::model::{self, Batch, BatchStatus, Model, Stage, ms};
use serde::Serialize;

/// A batch, as a table shows it.
#[derive(Serialize)]
pub(super) struct BatchView<'a> {
    time_ms: u64,
    run_id: u32,
    status: &'static str,
    records: u64,
    submission_ms: u64,
    scheduling_delay_ms: Option<f64>,
    processing_time_ms: Option<f64>,
    total_delay_ms: Option<f64>,
    outputs_succeeded: usize,
    outputs_failed: usize,
    /// The outputs that began so far.
    outputs: usize,
    failure: Option<&'a str>,
}

impl<'a> From<&'a Batch> for BatchView<'a> {
    fn from(batch: &'a Batch) -> Self {
        let failed = batch.failed().count();
        let succeeded =
            batch.outputs.iter().filter(|output| output.end_ms.is_some() && output.failure.is_none()).count();
        Self {
            time_ms: batch.time_ms,
            run_id: batch.run,
            status: match batch.status() {
                BatchStatus::Queued => "queued",
                BatchStatus::Processing => "processing",
                BatchStatus::Completed if failed > 0 => "failed",
                BatchStatus::Completed => "completed",
            },
            records: batch.records(),
            submission_ms: batch.submission_ms,
            scheduling_delay_ms: batch.scheduling_us.map(ms),
            processing_time_ms: batch.processing_us.map(ms),
            total_delay_ms: batch.total_us().map(ms),
            outputs_succeeded: succeeded,
            outputs_failed: failed,
            outputs: batch.outputs.len(),
            failure: batch.failed().find_map(|output| output.failure.as_deref()),
        }
    }
}

/// A batch with all that is known of it.
#[derive(Serialize)]
pub(super) struct WholeBatch<'a> {
    #[serde(flatten)]
    batch: BatchView<'a>,
    batch_interval_ms: u64,
    processing_start_ms: Option<u64>,
    processing_end_ms: Option<u64>,
    spilled_bytes: u64,
    inputs: Vec<InputView<'a>>,
    output_operations: Vec<OutputView<'a>>,
    stages: Vec<StageRunView<'a>>,
    /// The tasks of these stages, as far as they are kept.
    tasks: Vec<TaskView<'a>>,
    retries: Vec<RetryView<'a>>,
    /// The batches before and after this one that are kept.
    earlier_ms: Option<u64>,
    later_ms: Option<u64>,
}

#[derive(Serialize)]
struct InputView<'a> {
    source: u32,
    name: Option<&'a str>,
    records: u64,
    description: Option<&'a str>,
}

#[derive(Serialize)]
struct OutputView<'a> {
    id: usize,
    name: Option<&'a str>,
    description: Option<&'a str>,
    start_ms: Option<u64>,
    end_ms: Option<u64>,
    duration_ms: Option<f64>,
    driver_time_ms: f64,
    failure: Option<&'a str>,
}

/// What a stage or a task has done, and in which time.
#[derive(Serialize)]
struct WorkView {
    duration_ms: f64,
    task_time_ms: f64,
    plugin_time_ms: f64,
    rows_read: u64,
    rows_written: u64,
    bytes_read: u64,
    bytes_written: u64,
}

impl From<&model::Work> for WorkView {
    fn from(work: &model::Work) -> Self {
        Self {
            duration_ms: ms(work.duration_us),
            task_time_ms: ms(work.task_time_us),
            plugin_time_ms: ms(work.plugin_us),
            rows_read: work.rows_read,
            rows_written: work.rows_written,
            bytes_read: work.bytes_read,
            bytes_written: work.bytes_written,
        }
    }
}

#[derive(Serialize)]
struct TaskView<'a> {
    stage: u32,
    partition: u32,
    attempts: u32,
    start_ms: u64,
    #[serde(flatten)]
    work: WorkView,
    failure: Option<&'a str>,
}

#[derive(Serialize)]
struct StageRunView<'a> {
    stage: u32,
    label: Option<String>,
    operators: Vec<OperatorView<'a>>,
    start_ms: u64,
    #[serde(flatten)]
    work: WorkView,
    shuffle_bytes: u64,
    tasks: u32,
    failure: Option<&'a str>,
}

#[derive(Serialize)]
struct RetryView<'a> {
    stage: u32,
    partition: u32,
    reason: &'a str,
}

/// An operator, or the part of an operator that runs in a stage.
#[derive(Serialize)]
pub(super) struct OperatorView<'a> {
    node: u32,
    name: Option<&'a str>,
    kind: &'a str,
    role: &'a str,
    /// The share of the operator in the time of the stage in code of the plugin. `None` if the operators were not timed.
    share: Option<f64>,
    sampled_rows: u64,
    sampled_ms: f64,
}

/// The operators of a stage.
pub(super) fn operators(stage: &Stage) -> Vec<OperatorView<'_>> {
    fn view<'a>(stage: &Stage, operator: &'a model::Operator) -> OperatorView<'a> {
        let model::Operator { node, name, kind, role, sampled_rows, sampled_us } = operator;
        OperatorView {
            node: *node,
            name: name.as_deref(),
            kind,
            role,
            share: stage.share(operator),
            sampled_rows: *sampled_rows,
            sampled_ms: sampled_us / 1e3,
        }
    }
    stage.operators.iter().map(|operator| view(stage, operator)).collect()
}

/// One batch. `None` if it is not kept.
pub(super) fn whole_batch(model: &Model, time_ms: u64) -> Option<WholeBatch<'_>> {
    let batch = model.batches.find(time_ms)?;
    let times = || {
        let undone = model.batches.undone().rev().map(|batch| batch.time_ms);
        undone.chain(model.batches.done().map(|batch| batch.time_ms))
    };
    let retries = batch.retries.iter();
    Some(WholeBatch {
        batch: batch.into(),
        batch_interval_ms: model.batch_interval_ms,
        processing_start_ms: batch.start_ms,
        processing_end_ms: batch.end_ms,
        spilled_bytes: batch.spilled_bytes,
        inputs: batch.inputs.iter().map(|told| input(model, told)).collect(),
        output_operations: batch.outputs.iter().map(|told| output(model, told)).collect(),
        stages: batch.stages.iter().map(|told| stage_run(model, batch.run, told)).collect(),
        tasks: batch.tasks.iter().map(task).collect(),
        retries: retries
            .map(|retry| RetryView { stage: retry.stage, partition: retry.partition, reason: &retry.reason })
            .collect(),
        earlier_ms: times().find(|time| *time < time_ms),
        later_ms: times().take_while(|time| *time > time_ms).last(),
    })
}

fn input<'a>(model: &'a Model, told: &'a model::Input) -> InputView<'a> {
    let name = model.sources.get(&told.source).map(|source| source.name.as_str());
    InputView { source: told.source, name, records: told.records, description: told.description.as_deref() }
}

fn output<'a>(model: &'a Model, told: &'a model::Output) -> OutputView<'a> {
    let known = model.outputs.get(&told.id);
    OutputView {
        id: told.id,
        name: known.map(|known| known.name.as_str()),
        description: known.map(|known| known.description.as_str()),
        start_ms: told.start_ms,
        end_ms: told.end_ms,
        duration_ms: told.duration_us.map(ms),
        driver_time_ms: ms(told.driver_us),
        failure: told.failure.as_deref(),
    }
}

fn task(told: &model::Task) -> TaskView<'_> {
    TaskView {
        stage: told.stage,
        partition: told.partition,
        attempts: told.attempts,
        start_ms: told.start_ms,
        work: (&told.work).into(),
        failure: told.failure.as_deref(),
    }
}

fn stage_run<'a>(model: &'a Model, run: u32, told: &'a model::StageRun) -> StageRunView<'a> {
    let stage = model.stages.find(run, told.stage);
    StageRunView {
        stage: told.stage,
        label: stage.map(Stage::label),
        operators: stage.map(operators).unwrap_or_default(),
        start_ms: told.start_ms,
        work: (&told.work).into(),
        shuffle_bytes: told.shuffle_bytes,
        tasks: told.tasks,
        failure: told.failure.as_deref(),
    }
}

/// Which batches a reader wants to see.
pub(super) struct Chosen<'a> {
    /// `queued`, `processing`, `completed` or `failed`. `None` stands for all.
    pub(super) status: Option<&'a str>,
    /// Only batches whose total delay, as far as it is known, is longer.
    pub(super) longer_than_ms: u64,
    /// Only batches of these times.
    pub(super) from_ms: u64,
    pub(super) until_ms: u64,
}

/// Some of the batches, the newest first.
#[derive(Serialize)]
pub(super) struct Page<'a> {
    /// How many batches were chosen.
    total: usize,
    offset: u64,
    batches: Vec<BatchView<'a>>,
}

/// A page of the chosen batches: at most `limit`, after the first `offset`.
///
/// # Errors
/// If there is no such status. The error is for the client.
pub(super) fn page<'a>(model: &'a Model, chosen: &Chosen<'_>, offset: u64, limit: u64) -> Result<Page<'a>, String> {
    let names = ["queued", "processing", "completed", "failed"];
    if let Some(strange) = chosen.status.filter(|status| !names.contains(status)) {
        return Err(format!("{strange} is no status of a batch: {}", names.join(", ")));
    }
    let is_chosen = |batch: &&Batch| {
        (chosen.from_ms..=chosen.until_ms).contains(&batch.time_ms)
            && (chosen.longer_than_ms == 0
                || batch.total_us().is_some_and(|us| us > chosen.longer_than_ms.saturating_mul(1000)))
            && chosen.status.is_none_or(|status| BatchView::from(*batch).status == status)
    };
    let all = || model.batches.undone().rev().chain(model.batches.done()).filter(is_chosen);
    let (skipped, limit) =
        (usize::try_from(offset).unwrap_or(usize::MAX), usize::try_from(limit).unwrap_or(usize::MAX));
    let batches = all().skip(skipped).take(limit).map(BatchView::from).collect();
    Ok(Page { total: all().count(), offset, batches })
}
