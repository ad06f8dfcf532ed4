//! The handle of the tracker: what can be asked of it, and the answers.
//!
//! Owns the requests, and the types of their answers. Decides nothing: `receiver_tracker.rs` answers.

use super::received_block_tracker::Allocation;
use crate::block::ReadPart;
use crate::checkpoint::Durable;
use crate::ids::RunId;
use crate::receiver::StopReceiver;
use crate::time::{Duration, Time};
use tokio::sync::{mpsc, oneshot};

/// The data that a batch was given.
#[derive(Clone, Debug, Default)]
pub struct Allocated {
    /// The partitions of the batch.
    pub allocation: Allocation,
    /// Waits until the allocation is on stable storage. `None` if no write is pending.
    pub durable: Option<Durable>,
}

/// Batches that were given no data.
#[derive(Clone, Debug)]
pub struct PassedOver {
    /// The last of these batches.
    pub through: Time,
    /// Waits until this is on stable storage. `None` if nothing is written.
    pub durable: Option<Durable>,
}

/// The requests to the tracker.
pub(super) enum Request {
    /// Give a batch its data.
    Allocate(Time, oneshot::Sender<Allocated>),
    /// The batches from the first time through the second one are never made.
    LeaveOut(Time, Time, oneshot::Sender<Option<Durable>>),
    /// Give no data to the batches from `from` on, at most through `through`.
    PassOver { from: Time, through: Time, interval: Duration, reply: oneshot::Sender<Option<PassedOver>> },
    /// Update the data that a restart of a run needs.
    Forget(RunId, Needed),
    /// A batch has read these parts of files to their ends.
    Read(Time, Vec<ReadPart>, oneshot::Sender<Option<Durable>>),
    /// A run is done with a batch. The flag is true if the batch has failed for good.
    BatchDone(RunId, Time, bool),
    /// Attach a run: it is given the batches that are allocated from now on. If the run says what a restart needs, this
    /// data is kept.
    Attach(RunId, Option<Needed>),
    /// Let a run read the last batches after a time again, as far as their inputs can be read again.
    ReadPast { run: RunId, after: Time, batch_interval: Duration, reply: oneshot::Sender<Vec<(Time, Allocation)>> },
    /// Detach a run: it is not given the batches that are allocated from now on.
    Detach(RunId),
    /// A run has ended and reads no more batches.
    RunEnded(RunId, oneshot::Sender<()>),
    /// Answer when all files that are not needed any more are removed or moved.
    FinishFiles(oneshot::Sender<()>),
    /// Stop all receivers, then answer whether there is a block that no batch was given.
    StopReceivers(StopReceiver, oneshot::Sender<bool>),
    /// Answer whether any input may still bring data by itself.
    IsIdle(oneshot::Sender<bool>),
}

/// The data that a restart of a run needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// No restart from any checkpoint of the run needs the data of batches before this time.
    pub from: Time,
    /// A restart from the newest checkpoint of the run needs no files of batches before this time.
    pub files_from: Time,
}

/// Sends requests to the tracker. Clones use the same tracker.
#[derive(Clone)]
pub struct TrackerHandle {
    pub(super) requests: mpsc::Sender<Request>,
}

impl TrackerHandle {
    /// Gives a batch its data, which no other batch gets.
    pub async fn allocate(&self, batch: Time) -> Allocated {
        self.ask(|reply| Request::Allocate(batch, reply)).await.unwrap_or_default()
    }

    /// Records that the batches `from` to `through` are never made. The returned value waits until this is on stable
    /// storage. `None` if it is not written.
    pub async fn leave_out(&self, from: Time, through: Time) -> Option<Durable> {
        self.ask(|reply| Request::LeaveOut(from, through, reply)).await.flatten()
    }

    /// Gives no data to the batches from `from` on, up to the batch before the first one for which a source has data,
    /// and at most through `through`. `None` if there are no such batches.
    pub async fn pass_over(&self, from: Time, through: Time, interval: Duration) -> Option<PassedOver> {
        self.ask(|reply| Request::PassOver { from, through, interval, reply }).await.flatten()
    }

    /// Updates the data that a restart of a run needs. Data that no run needs is forgotten.
    pub async fn forget(&self, run: RunId, needed: Needed) {
        // If the tracker has ended, nothing is written any more.
        let _ = self.requests.send(Request::Forget(run, needed)).await;
    }

    /// Records that a batch has read parts of files to their ends. If the batch runs again, it reads the same content.
    /// The returned value waits until this is on stable storage. `None` if it is not written.
    pub async fn read(&self, batch: Time, parts: Vec<ReadPart>) -> Option<Durable> {
        self.ask(|reply| Request::Read(batch, parts, reply)).await.flatten()
    }

    /// Records that a run is done with a batch. The data of the batch is released if no other run needs it. If the
    /// batch has failed for good, its files stay where they are.
    pub async fn batch_done(&self, run: RunId, batch: Time, has_failed: bool) {
        // If the tracker has ended, it holds no blocks.
        let _ = self.requests.send(Request::BatchDone(run, batch, has_failed)).await;
    }

    /// Attaches a run, which is given the batches that are allocated from now on. A run that can be restarted says what
    /// a restart needs. This data is kept until the run says otherwise.
    pub async fn attach(&self, run: RunId, needed: Option<Needed>) {
        // If the tracker has ended, no batch is given data any more.
        let _ = self.requests.send(Request::Attach(run, needed)).await;
    }

    /// Lets a run that was just attached read batches that were made before: the last ones after `after` without a gap
    /// whose inputs can be read again. Returns them in order. The run must say when it is done with each of them.
    pub async fn read_past(&self, run: RunId, after: Time, batch_interval: Duration) -> Vec<(Time, Allocation)> {
        self.ask(|reply| Request::ReadPast { run, after, batch_interval, reply }).await.unwrap_or_default()
    }

    /// Detaches a run, which is not given the batches that are allocated from now on. It may still read earlier
    /// batches.
    pub async fn detach(&self, run: RunId) {
        // If the tracker has ended, no batch is given data any more.
        let _ = self.requests.send(Request::Detach(run)).await;
    }

    /// Releases all data that a run still had, and waits until that is done.
    pub async fn run_ended(&self, run: RunId) {
        // If the tracker has ended, it holds no blocks.
        let _ = self.ask(|reply| Request::RunEnded(run, reply)).await;
    }

    /// Waits until all files that are not needed any more are removed or moved.
    pub async fn finish_files(&self) {
        // If the tracker has ended, it has not begun to remove or move files.
        let _ = self.ask(Request::FinishFiles).await;
    }

    /// Lets all receivers store the data that they have received, and end. Returns true if there is data that no batch
    /// was given.
    pub async fn stop_receivers(&self) -> bool {
        self.ask(|reply| Request::StopReceivers(StopReceiver::Graceful, reply)).await.unwrap_or(false)
    }

    /// Ends all receivers at once, including receivers that are about to end.
    pub async fn stop_receivers_now(&self) {
        // If the tracker has ended, there are no receivers.
        let _ = self.ask(|reply| Request::StopReceivers(StopReceiver::Now, reply)).await;
    }

    /// Returns true if no source can bring more data: all queues are used up and no receiver is left.
    pub async fn is_idle(&self) -> bool {
        self.ask(Request::IsIdle).await.unwrap_or(true)
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.ok()?;
        answer.await.ok()
    }
}
