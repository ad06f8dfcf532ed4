//! Runs batches in order, one at a time, and the outputs of each in the order of their definition.
//!
//! Owns what happens to a batch between its submission and its completion, and what its failure means for the run.

use super::job_generator::StopRequest;
use crate::config::OnError;
use crate::driver::{BatchDrivers, Drivers};
use crate::engine::{BatchInput, Engine, JobPlan, JobRequest};
use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::graph::{Node, Operation, OutputJob};
use crate::listener::{BatchInfo, Event, ListenerBus, OutputOperationInfo};
use crate::output;
use crate::time::{Duration, Time};
use crate::tracker::{Allocation, TrackerHandle};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// A batch that waits for its turn.
#[derive(Clone, Debug)]
pub struct JobSet {
    /// The batch.
    pub batch: Time,
    /// Its data.
    pub allocation: Allocation,
    /// When it was submitted, on the monotonic clock.
    pub submitted: Duration,
}

/// What a scheduler works with.
pub struct SchedulerParts {
    /// Time and the terminal.
    pub env: Env,
    /// Runs the stages.
    pub engine: Arc<dyn Engine>,
    /// Lets go of what a batch had.
    pub tracker: TrackerHandle,
    /// The graph, its stages and jobs.
    pub plan: Arc<JobPlan>,
    /// Runs driver functions.
    pub drivers: Arc<Drivers>,
    /// Hears of everything.
    pub listeners: ListenerBus,
    /// What a failed output means for the run.
    pub on_error: OnError,
}

/// The actor.
pub struct JobScheduler {
    parts: SchedulerParts,
    stop: watch::Receiver<StopRequest>,
}

impl JobScheduler {
    /// An actor that stops between two batches when `stop` says [`StopRequest::Now`].
    pub fn new(parts: SchedulerParts, stop: watch::Receiver<StopRequest>) -> Self {
        Self { parts, stop }
    }

    /// Runs batches until no more come.
    ///
    /// # Errors
    /// The first failure of an output, if failures stop the run.
    pub async fn run(mut self, mut batches: mpsc::Receiver<JobSet>) -> Result<(), Error> {
        while let Some(set) = batches.recv().await {
            if *self.stop.borrow_and_update() == StopRequest::Now {
                return Ok(());
            }
            self.run_batch(&set).await?;
        }
        Ok(())
    }

    async fn run_batch(&self, set: &JobSet) -> Result<(), Error> {
        let parts = &self.parts;
        let started = parts.env.clock.monotonic();
        let mut info = BatchInfo {
            batch_time: set.batch,
            records: set.allocation.records(),
            scheduling_delay: Duration::ZERO,
            processing_delay: Duration::ZERO,
            outputs_failed: 0,
        };
        parts.listeners.post(&Event::BatchSubmitted(info.clone()));
        info.scheduling_delay = started.saturating_sub(set.submitted);
        parts.listeners.post(&Event::BatchStarted(info.clone()));
        let input = Arc::new(self.input(&set.allocation));
        let drivers = parts.drivers.begin(set.batch, input.clone());
        let mut outcome = Ok(());
        for (id, job) in parts.plan.stages.jobs.iter().enumerate() {
            let failed = self.run_output(id, job, &drivers, set.batch, &input).await;
            info.outputs_failed += usize::from(failed.is_err());
            if let Err(error) = failed {
                match parts.on_error {
                    OnError::Stop => {
                        outcome = Err(error);
                        break;
                    }
                    OnError::Continue => tracing::error!("{error}"),
                }
            }
        }
        info.processing_delay = parts.env.clock.monotonic().saturating_sub(started);
        info.records.extend(parts.engine.records_read(set.batch));
        parts.engine.forget(set.batch);
        parts.tracker.batch_done(set.batch).await;
        parts.listeners.post(&Event::BatchCompleted(info));
        outcome
    }

    /// Each source's partitions, for every node that reads it.
    fn input(&self, allocation: &Allocation) -> BatchInput {
        let partitions = |source: &str| allocation.partitions.get(source).cloned().unwrap_or_default();
        self.parts.plan.graph.sources().map(|(source, node)| (node.id, partitions(source))).collect()
    }

    async fn run_output(
        &self,
        id: usize,
        job: &OutputJob,
        drivers: &BatchDrivers,
        batch: Time,
        input: &Arc<BatchInput>,
    ) -> Result<(), Error> {
        let parts = &self.parts;
        let internal = || Error::new(ErrorKind::Internal, format!("output {} is not in the graph", job.output));
        let output = parts.plan.graph.node(job.output).ok_or_else(internal)?;
        let mut info = OutputOperationInfo {
            batch_time: batch,
            id,
            description: output.to_string(),
            duration: Duration::ZERO,
            failure_reason: None,
        };
        parts.listeners.post(&Event::OutputOperationStarted(info.clone()));
        let started = parts.env.clock.monotonic();
        let outcome = self.compute_and_write(output, job, drivers, batch, input).await;
        info.duration = parts.env.clock.monotonic().saturating_sub(started);
        info.failure_reason = outcome.as_ref().err().map(|error| error.message.clone());
        parts.listeners.post(&Event::OutputOperationCompleted(info));
        outcome
    }

    async fn compute_and_write(
        &self,
        output: &Node,
        job: &OutputJob,
        drivers: &BatchDrivers,
        batch: Time,
        input: &Arc<BatchInput>,
    ) -> Result<(), Error> {
        let parts = &self.parts;
        if output.operation == Operation::ForeachRdd {
            return drivers.foreach(output.id).await;
        }
        let Operation::Print { rows: limit } = output.operation else {
            return Err(Error::new(ErrorKind::Internal, format!("{output} is not an output")));
        };
        let rows_wanted = output::rows_wanted(limit);
        let rows = if parts.drivers.are_needed_for(output.id) {
            drivers.rows(output.id, rows_wanted).await?
        } else {
            let plan = parts.plan.clone();
            parts.engine.run(JobRequest { batch, plan, job: job.clone(), input: input.clone(), rows_wanted }).await?
        };
        let parent = output.parents.first().and_then(|id| parts.plan.graph.node(*id));
        let ty = parent.and_then(|node| node.rows.as_ref());
        let ty = ty.ok_or_else(|| Error::new(ErrorKind::Internal, format!("{output} has no rows")))?;
        output::print(&*parts.env.console, batch, ty, &rows, limit)?;
        Ok(())
    }
}
