//! The metrics of a job.
//!
//! Owns the names, units and types of the metrics, which `docs/web.md` lists. Spark's gauges have aliases under Spark's
//! names. Never keeps a number: all come from the model.

use super::model::{Model, Total};
use super::monitor::{Asked, Memory};
use crate::listener::{OperatorState, Status};

/// How the values of a metric behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// They only grow, until the host is started again.
    Counter,
    Gauge,
    Histogram,
}

/// The value of a sample.
pub(super) enum Value {
    Number(f64),
    Spans(Total),
}

/// A metric with its samples.
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) help: String,
    /// The labels of each sample, besides the job, and its value.
    pub(super) samples: Vec<(Vec<(&'static str, String)>, Value)>,
}

/// A number of any type, as a sample has it.
trait Number {
    fn number(self) -> f64;
}

impl Number for u64 {
    fn number(self) -> f64 {
        self as f64
    }
}

impl Number for usize {
    fn number(self) -> f64 {
        self as f64
    }
}

impl Number for bool {
    fn number(self) -> f64 {
        f64::from(u8::from(self))
    }
}

impl Number for f64 {
    fn number(self) -> f64 {
        self
    }
}

/// Collects metrics.
#[derive(Default)]
struct Metrics(Vec<Metric>);

impl Metrics {
    /// Begins a metric.
    fn metric(&mut self, name: &str, kind: Kind, help: &str) {
        self.0.push(Metric { name: name.to_owned(), kind, help: help.to_owned(), samples: Vec::new() });
    }

    /// Adds a sample to the metric that has begun last.
    fn sample(&mut self, labels: &[(&'static str, &str)], value: impl Number) {
        let labels = labels.iter().map(|(label, value)| (*label, (*value).to_owned())).collect();
        if let Some(metric) = self.0.last_mut() {
            metric.samples.push((labels, Value::Number(value.number())));
        }
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.metric(name, Kind::Counter, help);
        self.sample(&[], value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Number) {
        self.metric(name, Kind::Gauge, help);
        self.sample(&[], value);
    }

    fn histogram(&mut self, name: &str, help: &str, total: &Total) {
        self.metric(name, Kind::Histogram, help);
        if let Some(metric) = self.0.last_mut() {
            metric.samples.push((Vec::new(), Value::Spans(total.clone())));
        }
    }
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

/// All metrics of a job.
pub(super) fn all(model: &Model, status: &Status, asked: &Asked) -> Vec<Metric> {
    let mut metrics = Metrics::default();
    job(&mut metrics, model, status);
    sources(&mut metrics, model, status);
    stages(&mut metrics, model);
    state(&mut metrics, model, status, &asked.operators);
    if let Some(memory) = &asked.memory {
        memory_of(&mut metrics, memory);
    }
    for (name, value) in spark_gauges(model, status) {
        metrics.gauge(&format!("spark_streaming_{name}"), &format!("Spark's gauge streaming.{name}."), value as f64);
    }
    metrics.0
}

fn job(metrics: &mut Metrics, model: &Model, status: &Status) {
    let totals = &model.totals;
    metrics.metric("millstream_build_info", Kind::Gauge, "The version of the host.");
    metrics.sample(&[("version", env!("CARGO_PKG_VERSION"))], true);
    metrics.gauge(
        "millstream_start_time_seconds",
        "When the job was started, since the Unix epoch.",
        status.since_ms as f64 / 1e3,
    );
    metrics.gauge("millstream_batch_interval_seconds", "The batch interval.", model.batch_interval_ms as f64 / 1e3);
    metrics.counter("millstream_batches_submitted_total", "Batches that were made.", totals.batches_submitted);
    metrics.counter("millstream_batches_completed_total", "Batches that are done.", totals.batches_done);
    metrics.counter("millstream_batches_failed_total", "Batches of which an output has failed.", totals.batches_failed);
    metrics.counter(
        "millstream_batches_without_data_total",
        "Missed batches without data, which were counted and not run.",
        totals.batches_without_data,
    );
    metrics.gauge("millstream_batches_pending", "Batches that wait or run.", status.pending);
    metrics.counter(
        "millstream_records_received_total",
        "Records of the batches that were made.",
        totals.records_received,
    );
    metrics.counter(
        "millstream_records_processed_total",
        "Records of the batches that are done.",
        totals.records_processed,
    );
    metrics.counter("millstream_records_lost_total", "Records that were dropped or lost.", status.records_lost);
    metrics.counter("millstream_outputs_failed_total", "Outputs that have failed.", status.outputs_failed);
    metrics.counter("millstream_tasks_retried_total", "Tasks that ran again.", status.tasks_retried);
    metrics.counter(
        "millstream_spilled_bytes_total",
        "Bytes that were written to disk for lack of memory.",
        status.spilled_bytes,
    );
    metrics.counter("millstream_events_missed_total", "Events that these metrics have missed.", totals.events_missed);
    metrics.gauge("millstream_falling_behind", "1 if the job falls behind, else 0.", model.behind_since_ms.is_some());
    metrics.histogram(
        "millstream_batch_scheduling_delay_seconds",
        "How long batches waited for earlier batches.",
        &totals.scheduling,
    );
    metrics.histogram(
        "millstream_batch_processing_seconds",
        "How long the outputs of batches took.",
        &totals.processing,
    );
    metrics.histogram(
        "millstream_batch_total_delay_seconds",
        "The time from the submission of batches to their completion.",
        &totals.total,
    );
}

fn sources(metrics: &mut Metrics, model: &Model, status: &Status) {
    metrics.metric(
        "millstream_source_records_total",
        Kind::Counter,
        "Records of the batches that are done, by source.",
    );
    for source in model.sources.values() {
        metrics.sample(&[("source", &source.name)], source.processed);
    }
    metrics.metric("millstream_source_errors_total", Kind::Counter, "Errors of a receiver, or of reading a source.");
    for source in model.sources.values() {
        metrics.sample(&[("source", &source.name)], source.errors);
    }
    metrics.metric("millstream_receiver_active", Kind::Gauge, "1 if the receiver is connected, else 0.");
    for receiver in &status.receivers {
        metrics.sample(&[("source", &receiver.name)], receiver.active);
    }
    metrics.metric("millstream_receiver_rate_limit", Kind::Gauge, "The most records a second that the receiver takes.");
    for receiver in &status.receivers {
        if let Some(rate) = receiver.rate_limit.as_ref().and_then(|limit| limit.records_per_second) {
            metrics.sample(&[("source", &receiver.name)], rate);
        }
    }
    metrics.metric("millstream_output_runs_total", Kind::Counter, "How many times each output ran.");
    for output in model.outputs.values() {
        metrics.sample(&[("output", &output.name)], output.runs);
    }
    metrics.metric(
        "millstream_output_driver_seconds_total",
        Kind::Counter,
        "The time in driver functions of the plugin while each output ran.",
    );
    for output in model.outputs.values() {
        metrics.sample(&[("output", &output.name)], seconds(output.driver_us));
    }
    metrics.metric("millstream_output_failures_total", Kind::Counter, "How many times each output failed.");
    for output in model.outputs.values() {
        metrics.sample(&[("output", &output.name)], output.failures);
    }
}

/// A metric of each stage: its name, how it behaves, its help, and its value.
type OfStage = (&'static str, Kind, &'static str, fn(&super::model::Stage) -> f64);

const OF_STAGE: [OfStage; 11] = [
    ("millstream_stage_runs_total", Kind::Counter, "How many times each stage ran.", |stage| stage.runs as f64),
    ("millstream_stage_failures_total", Kind::Counter, "How many times each stage failed.", |stage| {
        stage.failures as f64
    }),
    ("millstream_stage_seconds_total", Kind::Counter, "The time of each stage, from beginning to end.", |stage| {
        seconds(stage.duration_us)
    }),
    (
        "millstream_stage_plugin_seconds_total",
        Kind::Counter,
        "The time of each stage in code of the plugin.",
        |stage| seconds(stage.plugin_us),
    ),
    (
        "millstream_stage_plugin_calls_total",
        Kind::Counter,
        "The calls of functions of the plugin by each stage.",
        |stage| stage.plugin_calls as f64,
    ),
    (
        "millstream_stage_task_seconds_total",
        Kind::Counter,
        "The time of all tasks of each stage: plugin and host.",
        |stage| seconds(stage.task_time_us),
    ),
    ("millstream_stage_tasks_total", Kind::Counter, "The tasks of each stage.", |stage| stage.tasks as f64),
    ("millstream_stage_rows_read_total", Kind::Counter, "The rows that each stage has read.", |stage| {
        stage.rows_read() as f64
    }),
    ("millstream_stage_rows_written_total", Kind::Counter, "The rows that each stage has written.", |stage| {
        stage.output.rows as f64
    }),
    (
        "millstream_stage_shuffle_bytes_total",
        Kind::Counter,
        "The bytes that each stage has written to a shuffle.",
        |stage| stage.shuffle_bytes as f64,
    ),
    ("millstream_stage_plugin_memory_bytes", Kind::Gauge, "The largest memory of a plugin instance.", |stage| {
        stage.plugin_memory_bytes as f64
    }),
];

fn stages(metrics: &mut Metrics, model: &Model) {
    for (name, kind, help, value) in OF_STAGE {
        metrics.metric(name, kind, help);
        for ((run, number), stage) in model.stages.all() {
            let (run, number, label) = (run.to_string(), number.to_string(), stage.label());
            metrics.sample(&[("run", &run), ("stage", &number), ("operator", &label)], value(stage));
        }
    }
    for (name, help, value) in OF_OPERATOR {
        metrics.metric(name, Kind::Counter, help);
        for ((run, number), stage) in model.stages.all() {
            for operator in stage.operators.iter().filter(|operator| operator.sampled_rows > 0) {
                let (run, number, node) = (run.to_string(), number.to_string(), operator.node.to_string());
                let of = [("operator", operator.label()), ("role", operator.role.as_str())];
                let labels = [("run", run.as_str()), ("stage", &number), ("node", &node)];
                metrics.sample(&[labels.as_slice(), &of].concat(), value(operator));
            }
        }
    }
}

/// A metric of each operator that was timed: its name, its help, and its value.
type OfOperator = (&'static str, &'static str, fn(&super::model::Operator) -> f64);

const OF_OPERATOR: [OfOperator; 2] = [
    ("millstream_operator_sampled_rows_total", "The rows that tasks read while each operator was timed.", |operator| {
        operator.sampled_rows as f64
    }),
    (
        "millstream_operator_sampled_seconds_total",
        "The time of each operator while tasks read these rows.",
        |operator| operator.sampled_us / 1e6,
    ),
];

fn state(metrics: &mut Metrics, model: &Model, status: &Status, operators: &[OperatorState]) {
    metrics.metric("millstream_state_keys", Kind::Gauge, "The keys that have state, by operator.");
    for operator in operators {
        metrics.sample(&[("operator", &operator.label())], operator.keys);
    }
    metrics.metric("millstream_state_bytes", Kind::Gauge, "The bytes of stored state, by operator.");
    for operator in operators {
        metrics.sample(&[("operator", &operator.label())], operator.bytes);
    }
    let Some(checkpoint) = &status.checkpoint else { return };
    metrics.counter("millstream_checkpoints_total", "Checkpoints on stable storage.", model.totals.checkpoints);
    metrics.counter(
        "millstream_checkpoint_failures_total",
        "Writes to the checkpoint directory that began to fail.",
        model.totals.checkpoints_failed,
    );
    metrics.gauge(
        "millstream_checkpoint_failing",
        "How many writes to the checkpoint directory fail.",
        checkpoint.failing.len(),
    );
    if let Some(ms) = checkpoint.written_ms {
        metrics.gauge(
            "millstream_checkpoint_time_seconds",
            "When the last checkpoint was written, since the Unix epoch.",
            ms as f64 / 1e3,
        );
    }
    if let Some(snapshot) = &model.snapshot {
        metrics.gauge(
            "millstream_snapshot_seconds",
            "How long the last snapshot of state took.",
            snapshot.duration.as_secs_f64(),
        );
        metrics.gauge("millstream_snapshot_bytes", "The bytes of the last snapshot of state.", snapshot.bytes);
    }
}

fn memory_of(metrics: &mut Metrics, memory: &Memory) {
    metrics.gauge("millstream_memory_budget_bytes", "The memory that the job may take.", memory.budget_bytes);
    metrics.metric("millstream_memory_bytes", Kind::Gauge, "The memory that is taken, by consumer.");
    for (consumer, bytes) in &memory.consumers {
        metrics.sample(&[("consumer", consumer)], *bytes);
    }
}

/// Spark's gauges of `StreamingMetrics`, without `streaming.`. -1 stands for what is not known, as in Spark.
pub(super) fn spark_gauges(model: &Model, status: &Status) -> Vec<(&'static str, i64)> {
    let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let optional = |value: Option<u64>| value.map_or(-1, whole);
    let done = model.batches.done().next();
    let received = model.batches.undone().next_back().or(done);
    let running = model.batches.undone().filter(|batch| batch.start_ms.is_some()).count() as u64;
    vec![
        ("receivers", whole(status.receivers.len() as u64)),
        ("totalCompletedBatches", whole(model.totals.batches_done)),
        ("totalReceivedRecords", whole(model.totals.records_received.max(model.totals.records_processed))),
        ("totalProcessedRecords", whole(model.totals.records_processed)),
        ("unprocessedBatches", whole(status.pending)),
        ("waitingBatches", whole(status.pending.saturating_sub(running))),
        ("runningBatches", whole(running)),
        ("retainedCompletedBatches", whole(model.batches.done().len().min(1000) as u64)),
        ("lastCompletedBatch_submissionTime", optional(done.map(|batch| batch.submission_ms))),
        ("lastCompletedBatch_processingStartTime", optional(done.and_then(|batch| batch.start_ms))),
        ("lastCompletedBatch_processingEndTime", optional(done.and_then(|batch| batch.end_ms))),
        (
            "lastCompletedBatch_processingDelay",
            optional(done.and_then(|batch| batch.processing_us).map(|us| us / 1000)),
        ),
        (
            "lastCompletedBatch_schedulingDelay",
            optional(done.and_then(|batch| batch.scheduling_us).map(|us| us / 1000)),
        ),
        ("lastCompletedBatch_totalDelay", optional(done.and_then(|batch| batch.total_us()).map(|us| us / 1000))),
        ("lastReceivedBatch_submissionTime", optional(received.map(|batch| batch.submission_ms))),
        ("lastReceivedBatch_processingStartTime", optional(received.and_then(|batch| batch.start_ms))),
        ("lastReceivedBatch_processingEndTime", optional(received.and_then(|batch| batch.end_ms))),
        ("lastReceivedBatch_records", optional(received.map(|batch| batch.records()))),
    ]
}
