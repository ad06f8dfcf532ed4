//! Runs a task until it succeeds or has failed for good: attempts, each of which needs a slot, and pauses between them.
//!
//! Owns the time at which a task runs. Never decides whether a task runs again: see `retry.rs`.

use super::JobPlan;
use super::embedded::Shared;
use super::failure::{Failed, explain, internal, stopped};
use super::plan::{AttemptMode, TaskInput, key_type, only_files, reduces};
use super::record;
use super::retry::{Cause, Next, after_failure};
use super::stage_info::{TaskMetrics, TaskRun};
use super::task::{Attempt, AttemptError};
use super::wanted::Wanted;
use crate::env::timed;
use crate::error::Error;
use crate::graph::Stage;
use crate::ids::TaskId;
use crate::listener::Event;
use crate::time::Duration;
use crate::variables::Updates;

/// How often a task that waits checks whether the run is stopped.
const STOP_LOOK: Duration = Duration::from_millis(200);

/// A task, with the plan, the stage and the inputs that belong to it.
#[derive(Clone, Copy)]
struct Work<'a> {
    job: &'a JobPlan,
    task: TaskId,
    stage: &'a Stage,
    task_input: &'a TaskInput,
    wanted: Wanted<'a>,
}

impl Shared {
    /// Runs a task until it succeeds or has failed for good. Returns how it ran, and the metrics and updates of accumulators
    /// of the attempt that succeeded.
    pub(super) async fn run_task(
        &self,
        job: &JobPlan,
        task: TaskId,
        stage: &Stage,
        task_input: &TaskInput,
        wanted: Wanted<'_>,
    ) -> (TaskRun, Result<(TaskMetrics, Updates), Error>) {
        let mut run = TaskRun { start_time: self.env.clock.now(), ..TaskRun::default() };
        let outcome = self.run_attempts(Work { job, task, stage, task_input, wanted }, &mut run).await;
        (run, outcome)
    }

    /// Runs attempts one after the other, each when a slot is free, and counts them and their time in `run`.
    async fn run_attempts(&self, work: Work<'_>, run: &mut TaskRun) -> Result<(TaskMetrics, Updates), Error> {
        let Work { job, task, stage, task_input, wanted } = work;
        let key_type = key_type(&job.graph, stage);
        let can_have_parts = stage.branches.get(task_input.branch).is_some_and(reduces);
        let mut mode = AttemptMode { traced: false, in_parts: can_have_parts && self.is_large(task.batch, task_input) };
        let mut transient = 0;
        for number in 0.. {
            let plan = self.planner.plan(job, stage, task, task_input, mode).ok_or_else(|| internal(stage.id))?;
            let attempt = Attempt {
                task,
                number,
                stage,
                plan,
                context: self.context.clone(),
                stores: &self.stores,
                faults: &*self.faults,
                clock: &*self.env.clock,
                write: wanted.write,
                cancel: wanted.cancel,
                key_type: key_type.as_ref(),
                only_files: only_files(&job.graph, stage),
                variables: &self.variables,
            };
            let error = match self.in_a_slot(attempt.run(), run).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let retried = |reason, retry_in| self.listeners.post(&Event::TaskRetried { task, reason, retry_in });
            if error.is_out_of_memory && can_have_parts && !mode.in_parts {
                // Many small rows take more memory than their stored size shows.
                mode.in_parts = true;
                retried(format!("{}; it is tried again in smaller parts", error.message), Duration::ZERO);
                continue;
            }
            transient += u32::from(error.cause == Cause::Transient);
            match after_failure(error.cause, mode.traced, transient, (self.tries)()) {
                Next::Retry { traced, pause } => {
                    let reason = match traced && !mode.traced {
                        true => format!("{}; the task runs once more, traced, to find the record", error.message),
                        false => error.message,
                    };
                    mode.traced = traced;
                    retried(reason, pause);
                    if !self.wait(pause).await {
                        return Err(stopped(job, task, stage, task_input.branch));
                    }
                }
                Next::Fail => {
                    let record = self.record(work, &error).await;
                    return Err(explain(
                        job,
                        task,
                        stage,
                        task_input.branch,
                        &Failed { error, record, tries: transient },
                    ));
                }
            }
        }
        Err(internal(stage.id))
    }

    /// Runs an attempt when a slot is free, and adds it to `run`.
    async fn in_a_slot<T>(&self, attempt: impl Future<Output = T>, run: &mut TaskRun) -> T {
        let _slot = self.slots.acquire().await;
        let clock = &*self.env.clock;
        if run.attempts == 0 {
            (run.start_time, run.begun) = (clock.now(), clock.monotonic());
        }
        let (outcome, took) = timed(clock, attempt).await;
        run.attempts += 1;
        run.time += took;
        run.duration = clock.monotonic().saturating_sub(run.begun);
        outcome
    }

    /// Waits without holding a slot or a thread. Returns false if the run is stopped in the meantime.
    async fn wait(&self, pause: Duration) -> bool {
        let until = self.env.clock.now() + pause;
        loop {
            if self.cancel.is_cancelled() {
                return false;
            }
            let now = self.env.clock.now();
            if now >= until {
                return true;
            }
            self.env.clock.sleep_until(until.min(now + STOP_LOOK)).await;
        }
    }

    /// The record or key at which plugin code failed, in words. `None` if it is not known.
    async fn record(&self, work: Work<'_>, error: &AttemptError) -> Option<String> {
        let Work { job, task, stage, task_input, .. } = work;
        if error.record.is_some() {
            return error.record.clone();
        }
        let number = error.place?.record;
        let (rows, ty) = self.planner.input_rows(job, stage, task, task_input)?;
        let _slot = self.slots.acquire().await;
        record::describe(&self.stores, &self.context, rows, &ty, &task_input.pieces, number).await
    }
}
