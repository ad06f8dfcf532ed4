//! The part of a job that does not depend on the plugin: where data comes from, and which batch gets which data.
//!
//! Owns sources, receivers, the tracker, the block store, the allocation log and the batch clock, as long as the job
//! runs. Runs are attached to an ingest. A run gets every batch from a batch boundary on. The data of a batch is kept
//! until the last run is done with the batch. Never knows what a run computes.

mod attached;
mod batch_clock;
mod batch_taker;
mod rates;
mod sources;

pub use attached::Backlog;
pub use batch_clock::{CatchUp, ClockSettings, Joining, MakeTaker, StopRequest};
pub use batch_taker::{BatchTaker, GivenBatch, NotTaken, Purpose};
pub use rates::Rates;
pub use sources::{Sources, check_sources};

use self::batch_clock::{BatchClock, ClockParts, Request};
use self::sources::ReceiverSource;
use crate::block::{BlockStore, RangeReaders};
use crate::checkpoint::{OwnerError, Ownership, RENEWAL};
use crate::env::Env;
use crate::ids::RunId;
use crate::listener::ListenerBus;
use crate::receiver;
use crate::time::Time;
use crate::tracker::{AllocationHistory, ReceiverTracker, TrackerHandle};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use tokio::sync::{mpsc, oneshot, watch};

/// How many reports of stored blocks may wait for the tracker. If there are more, receivers wait.
const REPORTED_BLOCKS_MAX: usize = 64;
/// How many requests may wait for the batch clock. If there are more, callers wait.
const QUEUED_REQUESTS_MAX: usize = 16;

/// The parts from which an ingest is made.
pub struct IngestParts {
    /// The environment: time, and the executors of the actors.
    pub env: Env,
    /// The store of received blocks.
    pub blocks: BlockStore,
    /// The sources of the data.
    pub sources: Sources,
    /// The listeners that are told of data that arrives.
    pub listeners: ListenerBus,
    /// The rates of the receivers.
    pub rates: Rates,
    /// The writer of the allocation log, and the allocations from before a restart. `None` in a job without
    /// checkpoints.
    pub history: Option<AllocationHistory>,
    /// The right to write to the checkpoint directory. `None` in a job without checkpoints.
    pub ownership: Option<Arc<Ownership>>,
}

/// An ingest that receives data and makes no batches yet.
pub struct Ingest {
    handle: IngestHandle,
    listeners: ListenerBus,
    requests: mpsc::Receiver<Request>,
}

/// Sends requests to an ingest. Clones use the same ingest.
#[derive(Clone)]
pub struct IngestHandle {
    env: Env,
    tracker: TrackerHandle,
    blocks: BlockStore,
    ranges: RangeReaders,
    rates: Rates,
    ownership: Option<Arc<Ownership>>,
    requests: mpsc::Sender<Request>,
    next_run: Arc<AtomicU32>,
}

impl Ingest {
    /// Starts the receivers, and the tracker that registers their blocks.
    pub fn start(parts: IngestParts) -> Self {
        let IngestParts { env, blocks, mut sources, listeners, rates, history, ownership } = parts;
        let (reports, reported) = mpsc::channel(REPORTED_BLOCKS_MAX);
        let start = |source: ReceiverSource| {
            let ReceiverSource { settings, make, options, rate_limit } = source;
            rates.add(&settings.source, settings.stream_id, rate_limit);
            receiver::start(&env, settings, make, options, blocks.clone(), reports.clone(), listeners.clone())
        };
        let ranges = sources.ranges();
        sources.limit_inputs(&rates);
        let receivers = sources.receivers.into_iter().map(start).collect();
        let tracker = ReceiverTracker::start(
            &env,
            blocks.clone(),
            sources.inputs,
            receivers,
            reported,
            listeners.clone(),
            history,
        );
        if let Some(ownership) = ownership.as_ref().filter(|ownership| ownership.needs_renewal()) {
            env.background.spawn("owner", Box::pin(renew(env.clone(), Arc::downgrade(ownership))));
        }
        let (send, requests) = mpsc::channel(QUEUED_REQUESTS_MAX);
        let next_run = Arc::new(AtomicU32::new(RunId::FIRST.0 + 1));
        let handle = IngestHandle { env, tracker, blocks, ranges, rates, ownership, requests: send, next_run };
        Self { handle, listeners, requests }
    }

    /// The handle of this ingest.
    pub fn handle(&self) -> &IngestHandle {
        &self.handle
    }

    /// Starts the batch clock with the first run. The clock ends when `stop` says so, or when no run takes batches any
    /// more. The takers are dropped at that time.
    pub fn make_batches(
        self,
        settings: ClockSettings,
        first: Arc<dyn BatchTaker>,
        stop: watch::Receiver<StopRequest>,
    ) -> IngestHandle {
        let Self { handle, listeners, requests } = self;
        let parts = ClockParts { env: handle.env.clone(), tracker: handle.tracker.clone(), listeners };
        let clock = BatchClock::new(parts, settings, first, requests, stop);
        handle.env.control.spawn("batch clock", Box::pin(clock.run()));
        handle
    }
}

impl IngestHandle {
    /// The tracker, which records which batch reads which data.
    pub fn tracker(&self) -> &TrackerHandle {
        &self.tracker
    }

    /// The store of received blocks.
    pub fn blocks(&self) -> &BlockStore {
        &self.blocks
    }

    /// The readers of the sources that are read by ranges, by name.
    pub fn ranges(&self) -> &RangeReaders {
        &self.ranges
    }

    /// The rates of the receivers.
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// The right to write to the checkpoint directory. `None` in a job without checkpoints.
    pub fn ownership(&self) -> Option<&Arc<Ownership>> {
        self.ownership.as_ref()
    }

    /// A number for a new run.
    pub fn number_run(&self) -> RunId {
        RunId(self.next_run.fetch_add(1, Ordering::Relaxed))
    }

    /// Attaches a run, which gets each batch from the next one on, and before that the earlier batches that its windows
    /// need, as far as their inputs can be read again. Returns the time of the last batch that the run does not get as a
    /// new one. `None` if no more batches are made.
    pub async fn attach(&self, joining: Joining) -> Option<Time> {
        self.ask(|reply| Request::Attach(joining, reply)).await
    }

    /// Detaches a run, which gets no more batches. The data of the batches that it was given stays until the run is
    /// done with them. Returns the time of the last batch that the run can have been given. `None` if no more batches
    /// are made.
    pub async fn detach(&self, run: RunId) -> Option<Time> {
        self.ask(|reply| Request::Detach(run, reply)).await
    }

    /// Calls a function between two batches, with the time of the last batch that was made. No run has got a later batch
    /// when the function returns. The function must not wait. Returns this time. `None` if no more batches are made.
    pub async fn between_batches(&self, call: impl FnOnce(Time) + Send + 'static) -> Option<Time> {
        self.ask(|reply| Request::Between(Box::new(call), reply)).await
    }

    /// Makes the batch clock wait for `run`, and for no other run, when too many batches wait for it.
    pub async fn wait_for(&self, run: RunId) {
        // If no more batches are made, nothing has to wait.
        let _ = self.requests.send(Request::WaitFor(run)).await;
    }

    /// Ends all receivers at once. No run can read batches after this.
    pub async fn close(&self) {
        self.blocks.close();
        self.tracker.stop_receivers_now().await;
    }

    /// Waits until all files that nothing needs any more are removed or moved.
    pub async fn finish_files(&self) {
        self.tracker.finish_files().await;
    }

    /// Gives the checkpoint directory back, and waits until that is done.
    pub async fn release(&self) {
        let Some(ownership) = self.ownership.clone() else { return };
        let (done, released) = oneshot::channel::<()>();
        let release = async move {
            ownership.release();
            drop(done);
        };
        self.env.background.spawn("owner", Box::pin(release));
        // Nothing is ever sent: the channel closes when the directory is released.
        let _ = released.await;
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// Renews the claim to the checkpoint directory, as long as this host has the directory.
async fn renew(env: Env, ownership: Weak<Ownership>) {
    loop {
        env.clock.sleep_until(env.clock.now() + RENEWAL).await;
        let Some(ownership) = ownership.upgrade() else { return };
        // Any other error is found again by the check before the next output.
        if let Err(OwnerError::Lost { .. } | OwnerError::Removed { .. }) = ownership.renew() {
            return;
        }
    }
}
