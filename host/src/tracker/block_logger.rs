//! The write-ahead log as an actor between the receivers and the tracker: each block is on stable storage before the
//! tracker is told of it. All blocks that wait are written together, with one sync.
//!
//! Owns the order of the reports, and the attempts to write. Runs on the background executor, because writing waits for
//! the disk. Never decides which batch reads a block.

use crate::block::BlockStore;
use crate::checkpoint::{LogEntry, LogIndex, OwnerError, Ownership, ReadRows, Trouble, WriteAheadLog};
use crate::env::Env;
use crate::error::Error;
use crate::receiver::BlockReport;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// The most blocks that are taken together.
const TAKEN_MAX: usize = 64;
/// Blocks are written together until they have this many bytes, so that segments do not become much longer than they should.
const GROUP_BYTES: u64 = 8 << 20;

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
    let logger =
        BlockLogger { env: env.clone(), log, is_on, store, trouble, ownership, index: index.clone(), to, fail };
    env.background.spawn("write-ahead log", Box::pin(logger.run(reports, inbox)));
    LoggerHandle { index, flushes, failed }
}

struct BlockLogger {
    env: Env,
    log: WriteAheadLog,
    is_on: bool,
    store: BlockStore,
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
                    if !self.write(taken.drain(..)).await {
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

    /// Writes blocks in groups, and tells the tracker of them. Returns false if nothing can be written any more.
    async fn write(&mut self, taken: impl Iterator<Item = BlockReport>) -> bool {
        let (mut group, mut entries, mut bytes) = (Vec::new(), Vec::new(), 0u64);
        let mut taken = taken.peekable();
        while let Some(report) = taken.next() {
            if self.is_on
                && let Some(stored) = self.store.get(&report.block.id)
                && let Some(ty) = self.index.type_of(&report.block.id.source).cloned()
            {
                bytes = bytes.saturating_add(stored.bucket_size(0).bytes);
                let (id, key) = (report.block.id.clone(), report.key.clone());
                let rows: Arc<ReadRows> = Arc::new(move || Box::new(stored.read(0)));
                entries.push(LogEntry { id, rows, ty, key });
            }
            group.push(report);
            if bytes < GROUP_BYTES && taken.peek().is_some() {
                continue;
            }
            if let Err(error) = self.append(&entries).await {
                self.fail.send_replace(Some(error));
                return false;
            }
            for report in group.drain(..) {
                if self.to.send(report).await.is_err() {
                    return false;
                }
            }
            entries.clear();
            bytes = 0;
        }
        true
    }

    async fn append(&mut self, entries: &[LogEntry]) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        while let Err(error) = self.log.append(self.env.clock.now(), entries) {
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
