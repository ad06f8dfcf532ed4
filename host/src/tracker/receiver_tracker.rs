//! The tracker as an actor: it owns receivers and inputs without receivers, registers stored blocks, and serves the
//! batch clock.

use super::block_logger::{self, BlockLog, LoggerHandle};
use super::handle::{Allocated, Needed, PassedOver, Request, TrackerHandle};
use super::received_block_tracker::{Allocation, ReceivedBlockTracker};
use crate::block::{BlockStore, InputPartition};
use crate::checkpoint::{AllocationWriter, Durable, LogIndex};
use crate::env::Env;
use crate::ids::{BlockId, RunId};
use crate::input::{DoneFiles, Input, NewData};
use crate::listener::{Event, ListenerBus};
use crate::receiver::{BlockReport, ReceiverHandle, StopReceiver, StoredBlock};
use crate::time::{Duration, Time};
use futures::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::{mpsc, oneshot};

/// The writer of the allocation log, and the allocations from before a restart.
pub struct AllocationHistory {
    /// Writes the log.
    pub writer: AllocationWriter,
    /// The data of the batches that may be asked for again.
    pub allocated: BTreeMap<Time, Allocation>,
    /// The latest batch that was given its data.
    pub last_batch: Option<Time>,
    /// The blocks of the write-ahead log that no batch was given, in order. They are in the block store.
    pub unallocated: Vec<StoredBlock>,
    /// The write-ahead log. `None` if received blocks are not logged.
    pub received: Option<BlockLog>,
}

/// The tracker, as an actor.
pub struct ReceiverTracker {
    env: Env,
    listeners: ListenerBus,
    store: BlockStore,
    inputs: Vec<Box<dyn Input>>,
    receivers: Vec<ReceiverHandle>,
    reports: mpsc::Receiver<BlockReport>,
    blocks: ReceivedBlockTracker,
    /// `None` in a job without checkpoints.
    writer: Option<AllocationWriter>,
    /// `None` if received blocks are not logged.
    logger: Option<LoggerHandle>,
    /// For each run that can be restarted, the data that a restart needs.
    needed: BTreeMap<RunId, Needed>,
    /// No restart needs the data of batches before this time, as far as this was reported and written.
    needed_from: Time,
    forgotten_before: Time,
    /// The files that are being removed or moved. Each channel closes when its files are done.
    finishing: Vec<oneshot::Receiver<()>>,
}

impl ReceiverTracker {
    /// Starts the actor. `reports` is the channel through which `receivers` report their blocks.
    pub fn start(
        env: &Env,
        store: BlockStore,
        inputs: Vec<Box<dyn Input>>,
        receivers: Vec<ReceiverHandle>,
        reports: mpsc::Receiver<BlockReport>,
        listeners: ListenerBus,
        history: Option<AllocationHistory>,
    ) -> TrackerHandle {
        // The batch clock and the scheduler of each run have at most one open request each.
        let (requests, inbox) = mpsc::channel(16);
        let (writer, mut blocks, unallocated, received) = match history {
            Some(AllocationHistory { writer, allocated, last_batch, unallocated, received }) => {
                (Some(writer), ReceivedBlockTracker::resumed(allocated, last_batch), unallocated, received)
            }
            None => (None, ReceivedBlockTracker::default(), Vec::new(), None),
        };
        unallocated.into_iter().for_each(|block| received_block(&mut blocks, block));
        let (reports, logger) = match received {
            Some(log) => {
                let (written, reported) = mpsc::channel(reports.max_capacity());
                (reported, Some(block_logger::start(env, log, store.clone(), reports, written)))
            }
            None => (reports, None),
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
            logger,
            needed_from: Time::default(),
            forgotten_before: Time::default(),
            finishing: Vec::new(),
        };
        env.control.spawn("tracker", Box::pin(tracker.run(inbox)));
        TrackerHandle { requests }
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        // Receivers that are stopping may wait for room in the block store. So requests are served in the meantime.
        let mut stopping: BoxFuture<'static, ()> = Box::pin(std::future::pending());
        let mut waiting: Vec<oneshot::Sender<bool>> = Vec::new();
        loop {
            tokio::select! {
                biased;
                // A block that was stored before a request was sent counts for the answer.
                Some(report) = self.reports.recv() => self.block_stored(report),
                () = &mut stopping => {
                    while let Ok(report) = self.reports.try_recv() {
                        self.block_stored(report);
                    }
                    stopping = Box::pin(std::future::pending());
                    let has_unallocated = self.blocks.has_unallocated();
                    for reply in waiting.drain(..) {
                        // It is not an error if nobody waits for the answer.
                        let _ = reply.send(has_unallocated);
                    }
                }
                request = inbox.recv() => match request {
                    Some(Request::StopReceivers(request, reply)) => {
                        waiting.push(reply);
                        self.store.take_all();
                        self.receivers.iter().for_each(|receiver| receiver.stop(request));
                        let ends = futures::future::join_all(self.receivers.iter().map(ReceiverHandle::ended));
                        let flush = self.logger.as_ref().filter(|_| request == StopReceiver::Graceful);
                        let flush = flush.map(LoggerHandle::flush);
                        stopping = Box::pin(async move {
                            ends.await;
                            if let Some(flush) = flush {
                                flush.await;
                            }
                        });
                    }
                    Some(request) => self.answer(request).await,
                    None => return,
                },
            }
        }
    }

    /// Registers the blocks that are on their way through the write-ahead log.
    async fn take_logged(&mut self) {
        let Some(flush) = self.logger.as_ref().map(LoggerHandle::flush) else { return };
        tokio::pin!(flush);
        loop {
            tokio::select! {
                biased;
                Some(report) = self.reports.recv() => self.block_stored(report),
                () = &mut flush => break,
            }
        }
        while let Ok(report) = self.reports.try_recv() {
            self.block_stored(report);
        }
    }

    fn block_stored(&mut self, report: BlockReport) {
        let BlockReport { block, recorded, .. } = report;
        received_block(&mut self.blocks, block);
        if let Some(recorded) = recorded {
            // If the receiver was dropped while it waited, its source will send the records again.
            let _ = recorded.send(());
        }
    }

    /// Asks the inputs without receivers for the data of `batch`.
    async fn read_inputs(&mut self, batch: Time) {
        for input in &mut self.inputs {
            input.prepare(&self.env).await;
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
        self.read_inputs(batch).await;
        let allocation = self.blocks.allocate(batch);
        if let Some(logger) = &self.logger {
            logger.index.allocated(batch, allocation.block_ids());
            if let Some(error) = logger.failed() {
                return Allocated { allocation, durable: Some(Durable::failed(error)) };
            }
        }
        let Some(writer) = &mut self.writer else { return Allocated { allocation, durable: None } };
        if self.needed_from > self.forgotten_before {
            // This event needs no sync of its own, so it is written together with an event that needs one.
            self.forgotten_before = self.needed_from;
            writer.forgotten(self.forgotten_before).await;
        }
        let durable = Some(writer.allocated(batch, &allocation.partitions).await);
        Allocated { allocation, durable }
    }

    /// Gives no data to the batches up to the batch before the next one that may have data.
    async fn pass_over(&mut self, from: Time, through: Time, interval: Duration) -> Option<PassedOver> {
        // The next batch reports that nothing is logged any more.
        let has_failed = self.logger.as_ref().is_some_and(|logger| logger.failed().is_some());
        if self.blocks.has_unallocated() || self.blocks.is_allocated(from) || has_failed {
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

    /// Stores again the blocks of inputs that a batch was given before.
    fn read_again(&mut self, allocation: &Allocation) {
        let blocks = allocation.block_ids();
        for input in &self.inputs {
            let given: Vec<_> = blocks.iter().filter(|block| block.source == input.source()).collect();
            input.again(&given).into_iter().for_each(|block| self.store.put_at_once(block));
        }
    }

    /// Lets a run read batches again that were made before. After their batches, the blocks of receivers are only in the
    /// write-ahead log.
    async fn read_past(&mut self, run: RunId, after: Time, batch_interval: Duration) -> Vec<(Time, Allocation)> {
        let inputs: BTreeSet<String> = self.inputs.iter().map(|input| input.source().to_owned()).collect();
        let received = |allocation: &Allocation| -> Vec<BlockId> {
            allocation.block_ids().into_iter().filter(|block| !inputs.contains(&block.source)).collect()
        };
        let index = self.logger.as_ref().map(|logger| logger.index.clone());
        let can_be_read = |allocation: &Allocation| {
            let received = received(allocation);
            received.is_empty() || index.as_ref().is_some_and(|index| index.holds(&received))
        };
        let batches = self.blocks.read_past(run, after, batch_interval, can_be_read);
        let mut of_log = Vec::new();
        for (_, allocation, _) in batches.iter().filter(|(.., is_stored)| !is_stored) {
            self.read_again(allocation);
            of_log.extend(received(allocation));
        }
        if let Some(index) = index.filter(|_| !of_log.is_empty()) {
            self.load(index, of_log).await;
        }
        batches.into_iter().map(|(batch, allocation, _)| (batch, allocation)).collect()
    }

    /// Reads blocks of the write-ahead log again. A block that cannot be read is reported by the task that needs it.
    async fn load(&mut self, index: LogIndex, blocks: Vec<BlockId>) {
        let (store, (done, loaded)) = (self.store.clone(), oneshot::channel::<()>());
        let load = async move {
            if let Err(error) = index.load(&blocks, &mut |block| store.put_at_once(block)) {
                tracing::warn!("cannot read blocks of the write-ahead log again: {error}");
            }
            drop(done);
        };
        self.env.background.spawn("write-ahead log", Box::pin(load));
        // Nothing is sent: the channel closes when the blocks are loaded.
        let _ = loaded.await;
    }

    /// The earliest batch whose allocation a restart needs, for windows and to make sure that no file is read twice.
    fn needed_from(&self, before: Time) -> Time {
        self.inputs.iter().map(|input| before - input.remembered()).min().unwrap_or(before)
    }

    /// Forgets the data that no restart of any run needs.
    fn forget(&mut self) {
        let all = || self.needed.values();
        let (Some(from), Some(files_from)) =
            (all().map(|needed| needed.from).min(), all().map(|needed| needed.files_from).min())
        else {
            return;
        };
        self.needed_from = self.needed_from.max(self.needed_from(from));
        self.blocks.forget_past(from.max(files_from));
        if let Some(logger) = &self.logger {
            logger.index.forget_before(self.needed_from);
        }
        self.finish_files_before(files_from);
    }

    /// Releases the data of a batch that no run reads any more.
    fn release(&mut self, batch: Time, blocks: &[BlockId]) {
        self.store.remove(blocks);
        for input in &mut self.inputs {
            input.done(&self.env, batch);
        }
        if self.writer.is_none() {
            // Windows read data sets, and without checkpoints no restart reads the files again.
            self.blocks.forget_past(batch + Duration::from_millis(1));
            self.finish_files_before(batch + Duration::from_millis(1));
        }
    }

    /// Removes or moves the files of the batches before a time. Does not wait for the disk.
    fn finish_files_before(&mut self, before: Time) {
        let done: Vec<DoneFiles> = self.inputs.iter_mut().filter_map(|input| input.done_before(before)).collect();
        if done.is_empty() {
            return;
        }
        let (end, ended) = oneshot::channel();
        let (disk, listeners) = (self.env.disk.clone(), self.listeners.clone());
        let finish = async move {
            done.into_iter().for_each(|files| files.finish(&*disk, &listeners));
            // Nobody waits for this, except at the end of the job.
            let _ = end.send(());
        };
        self.env.background.spawn("files", Box::pin(finish));
        self.finishing.retain_mut(|finishing| finishing.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        self.finishing.push(ended);
    }

    async fn answer(&mut self, request: Request) {
        // It is not an error if nobody waits for the answer.
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
            Request::ReadPast { run, after, batch_interval, reply } => {
                let _ = reply.send(self.read_past(run, after, batch_interval).await);
            }
            Request::Detach(run) => self.blocks.detach(run),
            Request::RunEnded(run, reply) => {
                // It is not known whether the run has processed these batches. So their files stay for the host that
                // reads them next.
                self.store.remove(&self.blocks.run_ended(run));
                // The data that a restart of the last run needs is kept.
                if self.needed.len() > 1 && self.needed.remove(&run).is_some() {
                    self.forget();
                }
                let _ = reply.send(());
            }
            Request::FinishFiles(reply) => {
                for input in &mut self.inputs {
                    input.end(&self.env).await;
                }
                for finished in self.finishing.drain(..) {
                    // Nothing is sent: the channel closes when the files are done.
                    let _ = finished.await;
                }
                let _ = reply.send(());
            }
            // This request is answered when the receivers have stopped.
            Request::StopReceivers(..) => {}
            Request::IsIdle(reply) => {
                let has_ended = self.receivers.iter().all(ReceiverHandle::has_ended);
                if has_ended {
                    self.take_logged().await;
                }
                let idle = has_ended && self.inputs.iter().all(|input| input.is_used_up());
                let _ = reply.send(idle && !self.blocks.has_unallocated());
            }
        }
    }
}

/// Adds a received block for the next batch to read.
fn received_block(blocks: &mut ReceivedBlockTracker, block: StoredBlock) {
    let source = block.id.source.clone();
    blocks.partition_added(&source, InputPartition::Block { id: block.id, rows: block.rows, checksum: None });
}
