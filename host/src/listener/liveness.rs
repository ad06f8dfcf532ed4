//! Whether a job is alive, from its events: a pure decision, for watchdogs.
//!
//! Owns the rule. A job is alive if something has happened since the last question, or if nothing has to happen. While
//! batches wait or run, only the scheduler's work counts: a batch clock that goes on making batches shows nothing of the
//! scheduler. Never reads a clock.

use super::Event;
use crate::time::{Duration, Time};
use std::collections::BTreeSet;

/// The signs of life of a job.
#[derive(Clone, Debug)]
pub struct Liveness {
    batch_interval: Duration,
    /// The time of the next batch that the batch clock makes. `None` until the job runs.
    next_batch: Option<Time>,
    /// The batches that wait or run.
    pending: BTreeSet<Time>,
    /// Whether the batch clock has made a batch since the last question.
    has_made: bool,
    /// Whether the scheduler has done something since the last question.
    has_worked: bool,
    /// A task waits until this time before it is tried again.
    retry_at: Option<Time>,
    /// The writes to the checkpoint directory that fail. Outputs wait for these writes, and the job says so.
    failing: BTreeSet<String>,
    /// The time of the last question.
    asked: Time,
}

impl Liveness {
    /// A job with this batch interval, which does not run yet.
    pub fn new(batch_interval: Duration) -> Self {
        Self {
            batch_interval,
            next_batch: None,
            pending: BTreeSet::new(),
            has_made: false,
            has_worked: false,
            retry_at: None,
            failing: BTreeSet::new(),
            asked: Time::default(),
        }
    }

    /// The job runs since this time.
    pub fn running(&mut self, now: Time) {
        let next = now.next_multiple(self.batch_interval);
        self.next_batch.get_or_insert(next);
        self.asked = now;
    }

    /// An event of the job has happened.
    pub fn hear(&mut self, now: Time, event: &Event) {
        match event {
            Event::BatchSubmitted(info) => {
                self.has_made = true;
                // The scheduler begins with a batch that finds the queue empty.
                self.has_worked |= self.pending.is_empty();
                self.pending.insert(info.batch_time);
                self.next_batch = self.next_batch.max(Some(info.batch_time + self.batch_interval));
            }
            Event::BatchesWithoutData { through, .. } => {
                self.has_made = true;
                self.next_batch = self.next_batch.max(Some(*through + self.batch_interval));
            }
            Event::ClockSetBack { .. } | Event::InputError { .. } => self.has_made = true,
            Event::BatchCompleted(info) => {
                self.has_worked = true;
                // Batches are done in order.
                self.pending.retain(|batch| *batch > info.batch_time);
            }
            Event::BatchStarted(_)
            | Event::OutputOperationStarted(_)
            | Event::OutputOperationCompleted(_)
            | Event::StageCompleted(_) => self.has_worked = true,
            Event::TaskRetried { retry_in, .. } => {
                self.has_worked = true;
                self.retry_at = self.retry_at.max(Some(now + *retry_in));
            }
            Event::CheckpointFailed { what, .. } => {
                self.failing.insert(what.clone());
            }
            Event::CheckpointResumed { what } => {
                self.has_worked = true;
                self.failing.remove(what);
            }
            _ => {}
        }
    }

    /// Whether the job is alive: whether it has made progress since the last question, or waits for something that it
    /// knows. The next batch is due when its time was passed at the last question already.
    pub fn is_alive(&mut self, now: Time) -> bool {
        let (has_made, has_worked) = (std::mem::take(&mut self.has_made), std::mem::take(&mut self.has_worked));
        let asked = std::mem::replace(&mut self.asked, now);
        let waits = !self.failing.is_empty() || self.retry_at.is_some_and(|at| now <= at);
        let is_idle = self.pending.is_empty() && self.next_batch.is_some_and(|next| asked < next);
        waits || is_idle || has_worked || (has_made && self.pending.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{RunId, StageId, TaskId};
    use crate::listener::BatchInfo;
    use proptest::prelude::*;

    const INTERVAL: Duration = Duration::from_millis(100);

    fn at(ms: u64) -> Time {
        Time::from_ms(ms)
    }

    fn batch(ms: u64) -> BatchInfo {
        BatchInfo {
            batch_time: at(ms),
            submission_time: at(ms),
            inputs: std::collections::BTreeMap::new(),
            processing_start_time: None,
            processing_end_time: None,
            scheduling_delay: None,
            processing_delay: None,
            output_operations: std::collections::BTreeMap::new(),
        }
    }

    fn running() -> Liveness {
        let mut liveness = Liveness::new(INTERVAL);
        liveness.running(at(1000));
        liveness
    }

    /// A question at each of these times.
    fn alive(liveness: &mut Liveness, times_ms: &[u64]) -> Vec<bool> {
        times_ms.iter().map(|ms| liveness.is_alive(at(*ms))).collect()
    }

    #[test]
    fn a_job_that_waits_for_its_next_batch_is_alive() {
        let mut liveness = Liveness::new(Duration::from_secs(3600));
        liveness.running(at(1000));
        assert_eq!(alive(&mut liveness, &[2000, 900_000, 3_599_000]), [true; 3]);
        let started = at(3_600_000);
        liveness.hear(started, &Event::BatchSubmitted(batch(3_600_000)));
        liveness.hear(started, &Event::BatchStarted(batch(3_600_000)));
        liveness.hear(started, &Event::BatchCompleted(batch(3_600_000)));
        assert_eq!(alive(&mut liveness, &[3_700_000, 7_000_000]), [true; 2]);
    }

    #[test]
    fn a_batch_clock_that_hangs_is_noticed() {
        let mut liveness = running();
        // The batch of 1100 ms is never made.
        assert_eq!(alive(&mut liveness, &[1050, 1150, 1250, 1350]), [true, true, false, false]);
        liveness.hear(at(1400), &Event::BatchSubmitted(batch(1100)));
        assert_eq!(alive(&mut liveness, &[1450]), [true]);
    }

    #[test]
    fn a_scheduler_that_hangs_is_noticed_although_batches_are_made() {
        let mut liveness = running();
        liveness.hear(at(1100), &Event::BatchSubmitted(batch(1100)));
        liveness.hear(at(1100), &Event::BatchStarted(batch(1100)));
        let mut answers = Vec::new();
        for ms in (1200..1800).step_by(100) {
            liveness.hear(at(ms), &Event::BatchSubmitted(batch(ms)));
            answers.push(liveness.is_alive(at(ms + 50)));
        }
        assert_eq!(answers, [true, false, false, false, false, false]);
        liveness.hear(at(1800), &Event::BatchCompleted(batch(1100)));
        assert_eq!(alive(&mut liveness, &[1850, 1950]), [true, false]);
    }

    #[test]
    fn a_job_that_waits_for_its_checkpoint_directory_or_for_a_retry_is_alive() {
        let mut liveness = running();
        liveness.hear(at(1100), &Event::BatchSubmitted(batch(1100)));
        let (what, error) = ("a checkpoint".to_owned(), "disk full".to_owned());
        liveness.hear(at(1150), &Event::CheckpointFailed { what: what.clone(), error });
        assert_eq!(alive(&mut liveness, &[1200, 1300, 9000]), [true; 3]);
        liveness.hear(at(9000), &Event::CheckpointResumed { what });
        assert_eq!(alive(&mut liveness, &[9100, 9200]), [true, false]);
        let task = TaskId { batch: at(1100), ..task() };
        let retry_in = Duration::from_secs(30);
        liveness.hear(at(9300), &Event::TaskRetried { task, reason: "a server is away".to_owned(), retry_in });
        assert_eq!(alive(&mut liveness, &[9400, 39_300, 39_400]), [true, true, false]);
    }

    fn task() -> TaskId {
        TaskId { run: RunId::FIRST, batch: at(0), stage: StageId(0), partition: 0 }
    }

    proptest! {
        /// A job that takes no longer for a batch than the time between two questions is alive at each question. When its
        /// scheduler stops to work, it is alive at no question but the next one, whatever the batch clock does.
        #[test]
        fn a_job_is_alive_until_it_hangs(batches in 1u64..30, took_ms in 0u64..100, ask_every_ms in 100u64..1000) {
            let mut liveness = running();
            let mut events: Vec<(u64, Event)> = Vec::new();
            for number in 1..=batches {
                let time = 1000 + number * 100;
                events.push((time, Event::BatchSubmitted(batch(time))));
                events.push((time, Event::BatchStarted(batch(time))));
                events.push((time + took_ms, Event::BatchCompleted(batch(time))));
            }
            let hang = 1000 + (batches + 1) * 100;
            events.push((hang, Event::BatchSubmitted(batch(hang))));
            events.push((hang, Event::BatchStarted(batch(hang))));
            events.extend((1..50).map(|more| (hang + more * 100, Event::BatchSubmitted(batch(hang + more * 100)))));
            let mut events = events.into_iter().peekable();
            let mut last = false;
            for ask in (1..).map(|number| 1000 + number * ask_every_ms).take_while(|ask| *ask < hang + 5000) {
                while let Some((time, event)) = events.next_if(|(time, _)| *time <= ask) {
                    liveness.hear(at(time), &event);
                }
                let answer = liveness.is_alive(at(ask));
                if ask < hang + ask_every_ms {
                    prop_assert!(answer, "{ask} of {hang}");
                    last = true;
                } else {
                    prop_assert!(!answer, "{ask} of {hang}");
                }
            }
            prop_assert!(last);
        }
    }
}
