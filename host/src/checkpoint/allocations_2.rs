//! Version 2 of the types in `allocations.rs`. A log of this version is still read, and is never written.
//!
//! Owns the types of version 2, which never change. In version 2, no source had ranges. Its batches and events have the
//! same bytes as those of version 3 that have no ranges, so that the types of version 3 read them.

use super::allocations::{AllocationEvent, Allocations, LogDocument, SavedBatch};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The content of a document of the log.
#[derive(Debug, Deserialize)]
pub(super) enum LogDocument2 {
    Snapshot(Allocations2),
    Events(Vec<AllocationEvent>),
}

#[derive(Debug, Deserialize)]
pub(super) struct Allocations2 {
    epoch: u64,
    started_ms: u64,
    last_ms: Option<u64>,
    forgotten_before_ms: u64,
    next_blocks: BTreeMap<String, u64>,
    checksums: BTreeMap<String, u64>,
    batches: BTreeMap<u64, SavedBatch>,
    gaps: Vec<(u64, u64)>,
}

impl From<LogDocument2> for LogDocument {
    fn from(document: LogDocument2) -> Self {
        match document {
            LogDocument2::Snapshot(snapshot) => Self::Snapshot(snapshot.into()),
            LogDocument2::Events(events) => Self::Events(events),
        }
    }
}

impl From<Allocations2> for Allocations {
    fn from(record: Allocations2) -> Self {
        Self {
            epoch: record.epoch,
            started_ms: record.started_ms,
            last_ms: record.last_ms,
            forgotten_before_ms: record.forgotten_before_ms,
            next_blocks: record.next_blocks,
            checksums: record.checksums,
            log_positions: BTreeMap::new(),
            batches: record.batches,
            gaps: record.gaps,
        }
    }
}
