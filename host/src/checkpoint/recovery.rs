//! The steps by which a host resumes a run: a pure decision from facts.
//!
//! Owns the rule. Pending batches, which were made and are not done, run again with the same times and inputs. Data
//! sets that windows still read are computed again from the inputs of batches that are done; the outputs of these
//! batches do not run. Missed batches, whose times passed while no host ran, are made after that.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::allocations::Allocations;
use super::metadata::RunProgress;
use crate::time::{Duration, Time, remainder, times_in, whole_ms};

/// The facts: what the checkpoint directory holds, and what time it is.
pub struct Findings<'a> {
    /// How far the run has come, by its newest checkpoint.
    pub progress: &'a RunProgress,
    /// The data that batches were given, by the allocation log.
    pub record: &'a Allocations,
    /// When the first batch of the run began.
    pub zero: Time,
    /// How much time one batch covers.
    pub batch_interval: Duration,
    /// The time now.
    pub now: Time,
    /// For a batch, the time after which inputs are needed so that the windows of all later batches are whole.
    pub inputs_needed_after: &'a dyn Fn(Time) -> Time,
}

/// The steps, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryPlan {
    /// When the first batch of the run began.
    pub zero: Time,
    /// The last batch that is done together with all batches before it.
    pub done: Time,
    /// Batches that are done, whose data sets are computed again.
    pub restore: Vec<Time>,
    /// Batches that run again.
    pub rerun: Vec<Time>,
    /// The first and the last of batches after `done` that do not run again: they had no work, or are never made. Windows of
    /// batches that run again, and of later ones, read them as empty.
    pub passed_over: Vec<(Time, Time)>,
    /// The first batch that was never made.
    pub next: Time,
    /// How many batches were missed: their times have passed.
    pub missed: u64,
}

/// An upper bound on how many batches a log can be ahead of a checkpoint.
const AHEAD_MAX: u64 = 100_000_000;

/// Why a run cannot be resumed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The allocation log and the checkpoint contradict each other.
    #[error("the log of what batches read ends with batch {logged}, but batch {generated} was the last that was made")]
    LostAllocations {
        /// The last batch of the log.
        logged: Time,
        /// The last batch of the checkpoint.
        generated: Time,
    },
    /// The checkpoint is so old that the log does not hold the data any more that windows need.
    #[error(
        "the checkpoint is too old: windows after batch {done} need what batches before {forgotten} read, and that is \
         forgotten"
    )]
    TooOld {
        /// The last batch that need not run again.
        done: Time,
        /// The first batch whose data the log knows.
        forgotten: Time,
    },
}

/// Decides how to resume a run.
///
/// # Errors
/// Returns an error if the log lacks batches that the checkpoint knows, or if the log has forgotten data that windows
/// need.
pub fn plan(found: &Findings<'_>) -> Result<RecoveryPlan, PlanError> {
    let Findings { progress, record, zero, batch_interval, now, .. } = *found;
    let (generated, logged) = check_log(progress, record, zero, batch_interval)?;
    let is_left_out = |time: &Time| record.gaps().any(|(from, through)| (from..=through).contains(time));
    // The log may be ahead of the checkpoint: a batch was made, and the host went down before it wrote the next
    // checkpoint.
    let unknown = times(generated, logged, batch_interval).filter(|time| !is_left_out(time));
    let mut rerun: Vec<Time> = progress.pending().chain(unknown).collect();
    // The log forgets a batch only when a newer checkpoint knows that the batch is done. That checkpoint cannot be read
    // now.
    rerun.retain(|time| *time > zero && *time >= record.forgotten_before());
    rerun.sort_unstable();
    rerun.dedup();
    let done = rerun.first().map_or(logged, |first| *first - batch_interval).max(zero);
    let after = (found.inputs_needed_after)(done).max(zero);
    let since = after.since(zero);
    let after = zero + since.saturating_sub(remainder(since, batch_interval));
    if after + batch_interval < record.forgotten_before() {
        return Err(PlanError::TooOld { done, forgotten: record.forgotten_before() });
    }
    let restore = if done > zero { times(after, done, batch_interval).collect() } else { Vec::new() };
    let passed_over = between(done, &rerun, logged, batch_interval);
    let next = logged.next_multiple(batch_interval);
    let missed = if now < next { 0 } else { times_in(now.since(next), batch_interval).saturating_add(1) };
    Ok(RecoveryPlan { zero, done, restore, rerun, passed_over, next, missed })
}

/// The first and the last of the batches after `done` and up to `last` that are not among `batches`, which are in order.
fn between(done: Time, batches: &[Time], last: Time, batch_interval: Duration) -> Vec<(Time, Time)> {
    let mut before = done;
    let mut gaps = Vec::new();
    for batch in batches.iter().copied().chain([last + batch_interval]) {
        let (first, through) = (before + batch_interval, batch - batch_interval);
        if first <= through {
            gaps.push((first, through));
        }
        before = batch.max(before);
    }
    gaps
}

/// Checks that the last batch of the checkpoint is in the log. Returns the last batch of the checkpoint and the last
/// batch of the log.
pub(super) fn check_log(
    progress: &RunProgress,
    record: &Allocations,
    zero: Time,
    batch_interval: Duration,
) -> Result<(Time, Time), PlanError> {
    let generated = progress.generated().unwrap_or(zero).max(zero);
    let logged = record.last().unwrap_or(zero);
    let ahead = times_in(logged.since(generated), batch_interval);
    let fits = logged >= generated && ahead <= AHEAD_MAX;
    if fits { Ok((generated, logged)) } else { Err(PlanError::LostAllocations { logged, generated }) }
}

/// The batch times after `after` and up to `through`. `after` is itself a batch time.
fn times(after: Time, through: Time, batch_interval: Duration) -> impl Iterator<Item = Time> {
    let interval_ms = whole_ms(batch_interval).max(1);
    let count = times_in(through.since(after), batch_interval);
    (1..=count).map(move |at| after + Duration::from_millis(at.saturating_mul(interval_ms)))
}

#[cfg(test)]
mod tests {
    use super::super::allocations::tests::partitions;
    use super::super::allocations::{AllocationEvent, SavedBatch};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(batch: u64) -> Time {
        Time::from_ms(batch * 1000)
    }

    fn allocated(batch: u64) -> AllocationEvent {
        AllocationEvent::Allocated(SavedBatch::new(at(batch), &partitions(batch..batch + 1, false)))
    }

    fn decide(progress: &RunProgress, record: &Allocations, zero: u64, now_ms: u64, window: u64) -> RecoveryPlan {
        plan(&Findings {
            progress,
            record,
            zero: at(zero),
            batch_interval: SECOND,
            now: Time::from_ms(now_ms),
            inputs_needed_after: &|done| done - SECOND * u32::try_from(window).unwrap(),
        })
        .unwrap()
    }

    fn seconds(times: &[Time]) -> Vec<u64> {
        times.iter().map(|time| time.as_ms() / 1000).collect()
    }

    #[test]
    fn a_run_that_made_nothing_begins_at_its_zero_time() {
        let plan = decide(&RunProgress::default(), &Allocations::new(at(7)), 7, 7500, 3);
        assert_eq!((plan.restore, plan.rerun, plan.next, plan.missed), (vec![], vec![], at(8), 0));
    }

    #[test]
    fn pending_batches_run_again_and_windows_are_filled_from_those_before() {
        let mut record = Allocations::new(at(1));
        (2..=9).for_each(|batch| record.apply(&allocated(batch)));
        let mut progress = RunProgress::default();
        (2..=8).for_each(|batch| progress.batch_generated(at(batch)));
        (2..=6).for_each(|batch| progress.batch_completed(at(batch)));
        let plan = decide(&progress, &record, 1, 12_500, 3);
        assert_eq!(seconds(&plan.restore), [4, 5, 6]);
        assert_eq!(seconds(&plan.rerun), [7, 8, 9], "9 is in the log only");
        assert_eq!((plan.next, plan.missed), (at(10), 3));
    }

    #[test]
    fn what_is_forgotten_was_done() {
        let mut record = Allocations::new(at(1));
        (2..=9).for_each(|batch| record.apply(&allocated(batch)));
        record.apply(&AllocationEvent::Forgotten { before_ms: 7000 });
        let mut progress = RunProgress::default();
        (2..=8).for_each(|batch| progress.batch_generated(at(batch)));
        assert_eq!(seconds(&decide(&progress, &record, 1, 0, 0).rerun), [7, 8, 9]);
    }

    /// A run is not resumed without the data that windows need: it would replace whole windows by parts of them.
    #[test]
    fn a_checkpoint_that_is_too_old_is_an_error() {
        let mut record = Allocations::new(at(1));
        (2..=9).for_each(|batch| record.apply(&allocated(batch)));
        record.apply(&AllocationEvent::Forgotten { before_ms: 5000 });
        let decide = |completed: u64, window: u32| {
            let mut progress = RunProgress::after(Some(at(completed)));
            (completed + 1..=9).for_each(|batch| progress.batch_generated(at(batch)));
            let inputs_needed_after = &|done: Time| done - SECOND * window;
            plan(&Findings {
                progress: &progress,
                record: &record,
                zero: at(1),
                batch_interval: SECOND,
                now: at(9),
                inputs_needed_after,
            })
        };
        assert_eq!(seconds(&decide(6, 2).unwrap().restore), [5, 6]);
        assert_eq!(decide(5, 2), Err(PlanError::TooOld { done: at(5), forgotten: at(5) }));
        assert_eq!(decide(2, 2), Err(PlanError::TooOld { done: at(4), forgotten: at(5) }));
        assert_eq!(seconds(&decide(2, 0).unwrap().rerun), [5, 6, 7, 8, 9], "without windows, nothing is missing");
    }

    #[test]
    fn a_gap_is_not_made_up_for() {
        let mut record = Allocations::new(at(1));
        record.apply(&allocated(2));
        record.apply(&AllocationEvent::Gap { from_ms: 3000, through_ms: 5000 });
        record.apply(&allocated(6));
        let plan = decide(&RunProgress::default(), &record, 1, 0, 0);
        assert_eq!((seconds(&plan.rerun), plan.next), (vec![2, 6], at(7)));
        assert_eq!(plan.passed_over, [(at(3), at(5))]);
        record.apply(&AllocationEvent::Gap { from_ms: 7000, through_ms: 7000 });
        let plan = decide(&RunProgress::default(), &record, 1, 0, 0);
        assert_eq!((seconds(&plan.rerun), plan.next), (vec![2, 6], at(8)));
        assert_eq!(plan.passed_over, [(at(3), at(5)), (at(7), at(7))]);
    }

    #[test]
    fn a_log_that_lost_batches_is_an_error() {
        let mut progress = RunProgress::default();
        progress.batch_generated(at(3));
        let found = Findings {
            progress: &progress,
            record: &Allocations::new(at(1)),
            zero: at(1),
            batch_interval: SECOND,
            now: at(4),
            inputs_needed_after: &|done| done,
        };
        assert_eq!(
            plan(&found).unwrap_err().to_string(),
            "the log of what batches read ends with batch 1970-01-01T00:00:01Z, but batch 1970-01-01T00:00:03Z was the last that was made"
        );
    }

    proptest! {
        /// Wherever the host went down, each batch that was made is restored, runs again, or neither, in order and
        /// without gaps. The next batch follows the last one that was made.
        #[test]
        fn every_batch_is_accounted_for(
            zero in 0u64..5, logged in 0u64..30, behind in 0u64..4, done in 0u64..30, now_ms in 0u64..50_000, window in 0u64..8,
        ) {
            let last = zero + logged;
            let mut record = Allocations::new(at(zero));
            (zero + 1..=last).for_each(|batch| record.apply(&allocated(batch)));
            let mut progress = RunProgress::default();
            let known = last.saturating_sub(behind).max(zero);
            (zero + 1..=known).for_each(|batch| progress.batch_generated(at(batch)));
            let completed = (zero + done).min(known);
            (zero + 1..=completed).for_each(|batch| progress.batch_completed(at(batch)));
            let plan = decide(&progress, &record, zero, now_ms, window);
            prop_assert_eq!(seconds(&plan.rerun), (completed + 1..=last).collect::<Vec<_>>());
            let first = completed.saturating_sub(window).max(zero) + 1;
            prop_assert_eq!(seconds(&plan.restore), (first..=completed).collect::<Vec<_>>());
            prop_assert_eq!(plan.next, at(last + 1));
            let passed: BTreeSet<u64> = (last + 1..60).filter(|batch| batch * 1000 <= now_ms).collect();
            prop_assert_eq!(plan.missed, passed.len() as u64);
        }
    }
}
