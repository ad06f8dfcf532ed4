//! The received data of a job when it starts: what its write-ahead log holds, and which records are lost.
//!
//! Owns which blocks of the log are needed, and the error if the log cannot be used. A block is needed if no batch was
//! given the block, or if a restart may read the batch again that was given the block. How a log is read is in
//! `checkpoint/write_ahead_log`.

use super::checkpoint::{Opened, Resumption, open_store};
use crate::block::{BlockStore, InputPartition};
use crate::checkpoint::{
    LogContent, LogError, LogOptions, Need, RecoverError, Recovery, WriteAheadLog, recover_blocks,
};
use crate::config::Settings;
use crate::data::schema::RecordType;
use crate::env::{Env, Store, advice, persistence};
use crate::error::{Error, ErrorKind};
use crate::ids::BlockId;
use crate::ingest::Sources;
use crate::listener::Event;
use crate::receiver::StoredBlock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The received data that a job found when it started.
pub(super) struct Received {
    stores: Vec<Arc<dyn Store>>,
    types: BTreeMap<String, RecordType>,
    content: LogContent,
    /// The blocks that no batch was given, in order.
    pub(super) unallocated: Vec<StoredBlock>,
    /// The number of the next block of each source.
    next_blocks: BTreeMap<String, u64>,
}

impl Received {
    /// Reads the log, and puts the rows that batches will read into `blocks`. Without `blocks`, no rows are read. Finds the
    /// records that are lost.
    ///
    /// # Errors
    /// Returns an error if the log cannot be read, or if the plugin cannot read its records.
    pub(super) fn find(
        env: &Env,
        settings: &Settings,
        sources: &Sources,
        (store, resumption): (&Arc<dyn Store>, &mut Resumption),
        blocks: Option<&BlockStore>,
    ) -> Result<Self, Error> {
        let copy = settings.receiver.write_ahead_log_copy.as_ref().map(|place| open_store(env, place)).transpose()?;
        let stores: Vec<Arc<dyn Store>> = std::iter::once(store.clone()).chain(copy).collect();
        let types = sources.received_types();
        let content = {
            let needs = Needs::of(resumption, &types);
            let need = |block: &BlockId| match needs.need(block) {
                Need::Load if blocks.is_none() => Need::Keep,
                need => need,
            };
            let take = |block| {
                if let Some(blocks) = blocks {
                    blocks.put_at_once(block);
                }
            };
            let recovery = Recovery { stores: &stores, types: &types, need: &need, take: &take };
            recover_blocks(&*env.background, &recovery).map_err(|error| refused(error, &store.describe()))?
        };
        for torn in &content.torn {
            tracing::warn!(
                "{} ends in the middle of a record at byte {}: {} bytes were never finished and are cut off",
                torn.name,
                torn.at,
                torn.bytes
            );
        }
        let mut next_blocks: BTreeMap<String, u64> = resumption.record.positions().map(of_source).collect();
        for (source, next) in &content.next_blocks {
            let known = next_blocks.entry(source.clone()).or_default();
            *known = (*known).max(*next);
        }
        let is_unallocated = |block: &BlockId| {
            types.contains_key(&block.source) && block.sequence >= resumption.record.next_block(&block.source)
        };
        let unallocated = content.blocks.iter().filter(|(id, _)| is_unallocated(id));
        let unallocated = unallocated.map(|(id, rows)| StoredBlock { id: id.clone(), rows: *rows }).collect();
        resumption.find_lost(sources, &content.blocks);
        Ok(Self { stores, types, content, unallocated, next_blocks })
    }

    /// Gives each receiver the number of its first block, and the keys of the blocks of its source. No earlier block of its
    /// source has the number.
    pub(super) fn number_blocks(&self, sources: &mut Sources) {
        sources.recall_keys(&|source| self.content.keys_of(source));
        sources.number_blocks(&|source| self.next_blocks.get(source).copied().unwrap_or(0));
    }

    /// The events about the records that are in the log.
    pub(super) fn recovered(&self) -> Vec<Event> {
        let mut found: BTreeMap<&String, (u64, u64)> = BTreeMap::new();
        for (id, rows) in self.content.blocks.iter().filter(|(id, _)| self.types.contains_key(&id.source)) {
            let (blocks, records) = found.entry(&id.source).or_default();
            (*blocks, *records) = (*blocks + 1, *records + rows);
        }
        let event = |(source, (blocks, records)): (&String, _)| Event::RecordsRecovered {
            source: source.clone(),
            blocks,
            records,
        };
        found.into_iter().map(event).collect()
    }

    /// Makes the log that goes on after what was found. `None` if blocks are not logged and nothing is in the log.
    pub(super) fn log(self, settings: &Settings, opened: &Resumption, epoch: u64) -> Option<WriteAheadLog> {
        if !settings.receiver.write_ahead_log && self.content.is_empty() {
            return None;
        }
        let closes_after_write = settings.receiver.closes_files_after_write;
        let options = LogOptions { epoch, closes_after_write, keeps_keys: settings.receiver.write_ahead_log };
        let log = WriteAheadLog::new(self.stores, self.types, options, &self.content);
        let index = log.index();
        for (batch, partitions) in opened.record.batches() {
            index.allocated(batch, partitions.values().flatten().filter_map(InputPartition::block_id).cloned());
        }
        Some(log)
    }
}

fn of_source((source, next): (&str, u64)) -> (String, u64) {
    (source.to_owned(), next)
}

/// The blocks that are needed.
struct Needs<'a> {
    resumption: &'a Resumption,
    types: &'a BTreeMap<String, RecordType>,
    /// The blocks of the batches that run again or whose data sets are computed again.
    now: BTreeSet<BlockId>,
    /// The blocks of all batches that are not forgotten.
    kept: BTreeSet<BlockId>,
}

impl<'a> Needs<'a> {
    fn of(resumption: &'a Resumption, types: &'a BTreeMap<String, RecordType>) -> Self {
        let now = resumption.allocated.values().flat_map(crate::tracker::Allocation::block_ids).collect();
        let blocks = |partitions: crate::checkpoint::BatchPartitions| -> Vec<BlockId> {
            partitions.values().flatten().filter_map(InputPartition::block_id).cloned().collect()
        };
        let kept = resumption.record.batches().flat_map(|(_, partitions)| blocks(partitions)).collect();
        Self { resumption, types, now, kept }
    }

    fn need(&self, block: &BlockId) -> Need {
        let is_unallocated = block.sequence >= self.resumption.record.next_block(&block.source);
        if !self.types.contains_key(&block.source) {
            // The source may come back.
            return if is_unallocated { Need::Keep } else { Need::None };
        }
        if is_unallocated || self.now.contains(block) {
            Need::Load
        } else if self.kept.contains(block) {
            Need::Keep
        } else {
            Need::None
        }
    }
}

impl Resumption {
    /// Removes the blocks that are in no log from the data of the batches that run again, and notes what is lost.
    fn find_lost(&mut self, sources: &Sources, logged: &BTreeMap<BlockId, u64>) {
        self.lost.clear();
        for (batch, allocation) in &mut self.allocated {
            for (source, partitions) in &mut allocation.partitions {
                if sources.inputs.iter().any(|input| input.source() == source) {
                    continue;
                }
                let mut lost = 0;
                partitions.retain(|partition| match partition {
                    InputPartition::Block { id, rows, .. } if !logged.contains_key(id) => {
                        lost += rows;
                        false
                    }
                    _ => true,
                });
                if lost > 0 {
                    self.lost.push((*batch, source.clone(), lost));
                }
            }
            allocation.partitions.retain(|_, partitions| !partitions.is_empty());
        }
    }
}

impl Opened {
    /// Reads the received data of the job. See [`Received::find`].
    pub(super) fn received(
        &mut self,
        env: &Env,
        settings: &Settings,
        sources: &Sources,
        blocks: &BlockStore,
    ) -> Result<Received, Error> {
        let received = Received::find(env, settings, sources, (&self.store, &mut self.resumption), Some(blocks));
        if received.is_err() {
            self.ownership.release();
        }
        received
    }
}

fn refused(error: RecoverError, place: &str) -> Error {
    let message = format!("the write-ahead log in checkpoint directory {place} cannot be used: {error}");
    match &error {
        RecoverError::Log(LogError::Store { error, .. }) => {
            Error::new(ErrorKind::Unavailable, message).help(advice(error, place)).lasting(persistence(error))
        }
        RecoverError::Log(LogError::Damaged { .. }) | RecoverError::Rows { .. } => Error::new(ErrorKind::Data, message)
            .help(
                "bring the file back from a backup, or remove the file and lose the records in it; `host checkpoint \
                 verify` says more",
            ),
        RecoverError::Type { .. } => Error::new(ErrorKind::User, message).help(
            "start the job with the plugin that ran before, and stop it gracefully, so that these records are \
             processed; or remove the files ingest/received-* and lose the records",
        ),
    }
}
