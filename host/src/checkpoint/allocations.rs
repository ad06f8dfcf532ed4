//! What batches read, as the allocation log holds it: a pure record that events rebuild.
//!
//! Owns the types that are written, and how an event changes the record. Types that are written never change: a new
//! version of them is a new type. Never reads or writes a log: see `allocation_log.rs`.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::block::{FileSplit, FileStamp, InputPartition, ReadPart};
use crate::env::FileId;
use crate::ids::BlockId;
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

/// What a batch reads, by source.
pub type BatchPartitions = BTreeMap<String, Vec<InputPartition>>;

/// What a document of the log is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum LogDocument {
    /// The whole record, at the beginning of a segment.
    Snapshot(Allocations),
    /// What happened then.
    Events(Vec<AllocationEvent>),
}

/// Something that changes the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum AllocationEvent {
    /// A batch has its data, and never other data.
    Allocated(SavedBatch),
    /// Nothing needs what the batches before this time read.
    Forgotten { before_ms: u64 },
    /// These batches were never made, by the wish of who started the host.
    Gap { from_ms: u64, through_ms: u64 },
    /// A batch has read these parts of files through, and reads nothing else when it runs again.
    Read { time_ms: u64, parts: Vec<SavedRead> },
}

impl AllocationEvent {
    /// A batch has read parts of files through.
    pub(super) fn read(batch: Time, parts: &[ReadPart]) -> Self {
        let part = |part: &ReadPart| SavedRead {
            source: part.source.clone(),
            path: part.path.as_os_str().as_bytes().to_vec(),
            start: part.start,
            checksum: part.checksum,
        };
        Self::Read { time_ms: batch.as_ms(), parts: parts.iter().map(part).collect() }
    }
}

/// A batch and what it reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedBatch {
    pub(super) time_ms: u64,
    pub(super) sources: Vec<SavedSource>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedSource {
    pub(super) name: String,
    pub(super) partitions: Vec<SavedPartition>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SavedPartition {
    Block {
        sequence: u64,
        rows: u64,
        checksum: Option<u64>,
    },
    Split {
        path: Vec<u8>,
        start: u64,
        end: u64,
        file_bytes: u64,
        file: Option<SavedFile>,
        modified_ns: u64,
        checksum: Option<u64>,
        max_line_bytes: u64,
    },
}

/// Which file it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedFile {
    device: u64,
    inode: u64,
    born_ns: u64,
}

/// A part of a file, and the checksum of its lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedRead {
    source: String,
    path: Vec<u8>,
    start: u64,
    checksum: u64,
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

    /// Remembers what a part of a file held. What was known before stays.
    fn has_read(&mut self, part: &SavedRead) {
        let sources = self.sources.iter_mut().filter(|source| source.name == part.source);
        for partition in sources.flat_map(|source| &mut source.partitions) {
            if let SavedPartition::Split { path, start, checksum, .. } = partition
                && (&*path, *start) == (&part.path, part.start)
            {
                checksum.get_or_insert(part.checksum);
            }
        }
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
            InputPartition::Block { id, rows, checksum } => {
                Self::Block { sequence: id.sequence, rows: *rows, checksum: *checksum }
            }
            InputPartition::Split(split) => Self::Split {
                path: split.path.as_os_str().as_bytes().to_vec(),
                start: split.start,
                end: split.end,
                file_bytes: split.file_bytes,
                file: split.stamp.id.map(|id| SavedFile { device: id.device, inode: id.inode, born_ns: id.born_ns }),
                modified_ns: split.stamp.modified_ns,
                checksum: split.checksum,
                max_line_bytes: split.max_line_bytes as u64,
            },
        }
    }

    fn partition(&self, source: &str) -> InputPartition {
        match self {
            Self::Block { sequence, rows, checksum } => InputPartition::Block {
                id: BlockId { source: source.to_owned(), sequence: *sequence },
                rows: *rows,
                checksum: *checksum,
            },
            Self::Split { path, start, end, file_bytes, file, modified_ns, checksum, max_line_bytes } => {
                let id =
                    file.as_ref().map(|file| FileId { device: file.device, inode: file.inode, born_ns: file.born_ns });
                InputPartition::Split(FileSplit {
                    source: source.to_owned(),
                    path: PathBuf::from(OsString::from_vec(path.clone())),
                    start: *start,
                    end: *end,
                    file_bytes: *file_bytes,
                    stamp: FileStamp { id, modified_ns: *modified_ns },
                    checksum: *checksum,
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
    pub(super) started_ms: u64,
    /// The latest batch that has its data.
    pub(super) last_ms: Option<u64>,
    /// Batches before this time are forgotten.
    pub(super) forgotten_before_ms: u64,
    /// For each source with blocks, the number of the block after the last.
    pub(super) next_blocks: BTreeMap<String, u64>,
    /// For each source with blocks of a file, what identifies the content of the file up to the last block.
    pub(super) checksums: BTreeMap<String, u64>,
    /// The batches that read anything, but for those that are forgotten.
    pub(super) batches: BTreeMap<u64, SavedBatch>,
    /// Batches that were never made: from and through.
    pub(super) gaps: Vec<(u64, u64)>,
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
                        SavedPartition::Block { sequence, checksum, .. } => {
                            Some((sequence.saturating_add(1), *checksum))
                        }
                        SavedPartition::Split { .. } => None,
                    });
                    if let Some((next, checksum)) = next.max() {
                        let known = self.next_blocks.entry(source.name.clone()).or_default();
                        *known = next.max(*known);
                        self.checksums.extend(checksum.map(|checksum| (source.name.clone(), checksum)));
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
            AllocationEvent::Read { time_ms, parts } => {
                let Some(batch) = self.batches.get_mut(time_ms) else { return };
                parts.iter().for_each(|part| batch.has_read(part));
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

    /// What identifies the content of a source's file up to the last block that a batch has. `None` if the source has no
    /// file, or an earlier version of the host read it.
    pub fn checksum(&self, source: &str) -> Option<u64> {
        self.checksums.get(source).copied()
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
            checksum: Some(sequence + 7),
        };
        let split = InputPartition::Split(FileSplit {
            source: "files".to_owned(),
            path: PathBuf::from(OsString::from_vec(b"/in/not \xff utf-8".to_vec())),
            start: 1,
            end: 2,
            file_bytes: 3,
            stamp: FileStamp { id: Some(FileId { device: 6, inode: 7, born_ns: 8 }), modified_ns: 4_000_009 },
            checksum: None,
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

    /// S2.16
    #[test]
    fn what_a_part_of_a_file_held_is_remembered() {
        let mut record = Allocations::new(Time::default());
        let batch = Time::from_ms(5);
        record.apply(&AllocationEvent::Allocated(SavedBatch::new(batch, &partitions(0..1, true))));
        let path = PathBuf::from(OsString::from_vec(b"/in/not \xff utf-8".to_vec()));
        let part = ReadPart { source: "files".to_owned(), path, start: 1, checksum: 77 };
        let checksum = |record: &Allocations| match &record.batches().next().unwrap().1["files"][0] {
            InputPartition::Split(split) => split.checksum,
            InputPartition::Block { .. } => None,
        };
        for other in [ReadPart { start: 2, ..part.clone() }, ReadPart { source: "queue".to_owned(), ..part.clone() }] {
            record.apply(&AllocationEvent::read(batch, &[other]));
            assert_eq!(checksum(&record), None);
        }
        record.apply(&AllocationEvent::read(batch, std::slice::from_ref(&part)));
        record.apply(&AllocationEvent::read(batch, &[ReadPart { checksum: 78, ..part }]));
        assert_eq!(checksum(&record), Some(77));
        assert_eq!((record.checksum("queue"), record.checksum("files")), (Some(7), None));
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
