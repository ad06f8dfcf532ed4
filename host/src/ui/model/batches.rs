//! The batches that wait or run, and the last batches that are done: what is kept of each.
//!
//! Owns how much is kept: a bounded number of batches and of bytes, the newest. Names of sources, outputs and operators
//! are kept once, and not with each batch.

use crate::listener::{BatchInfo, OutputOperationInfo, StageInfo, TaskInfo, keep_tasks};
use crate::time::{Duration, Time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// The most batches that are done and kept, and the most bytes that they take.
const DONE_MAX: usize = 10_000;
const BYTES_MAX: usize = 6 << 20;
/// The most batches that wait or run and are kept. Of further ones only the number is known.
const UNDONE_MAX: usize = 1_000;
/// The most stages and retries of a batch that are kept.
const STAGES_MAX: usize = 256;
const RETRIES_MAX: usize = 32;
/// The most tasks of a batch that are kept, and of all batches that are done. Tasks of older batches are dropped first.
const TASKS_MAX: usize = 512;
const DONE_TASKS_MAX: usize = 8_192;
/// The longest text that is kept, in bytes.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// The input of a batch from one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ui) struct Input {
    pub(in crate::ui) source: u32,
    pub(in crate::ui) records: u64,
    pub(in crate::ui) description: Option<Box<str>>,
}

/// An output of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ui) struct Output {
    pub(in crate::ui) id: usize,
    pub(in crate::ui) start_ms: Option<u64>,
    pub(in crate::ui) end_ms: Option<u64>,
    pub(in crate::ui) duration_us: Option<u64>,
    /// The part of it in driver functions of the plugin.
    #[serde(default)]
    pub(in crate::ui) driver_us: u64,
    pub(in crate::ui) failure: Option<Box<str>>,
}

/// What a stage or a task has done, and in which time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::ui) struct Work {
    pub(in crate::ui) duration_us: u64,
    /// The time of all attempts at all tasks.
    pub(in crate::ui) task_time_us: u64,
    /// The part of it in code of the plugin.
    pub(in crate::ui) plugin_us: u64,
    pub(in crate::ui) rows_read: u64,
    pub(in crate::ui) rows_written: u64,
    pub(in crate::ui) bytes_read: u64,
    pub(in crate::ui) bytes_written: u64,
}

/// A task of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ui) struct Task {
    pub(in crate::ui) stage: u32,
    pub(in crate::ui) partition: u32,
    pub(in crate::ui) attempts: u32,
    pub(in crate::ui) start_ms: u64,
    #[serde(flatten)]
    pub(in crate::ui) work: Work,
    pub(in crate::ui) failure: Option<Box<str>>,
}

impl Task {
    fn of(stage: u32, info: &TaskInfo) -> Self {
        Self {
            stage,
            partition: info.partition,
            attempts: info.attempts,
            start_ms: info.start_time.as_ms(),
            work: Work {
                duration_us: us(info.duration),
                task_time_us: us(info.task_time),
                plugin_us: us(info.plugin.time),
                rows_read: info.rows_read,
                rows_written: info.rows_written,
                bytes_read: info.bytes_read,
                bytes_written: info.bytes_written,
            },
            failure: info.failure_reason.as_deref().map(kept),
        }
    }
}

/// A stage of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ui) struct StageRun {
    pub(in crate::ui) stage: u32,
    pub(in crate::ui) start_ms: u64,
    #[serde(flatten)]
    pub(in crate::ui) work: Work,
    pub(in crate::ui) shuffle_bytes: u64,
    pub(in crate::ui) tasks: u32,
    pub(in crate::ui) failure: Option<Box<str>>,
}

/// A task that ran again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ui) struct Retry {
    pub(in crate::ui) stage: u32,
    pub(in crate::ui) partition: u32,
    pub(in crate::ui) reason: Box<str>,
}

/// A batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::ui) struct Batch {
    pub(in crate::ui) time_ms: u64,
    /// The run that showed the batch.
    pub(in crate::ui) run: u32,
    pub(in crate::ui) submission_ms: u64,
    pub(in crate::ui) start_ms: Option<u64>,
    pub(in crate::ui) end_ms: Option<u64>,
    pub(in crate::ui) scheduling_us: Option<u64>,
    pub(in crate::ui) processing_us: Option<u64>,
    pub(in crate::ui) inputs: Vec<Input>,
    pub(in crate::ui) outputs: Vec<Output>,
    pub(in crate::ui) stages: Vec<StageRun>,
    /// The tasks of these stages. Empty for all but the last batches.
    pub(in crate::ui) tasks: Vec<Task>,
    pub(in crate::ui) retries: Vec<Retry>,
    pub(in crate::ui) spilled_bytes: u64,
}

/// What a batch is doing. Spark's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ui) enum BatchStatus {
    Queued,
    Processing,
    Completed,
}

impl Batch {
    fn tell(&mut self, run: u32, info: &BatchInfo) {
        self.run = run;
        self.time_ms = info.batch_time.as_ms();
        self.submission_ms = info.submission_time.as_ms();
        self.start_ms = info.processing_start_time.map(Time::as_ms);
        self.end_ms = info.processing_end_time.map(Time::as_ms);
        self.scheduling_us = info.scheduling_delay.map(us);
        self.processing_us = info.processing_delay.map(us);
        let input = |(source, input): (&u32, &crate::listener::StreamInputInfo)| Input {
            source: *source,
            records: input.num_records,
            description: input.description.as_deref().map(kept),
        };
        self.inputs = info.inputs.iter().map(input).collect();
        for output in info.output_operations.values() {
            self.tell_output(output);
        }
    }

    fn tell_output(&mut self, info: &OutputOperationInfo) {
        let output = Output {
            id: info.id,
            start_ms: info.start_time.map(Time::as_ms),
            end_ms: info.end_time.map(Time::as_ms),
            duration_us: info.duration.map(us),
            driver_us: us(info.driver.time),
            failure: info.failure_reason.as_deref().map(kept),
        };
        match self.outputs.iter_mut().find(|known| known.id == info.id) {
            Some(known) => *known = output,
            None => self.outputs.push(output),
        }
    }

    /// The status of the batch.
    pub(in crate::ui) fn status(&self) -> BatchStatus {
        match (self.start_ms, self.processing_us) {
            (_, Some(_)) => BatchStatus::Completed,
            (Some(_), None) => BatchStatus::Processing,
            (None, None) => BatchStatus::Queued,
        }
    }

    /// The number of records of all sources.
    pub(in crate::ui) fn records(&self) -> u64 {
        self.inputs.iter().map(|input| input.records).sum()
    }

    /// The time from submission to completion.
    pub(in crate::ui) fn total_us(&self) -> Option<u64> {
        Some(self.scheduling_us?.saturating_add(self.processing_us?))
    }

    /// The outputs that have failed.
    pub(in crate::ui) fn failed(&self) -> impl Iterator<Item = &Output> {
        self.outputs.iter().filter(|output| output.failure.is_some())
    }

    /// About how much memory the batch takes, in bytes.
    fn bytes(&self) -> usize {
        let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        let texts = self.inputs.iter().map(|input| text(&input.description)).sum::<usize>()
            + self.outputs.iter().map(|output| text(&output.failure)).sum::<usize>()
            + self.stages.iter().map(|stage| text(&stage.failure)).sum::<usize>()
            + self.tasks.iter().map(|task| text(&task.failure)).sum::<usize>()
            + self.retries.iter().map(|retry| retry.reason.len()).sum::<usize>();
        size_of::<Self>()
            + self.inputs.capacity() * size_of::<Input>()
            + self.outputs.capacity() * size_of::<Output>()
            + self.stages.capacity() * size_of::<StageRun>()
            + self.tasks.capacity() * size_of::<Task>()
            + self.retries.capacity() * size_of::<Retry>()
            + texts
    }

    fn shrink(&mut self) {
        self.inputs.shrink_to_fit();
        self.outputs.shrink_to_fit();
        self.stages.shrink_to_fit();
        self.tasks.shrink_to_fit();
        self.retries.shrink_to_fit();
    }
}

/// A span in whole microseconds.
pub(super) fn us(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// Microseconds as milliseconds.
pub(in crate::ui) fn ms(us: u64) -> f64 {
    us as f64 / 1e3
}

/// The beginning of a text that may be long.
pub(super) fn kept(text: &str) -> Box<str> {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    match text.get(..end) {
        Some(start) if end < text.len() => format!("{start}...").into(),
        _ => text.into(),
    }
}

/// The batches of a job.
#[derive(Debug, Default)]
pub(in crate::ui) struct Batches {
    /// The batches that wait or run and are kept, by their times.
    undone: BTreeMap<u64, Batch>,
    /// The last batches that are done, the newest last.
    done: VecDeque<Batch>,
    /// The size of `done`.
    bytes: usize,
    /// The number of tasks in `done`.
    tasks: usize,
    /// How many of the oldest batches in `done` have lost their tasks.
    without_tasks: usize,
}

impl Batches {
    /// A batch waits for its turn, or has begun.
    pub(in crate::ui) fn tell(&mut self, run: u32, info: &BatchInfo) {
        let time_ms = info.batch_time.as_ms();
        if self.undone.len() >= UNDONE_MAX && !self.undone.contains_key(&time_ms) {
            if info.processing_start_time.is_none() {
                return;
            }
            // A batch that runs says more than the newest one that waits.
            self.undone.pop_last();
        }
        self.undone.entry(time_ms).or_default().tell(run, info);
    }

    /// A batch is done. Returns the batch.
    pub(in crate::ui) fn completed(&mut self, run: u32, info: &BatchInfo) -> Option<&Batch> {
        let time_ms = info.batch_time.as_ms();
        let mut batch = self.undone.remove(&time_ms).unwrap_or_default();
        // Batches are done in order. The event of an earlier one may be missing.
        while self.undone.first_key_value().is_some_and(|(first, _)| *first < time_ms) {
            self.undone.pop_first();
        }
        batch.tell(run, info);
        batch.processing_us.get_or_insert(0);
        self.keep(batch);
        self.done.back()
    }

    /// Keeps a batch that is done, and drops the oldest ones that have no room any more.
    pub(super) fn keep(&mut self, mut batch: Batch) {
        batch.shrink();
        self.bytes = self.bytes.saturating_add(batch.bytes());
        self.tasks += batch.tasks.len();
        self.done.push_back(batch);
        while self.tasks > DONE_TASKS_MAX {
            let Some(oldest) = self.done.get_mut(self.without_tasks) else { break };
            let before = oldest.bytes();
            self.tasks = self.tasks.saturating_sub(std::mem::take(&mut oldest.tasks).len());
            self.bytes = self.bytes.saturating_sub(before.saturating_sub(oldest.bytes()));
            self.without_tasks += 1;
        }
        while self.done.len() > DONE_MAX || (self.bytes > BYTES_MAX && self.done.len() > 1) {
            let Some(oldest) = self.done.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.bytes());
            self.tasks = self.tasks.saturating_sub(oldest.tasks.len());
            self.without_tasks = self.without_tasks.saturating_sub(1);
        }
    }

    /// An output of a batch runs or is done.
    pub(in crate::ui) fn tell_output(&mut self, info: &OutputOperationInfo) {
        if let Some(batch) = self.undone.get_mut(&info.batch_time.as_ms()) {
            batch.tell_output(info);
        }
    }

    /// A stage of a batch has run.
    pub(in crate::ui) fn tell_stage(&mut self, info: &StageInfo) {
        let Some(batch) = self.undone.get_mut(&info.batch_time.as_ms()) else { return };
        if batch.stages.len() < STAGES_MAX {
            batch.stages.push(StageRun {
                stage: info.stage_id.0,
                start_ms: info.submission_time.as_ms(),
                work: Work {
                    duration_us: us(info.duration),
                    task_time_us: us(info.task_time),
                    plugin_us: us(info.plugin.time),
                    rows_read: info.rows_read(),
                    rows_written: info.output.rows,
                    bytes_read: info.bytes_read,
                    bytes_written: info.bytes_written,
                },
                shuffle_bytes: info.shuffle_bytes_written,
                tasks: info.num_tasks,
                failure: info.failure_reason.as_deref().map(kept),
            });
        }
        // Half of the room that is left: later stages have tasks, too.
        let room = TASKS_MAX.saturating_sub(batch.tasks.len()).div_ceil(2);
        let mut tasks: Vec<&TaskInfo> = info.tasks.iter().collect();
        keep_tasks(&mut tasks, room);
        batch.tasks.extend(tasks.into_iter().map(|task| Task::of(info.stage_id.0, task)));
    }

    /// A task of a batch failed and runs again.
    pub(in crate::ui) fn tell_retry(&mut self, time_ms: u64, stage: u32, partition: u32, reason: &str) {
        let Some(batch) = self.undone.get_mut(&time_ms) else { return };
        if batch.retries.len() < RETRIES_MAX {
            batch.retries.push(Retry { stage, partition, reason: kept(reason) });
        }
    }

    /// A batch has spilled this many bytes.
    pub(in crate::ui) fn tell_spilled(&mut self, time_ms: u64, bytes: u64) {
        if let Some(batch) = self.undone.get_mut(&time_ms) {
            batch.spilled_bytes = batch.spilled_bytes.saturating_add(bytes);
        }
    }

    /// The batches that wait or run and are kept, in the order of their times.
    pub(in crate::ui) fn undone(&self) -> impl DoubleEndedIterator<Item = &Batch> {
        self.undone.values()
    }

    /// The batches that are done and kept, the newest first.
    pub(in crate::ui) fn done(&self) -> impl ExactSizeIterator<Item = &Batch> {
        self.done.iter().rev()
    }

    /// One batch, by its time. `None` if the batch is not kept.
    pub(in crate::ui) fn find(&self, time_ms: u64) -> Option<&Batch> {
        // The last one of several, which come from a hand-over back.
        self.undone.get(&time_ms).or_else(|| self.done().find(|batch| batch.time_ms == time_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::StreamInputInfo;
    use proptest::prelude::*;

    fn info(number: u64, text: usize) -> BatchInfo {
        let input = StreamInputInfo {
            stream_id: 0,
            name: "lines".to_owned(),
            num_records: number,
            description: (text > 0).then(|| "x".repeat(text)),
        };
        BatchInfo {
            batch_time: Time::from_ms(number),
            inputs: [(0, input)].into(),
            submission_time: Time::from_ms(number),
            processing_start_time: None,
            processing_end_time: None,
            scheduling_delay: None,
            processing_delay: None,
            output_operations: [].into(),
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(kept("short"), "short".into());
        let long = kept(&"\u{e4}".repeat(TEXT_BYTES_MAX));
        assert_eq!(long.chars().count(), TEXT_BYTES_MAX / 2 + 3);
    }

    proptest! {
        /// Whatever comes: the newest batches are kept, in order, in bounded number and memory; and the counted size is
        /// that of the batches.
        #[test]
        fn what_is_kept_is_bounded(texts in prop::collection::vec(0usize..2_000_000, 1..40), ahead in 0u64..2_000) {
            let mut batches = Batches::default();
            (0..ahead).for_each(|number| batches.tell(0, &info(100 + number, 0)));
            prop_assert!(batches.undone.len() <= UNDONE_MAX);
            for (number, text) in texts.iter().enumerate() {
                let number = number as u64;
                batches.tell(0, &info(number, *text));
                let done = batches.completed(0, &info(number, *text)).map(|batch| batch.time_ms);
                prop_assert_eq!(done, Some(number));
                prop_assert_eq!(batches.bytes, batches.done.iter().map(Batch::bytes).sum::<usize>());
                prop_assert!(batches.bytes <= BYTES_MAX + TEXT_BYTES_MAX + 1000);
            }
            let last = texts.len() as u64 - 1;
            prop_assert_eq!(batches.done().next().map(|batch| batch.time_ms), Some(last));
            prop_assert_eq!(batches.find(last).map(Batch::records), Some(last));
        }
    }
}
