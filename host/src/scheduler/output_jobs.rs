//! Runs the jobs of a batch: its outputs in the order of their definition, then the nodes whose rows later windows read.
//!
//! Owns the steps of an output from its begin to its commit, and when an output may show results. All steps run on the
//! executor of tasks. Never decides which batch runs: see `job_scheduler.rs`.

use super::parts::SchedulerParts;
use crate::checkpoint::Durable;
use crate::config::OnError;
use crate::driver::BatchDrivers;
use crate::engine::{BatchInput, Cause, JobRequest, Next, after_failure};
use crate::env::catch_panic;
use crate::error::{Error, ErrorKind, Persistence};
use crate::graph::{Beginning, Node, Operation, OutputJob};
use crate::ids::NodeId;
use crate::ingest::StopRequest;
use crate::listener::{Event, OutputOperationInfo, PluginUse};
use crate::output::BatchWrite;
use crate::time::Time;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// The state that all jobs of a batch share.
pub(super) struct BatchRun {
    pub batch: Time,
    /// When the run began. The data sets after `data_after` exist.
    pub beginning: Beginning,
    pub input: Arc<BatchInput>,
    pub drivers: Option<BatchDrivers>,
    /// Waits until the allocation of the batch is on stable storage.
    pub durable: Option<Durable>,
    /// Whether this run shows the results of the batch.
    pub is_shown: bool,
}

/// The result of the jobs of a batch.
pub(super) struct Done {
    /// The reports of the outputs that have run.
    pub outputs: BTreeMap<usize, OutputOperationInfo>,
    /// Whether a job has failed.
    pub has_failed: bool,
    /// The failure that ends the run.
    pub outcome: Result<(), Error>,
}

impl Done {
    /// The result of jobs that ended with this error, and without reports.
    pub(super) const fn failed(error: Error) -> Self {
        Self { outputs: BTreeMap::new(), has_failed: true, outcome: Err(error) }
    }
}

/// Runs the jobs of a batch.
pub(super) struct OutputJobs {
    pub parts: Arc<SchedulerParts>,
    pub stop: watch::Receiver<StopRequest>,
}

impl OutputJobs {
    /// Runs the outputs that are due in a batch, until one fails in a way that ends the run.
    pub(super) async fn run(&self, run: &BatchRun) -> Done {
        let parts = &self.parts;
        let mut done = Done { outputs: BTreeMap::new(), has_failed: false, outcome: Ok(()) };
        let is_due = |job: &&OutputJob| parts.intervals.is_due(job.output, run.batch, run.beginning.zero);
        let outputs = parts.plan.stages.jobs.iter().enumerate().filter(|(_, job)| is_due(job));
        // Data sets that later windows read are computed and kept, whether or not an output of this batch has read
        // them.
        let kept = parts.kept(run.batch, run.beginning.zero);
        for (id, job) in outputs.map(|(id, job)| (Some(id), job)).chain(kept.map(|job| (None, job))) {
            let failed = match id {
                Some(id) => {
                    let (output, failed) = self.run_output(id, job, run).await;
                    done.outputs.extend(output.map(|output| (id, output)));
                    failed
                }
                None => self.compute(job, run, None).await.map(drop),
            };
            done.has_failed |= failed.is_err();
            done.outcome = self.apply_error_policy(failed);
            if done.outcome.is_err() {
                break;
            }
        }
        done
    }

    /// Computes the data sets of a batch again that later windows read.
    pub(super) async fn restore(&self, run: &BatchRun) -> Result<(), Error> {
        let mut outcome = Ok(());
        // State that was restored is not changed again by the batches that it has seen.
        let kept = self.parts.kept(run.batch, run.beginning.zero);
        for job in kept.filter(|job| run.batch > self.parts.needs.after(job.output)) {
            outcome = outcome.and(self.apply_error_policy(self.compute(job, run, None).await.map(drop)));
        }
        outcome
    }

    /// Decides what a failure means for the run. A batch is given up only because of a failure of its own. If the host
    /// has a defect, or if the run is stopped at once, the batch counts as not done and runs again.
    fn apply_error_policy(&self, outcome: Result<(), Error>) -> Result<(), Error> {
        let is_stopped = *self.stop.borrow() == StopRequest::Now;
        match (outcome, self.parts.live.on_error()) {
            (Err(error), OnError::Continue) if error.kind != ErrorKind::Internal && !is_stopped => {
                tracing::error!("{error}");
                Ok(())
            }
            (outcome, _) => outcome,
        }
    }

    /// Waits until the allocation of the batch is on stable storage, and checks that this host may show results.
    async fn may_show(&self, run: &BatchRun) -> Result<(), Error> {
        if let Some(panic) = self.parts.env.panics.found() {
            return Err(Error::from(&panic));
        }
        if !run.is_shown {
            return Ok(());
        }
        let Some(checkpoints) = self.parts.checkpoints.clone() else { return Ok(()) };
        let durable = run.durable.clone();
        let read = self.parts.engine.newly_read(run.batch);
        let may_show = async {
            // When the batch runs again, it must find the content that it has read now.
            let read = if read.is_empty() { None } else { self.parts.tracker.read(run.batch, read).await };
            for mut durable in durable.into_iter().chain(read) {
                durable.wait().await?;
            }
            self.guarded(run.batch, checkpoints.check_owner()).await
        };
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            outcome = may_show => outcome,
            _ = stop.wait_for(|stop| *stop == StopRequest::Now) => {
                let message = format!("the run was stopped before batch {} was done", run.batch);
                Err(Error::new(ErrorKind::Unavailable, message))
            }
        }
    }

    /// Runs an output. Returns the report of the output, if the output exists, and its failure.
    async fn run_output(
        &self,
        id: usize,
        job: &OutputJob,
        run: &BatchRun,
    ) -> (Option<OutputOperationInfo>, Result<(), Error>) {
        let parts = &self.parts;
        let Some(output) = parts.plan.graph.node(job.output) else { return (None, Err(missing(job.output))) };
        let mut info = OutputOperationInfo {
            batch_time: run.batch,
            id,
            name: output.name.clone().unwrap_or_else(|| format!("{}-{id}", output.kind)),
            description: output.to_string(),
            start_time: Some(parts.env.clock.now()),
            end_time: None,
            duration: None,
            driver: PluginUse::default(),
            failure_reason: None,
        };
        parts.listeners.post(&Event::OutputOperationStarted(info.clone()));
        let started = parts.env.clock.monotonic();
        let outcome = match self.compute_and_write(output, job, run).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.cause(run.batch, error).await),
        };
        info.end_time = Some(parts.env.clock.now());
        info.duration = Some(parts.env.clock.monotonic().saturating_sub(started));
        info.driver = run.drivers.as_ref().map(BatchDrivers::take_used).unwrap_or_default();
        info.failure_reason = outcome.as_ref().err().map(|error| error.message.clone());
        parts.listeners.post(&Event::OutputOperationCompleted(info.clone()));
        (Some(info), outcome)
    }

    /// Runs the stages of an output, or of a node whose rows are kept. Returns the number of partitions of the last
    /// stage.
    async fn compute(&self, job: &OutputJob, run: &BatchRun, write: Option<Arc<dyn BatchWrite>>) -> Result<u32, Error> {
        if let Some(drivers) = &run.drivers
            && drivers.are_needed_for(job.output)
        {
            return drivers.compute(job.output, write).await;
        }
        let (plan, job, input) = (self.parts.plan.clone(), job.clone(), run.input.clone());
        self.parts
            .engine
            .run(JobRequest {
                batch: run.batch,
                data_after: run.beginning.data_after,
                plan,
                job,
                input,
                write,
                cancel: None,
            })
            .await
    }

    /// The cause of a failed output. A host that takes over the directory removes the files that this host has begun to
    /// write. Then the takeover is the cause of the failure, and not the missing file.
    async fn cause(&self, batch: Time, error: Error) -> Error {
        let checkpoints = self.parts.checkpoints.clone().filter(|_| *self.stop.borrow() != StopRequest::Now);
        let Some(checkpoints) = checkpoints else { return error };
        let lost = self.guarded(batch, async move { Ok(checkpoints.lost_ownership()) }).await;
        lost.ok().flatten().unwrap_or(error)
    }

    async fn compute_and_write(&self, node: &Node, job: &OutputJob, run: &BatchRun) -> Result<(), Error> {
        let parts = &self.parts;
        if node.operation == Operation::ForeachRdd {
            self.may_show(run).await?;
            return run.drivers.as_ref().ok_or_else(|| missing(job.output))?.foreach(job.output).await;
        }
        let batch = run.batch;
        let begun = parts.outputs.begin(job.output, (batch, run.beginning.zero), run.is_shown);
        let begun = async { begun.await.unwrap_or_else(|| Err(missing(job.output))) };
        let write = self.guarded(batch, begun).await?;
        let outcome = match self.compute(job, run, Some(write.clone())).await {
            Ok(partitions) => self.commit(run, &*write, partitions).await,
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            let aborted = async move {
                write.abort().await;
                Ok(())
            };
            self.guarded(batch, aborted).await?;
        }
        outcome
    }

    /// Commits an output, if this host may show results. If the output allows that, a commit that failed for a cause that
    /// may pass is tried again, as a task is.
    async fn commit(&self, run: &BatchRun, write: &dyn BatchWrite, partitions: u32) -> Result<(), Error> {
        let mut failures = 0;
        loop {
            self.may_show(run).await?;
            let Err(error) = self.guarded(run.batch, write.commit(partitions)).await else { return Ok(()) };
            failures += 1;
            let cause = match error.persistence {
                Persistence::Transient if write.can_commit_again() => Cause::Transient,
                _ => Cause::Permanent,
            };
            match after_failure(cause, false, failures, self.parts.live.task_attempts()) {
                Next::Retry { pause, .. } => {
                    tracing::warn!("{}; the commit is tried again in {pause:?}", error.message);
                    self.parts.env.clock.sleep(pause).await;
                }
                Next::Fail => return Err(error),
            }
        }
    }

    /// Runs a step of an output. A panic is reported once, and is then the error of the step.
    async fn guarded<T>(&self, batch: Time, step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        catch_panic("an output", Some(batch), step).await.unwrap_or_else(|panic| {
            let error = Error::from(&panic);
            self.parts.env.panics.report(panic);
            Err(error)
        })
    }
}

fn missing(output: NodeId) -> Error {
    Error::new(ErrorKind::Internal, format!("output {output} is not in the graph")).help("please report this")
}
