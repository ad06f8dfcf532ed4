//! What belongs to a job and not to a plugin: where its data comes from, and which batch gets which of it.
//!
//! Owns sources, receivers, the tracker, the block store, the log of allocations and the batch clock, for as long as the job
//! runs. Runs are attached to it: each gets every batch from one boundary on, and a batch is kept until the last of them is
//! done with it. Never knows what a run computes.

mod attached;
mod batch_clock;
mod batch_taker;
mod sources;

pub use attached::Backlog;
pub use batch_clock::{CatchUp, ClockSettings, MakeTaker, StopRequest};
pub use batch_taker::{BatchTaker, GivenBatch, NotTaken, Purpose};
pub use sources::{Sources, check_sources};

use self::batch_clock::{BatchClock, ClockParts, Request};
use self::sources::ReceiverSource;
use crate::block::BlockStore;
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

/// How many stored blocks may wait for the tracker before receivers wait.
const REPORTED_BLOCKS_MAX: usize = 64;
/// How many requests may wait for the batch clock before whoever asks waits.
const QUEUED_REQUESTS_MAX: usize = 16;

/// What an ingest is made of.
pub struct IngestParts {
    /// Time, and who runs the actors.
    pub env: Env,
    /// Where received blocks are.
    pub blocks: BlockStore,
    /// What brings data.
    pub sources: Sources,
    /// Hears of what arrives.
    pub listeners: ListenerBus,
    /// What is written of allocations, and what is known of earlier ones. `None` in a job without checkpoints.
    pub history: Option<AllocationHistory>,
    /// The right to write to the checkpoint directory. `None` in a job without checkpoints.
    pub ownership: Option<Arc<Ownership>>,
}

/// An ingest that receives, and makes no batches yet.
pub struct Ingest {
    handle: IngestHandle,
    listeners: ListenerBus,
    requests: mpsc::Receiver<Request>,
}

/// Asks an ingest. Clones ask the same one.
#[derive(Clone)]
pub struct IngestHandle {
    env: Env,
    tracker: TrackerHandle,
    blocks: BlockStore,
    ownership: Option<Arc<Ownership>>,
    requests: mpsc::Sender<Request>,
    next_run: Arc<AtomicU32>,
}

impl Ingest {
    /// Starts the receivers, and the tracker that hears of their blocks.
    pub fn start(parts: IngestParts) -> Self {
        let IngestParts { env, blocks, sources, listeners, history, ownership } = parts;
        let (reports, reported) = mpsc::channel(REPORTED_BLOCKS_MAX);
        let start = |source: ReceiverSource| {
            let ReceiverSource { settings, make, options } = source;
            receiver::start(&env, settings, make, options, blocks.clone(), reports.clone(), listeners.clone())
        };
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
        let handle = IngestHandle { env, tracker, blocks, ownership, requests: send, next_run };
        Self { handle, listeners, requests }
    }

    /// Asks this ingest.
    pub fn handle(&self) -> &IngestHandle {
        &self.handle
    }

    /// Starts the batch clock with the first run. The clock ends when `stop` says so, or when no run takes batches any more;
    /// then each taker is dropped.
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
    /// Keeps the record of which batch reads what.
    pub fn tracker(&self) -> &TrackerHandle {
        &self.tracker
    }

    /// Where received blocks are.
    pub fn blocks(&self) -> &BlockStore {
        &self.blocks
    }

    /// The right to write to the checkpoint directory. `None` in a job without checkpoints.
    pub fn ownership(&self) -> Option<&Arc<Ownership>> {
        self.ownership.as_ref()
    }

    /// The number of the next run.
    pub fn number_run(&self) -> RunId {
        RunId(self.next_run.fetch_add(1, Ordering::Relaxed))
    }

    /// Gives a run each batch from the next one on. `make` makes what takes the batches, between two of them, so it must not
    /// wait. A run that `can_restart` has all that it is given kept until it says otherwise. Returns the time of the last batch
    /// that the run does not get. `None` if no more batches are made.
    pub async fn attach(&self, run: RunId, backlog: Backlog, can_restart: bool, make: MakeTaker) -> Option<Time> {
        self.ask(|reply| Request::Attach { run, backlog, can_restart, make, reply }).await
    }

    /// Gives a run no more batches. Those that it was given stay until it is done with them. Returns the time of the last batch
    /// that it can have been given. `None` if no more batches are made.
    pub async fn detach(&self, run: RunId) -> Option<Time> {
        self.ask(|reply| Request::Detach(run, reply)).await
    }

    /// Ends all receivers, wherever they are. No run reads another batch.
    pub async fn close(&self) {
        self.blocks.close();
        self.tracker.stop_receivers_now().await;
    }

    /// Waits until all files are removed or moved that nothing needs any more.
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
        // Nothing is ever sent: it ends when that is done.
        let _ = released.await;
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// Says from time to time that this host is alive, as long as it has the checkpoint directory.
async fn renew(env: Env, ownership: Weak<Ownership>) {
    loop {
        env.clock.sleep_until(env.clock.now() + RENEWAL).await;
        let Some(ownership) = ownership.upgrade() else { return };
        // Of another error the next output hears when it asks.
        if let Err(OwnerError::Lost { .. } | OwnerError::Removed { .. }) = ownership.renew() {
            return;
        }
    }
}
