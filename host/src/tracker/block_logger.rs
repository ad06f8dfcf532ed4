//! The write-ahead log as an actor between the receivers and the tracker: each block is on stable storage before the
//! tracker is told of it. All blocks that wait are written together, with one sync.
//!
//! Owns the order of the reports, and the attempts to write. Runs on the background executor, because writing waits for
//! the disk. Never decides which batch reads a block.

use crate::block::{BlockStore, Scratch};
use crate::checkpoint::{LogEntry, LogIndex, OwnerError, Ownership, ReadRows, Trouble, WriteAheadLog};
use crate::env::Env;
use crate::error::Error;
use crate::receiver::BlockReport;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// The most blocks that are taken together.
const TAKEN_MAX: usize = 64;
/// Blocks are written together until they have this many bytes, so that segments do not become much longer than they should.
const GROUP_BYTES: u64 = 8 << 20;

/// A group of at least this many bytes is encoded while the group before it is stored. Handing a shorter one to another
/// thread would take longer than encoding it.
const AHEAD_BYTES_MIN: u64 = 1 << 20;

/// A request that is answered when all blocks that were reported before it are written.
type Flush = oneshot::Sender<()>;

/// The write-ahead log of a job.
pub struct BlockLog {
    /// The log.
    pub log: WriteAheadLog,
    /// Whether blocks are written to the log. If not, the log only has blocks from before.
    pub is_on: bool,
    /// What happens while the log cannot be written.
    pub trouble: Trouble,
    /// The right to write to the checkpoint directory.
    pub ownership: Arc<Ownership>,
}

/// The handle of the actor.
pub(super) struct LoggerHandle {
    pub(super) index: LogIndex,
    flushes: mpsc::Sender<Flush>,
    failed: watch::Receiver<Option<Error>>,
}

impl LoggerHandle {
    /// Waits until all blocks that were reported before this call are written and the tracker is told of them, or until
    /// nothing is written any more.
    pub(super) fn flush(&self) -> impl Future<Output = ()> + Send + 'static {
        let flushes = self.flushes.clone();
        async move {
            let (flush, flushed) = oneshot::channel();
            // If the actor has ended, nothing is written any more.
            if flushes.send(flush).await.is_ok() {
                let _ = flushed.await;
            }
        }
    }

    /// Why nothing is written any more. `None` if blocks are written.
    pub(super) fn failed(&self) -> Option<Error> {
        self.failed.borrow().clone()
    }
}

/// Starts the actor. It takes the reports from `reports`, and hands them on to `to` when their blocks are written.
pub(super) fn start(
    env: &Env,
    parts: BlockLog,
    store: BlockStore,
    reports: mpsc::Receiver<BlockReport>,
    to: mpsc::Sender<BlockReport>,
) -> LoggerHandle {
    let BlockLog { log, is_on, trouble, ownership } = parts;
    let (flushes, inbox) = mpsc::channel(1);
    let (fail, failed) = watch::channel(None);
    let index = log.index();
    let next_memory = store.scratch();
    let (env, of_logger) = (env.clone(), index.clone());
    let logger = BlockLogger { env, log, is_on, store, next_memory, trouble, ownership, index: of_logger, to, fail };
    let executor = logger.env.background.clone();
    executor.spawn("write-ahead log", Box::pin(logger.run(reports, inbox)));
    LoggerHandle { index, flushes, failed }
}

/// Blocks that are written together.
struct Group {
    /// All blocks, also those that are not for the log.
    reports: Vec<BlockReport>,
    /// The blocks for the log.
    entries: Vec<LogEntry>,
    /// The size of the blocks for the log.
    bytes: u64,
}

struct BlockLogger {
    env: Env,
    log: WriteAheadLog,
    is_on: bool,
    store: BlockStore,
    /// The memory of the group that is encoded ahead.
    next_memory: Scratch,
    trouble: Trouble,
    ownership: Arc<Ownership>,
    index: LogIndex,
    to: mpsc::Sender<BlockReport>,
    fail: watch::Sender<Option<Error>>,
}

impl BlockLogger {
    async fn run(mut self, mut reports: mpsc::Receiver<BlockReport>, mut flushes: mpsc::Receiver<Flush>) {
        let mut taken = Vec::new();
        let mut has_receivers = true;
        loop {
            tokio::select! {
                biased;
                count = reports.recv_many(&mut taken, TAKEN_MAX), if has_receivers => {
                    has_receivers = count > 0;
                    if !self.write(taken.drain(..).collect(), &mut reports).await {
                        return;
                    }
                }
                // All blocks that were reported before the request have been taken above.
                flush = flushes.recv() => match flush {
                    // It is not an error if nobody waits any more.
                    Some(flush) => drop(flush.send(())),
                    // The tracker has ended.
                    None => return,
                },
                () = self.index.changed() => self.log.remove_unneeded(self.env.clock.now()),
            }
        }
    }

    /// Writes blocks in groups, and tells the tracker of them. Takes more reports as long as there are some. Returns false
    /// if nothing can be written any more.
    async fn write(&mut self, mut taken: VecDeque<BlockReport>, reports: &mut mpsc::Receiver<BlockReport>) -> bool {
        let mut group = self.group(&mut taken);
        while !group.reports.is_empty() {
            while taken.len() < TAKEN_MAX
                && let Ok(report) = reports.try_recv()
            {
                taken.push_back(report);
            }
            let next = self.group(&mut taken);
            if let Err(error) = self.append(&group, &next).await {
                self.fail.send_replace(Some(error));
                return false;
            }
            for report in group.reports {
                if self.to.send(report).await.is_err() {
                    return false;
                }
            }
            group = next;
        }
        true
    }

    /// Takes the reports of the next group. The group is empty if there are no more.
    fn group(&self, taken: &mut VecDeque<BlockReport>) -> Group {
        let mut group = Group { reports: Vec::new(), entries: Vec::new(), bytes: 0 };
        while group.bytes < GROUP_BYTES
            && let Some(report) = taken.pop_front()
        {
            if self.is_on
                && let Some(stored) = self.store.get(&report.block.id)
                && let Some(ty) = self.index.type_of(&report.block.id.source).cloned()
            {
                group.bytes = group.bytes.saturating_add(stored.bucket_size(0).bytes);
                let (id, key) = (report.block.id.clone(), report.key.clone());
                let rows: Arc<ReadRows> = Arc::new(move || Box::new(stored.read(0)));
                group.entries.push(LogEntry { id, rows, ty, key });
            }
            group.reports.push(report);
        }
        group
    }

    async fn append(&mut self, group: &Group, next: &Group) -> Result<(), Error> {
        if group.entries.is_empty() {
            return Ok(());
        }
        // What is encoded ahead takes memory until it is written. Without this memory, it is encoded when it is written.
        let bytes = if next.bytes >= AHEAD_BYTES_MIN { usize::try_from(next.bytes).unwrap_or(usize::MAX) } else { 0 };
        let has_memory = self.next_memory.resize(bytes).is_ok();
        let executor = self.env.background.clone();
        let next = || (bytes > 0 && has_memory).then_some((&*executor, next.entries.as_slice()));
        while let Err(error) = self.log.append_ahead(self.env.clock.now(), &group.entries, next()) {
            self.trouble.wait(&error).await?;
        }
        self.log.remove_unneeded(self.env.clock.now());
        // Another owner that took the directory over before now may not have read these blocks. So they must not be
        // acknowledged.
        loop {
            match self.ownership.check() {
                Ok(()) => break,
                Err(OwnerError::Store { error, .. }) => self.trouble.wait(&error).await?,
                Err(error) => return Err(Error::from(error)),
            }
        }
        self.trouble.over();
        Ok(())
    }
}
