//! What `/api/millstream/v1` says of a job, and the page shows: views of the model as JSON.
//!
//! Owns the names and units of the members, which `openapi.json` describes: change both together. Durations are
//! milliseconds, points in time milliseconds since the Unix epoch, and what is not known is `null`.

use super::batch_view::BatchView;
use super::date::minute;
use super::health::{Health, Piece};
use super::model::{BOUNDS_US, Histogram, Level, Model, Note, Slot, Spans, Step, ms};
use super::monitor::{Memory, health};
use crate::listener::{SnapshotInfo, Status};
use crate::time::Time;
use serde::Serialize;
use std::collections::BTreeMap;

/// The most waiting batches that a view of the job lists.
const WAITING_TOLD_MAX: usize = 20;
/// The most batches that are done that a view of the job lists.
const DONE_TOLD_MAX: usize = 20;

/// How old a slot may be, compared with the newest batch, so that a view of the job has it.
const NEWEST_MS: u64 = 10_000;

/// The job as a whole, which the page gets again whenever it changes.
#[derive(Serialize)]
pub(super) struct JobView<'a> {
    host_version: &'static str,
    now_ms: u64,
    saved_ms: Option<u64>,
    started_ms: Option<u64>,
    ended_ms: Option<u64>,
    health: Health,
    /// The sentence of `health` in one piece.
    sentence: String,
    behind_since_ms: Option<u64>,
    status: &'a Status,
    batches_failed: u64,
    batches_without_data: u64,
    records_received: u64,
    records_processed: u64,
    events_missed: u64,
    sources: Vec<SourceView<'a>>,
    snapshot: Option<SnapshotView>,
    memory: Option<Memory>,
    upgrade: Option<StepView<'a>>,
    active: Vec<BatchView<'a>>,
    done: Vec<BatchView<'a>>,
    /// The newest slots of the history.
    slots: Vec<SlotView<'a>>,
    /// The number of warnings and errors in the log.
    warnings: usize,
    can_stop: bool,
}

/// A source.
#[derive(Serialize)]
pub(super) struct SourceView<'a> {
    id: u32,
    name: &'a str,
    received: u64,
    processed: u64,
    errors: u64,
}

/// The last snapshot of state.
#[derive(Serialize)]
pub(super) struct SnapshotView {
    batch_time_ms: u64,
    is_full: bool,
    keys: u64,
    rows: u64,
    bytes: u64,
    duration_ms: f64,
}

/// A step of an upgrade.
#[derive(Serialize)]
pub(super) struct StepView<'a> {
    time_ms: u64,
    step: &'a str,
    plugin: &'a str,
    after_batch_time_ms: Option<u64>,
    compared: u64,
    differences: u64,
    reason: Option<&'a str>,
}

/// The batches of one span of time.
#[derive(Serialize)]
pub(super) struct SlotView<'a> {
    start_ms: u64,
    batches: u64,
    batches_failed: u64,
    records: BTreeMap<u32, u64>,
    scheduling: SpansView<'a>,
    processing: SpansView<'a>,
    total: SpansView<'a>,
}

/// The spans of some batches.
#[derive(Serialize)]
pub(super) struct SpansView<'a> {
    average_ms: f64,
    max_ms: f64,
    /// The number of spans in each range.
    counts: &'a [u32],
}

impl<'a> SpansView<'a> {
    fn new(spans: &'a Spans, batches: u64) -> Self {
        let average_ms = if batches == 0 { 0.0 } else { ms(spans.sum_us) / batches as f64 };
        Self { average_ms, max_ms: ms(spans.max_us), counts: spans.histogram.counts() }
    }
}

impl<'a> From<&'a Slot> for SlotView<'a> {
    fn from(slot: &'a Slot) -> Self {
        Self {
            start_ms: slot.start_ms,
            batches: slot.batches,
            batches_failed: slot.batches_failed,
            records: slot.records.iter().copied().collect(),
            scheduling: SpansView::new(&slot.scheduling, slot.batches),
            processing: SpansView::new(&slot.processing, slot.batches),
            total: SpansView::new(&slot.total, slot.batches),
        }
    }
}

/// A span of the history.
#[derive(Serialize)]
pub(super) struct HistoryView<'a> {
    slot_ms: u64,
    slots: Vec<SlotView<'a>>,
    /// The upper bounds of the ranges of all counts but the last, in milliseconds.
    bounds_ms: Vec<f64>,
    scheduling: Distribution,
    processing: Distribution,
    total: Distribution,
}

/// The spans of all slots together.
#[derive(Serialize)]
struct Distribution {
    counts: Vec<u32>,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
}

impl Distribution {
    fn new<'a>(parts: impl Iterator<Item = &'a Histogram>) -> Self {
        let mut all = Histogram::default();
        parts.for_each(|part| all.merge(part));
        let quantile = |share| all.quantile_us(share).map(ms);
        Self { counts: all.counts().to_vec(), p50_ms: quantile(0.5), p99_ms: quantile(0.99) }
    }
}

/// The last `span_ms` before `now_ms` of the history.
pub(super) fn history(model: &Model, now_ms: u64, span_ms: u64) -> HistoryView<'_> {
    let ring = model.history.ring(span_ms);
    let from_ms = now_ms.saturating_sub(span_ms);
    let slots = || {
        let slots = ring.into_iter().flat_map(|ring| &ring.slots);
        slots.skip_while(move |slot| slot.start_ms < from_ms)
    };
    HistoryView {
        slot_ms: ring.map_or(0, |ring| ring.slot_ms),
        slots: slots().map(SlotView::from).collect(),
        bounds_ms: BOUNDS_US.iter().map(|us| ms(*us)).collect(),
        scheduling: Distribution::new(slots().map(|slot| &slot.scheduling.histogram)),
        processing: Distribution::new(slots().map(|slot| &slot.processing.histogram)),
        total: Distribution::new(slots().map(|slot| &slot.total.histogram)),
    }
}

impl From<&SnapshotInfo> for SnapshotView {
    fn from(info: &SnapshotInfo) -> Self {
        Self {
            batch_time_ms: info.batch.as_ms(),
            is_full: info.is_full,
            keys: info.keys,
            rows: info.rows,
            bytes: info.bytes,
            duration_ms: info.duration.as_secs_f64() * 1e3,
        }
    }
}

impl<'a> From<&'a Step> for StepView<'a> {
    fn from(step: &'a Step) -> Self {
        let info = &step.info;
        Self {
            time_ms: step.time_ms,
            step: &info.step,
            plugin: &info.plugin,
            after_batch_time_ms: info.after.map(Time::as_ms),
            compared: info.compared,
            differences: info.differences,
            reason: info.reason.as_deref(),
        }
    }
}

/// The job as a whole, at `now`, or as it was `saved`. `can_stop` says whether clients may stop the job at all.
pub(super) fn job<'a>(
    model: &'a Model,
    (status, memory): (&'a Status, Option<Memory>),
    (now, saved): (Time, Option<Time>),
    can_stop: bool,
) -> JobView<'a> {
    let health = health(model, status);
    let newest_ms = model.batches.done().next().map_or(0, |batch| batch.time_ms);
    let source = |(id, source): (&u32, &'a super::model::Source)| SourceView {
        id: *id,
        name: &source.name,
        received: source.received,
        processed: source.processed,
        errors: source.errors,
    };
    JobView {
        host_version: env!("CARGO_PKG_VERSION"),
        now_ms: saved.unwrap_or(now).as_ms(),
        saved_ms: saved.map(Time::as_ms),
        started_ms: model.started_ms,
        ended_ms: model.ended_ms,
        sentence: sentence(&health),
        health,
        behind_since_ms: model.behind_since_ms,
        status,
        batches_failed: model.totals.batches_failed,
        batches_without_data: model.totals.batches_without_data,
        records_received: model.totals.records_received,
        records_processed: model.totals.records_processed,
        events_missed: model.totals.events_missed,
        sources: model.sources.iter().map(source).collect(),
        snapshot: model.snapshot.as_ref().map(SnapshotView::from),
        memory,
        upgrade: model.upgrades.last().map(StepView::from),
        active: model.batches.undone().take(WAITING_TOLD_MAX).map(BatchView::from).collect(),
        done: model.batches.done().take(DONE_TOLD_MAX).map(BatchView::from).collect(),
        slots: model.history.newest(newest_ms.saturating_sub(NEWEST_MS)).map(SlotView::from).collect(),
        warnings: model.notes.newest().filter(|note| note.level != Level::Info).count(),
        can_stop,
    }
}

/// The sentence in one piece, with points in time in UTC.
fn sentence(health: &Health) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::TimeMs(ms) => minute(*ms),
    };
    health.sentence.iter().map(piece).collect()
}

/// The lines of the log.
#[derive(Serialize)]
pub(super) struct LogView<'a> {
    /// The newest first.
    lines: Vec<&'a Note>,
}

/// The last events that need attention.
pub(super) fn log(model: &Model) -> LogView<'_> {
    LogView { lines: model.notes.newest().collect() }
}

/// The settings of a job.
#[derive(Serialize)]
pub(super) struct SettingsView<'a> {
    job_file: &'a str,
    /// The keys that the job file and the command line give, with their values as TOML.
    given: BTreeMap<&'a str, String>,
    /// The keys that were set while the job runs.
    set: &'a BTreeMap<String, String>,
    /// The steps of upgrades, the newest first.
    upgrades: Vec<StepView<'a>>,
}

/// The path of the job file, and the keys with their values, without values that may be secrets.
pub(super) fn settings<'a>(
    (job_file, given): &'a (String, BTreeMap<String, String>),
    model: &'a Model,
) -> SettingsView<'a> {
    let given = given.iter().map(|(key, value)| (key.as_str(), shown_value(key, value)));
    SettingsView {
        job_file,
        given: given.collect(),
        set: &model.set,
        upgrades: model.upgrades.iter().rev().map(StepView::from).collect(),
    }
}

/// A value, unless it may be a secret. Secrets have places of their own, which are no secrets. But people write secrets
/// into arguments, options and URLs, too.
fn shown_value(key: &str, value: &str) -> String {
    const WORDS: [&str; 8] = ["password", "passwd", "secret", "token", "credential", "apikey", "api_key", "private"];
    let leaf = key.rsplit('.').next().unwrap_or(key).to_ascii_lowercase();
    let is_place = value.starts_with("\"file:") || value.starts_with("\"env:");
    if !is_place && WORDS.iter().any(|word| leaf.contains(word)) {
        return "(not shown)".to_owned();
    }
    match (value.split_once("://"), value.split_once('@')) {
        (Some((scheme, _)), Some((before, after))) if before.len() > scheme.len() + 3 => {
            format!("{scheme}://(not shown)@{after}")
        }
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_may_be_secrets_are_not_shown() {
        for (key, value, shown) in [
            ("job.name", "\"wc\"", "\"wc\""),
            ("job.args.db_password", "\"hunter2\"", "(not shown)"),
            ("sources.lines.options.ApiKey", "\"k\"", "(not shown)"),
            ("sources.lines.token", "\"file:token.txt\"", "\"file:token.txt\""),
            ("job.args.url", "\"postgres://me:hunter2@db/x\"", "\"postgres://(not shown)@db/x\""),
            ("job.args.url", "\"http://db/x?y=a\"", "\"http://db/x?y=a\""),
        ] {
            assert_eq!(shown_value(key, value), shown);
        }
    }
}
