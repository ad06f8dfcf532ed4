//! The tracker as an actor: it owns receivers and direct inputs, hears of stored blocks, and answers the batch clock.

use super::received_block_tracker::{Allocation, ReceivedBlockTracker};
use crate::block::{BlockStore, InputPartition, ReadPart};
use crate::checkpoint::{AllocationWriter, Durable};
use crate::env::Env;
use crate::ids::{BlockId, RunId};
use crate::input::{DoneFiles, Input, NewData};
use crate::listener::{Event, ListenerBus};
use crate::receiver::{BlockReport, ReceiverHandle, StopReceiver};
use crate::time::{Duration, Time};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use tokio::sync::{mpsc, oneshot};

/// What a batch was given.
#[derive(Clone, Debug, Default)]
pub struct Allocated {
    /// Its partitions.
    pub allocation: Allocation,
    /// When that is on stable storage, if it will be.
    pub durable: Option<Durable>,
}

/// Batches that have nothing.
#[derive(Clone, Debug)]
pub struct PassedOver {
    /// The last of them.
    pub through: Time,
    /// When that is on stable storage, if it will be.
    pub durable: Option<Durable>,
}

/// What is written of allocations, and what is known of earlier ones.
pub struct AllocationHistory {
    /// Writes the log.
    pub writer: AllocationWriter,
    /// What batches were given that may be asked for again.
    pub allocated: BTreeMap<Time, Allocation>,
    /// The latest batch that was given its data.
    pub last_batch: Option<Time>,
}

/// What the tracker can be asked.
enum Request {
    /// Give the batch its blocks.
    Allocate(Time, oneshot::Sender<Allocated>),
    /// The batches from one through another are never made.
    LeaveOut(Time, Time, oneshot::Sender<Option<Durable>>),
    /// Give the batches from one on nothing, at most through another.
    PassOver { from: Time, through: Time, interval: Duration, reply: oneshot::Sender<Option<PassedOver>> },
    /// What a run needs for a restart.
    Forget(RunId, Needed),
    /// A batch has read these parts of files through.
    Read(Time, Vec<ReadPart>, oneshot::Sender<Option<Durable>>),
    /// The run is done with the batch. True if the batch has failed for good.
    BatchDone(RunId, Time, bool),
    /// The next batch that is allocated is given to the run, too, which holds back what a restart of it needs, if it says so.
    Attach(RunId, Option<Needed>),
    /// The next batch that is allocated is not given to the run.
    Detach(RunId),
    /// The run reads nothing any more.
    RunEnded(RunId, oneshot::Sender<()>),
    /// Say when all files are removed or moved that nothing needs any more.
    FinishFiles(oneshot::Sender<()>),
    /// Stop all receivers, then say whether a block waits for a batch.
    StopReceivers(StopReceiver, oneshot::Sender<bool>),
    /// Say whether any input may still bring data of its own accord.
    IsIdle(oneshot::Sender<bool>),
}

/// What a run needs for a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// No restart from any of its checkpoints needs what batches before this time were given.
    pub from: Time,
    /// A restart from its newest checkpoint needs no files of batches before this time.
    pub files_from: Time,
}

/// Asks the tracker. Clones ask the same one.
#[derive(Clone)]
pub struct TrackerHandle {
    requests: mpsc::Sender<Request>,
}

impl TrackerHandle {
    /// The blocks of a batch, which are its from now on.
    pub async fn allocate(&self, batch: Time) -> Allocated {
        self.ask(|reply| Request::Allocate(batch, reply)).await.unwrap_or_default()
    }

    /// Leaves out the batches from one through another. Says when that is on stable storage, if it will be.
    pub async fn leave_out(&self, from: Time, through: Time) -> Option<Durable> {
        self.ask(|reply| Request::LeaveOut(from, through, reply)).await.flatten()
    }

    /// Gives the batches from one time on nothing, as far as no source has anything for them, and at most through another.
    pub async fn pass_over(&self, from: Time, through: Time, interval: Duration) -> Option<PassedOver> {
        self.ask(|reply| Request::PassOver { from, through, interval, reply }).await.flatten()
    }

    /// Says what a run needs for a restart. What no run needs is forgotten.
    pub async fn forget(&self, run: RunId, needed: Needed) {
        // A tracker that is gone writes nothing any more.
        let _ = self.requests.send(Request::Forget(run, needed)).await;
    }

    /// A batch has read parts of files through, and reads nothing else when it runs again. Says when that is on stable
    /// storage, if it will be.
    pub async fn read(&self, batch: Time, parts: Vec<ReadPart>) -> Option<Durable> {
        self.ask(|reply| Request::Read(batch, parts, reply)).await.flatten()
    }

    /// Lets go of what a batch had, as far as this run needs it. If the batch has failed for good, its files stay where they
    /// are.
    pub async fn batch_done(&self, run: RunId, batch: Time, has_failed: bool) {
        // A tracker that is gone holds no blocks.
        let _ = self.requests.send(Request::BatchDone(run, batch, has_failed)).await;
    }

    /// From the next batch on that is allocated, a run reads what batches have. A run that can be restarted says what it
    /// needs for that: nothing of it is forgotten until the run says otherwise.
    pub async fn attach(&self, run: RunId, needed: Option<Needed>) {
        // A tracker that is gone gives no batch anything.
        let _ = self.requests.send(Request::Attach(run, needed)).await;
    }

    /// From the next batch on that is allocated, a run is given nothing. It may still read the batches before.
    pub async fn detach(&self, run: RunId) {
        // A tracker that is gone gives no batch anything.
        let _ = self.requests.send(Request::Detach(run)).await;
    }

    /// Lets go of all that a run still had, and waits until that is done.
    pub async fn run_ended(&self, run: RunId) {
        // A tracker that is gone holds no blocks.
        let _ = self.ask(|reply| Request::RunEnded(run, reply)).await;
    }

    /// Waits until all files are removed or moved that nothing needs any more.
    pub async fn finish_files(&self) {
        // A tracker that is gone has begun with none.
        let _ = self.ask(Request::FinishFiles).await;
    }

    /// Lets all receivers store what they have received, and end. True if there is data that no batch has.
    pub async fn stop_receivers(&self) -> bool {
        self.ask(|reply| Request::StopReceivers(StopReceiver::Graceful, reply)).await.unwrap_or(false)
    }

    /// Ends all receivers, also those that are about to end, wherever they are.
    pub async fn stop_receivers_now(&self) {
        // A tracker that is gone has none.
        let _ = self.ask(|reply| Request::StopReceivers(StopReceiver::Now, reply)).await;
    }

    /// True if nothing more can come: all queues are used up and no receiver is left.
    pub async fn is_idle(&self) -> bool {
        self.ask(Request::IsIdle).await.unwrap_or(true)
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// The actor.
pub struct ReceiverTracker {
    env: Env,
    listeners: ListenerBus,
    store: BlockStore,
    inputs: Vec<Box<dyn Input>>,
    receivers: Vec<ReceiverHandle>,
    reports: mpsc::Receiver<BlockReport>,
    blocks: ReceivedBlockTracker,
    /// Absent in a job without checkpoints.
    writer: Option<AllocationWriter>,
    /// What each run needs for a restart that can be restarted.
    needed: BTreeMap<RunId, Needed>,
    /// What a restart needs is not before this time, as far as was said and written.
    needed_from: Time,
    forgotten_before: Time,
    /// Files that are being removed or moved: each ends when they are.
    finishing: Vec<oneshot::Receiver<()>>,
}

impl ReceiverTracker {
    /// Starts the actor. `reports` is where `receivers` report their blocks.
    pub fn start(
        env: &Env,
        store: BlockStore,
        inputs: Vec<Box<dyn Input>>,
        receivers: Vec<ReceiverHandle>,
        reports: mpsc::Receiver<BlockReport>,
        listeners: ListenerBus,
        history: Option<AllocationHistory>,
    ) -> TrackerHandle {
        // The batch clock and the scheduler of each run ask one thing at a time.
        let (requests, inbox) = mpsc::channel(16);
        let (writer, blocks) = match history {
            Some(AllocationHistory { writer, allocated, last_batch }) => {
                (Some(writer), ReceivedBlockTracker::resumed(allocated, last_batch))
            }
            None => (None, ReceivedBlockTracker::default()),
        };
        let tracker = Self {
            env: env.clone(),
            store,
            inputs,
            receivers,
            reports,
            listeners,
            blocks,
            needed: writer.iter().map(|_| (RunId::FIRST, Needed::default())).collect(),
            writer,
            needed_from: Time::default(),
            forgotten_before: Time::default(),
            finishing: Vec::new(),
        };
        env.control.spawn("tracker", Box::pin(tracker.run(inbox)));
        TrackerHandle { requests }
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        // Receivers that are stopping may wait for room in the store, so requests are answered meanwhile.
        let mut stopping: BoxFuture<'static, ()> = Box::pin(std::future::pending());
        let mut waiting: Vec<oneshot::Sender<bool>> = Vec::new();
        loop {
            tokio::select! {
                biased;
                // A block that was stored before a question was asked counts for its answer.
                Some(report) = self.reports.recv() => self.block_stored(report),
                () = &mut stopping => {
                    while let Ok(report) = self.reports.try_recv() {
                        self.block_stored(report);
                    }
                    stopping = Box::pin(std::future::pending());
                    let has_unallocated = self.blocks.has_unallocated();
                    for reply in waiting.drain(..) {
                        // An answer that nobody waits for any more is not an error.
                        let _ = reply.send(has_unallocated);
                    }
                }
                request = inbox.recv() => match request {
                    Some(Request::StopReceivers(request, reply)) => {
                        waiting.push(reply);
                        self.store.take_all();
                        self.receivers.iter().for_each(|receiver| receiver.stop(request));
                        let ends = self.receivers.iter().map(ReceiverHandle::ended);
                        stopping = Box::pin(futures::future::join_all(ends).map(drop));
                    }
                    Some(request) => self.answer(request).await,
                    None => return,
                },
            }
        }
    }

    fn block_stored(&mut self, report: BlockReport) {
        let BlockReport { block, recorded } = report;
        let source = block.id.source.clone();
        self.blocks.partition_added(&source, InputPartition::Block { id: block.id, rows: block.rows, checksum: None });
        if let Some(recorded) = recorded {
            // Its receiver was dropped while it waited: its source will send the records again.
            let _ = recorded.send(());
        }
    }

    /// Asks the inputs without receiver for what they have for `batch`.
    fn read_inputs(&mut self, batch: Time) {
        for input in &mut self.inputs {
            match input.read(&self.env, batch) {
                Ok(NewData { partitions, blocks, events }) => {
                    for partition in partitions {
                        self.blocks.partition_added(input.source(), partition);
                    }
                    blocks.into_iter().for_each(|block| self.store.put_at_once(block));
                    events.iter().for_each(|event| self.listeners.post(event));
                }
                Err(error) => {
                    let source = input.source().to_owned();
                    self.listeners.post(&Event::InputError { source, error });
                }
            }
        }
    }

    /// Gives a batch its data: for the first time, or again.
    async fn allocate(&mut self, batch: Time) -> Allocated {
        if self.blocks.is_allocated(batch) {
            let allocation = self.blocks.allocate(batch);
            self.read_again(&allocation);
            return Allocated { allocation, durable: None };
        }
        self.read_inputs(batch);
        let allocation = self.blocks.allocate(batch);
        let Some(writer) = &mut self.writer else { return Allocated { allocation, durable: None } };
        if self.needed_from > self.forgotten_before {
            // It needs no sync of its own, so it goes with what needs one.
            self.forgotten_before = self.needed_from;
            writer.forgotten(self.forgotten_before).await;
        }
        let durable = Some(writer.allocated(batch, &allocation.partitions).await);
        Allocated { allocation, durable }
    }

    /// Gives nothing to the batches up to the one before the next that may have something.
    async fn pass_over(&mut self, from: Time, through: Time, interval: Duration) -> Option<PassedOver> {
        if self.blocks.has_unallocated() || self.blocks.is_allocated(from) {
            return None;
        }
        let next = self.inputs.iter_mut().filter_map(|input| input.next_data(&self.env, from)).min();
        let through = next.map_or(through, |next| through.min(next - interval));
        if through < from {
            return None;
        }
        let allocation = self.blocks.allocate(through);
        let durable = match &mut self.writer {
            Some(writer) => Some(writer.allocated(through, &allocation.partitions).await),
            None => None,
        };
        Some(PassedOver { through, durable })
    }

    /// Stores the blocks of inputs again that a batch was given before.
    fn read_again(&mut self, allocation: &Allocation) {
        let blocks = allocation.block_ids();
        for input in &self.inputs {
            let given: Vec<_> = blocks.iter().filter(|block| block.source == input.source()).collect();
            input.again(&given).into_iter().for_each(|block| self.store.put_at_once(block));
        }
    }

    /// The earliest batch whose allocation a restart needs: for windows, and so that no file is read twice.
    fn needed_from(&self, before: Time) -> Time {
        self.inputs.iter().map(|input| before - input.remembered()).min().unwrap_or(before)
    }

    /// Forgets what no run needs for a restart.
    fn forget(&mut self) {
        let all = || self.needed.values();
        let (Some(from), Some(files_from)) =
            (all().map(|needed| needed.from).min(), all().map(|needed| needed.files_from).min())
        else {
            return;
        };
        self.needed_from = self.needed_from.max(self.needed_from(from));
        self.finish_files_before(files_from);
    }

    /// Lets go of a batch that no run reads any more.
    fn release(&mut self, batch: Time, blocks: &[BlockId]) {
        self.store.remove(blocks);
        if self.writer.is_none() {
            // Windows read data sets, and there is no restart that would read files again.
            self.finish_files_before(batch + Duration::from_millis(1));
        }
    }

    /// Removes or moves the files of the batches before a time, without waiting for the disk.
    fn finish_files_before(&mut self, before: Time) {
        let done: Vec<DoneFiles> = self.inputs.iter_mut().filter_map(|input| input.done_before(before)).collect();
        if done.is_empty() {
            return;
        }
        let (end, ended) = oneshot::channel();
        let (disk, listeners) = (self.env.disk.clone(), self.listeners.clone());
        let finish = async move {
            done.into_iter().for_each(|files| files.finish(&*disk, &listeners));
            // Nobody waits for it but at the end.
            let _ = end.send(());
        };
        self.env.background.spawn("files", Box::pin(finish));
        self.finishing.retain_mut(|finishing| finishing.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        self.finishing.push(ended);
    }

    async fn answer(&mut self, request: Request) {
        // An answer that nobody waits for any more is not an error.
        match request {
            Request::Allocate(batch, reply) => {
                let _ = reply.send(self.allocate(batch).await);
            }
            Request::LeaveOut(from, through, reply) => {
                self.blocks.leave_out(through);
                let durable = match &mut self.writer {
                    Some(writer) => Some(writer.left_out(from, through).await),
                    None => None,
                };
                let _ = reply.send(durable);
            }
            Request::PassOver { from, through, interval, reply } => {
                let _ = reply.send(self.pass_over(from, through, interval).await);
            }
            Request::Forget(run, needed) => {
                if let Some(known) = self.needed.get_mut(&run) {
                    *known = needed;
                    self.forget();
                }
            }
            Request::Read(batch, parts, reply) => {
                let durable = match &mut self.writer {
                    Some(writer) if !parts.is_empty() => Some(writer.read(batch, &parts).await),
                    _ => None,
                };
                let _ = reply.send(durable);
            }
            Request::BatchDone(run, batch, has_failed) => {
                if has_failed {
                    self.inputs.iter_mut().for_each(|input| input.failed(batch));
                }
                let released = self.blocks.batch_done(run, batch);
                released.into_iter().for_each(|blocks| self.release(batch, &blocks));
            }
            Request::Attach(run, needed) => {
                self.blocks.attach(run);
                self.needed.extend(needed.map(|needed| (run, needed)));
            }
            Request::Detach(run) => self.blocks.detach(run),
            Request::RunEnded(run, reply) => {
                // Whether the run has processed these batches is not known: their files stay for whoever reads them next.
                self.store.remove(&self.blocks.run_ended(run));
                // What the last run needs for a restart stays.
                if self.needed.len() > 1 && self.needed.remove(&run).is_some() {
                    self.forget();
                }
                let _ = reply.send(());
            }
            Request::FinishFiles(reply) => {
                for finished in self.finishing.drain(..) {
                    // It ends without a word.
                    let _ = finished.await;
                }
                let _ = reply.send(());
            }
            // Answered when the receivers have stopped.
            Request::StopReceivers(..) => {}
            Request::IsIdle(reply) => {
                let has_ended = self.receivers.iter().all(ReceiverHandle::has_ended);
                let idle = has_ended && self.inputs.iter().all(|input| input.is_used_up());
                let _ = reply.send(idle && !self.blocks.has_unallocated());
            }
        }
    }
}
