//! What batches read, as the allocation log holds it: a pure record that events rebuild.
//!
//! Owns the types that are written, and how an event changes the record. Types that are written never change: a new
//! version of them is a new type. Never reads or writes a log: see `allocation_log.rs`.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::block::{FileSplit, InputPartition};
use crate::ids::BlockId;
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

/// What a batch reads, by source.
pub type BatchPartitions = BTreeMap<String, Vec<InputPartition>>;

/// Something that changes the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum AllocationEvent {
    /// A batch has its data, and never other data.
    Allocated(SavedBatch),
    /// Nothing needs what the batches before this time read.
    Forgotten { before_ms: u64 },
    /// These batches were never made, by the wish of who started the host.
    Gap { from_ms: u64, through_ms: u64 },
}

/// A batch and what it reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedBatch {
    time_ms: u64,
    sources: Vec<SavedSource>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedSource {
    name: String,
    partitions: Vec<SavedPartition>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum SavedPartition {
    Block { sequence: u64, rows: u64 },
    Split { path: Vec<u8>, start: u64, end: u64, file_bytes: u64, modified_ms: u64, max_line_bytes: u64 },
}

impl SavedBatch {
    /// The form in which a batch is written.
    pub(super) fn new(time: Time, partitions: &BatchPartitions) -> Self {
        let source = |(name, partitions): (&String, &Vec<InputPartition>)| SavedSource {
            name: name.clone(),
            partitions: partitions.iter().map(SavedPartition::new).collect(),
        };
        Self { time_ms: time.as_ms(), sources: partitions.iter().map(source).collect() }
    }

    fn partitions(&self) -> BatchPartitions {
        let source = |source: &SavedSource| {
            let partition = |saved: &SavedPartition| saved.partition(&source.name);
            (source.name.clone(), source.partitions.iter().map(partition).collect())
        };
        self.sources.iter().map(source).collect()
    }
}

impl SavedPartition {
    fn new(partition: &InputPartition) -> Self {
        match partition {
            InputPartition::Block { id, rows } => Self::Block { sequence: id.sequence, rows: *rows },
            InputPartition::Split(split) => Self::Split {
                path: split.path.as_os_str().as_bytes().to_vec(),
                start: split.start,
                end: split.end,
                file_bytes: split.file_bytes,
                modified_ms: split.modified.as_ms(),
                max_line_bytes: split.max_line_bytes as u64,
            },
        }
    }

    fn partition(&self, source: &str) -> InputPartition {
        match self {
            Self::Block { sequence, rows } => {
                InputPartition::Block { id: BlockId { source: source.to_owned(), sequence: *sequence }, rows: *rows }
            }
            Self::Split { path, start, end, file_bytes, modified_ms, max_line_bytes } => {
                InputPartition::Split(FileSplit {
                    source: source.to_owned(),
                    path: PathBuf::from(OsString::from_vec(path.clone())),
                    start: *start,
                    end: *end,
                    file_bytes: *file_bytes,
                    modified: Time::from_ms(*modified_ms),
                    max_line_bytes: usize::try_from(*max_line_bytes).unwrap_or(usize::MAX),
                })
            }
        }
    }
}

/// The record: what each batch reads that is still needed, and how far each source was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocations {
    /// The owner that writes it.
    pub(super) epoch: u64,
    /// When the job was started for the first time.
    started_ms: u64,
    /// The latest batch that has its data.
    last_ms: Option<u64>,
    /// Batches before this time are forgotten.
    forgotten_before_ms: u64,
    /// For each source with blocks, the number of the block after the last.
    next_blocks: BTreeMap<String, u64>,
    /// The batches that read anything, but for those that are forgotten.
    batches: BTreeMap<u64, SavedBatch>,
    /// Batches that were never made: from and through.
    gaps: Vec<(u64, u64)>,
}

impl Allocations {
    /// The record of a job that is started for the first time.
    pub fn new(started: Time) -> Self {
        Self { started_ms: started.as_ms(), ..Self::default() }
    }

    /// Takes an event. Events that say the same twice change nothing the second time.
    pub(super) fn apply(&mut self, event: &AllocationEvent) {
        match event {
            AllocationEvent::Allocated(batch) => {
                if self.last_ms.is_some_and(|last| batch.time_ms <= last) {
                    return;
                }
                self.last_ms = Some(batch.time_ms);
                for source in &batch.sources {
                    let next = source.partitions.iter().filter_map(|partition| match partition {
                        SavedPartition::Block { sequence, .. } => Some(sequence.saturating_add(1)),
                        SavedPartition::Split { .. } => None,
                    });
                    if let Some(next) = next.max() {
                        let known = self.next_blocks.entry(source.name.clone()).or_default();
                        *known = next.max(*known);
                    }
                }
                if batch.sources.iter().any(|source| !source.partitions.is_empty()) {
                    self.batches.insert(batch.time_ms, batch.clone());
                }
            }
            AllocationEvent::Forgotten { before_ms } => {
                self.forgotten_before_ms = self.forgotten_before_ms.max(*before_ms);
                self.batches = self.batches.split_off(&self.forgotten_before_ms);
            }
            AllocationEvent::Gap { from_ms, through_ms } => {
                if self.last_ms.is_none_or(|last| *through_ms > last) {
                    self.last_ms = Some(*through_ms);
                    self.gaps.push((*from_ms, *through_ms));
                }
            }
        }
    }

    /// When the job was started for the first time.
    pub const fn started(&self) -> Time {
        Time::from_ms(self.started_ms)
    }

    /// The latest batch that has its data, or was left out.
    pub fn last(&self) -> Option<Time> {
        self.last_ms.map(Time::from_ms)
    }

    /// What batches before this time read is not known any more: they were done for good.
    pub const fn forgotten_before(&self) -> Time {
        Time::from_ms(self.forgotten_before_ms)
    }

    /// The number of the block after the last of a source.
    pub fn next_block(&self, source: &str) -> u64 {
        self.next_blocks.get(source).copied().unwrap_or(0)
    }

    /// Sources with blocks, and the number of the block after the last of each.
    pub fn positions(&self) -> impl Iterator<Item = (&str, u64)> {
        self.next_blocks.iter().map(|(source, next)| (source.as_str(), *next))
    }

    /// The batches that read anything and are not forgotten, in order.
    pub fn batches(&self) -> impl DoubleEndedIterator<Item = (Time, BatchPartitions)> {
        self.batches.iter().map(|(ms, batch)| (Time::from_ms(*ms), batch.partitions()))
    }

    /// How many batches read anything and are not forgotten.
    pub fn batch_count(&self) -> usize {
        self.batches.len()
    }

    /// Batches that were never made, by the wish of who started the host: the first and the last of each stretch.
    pub fn gaps(&self) -> impl Iterator<Item = (Time, Time)> {
        self.gaps.iter().map(|(from, through)| (Time::from_ms(*from), Time::from_ms(*through)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Partitions of a batch that reads the given blocks of a source, and a part of a file.
    pub fn partitions(blocks: std::ops::Range<u64>, file: bool) -> BatchPartitions {
        let block = |sequence| InputPartition::Block {
            id: BlockId { source: "queue".to_owned(), sequence },
            rows: sequence * 2,
        };
        let split = InputPartition::Split(FileSplit {
            source: "files".to_owned(),
            path: PathBuf::from(OsString::from_vec(b"/in/not \xff utf-8".to_vec())),
            start: 1,
            end: 2,
            file_bytes: 3,
            modified: Time::from_ms(4),
            max_line_bytes: 5,
        });
        let mut partitions = BTreeMap::from([("queue".to_owned(), blocks.map(block).collect())]);
        if file {
            partitions.insert("files".to_owned(), vec![split]);
        }
        partitions
    }

    proptest! {
        /// A batch is remembered as it was, until it is forgotten; positions never go back.
        #[test]
        fn what_batches_read_is_remembered(counts in prop::collection::vec((0u64..4, any::<bool>()), 1..30), before in 0u64..40) {
            let mut record = Allocations::new(Time::from_ms(7));
            let mut next = 0;
            let mut expected = BTreeMap::new();
            for (at, (count, file)) in counts.iter().enumerate() {
                let time = Time::from_ms(at as u64 + 1);
                let read = partitions(next..next + count, *file);
                next += count;
                let event = AllocationEvent::Allocated(SavedBatch::new(time, &read));
                record.apply(&event);
                let once = record.clone();
                record.apply(&event);
                prop_assert_eq!(&record, &once);
                if *count > 0 || *file {
                    expected.insert(time, read);
                }
            }
            record.apply(&AllocationEvent::Forgotten { before_ms: before });
            expected.retain(|time, _| time.as_ms() >= before);
            prop_assert_eq!(record.batches().collect::<BTreeMap<_, _>>(), expected);
            prop_assert_eq!(record.next_block("queue"), next);
            prop_assert_eq!(record.last(), Some(Time::from_ms(counts.len() as u64)));
            prop_assert_eq!(record.started(), Time::from_ms(7));
        }
    }

    #[test]
    fn a_gap_is_passed_over() {
        let mut record = Allocations::new(Time::default());
        record.apply(&AllocationEvent::Gap { from_ms: 3, through_ms: 9 });
        record.apply(&AllocationEvent::Allocated(SavedBatch::new(Time::from_ms(9), &partitions(0..1, false))));
        assert_eq!((record.last(), record.batch_count()), (Some(Time::from_ms(9)), 0));
        assert_eq!(record.gaps().collect::<Vec<_>>(), [(Time::from_ms(3), Time::from_ms(9))]);
    }
}
