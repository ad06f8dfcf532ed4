//! Runs batches in order, one at a time. The outputs of a batch run in the order of their definition.
//!
//! Owns the steps of a batch from its submission to its completion, and the consequences of its failure for the run.

use super::job_set::JobSet;
use super::output_jobs::{BatchRun, Done, OutputJobs};
use super::pace::{Change, Pace};
use super::parts::SchedulerParts;
use crate::checkpoint::Durable;
use crate::engine::BatchInput;
use crate::env::catch_panic;
use crate::error::{Error, ErrorKind};
use crate::graph::Beginning;
use crate::ids::NodeId;
use crate::ingest::{Purpose, StopRequest};
use crate::listener::{BatchInfo, Event, LagInfo};
use crate::time::Time;
use crate::tracker::Allocation;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// The scheduler, as an actor.
pub struct JobScheduler {
    parts: Arc<SchedulerParts>,
    stop: watch::Receiver<StopRequest>,
    pace: Pace,
    /// When the run began. `None` if that is not known yet.
    beginning: Option<Beginning>,
}

impl JobScheduler {
    /// Makes an actor that stops between two batches when `stop` says [`StopRequest::Now`].
    pub fn new(parts: SchedulerParts, stop: watch::Receiver<StopRequest>) -> Self {
        let (pace, beginning) = (Pace::new(parts.batch_interval), parts.beginning);
        Self { parts: Arc::new(parts), stop, pace, beginning }
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
                let jobs = self.output_jobs();
                let outcome = self.on_engine(batch, async move { jobs.restore(&run).await }).await;
                // The outputs of the batch have succeeded before the restart.
                self.end(batch, zero, false).await;
                outcome
            }
            Purpose::Nothing(from) => {
                // No window reads further back than this.
                let mut time = from.max(batch - self.parts.intervals.reach_of_all());
                while time <= batch {
                    let nodes: Vec<NodeId> = self.parts.kept(time, zero).map(|job| job.output).collect();
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

    fn output_jobs(&self) -> OutputJobs {
        OutputJobs { parts: self.parts.clone(), stop: self.stop.clone() }
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
        self.parts.done.send_replace(batch);
    }

    /// Records that a batch is done, unless host code has panicked: then it is not known what the batch has done.
    fn completed(&self, batch: Time, zero: Time) {
        if let Some(checkpoints) = &self.parts.checkpoints
            && self.parts.env.panics.found().is_none()
        {
            checkpoints.completed(batch, zero);
        }
    }

    async fn run_outputs(&mut self, set: JobSet, beginning: Beginning) -> Result<(), Error> {
        let (parts, zero) = (&self.parts, beginning.zero);
        let JobSet { allocation, mut info, submitted, durable, .. } = set;
        let batch = info.batch_time;
        let Some(is_shown) = self.shows(batch).await else { return Ok(()) };
        let _under_way = parts.env.priority.turn(&*parts.env.clock, parts.batch_interval / 2).await;
        let started = parts.env.clock.monotonic();
        info.processing_start_time = Some(parts.env.clock.now());
        info.scheduling_delay = Some(started.saturating_sub(submitted));
        parts.listeners.post(&Event::BatchStarted(info.clone()));
        let run = self.begin(&allocation, batch, beginning, durable, is_shown);
        let jobs = self.output_jobs();
        let done = self.on_engine(batch, async move { Ok(jobs.run(&run).await) }).await;
        let Done { outputs, has_failed, outcome } = done.unwrap_or_else(Done::failed);
        info.output_operations = outputs;
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

    /// Runs the jobs of a batch on the executor of tasks, so that a job need not change threads between its steps. Also,
    /// jobs may wait for a disk, and actors must not wait for a disk.
    async fn on_engine<T: Send + 'static>(
        &self,
        batch: Time,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let (mut send, receive) = oneshot::channel();
        let run = async move {
            let work = catch_panic("the jobs of a batch", Some(batch), work);
            let outcome = tokio::select! {
                biased;
                outcome = work => outcome,
                // The scheduler has ended: nobody waits for the result, and no further step is begun.
                () = send.closed() => return,
            };
            // The same holds if the scheduler ends now.
            let _ = send.send(outcome);
        };
        let env = &self.parts.env;
        env.engine.spawn("batch", Box::pin(run));
        match receive.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => {
                let error = Error::from(&panic);
                env.panics.report(panic);
                Err(error)
            }
            Err(_) => {
                Err(Error::new(ErrorKind::Internal, "the engine's executor dropped a batch").help("please report this"))
            }
        }
    }
}
