//! Segments of the allocation log: the files `ingest/log-EPOCH-NUMBER`, and how a log is read.
//!
//! Owns the names of segments, and the order in which their documents must stand. A group of events is one document
//! with one checksum. A group is written only after the group before it is durable. So a broken document that is
//! followed by a whole one was damaged, and a broken document at the end of a segment was torn by a crash. Never writes
//! a segment: see `allocation_log.rs`.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::allocations::{Allocations, LogDocument};
use super::allocations_1::LogDocument1;
use super::allocations_2::LogDocument2;
use super::codec::{self, ALLOCATIONS, ALLOCATIONS_1, ALLOCATIONS_2, CodecError};
use crate::env::Store;
use crate::shown::counted;
use std::io;

/// The directory of the log.
pub(super) const DIRECTORY: &str = "ingest";
/// The prefix of the names of segments.
pub(super) const PREFIX: &str = "log-";
/// The largest segment that is read.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The storage failed.
    #[error("cannot read {name}: {error}")]
    Store {
        /// The segment or directory.
        name: String,
        /// The error of the storage.
        error: io::Error,
    },
    /// A document is broken that was whole before.
    #[error("{name} is damaged at byte {at}: {error}")]
    Damaged {
        /// The segment.
        name: String,
        /// The offset at which the document begins, in bytes.
        at: usize,
        /// What is wrong with the document.
        error: CodecError,
    },
}

/// An unfinished end of a segment, which was being written when the host or the machine went down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub name: String,
    /// The offset at which the unfinished end begins, in bytes.
    pub at: usize,
    /// The length of the unfinished end, in bytes.
    pub bytes: usize,
}

/// The content of a log.
#[derive(Debug)]
pub struct ReadLog {
    /// The record of allocations, as the newest segment says.
    pub record: Allocations,
    /// The unfinished ends that were left out.
    pub torn: Vec<TornTail>,
    /// The names and sizes in bytes of the segments that were read.
    pub segments: Vec<(String, u64)>,
}

/// Reads the document at the beginning of `bytes`, of any version. Returns the document and its length.
fn decode(bytes: &[u8]) -> Result<(LogDocument, usize), CodecError> {
    match codec::decode(ALLOCATIONS, bytes) {
        Err(CodecError::Version(1)) => {
            let (document, end) = codec::decode::<LogDocument1>(ALLOCATIONS_1, bytes)?;
            Ok((document.into(), end))
        }
        Err(CodecError::Version(2)) => {
            let (document, end) = codec::decode::<LogDocument2>(ALLOCATIONS_2, bytes)?;
            Ok((document.into(), end))
        }
        decoded => decoded,
    }
}

/// The offset of the first whole document at or after `start`. `None` if there is none.
fn find(bytes: &[u8], start: usize) -> Option<usize> {
    [ALLOCATIONS, ALLOCATIONS_1, ALLOCATIONS_2].into_iter().filter_map(|kind| codec::find(kind, bytes, start)).min()
}

/// Identifies a segment: the epoch of the owner that wrote it, and its number among the segments of that owner.
pub(super) type SegmentNumber = (u64, u64);

/// Parses the name of a segment. `None` if the name is not one of a segment.
pub(super) fn numbers(name: &str) -> Option<SegmentNumber> {
    let (epoch, number) = name.strip_prefix(PREFIX)?.split_once('-')?;
    Some((epoch.parse().ok()?, number.parse().ok()?))
}

/// The numbers and names of all segments, the newest first.
pub(super) fn segments(store: &dyn Store) -> Result<Vec<(SegmentNumber, String)>, LogError> {
    let failed = |error| LogError::Store { name: DIRECTORY.to_owned(), error };
    let pieces = store.list(DIRECTORY).map_err(failed)?;
    let mut segments: Vec<_> =
        pieces.into_iter().filter_map(|piece| Some((numbers(&piece.name)?, piece.name))).collect();
    segments.sort();
    segments.reverse();
    Ok(segments)
}

/// Reads the log. `None` if there is no log.
///
/// # Errors
/// Returns an error if the storage fails or the log is damaged.
pub fn read(store: &dyn Store) -> Result<Option<ReadLog>, LogError> {
    let (mut torn, mut read_segments) = (Vec::new(), Vec::new());
    for (_, name) in segments(store)? {
        let name = format!("{DIRECTORY}/{name}");
        let bytes =
            store.read(&name, SEGMENT_BYTES_MAX).map_err(|error| LogError::Store { name: name.clone(), error })?;
        read_segments.push((name.clone(), bytes.len() as u64));
        if let Some(record) = replay(&name, &bytes, &mut torn)? {
            return Ok(Some(ReadLog { record, torn, segments: read_segments }));
        }
    }
    Ok(None)
}

/// Rebuilds the record of one segment. `None` if the snapshot of the segment was never finished: then the segment
/// before it is the newest.
fn replay(name: &str, bytes: &[u8], torn: &mut Vec<TornTail>) -> Result<Option<Allocations>, LogError> {
    let segment = Segment::of(bytes);
    for SegmentDocument { at, bytes, state, .. } in segment.documents {
        match state {
            DocumentState::Whole => {}
            DocumentState::Torn => torn.push(TornTail { name: name.to_owned(), at, bytes }),
            DocumentState::Damaged(error) => return Err(LogError::Damaged { name: name.to_owned(), at, error }),
        }
    }
    Ok(segment.record)
}

/// The content of one segment, document by document.
#[derive(Debug, Default)]
pub(super) struct Segment {
    /// The record that the readable documents give together. `None` if no snapshot can be read.
    pub record: Option<Allocations>,
    /// The documents, in order.
    pub documents: Vec<SegmentDocument>,
}

/// A document of a segment.
#[derive(Debug)]
pub(super) struct SegmentDocument {
    /// The offset at which the document begins, in bytes.
    pub at: usize,
    /// The length in bytes. For a document that cannot be read, the distance to the next one that can be read.
    pub bytes: usize,
    /// The content in words, for people. Empty if the document cannot be read.
    pub what: String,
    /// Whether the document can be read.
    pub state: DocumentState,
}

/// Whether a document can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DocumentState {
    /// The document can be read.
    Whole,
    /// The document was never finished.
    Torn,
    /// The document was whole before, and is broken now.
    Damaged(CodecError),
}

impl Segment {
    /// Reads all documents, also those after a document that cannot be read.
    fn of(bytes: &[u8]) -> Self {
        let mut segment = Self::default();
        let mut at = 0;
        while at < bytes.len() || segment.documents.is_empty() {
            let (length, what, state) = match decode(bytes.get(at..).unwrap_or_default()) {
                Ok((document, length)) => {
                    let (what, state) = segment.take(document);
                    (length, what, state)
                }
                Err(error) => {
                    let next = find(bytes, at.saturating_add(1));
                    let is_finished = matches!(error, CodecError::Version(_) | CodecError::Payload(_));
                    let is_torn = next.is_none() && !is_finished;
                    let state = if is_torn { DocumentState::Torn } else { DocumentState::Damaged(error) };
                    (next.unwrap_or(bytes.len()).saturating_sub(at), String::new(), state)
                }
            };
            segment.documents.push(SegmentDocument { at, bytes: length, what, state });
            at = at.saturating_add(length);
        }
        segment
    }

    fn take(&mut self, document: LogDocument) -> (String, DocumentState) {
        let misplaced = |why: &str| DocumentState::Damaged(CodecError::Payload(why.to_owned()));
        match document {
            LogDocument::Snapshot(snapshot) => {
                let what = format!("snapshot with {}", counted(snapshot.batch_count() as u64, "batch"));
                if !self.documents.is_empty() {
                    return (what, misplaced("a second snapshot"));
                }
                self.record = Some(snapshot);
                (what, DocumentState::Whole)
            }
            LogDocument::Events(events) => {
                let what = counted(events.len() as u64, "event");
                if self.documents.is_empty() {
                    return (what, misplaced("it does not begin with a snapshot"));
                }
                // Without a record, the snapshot cannot be read. That was reported at the snapshot.
                if let Some(record) = &mut self.record {
                    events.iter().for_each(|event| record.apply(event));
                }
                (what, DocumentState::Whole)
            }
        }
    }
}

/// The names of all segments, the newest first.
pub(super) fn segment_names(store: &dyn Store) -> Result<Vec<String>, LogError> {
    Ok(segments(store)?.into_iter().map(|(_, name)| format!("{DIRECTORY}/{name}")).collect())
}

/// Reads a segment, with its size in bytes. `None` if the segment has been removed.
pub(super) fn read_segment(store: &dyn Store, name: &str) -> Result<Option<(u64, Segment)>, LogError> {
    match store.read(name, SEGMENT_BYTES_MAX) {
        Ok(bytes) => Ok(Some((bytes.len() as u64, Segment::of(&bytes)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LogError::Store { name: name.to_owned(), error }),
    }
}
