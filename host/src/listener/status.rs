//! The current status of a job, as far as its events tell: for `host status` and other programs.
//!
//! Owns a summary of bounded size, in the form in which it is sent: times and spans in milliseconds. Later versions may
//! add members, which are absent from the status of an older host. So all members have defaults. Never keeps rows or
//! whole batches.

use super::{AccumulatorValue, BatchInfo, Event, OperatorState, RateLimit, ReceiverInfo, StreamingListener};
use crate::env::Clock;
use crate::lock::lock;
use crate::time::{Duration, Time, whole_ms};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// The number of batches over which averages are taken.
const AVERAGED: usize = 20;
/// How many pending batches are listed one by one.
const PENDING_TOLD_MAX: usize = 20;

/// What a job is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// The job is being set up.
    #[default]
    Starting,
    /// Batches of an earlier host run again.
    Recovering,
    /// Batches run.
    Running,
    /// The job was asked to stop.
    Stopping,
    /// The job has ended.
    Stopped,
}

/// The status of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// What the job is doing.
    pub state: RunState,
    /// The name of the job.
    pub job: String,
    /// The process of its host.
    pub pid: Option<u32>,
    /// When the job was started.
    pub since_ms: u64,
    /// The batch interval. This member and all members after it are known once the job runs.
    pub batch_interval_ms: Option<u64>,
    /// The run; `None` if the job has no checkpoint directory.
    pub run: Option<String>,
    /// The number of this host among all owners of the checkpoint directory; `None` without one.
    pub epoch: Option<u64>,
    /// The batch that was done last.
    pub last_batch_ms: Option<u64>,
    /// How many batches are done.
    pub batches_completed: u64,
    /// How many batches wait or run.
    pub pending: u64,
    /// The first batches that wait or run.
    pub pending_ms: Vec<u64>,
    /// How long batches waited for earlier batches.
    pub scheduling_delay: Option<Delay>,
    /// How long the outputs of batches took. Hosts of earlier versions call it a delay.
    #[serde(alias = "processing_delay")]
    pub processing_time: Option<Delay>,
    /// Whether the job is found to fall behind.
    pub is_behind: bool,
    /// The number of records of the batches that are done, by source.
    pub records: BTreeMap<String, u64>,
    /// The values of accumulators after the batch that was done last, by name.
    pub accumulators: BTreeMap<String, AccumulatorValue>,
    /// The files that sources do not read, by source.
    pub files: BTreeMap<String, FilesStatus>,
    /// The receivers of the job.
    pub receivers: Vec<ReceiverStatus>,
    /// The status of checkpoints; `None` if the job has no checkpoint directory.
    pub checkpoint: Option<CheckpointStatus>,
    /// The operators with state. No event has these, so the code that sends the status adds them.
    pub operators: Vec<OperatorState>,
    /// How many outputs failed.
    pub outputs_failed: u64,
    /// How many tasks ran again.
    pub tasks_retried: u64,
    /// The number of records that were dropped or lost.
    pub records_lost: u64,
    /// The number of bytes that were written to disk because they did not fit into memory.
    pub spilled_bytes: u64,
    /// The error that ended the job.
    pub error: Option<String>,
}

impl Status {
    fn files_of(&mut self, source: &str) -> &mut FilesStatus {
        self.files.entry(source.to_owned()).or_default()
    }
}

/// The files that a source does not read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FilesStatus {
    /// Files that are passed over, by the cause.
    pub passed_over: BTreeMap<String, PassedOverStatus>,
    /// Files that changed after they were read, and are not read again.
    pub changed: u64,
    /// Files that were gone when their batches ran. The batches continued without these files.
    pub missing: u64,
    /// Files that nothing needs any more, and that stay where they are.
    pub left: u64,
}

/// Files that are passed over for one cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PassedOverStatus {
    /// The number of files at the last report; by now there may be up to ten times as many.
    pub files: u64,
    /// A description of the files.
    pub what: String,
    /// One of the files.
    pub example: String,
}

/// A delay or a processing time of batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Delay {
    /// The delay of the batch that was done last.
    pub last_ms: f64,
    /// The average delay of the last batches.
    pub average_ms: f64,
}

/// The status of a receiver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReceiverStatus {
    /// The number of the receiver's source.
    pub stream_id: u32,
    /// The name of the receiver's source.
    pub name: String,
    /// Where the receiver runs: `driver` is the host's own process.
    pub location: String,
    /// The URL at which the receiver takes requests. `None` if it takes none.
    pub url: Option<String>,
    /// Whether the receiver is connected.
    pub active: bool,
    /// The message of the receiver's last error.
    pub last_error: Option<String>,
    /// When the last error happened.
    pub last_error_ms: Option<u64>,
    /// The limit of the receiver's rate. `None` if there was never one.
    pub rate_limit: Option<RateStatus>,
}

/// The limit of the rate of a receiver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateStatus {
    /// The most records a second. `None` if there is no limit.
    pub records_per_second: Option<u64>,
    /// The reason of the limit, as a word.
    pub reason: String,
    /// The limit and its reason, for people.
    pub description: String,
}

impl From<&RateLimit> for RateStatus {
    fn from(limit: &RateLimit) -> Self {
        let reason = limit.reason.word().to_owned();
        Self { records_per_second: limit.rate, reason, description: limit.to_string() }
    }
}

/// The status of checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckpointStatus {
    /// When the last checkpoint was written.
    pub written_ms: Option<u64>,
    /// The last snapshot of state. `None` if there is none yet.
    pub snapshot: Option<SnapshotStatus>,
    /// The writes that fail. Outputs wait for these writes.
    pub failing: BTreeMap<String, CheckpointTrouble>,
}

/// A snapshot of state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SnapshotStatus {
    /// The batch.
    pub batch_ms: u64,
    /// The number of keys that have state.
    pub keys: u64,
    /// The bytes that were written.
    pub bytes: u64,
}

/// Why something cannot be written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckpointTrouble {
    /// Since when the write fails.
    pub since_ms: u64,
    /// The error.
    pub error: String,
}

/// Keeps the status of one job.
pub struct StatusListener {
    clock: Arc<dyn Clock>,
    known: Mutex<Summary>,
    /// Whether the job was asked to stop. No event says so. Outside of the mutex, so that who only asks for this never
    /// makes an actor wait.
    is_stopping: AtomicBool,
}

/// The events of one job, summed up.
#[derive(Default)]
pub struct Summary {
    /// All members of the status that the other fields of this struct do not hold.
    status: Status,
    receivers: BTreeMap<u32, ReceiverStatus>,
    /// The limits of receivers, which may be known before the receivers are.
    rate_limits: BTreeMap<u32, RateStatus>,
    /// The URLs at which receivers take requests, by source.
    urls: BTreeMap<String, String>,
    pending: BTreeSet<Time>,
    /// Batches that are still to run again.
    rerun: BTreeSet<Time>,
    /// Scheduling delays and processing times of the last batches, the newest first.
    delays: VecDeque<(Duration, Duration)>,
}

impl StatusListener {
    /// Makes a listener for a job that is about to start in this process.
    pub fn new(clock: Arc<dyn Clock>, job: &str, pid: Option<u32>) -> Self {
        let summary = Summary::new(clock.now(), job, pid);
        Self { clock, known: Mutex::new(summary), is_stopping: AtomicBool::new(false) }
    }

    /// Records that the job was asked to stop.
    pub fn stopping(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the job was asked to stop.
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// The current status of the job.
    pub fn status(&self) -> Status {
        self.lock().told(self.is_stopping())
    }

    fn lock(&self) -> MutexGuard<'_, Summary> {
        lock(&self.known)
    }
}

impl StreamingListener for StatusListener {
    fn on_event(&self, event: &Event) {
        let now = self.clock.now();
        self.lock().hear(now, event);
    }
}

impl Summary {
    /// Nothing has happened yet to a job that is about to start at `now` in the process `pid`.
    pub fn new(now: Time, job: &str, pid: Option<u32>) -> Self {
        let status = Status { job: job.to_owned(), pid, since_ms: now.as_ms(), ..Status::default() };
        Self { status, ..Self::default() }
    }

    /// The events of a job of which only the status is known.
    pub fn restored(status: Status) -> Self {
        let receivers = status.receivers.iter().map(|receiver| (receiver.stream_id, receiver.clone())).collect();
        let limited = status.receivers.iter().filter_map(|known| Some((known.stream_id, known.rate_limit.clone()?)));
        let rate_limits = limited.collect();
        Self { receivers, rate_limits, status, ..Self::default() }
    }

    /// An event of the job has happened.
    pub fn hear(&mut self, now: Time, event: &Event) {
        let status = &mut self.status;
        match event {
            Event::StreamingStarted { batch_interval, .. } => {
                status.state = RunState::Running;
                status.batch_interval_ms = Some(whole_ms(*batch_interval));
            }
            Event::RecoveryStarted(info) => {
                self.rerun = info.rerun.iter().copied().collect();
                if !self.rerun.is_empty() || info.restored > 0 {
                    status.state = RunState::Recovering;
                }
            }
            Event::ReceiverStarted(info) | Event::ReceiverStopped(info) => self.receiver(info),
            Event::ReceiverError { receiver, .. } => self.receiver(receiver),
            Event::RateLimitChanged(info) => {
                self.rate_limits.insert(info.stream_id, RateStatus::from(&info.limit));
            }
            Event::ReceiverListens { source, url } => drop(self.urls.insert(source.clone(), url.clone())),
            Event::BatchSubmitted(info) => {
                self.pending.insert(info.batch_time);
                // Batches that are computed again for windows and state come first, and are not submitted.
                if self.rerun.is_empty() && status.state == RunState::Recovering {
                    status.state = RunState::Running;
                }
            }
            Event::BatchCompleted(info) => self.completed(info),
            Event::FallingBehind(_) => status.is_behind = true,
            Event::CaughtUp(_) => status.is_behind = false,
            Event::FilesPassedOver(info) => {
                let (files, what, example) = (info.files, info.cause.to_string(), info.example.clone());
                let told = PassedOverStatus { files, what, example };
                status.files_of(&info.source).passed_over.insert(info.cause.word().to_owned(), told);
            }
            Event::FileChanged { source, .. } => status.files_of(source).changed += 1,
            Event::FileMissing { source, .. } | Event::DataLost { source, .. } => status.files_of(source).missing += 1,
            Event::FileLeft { source, .. } => status.files_of(source).left += 1,
            Event::TaskRetried { .. } => status.tasks_retried += 1,
            Event::RecordsDropped { records, .. } | Event::RecordsLost { records, .. } => {
                status.records_lost += records
            }
            Event::MessagesGivenUp(info) => status.records_lost += info.messages,
            Event::AccumulatorsUpdated { accumulators, .. } => {
                let values =
                    accumulators.iter().map(|accumulator| (accumulator.name.clone(), accumulator.value.clone()));
                status.accumulators.extend(values);
            }
            Event::DataSpilled { bytes, .. } => status.spilled_bytes += bytes,
            Event::CheckpointOpened { run, epoch } => {
                status.run = Some(run.clone());
                status.epoch = Some(*epoch);
                status.checkpoint.get_or_insert_default();
            }
            Event::SnapshotWritten(info) => {
                let snapshot = SnapshotStatus { batch_ms: info.batch.as_ms(), keys: info.keys, bytes: info.bytes };
                status.checkpoint.get_or_insert_default().snapshot = Some(snapshot);
            }
            Event::CheckpointWritten { time } => {
                status.checkpoint.get_or_insert_default().written_ms = Some(time.as_ms());
            }
            Event::CheckpointFailed { what, error } => {
                let trouble = CheckpointTrouble { since_ms: now.as_ms(), error: error.clone() };
                status.checkpoint.get_or_insert_default().failing.insert(what.clone(), trouble);
            }
            Event::CheckpointResumed { what } => {
                status.checkpoint.get_or_insert_default().failing.remove(what);
            }
            Event::StreamingStopped { error, .. } => {
                status.state = RunState::Stopped;
                status.error.clone_from(error);
            }
            _ => {}
        }
    }

    fn receiver(&mut self, info: &ReceiverInfo) {
        let receiver = ReceiverStatus {
            stream_id: info.stream_id,
            name: info.name.clone(),
            location: info.location.clone(),
            url: None,
            active: info.active,
            last_error: info.last_error_message.clone(),
            last_error_ms: info.last_error_time.map(Time::as_ms),
            rate_limit: None,
        };
        self.receivers.insert(info.stream_id, receiver);
    }

    fn completed(&mut self, info: &BatchInfo) {
        // Batches are done in order. The event of an earlier one may be missing.
        while self.pending.first().is_some_and(|first| *first <= info.batch_time) {
            self.pending.pop_first();
        }
        let was_last = self.rerun.remove(&info.batch_time) && self.rerun.is_empty();
        let status = &mut self.status;
        if was_last && status.state == RunState::Recovering {
            status.state = RunState::Running;
        }
        status.batches_completed += 1;
        status.last_batch_ms = status.last_batch_ms.max(Some(info.batch_time.as_ms()));
        status.outputs_failed += info.outputs_failed() as u64;
        for input in info.inputs.values() {
            *status.records.entry(input.name.clone()).or_default() += input.num_records;
        }
        self.delays.push_front((info.scheduling_delay.unwrap_or_default(), info.processing_delay.unwrap_or_default()));
        self.delays.truncate(AVERAGED);
    }

    /// The status of the job, which was asked to stop if `is_stopping`.
    pub fn told(&self, is_stopping: bool) -> Status {
        let mut status = self.status.clone();
        if is_stopping && status.state != RunState::Stopped {
            status.state = RunState::Stopping;
        }
        let with_limit = |(id, receiver): (&u32, &ReceiverStatus)| ReceiverStatus {
            rate_limit: self.rate_limits.get(id).cloned(),
            url: self.urls.get(&receiver.name).cloned(),
            ..receiver.clone()
        };
        status.receivers = self.receivers.iter().map(with_limit).collect();
        status.pending = self.pending.len() as u64;
        status.pending_ms = self.pending.iter().take(PENDING_TOLD_MAX).map(|time| time.as_ms()).collect();
        status.scheduling_delay = self.delay(|(scheduling, _)| *scheduling);
        status.processing_time = self.delay(|(_, processing)| *processing);
        status
    }

    fn delay(&self, of: impl Fn(&(Duration, Duration)) -> Duration) -> Option<Delay> {
        let last = of(self.delays.front()?);
        let count = u32::try_from(self.delays.len()).unwrap_or(u32::MAX);
        let average = self.delays.iter().map(of).sum::<Duration>() / count;
        let ms = |span: Duration| span.as_secs_f64() * 1e3;
        Some(Delay { last_ms: ms(last), average_ms: ms(average) })
    }
}

#[cfg(test)]
mod tests;
