//! Runs batches in order, one at a time. The outputs of a batch run in the order of their definition.
//!
//! Owns the steps of a batch from its submission to its completion, and the consequences of its failure for the run.

use super::checkpoints::Checkpoints;
use super::job_set::JobSet;
use super::pace::{Change, Pace};
use super::state_tap::StateTap;
use crate::checkpoint::Durable;
use crate::config::{LiveSettings, OnError};
use crate::driver::{BatchDrivers, Drivers};
use crate::engine::{BatchInput, Engine, JobPlan, JobRequest};
use crate::env::{Env, catch_panic};
use crate::error::{Error, ErrorKind};
use crate::graph::{Beginning, Intervals, Needs, Node, Operation, OutputJob};
use crate::ids::{NodeId, RunId};
use crate::ingest::{Purpose, StopRequest};
use crate::listener::{BatchInfo, Event, LagInfo, ListenerBus, OutputOperationInfo};
use crate::output::{BatchWrite, Handover, Outputs};
use crate::time::{Duration, Time};
use crate::tracker::{Allocation, TrackerHandle};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// The parts of a run that its scheduler uses.
pub struct SchedulerParts {
    /// The environment, with the clock and the terminal.
    pub env: Env,
    /// The number of the run.
    pub run: RunId,
    /// The engine that runs the stages.
    pub engine: Arc<dyn Engine>,
    /// The tracker, which releases the data of a batch.
    pub tracker: TrackerHandle,
    /// The graph, with its stages and jobs.
    pub plan: Arc<JobPlan>,
    /// Runs driver functions. `None` if the graph has none.
    pub drivers: Option<Arc<Drivers>>,
    /// The times at which the nodes of the graph are computed.
    pub intervals: Arc<Intervals>,
    /// The outputs of the run.
    pub outputs: Arc<Outputs>,
    /// Which run shows the results of each batch.
    pub handover: Arc<Handover>,
    /// The listeners that are told of all events of batches.
    pub listeners: ListenerBus,
    /// The settings that can change while the job runs. They say what happens to the run when an output fails.
    pub live: Arc<LiveSettings>,
    /// The batch interval.
    pub batch_interval: Duration,
    /// When the run began. `None` if that is not known yet.
    pub beginning: Option<Beginning>,
    /// What the run needs to compute again when it is resumed.
    pub needs: Needs,
    /// Records the progress of the run. `None` if the run writes no checkpoints.
    pub checkpoints: Option<Checkpoints>,
    /// The last batch that is done. `None` before the first one.
    pub done: watch::Sender<Option<Time>>,
    /// Takes the state of the run for another run.
    pub tap: Arc<StateTap>,
}

/// The state that all jobs of a batch share.
struct BatchRun {
    batch: Time,
    /// When the run began. The data sets after `data_after` exist.
    beginning: Beginning,
    input: Arc<BatchInput>,
    drivers: Option<BatchDrivers>,
    /// Waits until the allocation of the batch is on stable storage.
    durable: Option<Durable>,
    /// Whether this run shows the results of the batch.
    is_shown: bool,
}

/// The scheduler, as an actor.
pub struct JobScheduler {
    parts: SchedulerParts,
    stop: watch::Receiver<StopRequest>,
    pace: Pace,
    /// When the run began. `None` if that is not known yet.
    beginning: Option<Beginning>,
}

impl JobScheduler {
    /// Makes an actor that stops between two batches when `stop` says [`StopRequest::Now`].
    pub fn new(parts: SchedulerParts, stop: watch::Receiver<StopRequest>) -> Self {
        let (pace, beginning) = (Pace::new(parts.batch_interval), parts.beginning);
        Self { parts, stop, pace, beginning }
    }

    /// Runs batches until no more come.
    ///
    /// # Errors
    /// Returns the first failure of an output, if failures stop the run.
    pub async fn run(mut self, mut batches: mpsc::Receiver<JobSet>) -> Result<(), Error> {
        let mut stop = self.stop.clone();
        let is_stopped = async move {
            if stop.wait_for(|stop| *stop == StopRequest::Now).await.is_err() {
                // Nobody can ask for a stop any more.
                std::future::pending::<()>().await;
            }
        };
        tokio::pin!(is_stopped);
        loop {
            let set = tokio::select! {
                biased;
                () = &mut is_stopped => return Ok(()),
                set = batches.recv() => set,
            };
            let Some(set) = set else { return Ok(()) };
            self.parts.env.panics.works_on(set.info.batch_time);
            self.run_batch(set).await?;
        }
    }

    async fn run_batch(&mut self, set: JobSet) -> Result<(), Error> {
        let batch = set.info.batch_time;
        let first = Beginning::at(batch - self.parts.batch_interval);
        let beginning = *self.beginning.get_or_insert(first);
        let zero = beginning.zero;
        match set.purpose {
            Purpose::Run => self.run_outputs(set, beginning).await,
            Purpose::Restore(unknown) => {
                // The outputs of the batch do not run.
                let known = Beginning { data_after: beginning.data_after.max(unknown), ..beginning };
                let run = self.begin(&set.allocation, batch, known, None, false);
                let mut outcome = Ok(());
                // State that was restored is not changed again by the batches that it has seen.
                for job in self.kept(batch, zero).filter(|job| batch > self.parts.needs.after(job.output)) {
                    outcome = outcome.and(self.apply_error_policy(self.compute(job, &run, None).await.map(drop)));
                }
                // The outputs of the batch have succeeded before the restart.
                self.end(batch, zero, false).await;
                outcome
            }
            Purpose::Nothing(from) => {
                // No window reads further back than this.
                let mut time = from.max(batch - self.parts.intervals.reach_of_all());
                while time <= batch {
                    let nodes: Vec<NodeId> = self.kept(time, zero).map(|job| job.output).collect();
                    self.parts.engine.nothing(time, &nodes);
                    time = time + self.parts.batch_interval;
                }
                self.end(batch, zero, false).await;
                self.completed(batch, zero);
                Ok(())
            }
        }
    }

    /// Makes the state that all jobs of a batch share.
    fn begin(
        &self,
        allocation: &Allocation,
        batch: Time,
        beginning: Beginning,
        durable: Option<Durable>,
        is_shown: bool,
    ) -> BatchRun {
        let input = Arc::new(self.input(allocation));
        let drivers =
            self.parts.drivers.as_ref().map(|drivers| drivers.begin(batch, beginning, input.clone(), is_shown));
        BatchRun { batch, beginning, input, drivers, durable, is_shown }
    }

    /// Whether this run shows the results of a batch. Waits while another run hands over at this batch. `None` if the
    /// run is stopped meanwhile.
    async fn shows(&self, batch: Time) -> Option<bool> {
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            is_shown = self.parts.handover.shows(self.parts.run, batch) => Some(is_shown),
            _ = stop.wait_for(|stop| *stop == StopRequest::Now) => None,
        }
    }

    /// The jobs of nodes whose rows later windows read, and that are computed in this batch.
    fn kept(&self, batch: Time, zero: Time) -> impl Iterator<Item = &OutputJob> {
        let is_due = move |job: &&OutputJob| self.parts.intervals.is_due(job.output, batch, zero);
        self.parts.plan.stages.kept.iter().filter(is_due)
    }

    /// Releases the data that only this batch needed. `has_failed` says whether the batch has failed for good, and this
    /// run shows its results.
    async fn end(&self, batch: Time, zero: Time, has_failed: bool) {
        let read = self.parts.engine.newly_read(batch);
        if !read.is_empty() {
            self.parts.tracker.read(batch, read).await;
        }
        self.parts.engine.forget(batch, &self.parts.intervals.needed_after(batch, zero));
        self.parts.tracker.batch_done(self.parts.run, batch, has_failed).await;
        self.parts.tap.batch_done(batch);
        self.parts.done.send_replace(Some(batch));
    }

    /// Records that a batch is done, unless host code has panicked: then it is not known what the batch has done.
    fn completed(&self, batch: Time, zero: Time) {
        if let Some(checkpoints) = &self.parts.checkpoints
            && self.parts.env.panics.found().is_none()
        {
            checkpoints.completed(batch, zero);
        }
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

    async fn run_outputs(&mut self, set: JobSet, beginning: Beginning) -> Result<(), Error> {
        let (parts, zero) = (&self.parts, beginning.zero);
        let JobSet { allocation, mut info, submitted, durable, .. } = set;
        let batch = info.batch_time;
        let Some(is_shown) = self.shows(batch).await else { return Ok(()) };
        let started = parts.env.clock.monotonic();
        info.processing_start_time = Some(parts.env.clock.now());
        info.scheduling_delay = Some(started.saturating_sub(submitted));
        parts.listeners.post(&Event::BatchStarted(info.clone()));
        let run = self.begin(&allocation, batch, beginning, durable, is_shown);
        let (mut outcome, mut has_failed) = (Ok(()), false);
        let is_due = |job: &&OutputJob| parts.intervals.is_due(job.output, batch, zero);
        let outputs = parts.plan.stages.jobs.iter().enumerate().filter(|(_, job)| is_due(job));
        // Data sets that later windows read are computed and kept, whether or not an output of this batch has read
        // them.
        let kept = self.kept(batch, zero);
        for (id, job) in outputs.map(|(id, job)| (Some(id), job)).chain(kept.map(|job| (None, job))) {
            let failed = match id {
                Some(id) => {
                    let (output, failed) = self.run_output(id, job, &run).await;
                    info.output_operations.extend(output.map(|output| (id, output)));
                    failed
                }
                None => self.compute(job, &run, None).await.map(drop),
            };
            has_failed |= failed.is_err();
            outcome = self.apply_error_policy(failed);
            if outcome.is_err() {
                break;
            }
        }
        info.processing_end_time = Some(parts.env.clock.now());
        info.processing_delay = Some(parts.env.clock.monotonic().saturating_sub(started));
        let records_read = parts.engine.records_read(batch);
        for input in info.inputs.values_mut() {
            input.num_records += records_read.get(&input.name).copied().unwrap_or(0);
        }
        self.end(batch, zero, has_failed && is_shown).await;
        if outcome.is_ok() {
            self.completed(batch, zero);
        }
        self.parts.listeners.post(&Event::BatchCompleted(info.clone()));
        self.keep_pace(&info);
        outcome
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
            self.on_engine(run.batch, async move { checkpoints.check_owner().await }).await
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

    /// Reports when the job falls behind, and when it has caught up.
    fn keep_pace(&mut self, info: &BatchInfo) {
        let scheduling_delay = info.scheduling_delay.unwrap_or_default();
        let Some(change) = self.pace.completed(scheduling_delay, info.processing_delay.unwrap_or_default()) else {
            return;
        };
        let lag = LagInfo {
            batch_time: info.batch_time,
            scheduling_delay,
            growth: self.pace.growth(),
            processing_delay_average: self.pace.processing_average(),
            batch_interval: self.parts.batch_interval,
        };
        self.parts.listeners.post(&match change {
            Change::Behind => Event::FallingBehind(lag),
            Change::CaughtUp => Event::CaughtUp(lag),
        });
    }

    /// The partitions of each source, for every node that reads the source.
    fn input(&self, allocation: &Allocation) -> BatchInput {
        let partitions = |source: &str| allocation.partitions.get(source).cloned().unwrap_or_default();
        self.parts.plan.graph.sources().map(|(source, node)| (node.id, partitions(source))).collect()
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
        let lost = self.on_engine(batch, async move { Ok(checkpoints.lost_ownership()) }).await;
        lost.ok().flatten().unwrap_or(error)
    }

    async fn compute_and_write(&self, node: &Node, job: &OutputJob, run: &BatchRun) -> Result<(), Error> {
        let parts = &self.parts;
        if node.operation == Operation::ForeachRdd {
            self.may_show(run).await?;
            return run.drivers.as_ref().ok_or_else(|| missing(job.output))?.foreach(job.output).await;
        }
        let (outputs, node, batch, is_shown) = (parts.outputs.clone(), job.output, run.batch, run.is_shown);
        let begun = async move { outputs.begin(node, batch, is_shown).await.unwrap_or_else(|| Err(missing(node))) };
        let write = self.on_engine(batch, begun).await?;
        let committing = write.clone();
        let outcome = match self.compute(job, run, Some(write.clone())).await {
            Ok(partitions) => match self.may_show(run).await {
                Ok(()) => self.on_engine(batch, async move { committing.commit(partitions).await }).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            let aborted = async move {
                write.abort().await;
                Ok(())
            };
            self.on_engine(batch, aborted).await?;
        }
        outcome
    }

    /// Runs the work of an output that is not part of a task, on the executor of tasks. The work may wait for a disk,
    /// and actors must not wait for a disk.
    async fn on_engine<T: Send + 'static>(
        &self,
        batch: Time,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let (send, receive) = oneshot::channel();
        let run = async move {
            // If the scheduler has ended, nobody waits for the result, and the program is about to end.
            let _ = send.send(catch_panic("an output", Some(batch), work).await);
        };
        let env = &self.parts.env;
        env.engine.spawn("output", Box::pin(run));
        match receive.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => {
                let error = Error::from(&panic);
                env.panics.report(panic);
                Err(error)
            }
            Err(_) => {
                Err(Error::new(ErrorKind::Internal, "the engine's executor dropped an output")
                    .help("please report this"))
            }
        }
    }
}

fn missing(output: NodeId) -> Error {
    Error::new(ErrorKind::Internal, format!("output {output} is not in the graph")).help("please report this")
}
