//! What is observed of the old and the new run: counts and times of their batches.
//!
//! Owns the figures that come from the events of both runs. Memory is bounded, however long an upgrade takes.

use super::status::{RunReport, StageTime};
use crate::comparison::Side;
use crate::ids::RunId;
use crate::listener::{BatchInfo, Event, StreamingListener};
use crate::lock::lock;
use crate::time::{Duration, Time};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// How many batches may wait for the same batch of the other run.
const UNMATCHED_MAX: usize = 10_000;
/// How many stages are counted apart.
const STAGES_MAX: usize = 1000;

/// The figures of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunTally {
    /// The number of batches that are done.
    pub batches: u64,
    /// The last batch that is done.
    pub last: Option<Time>,
    /// The last batch that was given to the run.
    pub given: Option<Time>,
    /// The number of batches in which an output has failed.
    pub failed: u64,
    /// The number of records that the batches have read.
    pub records: u64,
    /// The total processing time.
    pub processing: Duration,
    /// The longest processing time of a batch.
    pub processing_max: Duration,
    /// The last scheduling delay.
    pub scheduling: Duration,
    /// The total time of the tasks of each stage.
    stages: BTreeMap<String, Duration>,
    /// The time of the tasks of the batch that is under way.
    task_time: Duration,
}

impl RunTally {
    /// Counts a batch, and returns the time of its tasks.
    fn completed(&mut self, info: &BatchInfo) -> Duration {
        self.batches += 1;
        self.last = self.last.max(Some(info.batch_time));
        self.failed += u64::from(info.output_operations.values().any(|output| output.failure_reason.is_some()));
        self.records += info.inputs.values().map(|input| input.num_records).sum::<u64>();
        let processing = info.processing_delay.unwrap_or_default();
        self.processing += processing;
        self.processing_max = self.processing_max.max(processing);
        self.scheduling = info.scheduling_delay.unwrap_or_default();
        std::mem::take(&mut self.task_time)
    }

    /// The figures, for people and programs.
    pub fn report(&self, batch_interval: Duration) -> RunReport {
        let ms = |span: Duration| span.as_secs_f64() * 1000.0;
        let waiting = match (self.given, self.last) {
            (Some(given), Some(last)) => crate::time::times_in(given.since(last), batch_interval),
            (Some(_), None) => 1,
            (None, _) => 0,
        };
        let average = self.processing.checked_div(u32::try_from(self.batches).unwrap_or(u32::MAX));
        let stage = |(stage, span): (&String, &Duration)| StageTime { stage: stage.clone(), total_ms: ms(*span) };
        RunReport {
            batches: self.batches,
            last_batch_ms: self.last.map(Time::as_ms),
            waiting,
            records: self.records,
            batches_failed: self.failed,
            processing_average_ms: ms(average.unwrap_or_default()),
            processing_max_ms: ms(self.processing_max),
            scheduling_delay_ms: ms(self.scheduling),
            memory_bytes: None,
            stages: self.stages.iter().map(stage).collect(),
        }
    }
}

/// The figures of both runs, and of the batches that both have done.
#[derive(Clone, Debug, Default)]
struct Counted {
    old: RunTally,
    new: RunTally,
    /// The task times of batches that only one run has done so far.
    unmatched: BTreeMap<Time, (Option<Duration>, Option<Duration>)>,
    /// The total task times of the batches that both have done.
    of_both: (Duration, Duration),
    /// The number of these batches.
    both: u64,
    /// The number of batches at the end of which no batch waited for the new run, one after the other.
    in_pace: u64,
    /// The first output of the new run that has failed where that of the old run has not: the batch, the output and the
    /// reason.
    failure: Option<(Time, String, String)>,
}

/// Counts the events of two runs.
pub struct Tallies {
    old: RunId,
    new: RunId,
    counted: Mutex<Counted>,
    /// The number of batches that were counted. Who waits for batches subscribes.
    changed: watch::Sender<u64>,
}

impl Tallies {
    /// Counts the events of these runs from now on.
    pub fn new(old: RunId, new: RunId) -> Arc<Self> {
        Arc::new(Self { old, new, counted: Mutex::default(), changed: watch::Sender::new(0) })
    }

    /// A channel that changes whenever a batch was counted.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The figures of a run.
    pub fn of(&self, side: Side) -> RunTally {
        let counted = lock(&self.counted);
        match side {
            Side::Old => counted.old.clone(),
            Side::New => counted.new.clone(),
        }
    }

    /// How many times as long as those of the old run the tasks of the new run take, over the batches that both have done.
    /// The time in which tasks wait for tasks of the other run does not count. `None` if there is no such batch.
    pub fn slowdown(&self) -> Option<f64> {
        let counted = lock(&self.counted);
        let (old, new) = counted.of_both;
        (!old.is_zero()).then(|| new.as_secs_f64() / old.as_secs_f64())
    }

    /// For how many batches, one after the other, the new run has kept pace.
    pub fn in_pace(&self) -> u64 {
        lock(&self.counted).in_pace
    }

    /// The first output of the new run that has failed where that of the old run has not: the batch, the output and the
    /// reason. `None` if there is none.
    pub fn failure(&self) -> Option<(Time, String, String)> {
        lock(&self.counted).failure.clone()
    }

    fn side(&self, run: RunId) -> Option<Side> {
        match run {
            run if run == self.old => Some(Side::Old),
            run if run == self.new => Some(Side::New),
            _ => None,
        }
    }
}

impl Counted {
    fn tally(&mut self, side: Side) -> &mut RunTally {
        match side {
            Side::Old => &mut self.old,
            Side::New => &mut self.new,
        }
    }

    fn completed(&mut self, side: Side, info: &BatchInfo) {
        let task_time = self.tally(side).completed(info);
        let times = self.unmatched.entry(info.batch_time).or_default();
        match side {
            Side::Old => times.0 = Some(task_time),
            Side::New => times.1 = Some(task_time),
        }
        if let (Some(old), Some(new)) = *times {
            self.of_both = (self.of_both.0 + old, self.of_both.1 + new);
            self.both += 1;
            self.unmatched.remove(&info.batch_time);
        }
        if self.unmatched.len() > UNMATCHED_MAX {
            self.unmatched.pop_first();
        }
        if side == Side::New {
            let waits = self.new.given.is_some_and(|given| given > info.batch_time);
            self.in_pace = if waits { 0 } else { self.in_pace + 1 };
            let failed = info
                .output_operations
                .values()
                .find_map(|output| Some((info.batch_time, output.description.clone(), output.failure_reason.clone()?)));
            if self.failure.is_none() && self.old.failed == 0 {
                self.failure = failed;
            }
        }
    }
}

impl StreamingListener for Tallies {
    fn on_event(&self, event: &Event) {
        self.on_event_of(RunId::FIRST, event);
    }

    fn on_event_of(&self, run: RunId, event: &Event) {
        let Some(side) = self.side(run) else { return };
        match event {
            Event::BatchSubmitted(info) => {
                lock(&self.counted).tally(side).given = Some(info.batch_time);
            }
            Event::StageCompleted(info) => {
                let mut counted = lock(&self.counted);
                let tally = counted.tally(side);
                tally.task_time += info.task_time;
                let stages = &mut tally.stages;
                let operators: Vec<String> = info
                    .operators
                    .iter()
                    .map(|operator| operator.name.clone().unwrap_or_else(|| operator.kind.clone()))
                    .collect();
                let name = match operators.as_slice() {
                    [] => format!("stage {}", info.stage_id),
                    operators => operators.join(" -> "),
                };
                if stages.len() < STAGES_MAX || stages.contains_key(&name) {
                    *stages.entry(name).or_default() += info.task_time;
                }
            }
            Event::BatchCompleted(info) => {
                lock(&self.counted).completed(side, info);
                self.changed.send_modify(|changes| *changes += 1);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{NodeId, StageId};
    use crate::listener::{PluginUse, StageInfo, StageRows};

    const OLD: RunId = RunId(1);
    const NEW: RunId = RunId(2);

    fn batch(tallies: &Tallies, run: RunId, second: u64, task_times_ms: &[u64]) {
        let time = Time::from_ms(second * 1000);
        for ms in task_times_ms {
            let output = StageRows { kind: "output", node: NodeId(0), rows: 0 };
            tallies.on_event_of(
                run,
                &Event::StageCompleted(StageInfo {
                    batch_time: time,
                    stage_id: StageId(0),
                    operators: Vec::new(),
                    inputs: Vec::new(),
                    output,
                    bytes_read: 0,
                    bytes_written: 0,
                    shuffle_bytes_written: 0,
                    num_tasks: 2,
                    submission_time: time,
                    completion_time: time,
                    duration: Duration::from_secs(7),
                    task_time: Duration::from_millis(*ms),
                    plugin: PluginUse::default(),
                    failure_reason: None,
                    tasks: Vec::new(),
                }),
            );
        }
        let info = BatchInfo {
            batch_time: time,
            inputs: BTreeMap::new(),
            submission_time: time,
            processing_start_time: Some(time),
            processing_end_time: Some(time),
            scheduling_delay: Some(Duration::ZERO),
            processing_delay: Some(Duration::from_secs(run.0.into())),
            output_operations: BTreeMap::new(),
        };
        tallies.on_event_of(run, &Event::BatchCompleted(info));
    }

    /// Only the time of tasks counts, and only in batches that both runs have done.
    #[test]
    fn a_run_that_waits_is_not_slow() {
        let tallies = Tallies::new(OLD, NEW);
        batch(&tallies, OLD, 1, &[250, 250]);
        assert_eq!(tallies.slowdown(), None);
        batch(&tallies, NEW, 1, &[375, 375]);
        batch(&tallies, NEW, 2, &[1250]);
        assert_eq!(tallies.slowdown(), Some(1.5));
        batch(&tallies, OLD, 2, &[500]);
        assert_eq!(tallies.slowdown(), Some(2.0));
        assert_eq!(tallies.of(Side::New).processing_max, Duration::from_secs(2));
    }
}
