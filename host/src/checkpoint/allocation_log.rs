//! The allocation log: what each batch reads, on stable storage before the batch shows a result.
//!
//! Owns the segments `ingest/log-EPOCH-NUMBER`. A segment begins with a snapshot of the whole record and goes on with
//! events. So a reader needs the newest segment only, and older ones can be removed. Each owner of the directory begins
//! a new segment: what an owner that was replaced still writes stands in a segment that nobody reads. Never decides
//! what batches read.
//!
//! A group of events is one document with one checksum. A group is written only after the group before it is durable.
//! So a broken document that is followed by a whole one was damaged, and a broken document at the end of a segment was
//! torn by a crash.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::allocations::{AllocationEvent, Allocations, LogDocument};
use super::allocations_1::LogDocument1;
use super::allocations_2::LogDocument2;
use super::codec::{self, ALLOCATIONS, ALLOCATIONS_1, ALLOCATIONS_2, CodecError};
use crate::env::{Appender, Store};
use std::io;
use std::sync::Arc;

/// The directory of the log.
const DIRECTORY: &str = "ingest";
/// The prefix of the names of segments.
const PREFIX: &str = "log-";
/// The largest segment that is read.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// A segment is closed, and a new one begun, when its events are at least this large (in bytes) and at least
/// [`EVENTS_PER_SNAPSHOT`] times as large as its snapshot.
const EVENTS_BYTES_MIN: usize = 256 << 10;
/// How many times as large as the snapshot the events of a segment may be: see [`EVENTS_BYTES_MIN`].
const EVENTS_PER_SNAPSHOT: usize = 4;

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
type SegmentNumber = (u64, u64);

/// Parses the name of a segment. `None` if the name is not one of a segment.
fn numbers(name: &str) -> Option<SegmentNumber> {
    let (epoch, number) = name.strip_prefix(PREFIX)?.split_once('-')?;
    Some((epoch.parse().ok()?, number.parse().ok()?))
}

/// The numbers and names of all segments, the newest first.
fn segments(store: &dyn Store) -> Result<Vec<(SegmentNumber, String)>, LogError> {
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
                let what = format!("snapshot with {} batches", snapshot.batch_count());
                if !self.documents.is_empty() {
                    return (what, misplaced("a second snapshot"));
                }
                self.record = Some(snapshot);
                (what, DocumentState::Whole)
            }
            LogDocument::Events(events) => {
                let what = format!("{} events", events.len());
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

/// Writes the log, for the owner of a directory.
pub struct AllocationLog {
    store: Arc<dyn Store>,
    record: Allocations,
    next_number: u64,
    open: Option<OpenSegment>,
}

struct OpenSegment {
    appender: Box<dyn Appender>,
    snapshot_bytes: usize,
    events_bytes: usize,
}

impl AllocationLog {
    /// Makes a log that goes on from `record`, for the owner with the number `epoch`.
    pub fn new(store: Arc<dyn Store>, mut record: Allocations, epoch: u64) -> Self {
        record.epoch = epoch;
        Self { store, record, next_number: 0, open: None }
    }

    /// Writes a snapshot of the record. This shows whether the directory can be written.
    ///
    /// # Errors
    /// Returns the error of the storage.
    pub fn begin(&mut self) -> io::Result<()> {
        self.append(&[])
    }

    /// Applies events to the record, and waits until they are durable. After an error the events are applied but not
    /// durable: the next call makes them durable together with its own events. That call may have no events of its own.
    pub(super) fn append(&mut self, events: &[AllocationEvent]) -> io::Result<()> {
        events.iter().for_each(|event| self.record.apply(event));
        let invalid = |error: CodecError| io::Error::new(io::ErrorKind::InvalidData, error);
        let is_long = |open: &OpenSegment| {
            let events_bytes_max = EVENTS_BYTES_MIN.max(open.snapshot_bytes.saturating_mul(EVENTS_PER_SNAPSHOT));
            open.events_bytes >= events_bytes_max || open.appender.is_long()
        };
        // After an error the appended bytes may or may not be in the segment. So the segment is not used any more.
        if let Some(mut open) = self.open.take_if(|open| !is_long(open)) {
            if !events.is_empty() {
                let document = codec::encode(ALLOCATIONS, &LogDocument::Events(events.to_vec())).map_err(invalid)?;
                open.appender.append(&document)?;
                open.events_bytes = open.events_bytes.saturating_add(document.len());
            }
            self.open = Some(open);
            return Ok(());
        }
        self.open = None;
        let name = format!("{PREFIX}{:08}-{:08}", self.record.epoch, self.next_number);
        self.next_number = self.next_number.saturating_add(1);
        let document = codec::encode(ALLOCATIONS, &LogDocument::Snapshot(self.record.clone())).map_err(invalid)?;
        let mut appender = self.store.appender(&format!("{DIRECTORY}/{name}"))?;
        appender.append(&document)?;
        self.open = Some(OpenSegment { appender, snapshot_bytes: document.len(), events_bytes: 0 });
        self.remove_older(&name);
        Ok(())
    }

    /// Removes all segments before `current`. A segment that cannot be removed now is removed another time, since
    /// nobody reads it.
    fn remove_older(&self, current: &str) {
        let Some(current) = numbers(current) else { return };
        for (number, name) in segments(&*self.store).unwrap_or_default() {
            if number < current {
                let _ = self.store.remove(&format!("{DIRECTORY}/{name}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::allocations::SavedBatch;
    use super::super::allocations::tests::partitions;
    use super::*;
    use crate::env::{DiskStore, Simulation};
    use crate::time::Time;
    use proptest::prelude::*;
    use std::path::Path;

    struct World {
        simulation: Simulation,
        store: Arc<dyn Store>,
    }

    fn world() -> World {
        let simulation = Simulation::new(0, Time::default());
        let store = Arc::new(DiskStore::new(simulation.env().disk, "/checkpoint".into()));
        World { simulation, store }
    }

    fn allocated(batch: u64) -> AllocationEvent {
        AllocationEvent::Allocated(SavedBatch::new(Time::from_ms(batch), &partitions(batch..batch + 1, true)))
    }

    fn log(world: &World, epoch: u64) -> AllocationLog {
        let record = read(&*world.store).unwrap().map_or_else(|| Allocations::new(Time::from_ms(1)), |log| log.record);
        AllocationLog::new(world.store.clone(), record, epoch)
    }

    fn newest(world: &World) -> (String, Vec<u8>) {
        let files = world.simulation.files();
        let (path, bytes) = files.iter().rfind(|(path, _)| path.starts_with("/checkpoint/ingest")).unwrap();
        (path.display().to_string(), bytes.clone())
    }

    fn batches(world: &World) -> Vec<u64> {
        read(&*world.store).unwrap().unwrap().record.batches().map(|(time, _)| time.as_ms()).collect()
    }

    #[test]
    fn what_was_appended_is_read_by_the_next_owner() {
        let world = world();
        assert!(read(&*world.store).unwrap().is_none());
        let mut first = log(&world, 1);
        first.append(&[allocated(1)]).unwrap();
        first.append(&[allocated(2), allocated(3)]).unwrap();
        let mut second = log(&world, 2);
        second.append(&[]).unwrap();
        // The first owner does not know that it was replaced.
        first.append(&[allocated(9)]).unwrap();
        second.append(&[allocated(4)]).unwrap();
        assert_eq!(batches(&world), [1, 2, 3, 4]);
        let files = world.simulation.files();
        assert!(files.contains_key(Path::new("/checkpoint/ingest/log-00000002-00000000")));
    }

    proptest! {
        /// Wherever the last write stopped, everything that was durable before is read. The rest is cut off and reported.
        #[test]
        fn a_torn_tail_is_cut_off(at: prop::sample::Index, garbage: Vec<u8>) {
            let world = world();
            let mut first = log(&world, 1);
            first.append(&[allocated(1)]).unwrap();
            let before = newest(&world).1.len();
            first.append(&[allocated(2)]).unwrap();
            let (path, mut bytes) = newest(&world);
            let whole = bytes.clone();
            let cut = before + at.index(bytes.len() - before);
            bytes.truncate(cut);
            bytes.extend(&garbage);
            prop_assume!(!bytes.starts_with(&whole));
            let torn = bytes.len() - before;
            world.simulation.file(&path, bytes);
            let read = read(&*world.store).unwrap().unwrap();
            prop_assert_eq!(read.record.batches().count(), 1);
            let name = "ingest/log-00000001-00000000".to_owned();
            let expected = if torn == 0 { vec![] } else { vec![TornTail { name, at: before, bytes: torn }] };
            prop_assert_eq!(read.torn, expected);
        }

        /// A document that is followed by others was whole. If it is broken, the error says where.
        #[test]
        fn damage_in_the_middle_is_an_error(at: prop::sample::Index, bits in 1u8..) {
            let world = world();
            let mut first = log(&world, 1);
            (1..4).for_each(|batch| first.append(&[allocated(batch)]).unwrap());
            let end = newest(&world).1.len();
            first.append(&[allocated(4)]).unwrap();
            let (path, mut bytes) = newest(&world);
            bytes[at.index(end)] ^= bits;
            world.simulation.file(&path, bytes);
            let is_damaged = matches!(read(&*world.store), Err(LogError::Damaged { .. }));
            prop_assert!(is_damaged);
        }

        /// Any bytes of a segment are read as a record or refused with an error.
        #[test]
        fn any_segment_is_read_or_refused(bytes: Vec<u8>) {
            let world = world();
            world.simulation.file("/checkpoint/ingest/log-00000001-00000000", bytes);
            let _ = read(&*world.store);
        }
    }

    #[test]
    fn a_segment_whose_snapshot_was_never_finished_is_passed_over() {
        let world = world();
        log(&world, 1).append(&[allocated(1)]).unwrap();
        world.simulation.file("/checkpoint/ingest/log-00000002-00000000", "MSal");
        assert_eq!(batches(&world), [1]);
        log(&world, 3).append(&[allocated(2)]).unwrap();
        assert_eq!(batches(&world), [1, 2]);
    }

    #[test]
    fn a_long_history_takes_one_short_segment() {
        let world = world();
        let mut log = log(&world, 1);
        for batch in 1..40_000 {
            let forgotten = AllocationEvent::Forgotten { before_ms: batch };
            log.append(&[allocated(batch), forgotten]).unwrap();
        }
        let bytes: usize = world.simulation.files().values().map(Vec::len).sum();
        assert!(bytes < 2 * EVENTS_BYTES_MIN, "{bytes} bytes");
        assert_eq!(batches(&world), [39_999]);
    }

    #[test]
    fn after_an_error_a_new_segment_holds_everything() {
        let world = world();
        let mut log = log(&world, 1);
        log.append(&[allocated(1)]).unwrap();
        world.simulation.disk_space(10);
        assert_eq!(log.append(&[allocated(2)]).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(log.append(&[]).is_err());
        world.simulation.disk_space(1 << 20);
        log.append(&[]).unwrap();
        log.append(&[allocated(3)]).unwrap();
        assert_eq!(batches(&world), [1, 2, 3]);
    }
}
