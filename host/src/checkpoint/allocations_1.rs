//! Version 1 of the types in `allocations.rs`. A log of this version is still read, and is never written.
//!
//! Owns the types of version 1, which never change.

use super::allocations::{AllocationEvent, Allocations, LogDocument, SavedBatch, SavedPartition, SavedSource};
use serde::Deserialize;
use std::collections::BTreeMap;

/// How many nanoseconds a millisecond has.
const NS_PER_MS: u64 = 1_000_000;

/// The content of a document of the log.
#[derive(Debug, Deserialize)]
pub(super) enum LogDocument1 {
    Snapshot(Allocations1),
    Events(Vec<AllocationEvent1>),
}

#[derive(Debug, Deserialize)]
pub(super) enum AllocationEvent1 {
    Allocated(SavedBatch1),
    Forgotten { before_ms: u64 },
    Gap { from_ms: u64, through_ms: u64 },
}

#[derive(Debug, Deserialize)]
pub(super) struct SavedBatch1 {
    time_ms: u64,
    sources: Vec<SavedSource1>,
}

#[derive(Debug, Deserialize)]
struct SavedSource1 {
    name: String,
    partitions: Vec<SavedPartition1>,
}

#[derive(Debug, Deserialize)]
enum SavedPartition1 {
    Block { sequence: u64, rows: u64 },
    Split { path: Vec<u8>, start: u64, end: u64, file_bytes: u64, modified_ms: u64, max_line_bytes: u64 },
}

#[derive(Debug, Deserialize)]
pub(super) struct Allocations1 {
    epoch: u64,
    started_ms: u64,
    last_ms: Option<u64>,
    forgotten_before_ms: u64,
    next_blocks: BTreeMap<String, u64>,
    batches: BTreeMap<u64, SavedBatch1>,
    gaps: Vec<(u64, u64)>,
}

impl From<LogDocument1> for LogDocument {
    fn from(document: LogDocument1) -> Self {
        match document {
            LogDocument1::Snapshot(snapshot) => Self::Snapshot(snapshot.into()),
            LogDocument1::Events(events) => Self::Events(events.into_iter().map(AllocationEvent::from).collect()),
        }
    }
}

impl From<AllocationEvent1> for AllocationEvent {
    fn from(event: AllocationEvent1) -> Self {
        match event {
            AllocationEvent1::Allocated(batch) => Self::Allocated(batch.into()),
            AllocationEvent1::Forgotten { before_ms } => Self::Forgotten { before_ms },
            AllocationEvent1::Gap { from_ms, through_ms } => Self::Gap { from_ms, through_ms },
        }
    }
}

impl From<SavedBatch1> for SavedBatch {
    fn from(batch: SavedBatch1) -> Self {
        let source = |source: SavedSource1| SavedSource {
            name: source.name,
            partitions: source.partitions.into_iter().map(SavedPartition::from).collect(),
        };
        Self { time_ms: batch.time_ms, sources: batch.sources.into_iter().map(source).collect() }
    }
}

impl From<SavedPartition1> for SavedPartition {
    fn from(partition: SavedPartition1) -> Self {
        match partition {
            SavedPartition1::Block { sequence, rows } => Self::Block { sequence, rows, checksum: None },
            SavedPartition1::Split { path, start, end, file_bytes, modified_ms, max_line_bytes } => Self::Split {
                path,
                start,
                end,
                file_bytes,
                file: None,
                modified_ns: modified_ms.saturating_mul(NS_PER_MS),
                checksum: None,
                max_line_bytes,
            },
        }
    }
}

impl From<Allocations1> for Allocations {
    fn from(record: Allocations1) -> Self {
        Self {
            epoch: record.epoch,
            started_ms: record.started_ms,
            last_ms: record.last_ms,
            forgotten_before_ms: record.forgotten_before_ms,
            next_blocks: record.next_blocks,
            checksums: BTreeMap::new(),
            log_positions: BTreeMap::new(),
            batches: record.batches.into_iter().map(|(time, batch)| (time, batch.into())).collect(),
            gaps: record.gaps,
        }
    }
}
