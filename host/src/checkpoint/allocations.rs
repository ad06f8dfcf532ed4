//! The data that each batch reads, as the allocation log holds it: a pure record that events rebuild.
//!
//! Owns the types that are written. A written type never changes: a new version of it is a new type. Owns also how an
//! event changes the record. Never reads or writes a log: see `allocation_log.rs`.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::block::{FileSplit, FileStamp, InputPartition, LogRange, ReadPart};
use crate::env::FileId;
use crate::ids::BlockId;
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

/// The partitions that a batch reads, by source.
pub type BatchPartitions = BTreeMap<String, Vec<InputPartition>>;

/// The content of a document of the log.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum LogDocument {
    /// The whole record, at the beginning of a segment.
    Snapshot(Allocations),
    /// Events that came after the snapshot.
    Events(Vec<AllocationEvent>),
}

/// An event that changes the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum AllocationEvent {
    /// A batch was given its data. It is never given other data.
    Allocated(SavedBatch),
    /// Nothing needs the data of the batches before this time.
    Forgotten { before_ms: u64 },
    /// These batches are never made, because the user who started the host asked for that.
    Gap { from_ms: u64, through_ms: u64 },
    /// A batch has read these parts of files and ranges of logs to their ends. If the batch runs again, it reads the
    /// same content.
    Read { time_ms: u64, parts: Vec<SavedRead> },
}

impl AllocationEvent {
    /// Makes the event that a batch has read parts of files and ranges of logs to their ends.
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
    Range {
        partition: String,
        from: i64,
        until: i64,
        is_last: bool,
        checksum: Option<u64>,
    },
}

/// What identifies a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedFile {
    device: u64,
    inode: u64,
    born_ns: u64,
}

/// A part of a file, or a range of a log, and its checksum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedRead {
    source: String,
    /// The path of the file, or the name of the partition of the log.
    path: Vec<u8>,
    start: u64,
    checksum: u64,
}

impl SavedBatch {
    /// Makes the written form of a batch.
    pub(super) fn new(time: Time, partitions: &BatchPartitions) -> Self {
        let source = |(name, partitions): (&String, &Vec<InputPartition>)| SavedSource {
            name: name.clone(),
            partitions: partitions.iter().map(SavedPartition::new).collect(),
        };
        Self { time_ms: time.as_ms(), sources: partitions.iter().map(source).collect() }
    }

    /// Records the checksum of a part of a file or a range of a log. A checksum that was recorded before is not
    /// replaced.
    fn has_read(&mut self, part: &SavedRead) {
        let sources = self.sources.iter_mut().filter(|source| source.name == part.source);
        for partition in sources.flat_map(|source| &mut source.partitions) {
            match partition {
                SavedPartition::Split { path, start, checksum, .. }
                    if (&**path, *start) == (&*part.path, part.start) =>
                {
                    checksum.get_or_insert(part.checksum);
                }
                SavedPartition::Range { partition, from, checksum, .. }
                    if (partition.as_bytes(), from.unsigned_abs()) == (&*part.path, part.start) =>
                {
                    checksum.get_or_insert(part.checksum);
                }
                _ => {}
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
            InputPartition::Range(range) => Self::Range {
                partition: range.partition.clone(),
                from: range.from,
                until: range.until,
                is_last: range.is_last,
                checksum: range.checksum,
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
            Self::Range { partition, from, until, is_last, checksum } => InputPartition::Range(LogRange {
                source: source.to_owned(),
                partition: partition.clone(),
                from: *from,
                until: *until,
                is_last: *is_last,
                checksum: *checksum,
            }),
        }
    }
}

/// The record: the data of each batch that is still needed, and how far each source was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocations {
    /// The epoch of the owner that writes the record.
    pub(super) epoch: u64,
    /// When the job was started for the first time.
    pub(super) started_ms: u64,
    /// The latest batch that was given its data.
    pub(super) last_ms: Option<u64>,
    /// Batches before this time are forgotten.
    pub(super) forgotten_before_ms: u64,
    /// For each source with blocks: one more than the number of its last block.
    pub(super) next_blocks: BTreeMap<String, u64>,
    /// For each source with blocks of a file: the checksum of the file up to the last block.
    pub(super) checksums: BTreeMap<String, u64>,
    /// For each source with ranges, and each of its partitions that has more data or may get more: the position after
    /// the last range.
    pub(super) log_positions: BTreeMap<String, BTreeMap<String, i64>>,
    /// The batches that read data and are not forgotten.
    pub(super) batches: BTreeMap<u64, SavedBatch>,
    /// The batches that were never made, as ranges: the first and the last batch of each.
    pub(super) gaps: Vec<(u64, u64)>,
}

impl Allocations {
    /// Makes the record of a job that is started for the first time.
    pub fn new(started: Time) -> Self {
        Self { started_ms: started.as_ms(), ..Self::default() }
    }

    /// Applies an event. An event that repeats an earlier one changes nothing.
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
                        SavedPartition::Split { .. } | SavedPartition::Range { .. } => None,
                    });
                    if let Some((next, checksum)) = next.max() {
                        let known = self.next_blocks.entry(source.name.clone()).or_default();
                        *known = next.max(*known);
                        self.checksums.extend(checksum.map(|checksum| (source.name.clone(), checksum)));
                    }
                    self.ranges_given(source);
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

    /// Moves the positions of a source behind the ranges that a batch was given.
    fn ranges_given(&mut self, source: &SavedSource) {
        for partition in &source.partitions {
            let SavedPartition::Range { partition, until, is_last, .. } = partition else { continue };
            let positions = self.log_positions.entry(source.name.clone()).or_default();
            match is_last {
                true => drop(positions.remove(partition)),
                false => drop(positions.insert(partition.clone(), *until)),
            }
        }
    }

    /// When the job was started for the first time.
    pub const fn started(&self) -> Time {
        Time::from_ms(self.started_ms)
    }

    /// The latest batch that was given its data or was left out.
    pub fn last(&self) -> Option<Time> {
        self.last_ms.map(Time::from_ms)
    }

    /// The time before which the data of batches is forgotten. These batches are done, and never run again.
    pub const fn forgotten_before(&self) -> Time {
        Time::from_ms(self.forgotten_before_ms)
    }

    /// One more than the number of the last block of a source.
    pub fn next_block(&self, source: &str) -> u64 {
        self.next_blocks.get(source).copied().unwrap_or(0)
    }

    /// The checksum of a source's file up to the last block that a batch was given. `None` if the source has no file,
    /// or if an earlier version of the host, which kept no checksums, read the file.
    pub fn checksum(&self, source: &str) -> Option<u64> {
        self.checksums.get(source).copied()
    }

    /// The partitions of a source with ranges that have more data or may get more. For each, the position after its
    /// last range.
    pub fn log_positions(&self, source: &str) -> BTreeMap<String, i64> {
        self.log_positions.get(source).cloned().unwrap_or_default()
    }

    /// The names of the sources with ranges.
    pub fn sources_with_ranges(&self) -> impl Iterator<Item = &str> {
        self.log_positions.keys().map(String::as_str)
    }

    /// The sources with blocks. For each, one more than the number of its last block.
    pub fn positions(&self) -> impl Iterator<Item = (&str, u64)> {
        self.next_blocks.iter().map(|(source, next)| (source.as_str(), *next))
    }

    /// The batches that read data and are not forgotten, in order.
    pub fn batches(&self) -> impl DoubleEndedIterator<Item = (Time, BatchPartitions)> {
        self.batches.iter().map(|(ms, batch)| (Time::from_ms(*ms), batch.partitions()))
    }

    /// How many batches read data and are not forgotten.
    pub fn batch_count(&self) -> usize {
        self.batches.len()
    }

    /// The batches that were never made because the user asked for that, as ranges: the first and the last batch of
    /// each.
    pub fn gaps(&self) -> impl Iterator<Item = (Time, Time)> {
        self.gaps.iter().map(|(from, through)| (Time::from_ms(*from), Time::from_ms(*through)))
    }
}

#[cfg(test)]
pub(super) mod tests;
