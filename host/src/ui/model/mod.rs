//! What the page of a job shows: a pure function of the events of the job, of bounded size.
//!
//! Owns what is kept of events, and for how long. Never reads a clock, and never asks the job: a page that is looked at
//! costs the job nothing.

mod batches;
mod histogram;
mod history;
mod notes;
mod saved;
mod stages;

pub(super) use batches::{Batch, BatchStatus, Batches, Input, Output, StageRun, Task, Work, ms};
pub(super) use histogram::{BOUNDS_US, Histogram};
pub(super) use history::{History, Slot, Spans};
pub(super) use notes::{Level, Note, Notes};
pub(super) use saved::Saved;
pub(super) use stages::{Operator, Rows, Stage, Stages};

use self::batches::kept;
use self::history::DoneBatch;
use crate::ids::RunId;
use crate::listener::{Attention, BatchInfo, Event, SnapshotInfo, Summary, UpgradeInfo};
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most sources, outputs and settings that are told apart.
const NAMES_MAX: usize = 256;
/// The most steps of upgrades that are kept.
const STEPS_MAX: usize = 100;

/// A source of records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Source {
    pub(super) name: String,
    /// The records of the batches that were made.
    pub(super) received: u64,
    /// The records of the batches that are done.
    pub(super) processed: u64,
    /// How many errors its receiver has reported, or reading it has met.
    pub(super) errors: u64,
}

/// An output, as the plugin names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct OutputName {
    pub(super) name: String,
    pub(super) description: String,
    /// How many times it ran, and how many times it failed.
    pub(super) runs: u64,
    pub(super) failures: u64,
    /// The time in driver functions of the plugin while it ran.
    pub(super) driver_us: u64,
}

/// A step of an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) time_ms: u64,
    pub(super) info: UpgradeInfo,
}

/// Numbers that only grow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Totals {
    pub(super) batches_submitted: u64,
    pub(super) batches_done: u64,
    pub(super) batches_failed: u64,
    pub(super) batches_without_data: u64,
    pub(super) records_received: u64,
    pub(super) records_processed: u64,
    pub(super) checkpoints: u64,
    pub(super) checkpoints_failed: u64,
    pub(super) snapshots: u64,
    /// Events that this model has missed.
    pub(super) events_missed: u64,
    pub(super) scheduling: Total,
    pub(super) processing: Total,
    pub(super) total: Total,
}

/// The spans of all batches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Total {
    pub(super) sum_us: u64,
    /// The number of spans in each range, as in [`BOUNDS_US`].
    pub(super) counts: [u64; BOUNDS_US.len() + 1],
}

impl Total {
    fn add(&mut self, us: u64) {
        self.sum_us = self.sum_us.saturating_add(us);
        if let Some(count) = self.counts.get_mut(BOUNDS_US.partition_point(|bound| *bound < us)) {
            *count += 1;
        }
    }
}

/// What is known of a job.
pub(super) struct Model {
    /// What `host status` shows, too.
    pub(super) summary: Summary,
    /// When the job began to run. `None` until then.
    pub(super) started_ms: Option<u64>,
    pub(super) batch_interval_ms: u64,
    /// When the job ended. `None` until then.
    pub(super) ended_ms: Option<u64>,
    pub(super) totals: Totals,
    /// The sources, by number.
    pub(super) sources: BTreeMap<u32, Source>,
    /// The outputs, by number.
    pub(super) outputs: BTreeMap<usize, OutputName>,
    pub(super) batches: Batches,
    pub(super) history: History,
    pub(super) stages: Stages,
    pub(super) notes: Notes,
    /// Since when the job falls behind. `None` if it keeps up.
    pub(super) behind_since_ms: Option<u64>,
    /// The last snapshot of state.
    pub(super) snapshot: Option<SnapshotInfo>,
    /// The steps of upgrades, the newest last.
    pub(super) upgrades: Vec<Step>,
    /// The keys that were set while the job runs, with their values.
    pub(super) set: BTreeMap<String, String>,
    /// Changes with every event.
    pub(super) version: u64,
}

impl Model {
    /// A job that is about to start at `now`.
    pub(super) fn new(now: Time, job: &str, pid: Option<u32>) -> Self {
        Self {
            summary: Summary::new(now, job, pid),
            started_ms: None,
            batch_interval_ms: 0,
            ended_ms: None,
            totals: Totals::default(),
            sources: BTreeMap::new(),
            outputs: BTreeMap::new(),
            batches: Batches::default(),
            history: History::default(),
            stages: Stages::default(),
            notes: Notes::default(),
            behind_since_ms: None,
            snapshot: None,
            upgrades: Vec::new(),
            set: BTreeMap::new(),
            version: 0,
        }
    }

    /// An event of the job has happened.
    pub(super) fn hear(&mut self, at: Time, run: RunId, event: &Event) {
        self.version += 1;
        self.summary.hear(at, event);
        self.note(at, event);
        match event {
            Event::StreamingStarted { time, batch_interval, .. } => {
                self.started_ms = Some(time.as_ms());
                self.batch_interval_ms = crate::time::whole_ms(*batch_interval);
            }
            Event::BatchSubmitted(info) => self.submitted(run, info),
            Event::BatchStarted(info) => self.batches.tell(run.0, info),
            Event::BatchCompleted(info) => self.completed(run, info),
            Event::BatchesWithoutData { batches, .. } => self.totals.batches_without_data += batches,
            Event::OutputOperationStarted(info) | Event::OutputOperationCompleted(info) => {
                self.batches.tell_output(info);
            }
            Event::StageCompleted(info) => {
                self.batches.tell_stage(info);
                self.stages.tell(run.0, info);
            }
            Event::OperatorsSampled(info) => self.stages.tell_sample(run.0, info),
            Event::TaskRetried { task, reason, .. } => {
                self.batches.tell_retry(task.batch.as_ms(), task.stage.0, task.partition, reason);
                self.stages.tell_retry(run.0, task.stage.0);
            }
            Event::DataSpilled { batch, bytes } => self.batches.tell_spilled(batch.as_ms(), *bytes),
            Event::ReceiverStarted(info) | Event::ReceiverStopped(info) => {
                self.source(info.stream_id, &info.name);
            }
            Event::ReceiverError { receiver, .. } => {
                if let Some(source) = self.source(receiver.stream_id, &receiver.name) {
                    source.errors += 1;
                }
            }
            Event::InputError { source, .. } => {
                if let Some(source) = self.sources.values_mut().find(|known| known.name == *source) {
                    source.errors += 1;
                }
            }
            Event::FallingBehind(_) => self.behind_since_ms = Some(at.as_ms()),
            Event::CaughtUp(_) => self.behind_since_ms = None,
            Event::CheckpointWritten { .. } => self.totals.checkpoints += 1,
            Event::CheckpointFailed { .. } => self.totals.checkpoints_failed += 1,
            Event::SnapshotWritten(info) => {
                self.totals.snapshots += 1;
                self.snapshot = Some(info.clone());
            }
            Event::UpgradeChanged(info) => {
                self.upgrades.push(Step { time_ms: at.as_ms(), info: info.clone() });
                let more = self.upgrades.len().saturating_sub(STEPS_MAX);
                self.upgrades.drain(..more);
            }
            Event::SettingChanged { key, after, .. } if self.set.len() < NAMES_MAX => {
                self.set.insert(key.clone(), after.clone());
            }
            Event::EventsDropped { count } => self.totals.events_missed += count,
            Event::StreamingStopped { time, .. } => self.ended_ms = Some(time.as_ms()),
            _ => {}
        }
    }

    /// Adds a line for an event that needs attention. Batches are shown elsewhere, unless one fails.
    fn note(&mut self, at: Time, event: &Event) {
        let attention = match event {
            Event::BatchCompleted(info) => {
                for output in info.output_operations.values() {
                    if let Some(reason) = &output.failure_reason {
                        let text = format!("batch {}: output {} failed: {reason}", info.batch_time, output.name);
                        self.notes.add(at.as_ms(), Attention::Error, &text);
                    }
                }
                return;
            }
            Event::StreamingStopped { error: Some(error), .. } => {
                let text = format!("the job has ended: {error}");
                return self.notes.add(at.as_ms(), Attention::Error, &text);
            }
            Event::EventsDropped { .. } => Attention::Warning,
            event => event.attention(),
        };
        if attention > Attention::Detail {
            self.notes.add(at.as_ms(), attention, &event.words());
        }
    }

    fn source(&mut self, number: u32, name: &str) -> Option<&mut Source> {
        if self.sources.len() >= NAMES_MAX && !self.sources.contains_key(&number) {
            return None;
        }
        let source = self.sources.entry(number).or_default();
        if source.name.is_empty() {
            source.name = kept(name).into();
        }
        Some(source)
    }

    fn submitted(&mut self, run: RunId, info: &BatchInfo) {
        self.totals.batches_submitted += 1;
        self.totals.records_received += info.num_records();
        for (number, input) in &info.inputs {
            if let Some(source) = self.source(*number, &input.name) {
                source.received += input.num_records;
            }
        }
        self.batches.tell(run.0, info);
    }

    fn completed(&mut self, run: RunId, info: &BatchInfo) {
        let has_failed = info.outputs_failed() > 0;
        self.totals.batches_done += 1;
        self.totals.batches_failed += u64::from(has_failed);
        self.totals.records_processed += info.num_records();
        for (number, input) in &info.inputs {
            if let Some(source) = self.source(*number, &input.name) {
                source.processed += input.num_records;
                // The records of files are known only now.
                source.received = source.received.max(source.processed);
            }
        }
        for output in info.output_operations.values() {
            if self.outputs.len() < NAMES_MAX || self.outputs.contains_key(&output.id) {
                let known = self.outputs.entry(output.id).or_default();
                if known.name != output.name {
                    (known.name, known.description) = (kept(&output.name).into(), kept(&output.description).into());
                }
                known.runs += 1;
                known.driver_us = known.driver_us.saturating_add(batches::us(output.driver.time));
                known.failures += u64::from(output.failure_reason.is_some());
            }
        }
        if let Some(batch) = self.batches.completed(run.0, info) {
            let done = DoneBatch {
                time_ms: batch.time_ms,
                records: batch.inputs.iter().map(|input| (input.source, input.records)).collect(),
                scheduling_us: batch.scheduling_us.unwrap_or(0),
                processing_us: batch.processing_us.unwrap_or(0),
                has_failed,
            };
            self.totals.scheduling.add(done.scheduling_us);
            self.totals.processing.add(done.processing_us);
            self.totals.total.add(done.scheduling_us.saturating_add(done.processing_us));
            self.history.add(&done);
        }
    }
}

#[cfg(test)]
mod tests;
