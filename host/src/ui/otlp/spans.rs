//! Spans of batches, outputs, stages and tasks, made of events.
//!
//! Owns which events become spans, and how many spans wait for the collector. A batch is a trace. Ids follow from the job,
//! the run and the batch, so that each event becomes a span on its own.

use crate::data::key::hash;
use crate::ids::RunId;
use crate::listener::{BatchInfo, Event, OutputOperationInfo, QueuedListener, StageInfo, TaskInfo, keep_tasks};
use crate::lock::lock;
use crate::time::{Duration, Time};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// The most spans that wait for the collector.
const SPANS_MAX: usize = 4096;
/// The most tasks of a stage that become spans: those that failed and the slowest.
const TASKS_MAX: usize = 64;

/// A span of time in which something was done.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) trace_id: String,
    pub(super) id: String,
    /// The span that this one is a part of; `None` for a batch.
    pub(super) parent_id: Option<String>,
    pub(super) name: String,
    pub(super) start_ns: u128,
    pub(super) end_ns: u128,
    pub(super) attributes: Vec<(&'static str, Attribute)>,
    /// Why it failed.
    pub(super) failure: Option<String>,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Attribute {
    Text(String),
    Number(u64),
}

/// The spans that wait for the collector.
#[derive(Default)]
pub(super) struct Waiting {
    /// The oldest first; and the number of spans that found no room since the last call.
    spans: Mutex<(VecDeque<Span>, u64)>,
}

impl Waiting {
    fn add(&self, span: Span) {
        let mut spans = lock(&self.spans);
        if spans.0.len() >= SPANS_MAX {
            spans.1 += 1;
        } else {
            spans.0.push_back(span);
        }
    }

    /// Adds a span that may go without the others: such spans take at most half of the room.
    fn add_detail(&self, span: Span) {
        let mut spans = lock(&self.spans);
        if spans.0.len() >= SPANS_MAX / 2 {
            spans.1 += 1;
        } else {
            spans.0.push_back(span);
        }
    }

    /// Takes all spans out, and the number of spans that found no room.
    pub(super) fn take(&self) -> (Vec<Span>, u64) {
        let mut spans = lock(&self.spans);
        (spans.0.drain(..).collect(), std::mem::take(&mut spans.1))
    }

    /// Puts spans back that the collector has not taken, as far as there is room.
    pub(super) fn put_back(&self, spans: Vec<Span>) {
        let mut waiting = lock(&self.spans);
        for span in spans.into_iter().rev() {
            if waiting.0.len() >= SPANS_MAX {
                waiting.1 += 1;
            } else {
                waiting.0.push_front(span);
            }
        }
    }
}

/// Makes spans of events.
pub(super) struct Spans {
    job: String,
    waiting: Arc<Waiting>,
}

impl Spans {
    pub(super) fn new(job: &str, waiting: &Arc<Waiting>) -> Self {
        Self { job: job.to_owned(), waiting: waiting.clone() }
    }

    fn id(&self, run: RunId, batch: Time, part: &str) -> String {
        format!("{:016x}", hash(format!("{}/{}/{}/{part}", self.job, run.0, batch.as_ms()).as_bytes()).max(1))
    }

    fn trace_id(&self, run: RunId, batch: Time) -> String {
        self.id(run, batch, "trace 1") + &self.id(run, batch, "trace 2")
    }

    fn batch(&self, run: RunId, info: &BatchInfo) -> Span {
        let end = info.total_delay().map_or(0, |total| total.as_nanos());
        let failed = info.output_operations.values().find_map(|output| output.failure_reason.clone());
        Span {
            trace_id: self.trace_id(run, info.batch_time),
            id: self.id(run, info.batch_time, "batch"),
            parent_id: None,
            name: "batch".to_owned(),
            start_ns: ns(info.submission_time),
            end_ns: ns(info.submission_time) + end,
            attributes: vec![
                ("millstream.batch_time_ms", Attribute::Number(info.batch_time.as_ms())),
                ("millstream.records", Attribute::Number(info.num_records())),
                ("millstream.scheduling_delay_us", Attribute::Number(us(info.scheduling_delay))),
                ("millstream.processing_us", Attribute::Number(us(info.processing_delay))),
            ],
            failure: failed,
        }
    }

    fn output(&self, run: RunId, info: &OutputOperationInfo) -> Span {
        let start = info.start_time.unwrap_or(info.batch_time);
        Span {
            trace_id: self.trace_id(run, info.batch_time),
            id: self.id(run, info.batch_time, &format!("output {}", info.id)),
            parent_id: Some(self.id(run, info.batch_time, "batch")),
            name: format!("output {}", info.name),
            start_ns: ns(start),
            end_ns: ns(start) + info.duration.unwrap_or_default().as_nanos(),
            attributes: vec![("millstream.output", Attribute::Text(info.name.clone()))],
            failure: info.failure_reason.clone(),
        }
    }

    fn stage(&self, run: RunId, info: &StageInfo) -> Span {
        let operators: Vec<&str> =
            info.operators.iter().map(|operator| operator.name.as_deref().unwrap_or(&operator.kind)).collect();
        Span {
            trace_id: self.trace_id(run, info.batch_time),
            id: self.id(run, info.batch_time, &format!("stage {}", info.stage_id)),
            parent_id: Some(self.id(run, info.batch_time, "batch")),
            name: format!("stage {}", info.stage_id),
            start_ns: ns(info.submission_time),
            end_ns: ns(info.submission_time) + info.duration.as_nanos(),
            attributes: vec![
                ("millstream.operators", Attribute::Text(operators.join(", "))),
                ("millstream.tasks", Attribute::Number(info.num_tasks.into())),
                ("millstream.task_time_us", Attribute::Number(us(Some(info.task_time)))),
                ("millstream.plugin_time_us", Attribute::Number(us(Some(info.plugin.time)))),
                ("millstream.rows_read", Attribute::Number(info.rows_read())),
                ("millstream.rows_written", Attribute::Number(info.output.rows)),
                ("millstream.shuffle_bytes", Attribute::Number(info.shuffle_bytes_written)),
            ],
            failure: info.failure_reason.clone(),
        }
    }

    /// The tasks of a stage; each is a part of the stage.
    fn tasks(&self, run: RunId, info: &StageInfo) -> impl Iterator<Item = Span> {
        let stage = self.id(run, info.batch_time, &format!("stage {}", info.stage_id));
        let mut tasks: Vec<&TaskInfo> = info.tasks.iter().collect();
        keep_tasks(&mut tasks, TASKS_MAX);
        tasks.into_iter().map(move |task| Span {
            trace_id: self.trace_id(run, info.batch_time),
            id: self.id(run, info.batch_time, &format!("task {}/{}", info.stage_id, task.partition)),
            parent_id: Some(stage.clone()),
            name: format!("task {}", task.partition),
            start_ns: ns(task.start_time),
            end_ns: ns(task.start_time) + task.duration.as_nanos(),
            attributes: vec![
                ("millstream.partition", Attribute::Number(task.partition.into())),
                ("millstream.attempts", Attribute::Number(task.attempts.into())),
                ("millstream.task_time_us", Attribute::Number(us(Some(task.task_time)))),
                ("millstream.plugin_time_us", Attribute::Number(us(Some(task.plugin.time)))),
                ("millstream.rows_read", Attribute::Number(task.rows_read)),
                ("millstream.rows_written", Attribute::Number(task.rows_written)),
                ("millstream.bytes_read", Attribute::Number(task.bytes_read)),
                ("millstream.bytes_written", Attribute::Number(task.bytes_written)),
            ],
            failure: task.failure_reason.clone(),
        })
    }
}

impl QueuedListener for Spans {
    fn filter(&self) -> fn(&Event) -> bool {
        |event| matches!(event, Event::BatchCompleted(_) | Event::StageCompleted(_))
    }

    fn on_event(&mut self, _: Time, run: RunId, event: &Event) {
        match event {
            Event::BatchCompleted(info) => {
                self.waiting.add(self.batch(run, info));
                info.output_operations.values().for_each(|output| self.waiting.add(self.output(run, output)));
            }
            Event::StageCompleted(info) => {
                self.waiting.add(self.stage(run, info));
                self.tasks(run, info).for_each(|span| self.waiting.add_detail(span));
            }
            _ => {}
        }
    }
}

fn ns(time: Time) -> u128 {
    u128::from(time.as_ms()) * 1_000_000
}

fn us(span: Option<Duration>) -> u64 {
    u64::try_from(span.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}
