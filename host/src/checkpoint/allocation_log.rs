//! The allocation log: what each batch reads, on stable storage before the batch shows a result.
//!
//! Owns when a segment is begun, and what is appended to it. A segment begins with a snapshot of the whole record and
//! goes on with events. So a reader needs the newest segment only, and older ones can be removed. Each owner of the
//! directory begins a new segment. So an owner that was replaced, and still writes, writes to a segment that nobody
//! reads. Never decides what batches read. Segments are read in `allocation_segments.rs`.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::allocation_segments::{DIRECTORY, PREFIX, numbers, segments};
use super::allocations::{AllocationEvent, Allocations, LogDocument};
use super::codec::{self, ALLOCATIONS, CodecError};
use crate::env::{Appender, Store};
use std::io;
use std::sync::Arc;

/// A segment is closed, and a new one begun, when its events are at least this large (in bytes) and at least
/// [`EVENTS_PER_SNAPSHOT`] times as large as its snapshot.
const EVENTS_BYTES_MIN: usize = 256 << 10;
/// How many times as large as the snapshot the events of a segment may be: see [`EVENTS_BYTES_MIN`].
const EVENTS_PER_SNAPSHOT: usize = 4;

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
    use super::super::allocation_segments::{LogError, TornTail, read};
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
        // The first owner does not know that it was replaced. The second owner has removed the segment of the first one,
        // which then begins a segment that nobody reads.
        assert_eq!(first.append(&[allocated(9)]).unwrap_err().kind(), io::ErrorKind::NotFound);
        first.append(&[]).unwrap();
        second.append(&[allocated(4)]).unwrap();
        assert_eq!(batches(&world), [1, 2, 3, 4]);
        let files = world.simulation.files();
        assert!(files.contains_key(Path::new("/checkpoint/ingest/log-00000002-00000000")));
    }

    proptest! {
        /// Wherever the last write stopped, everything that was durable before is read. The rest is cut off and
        /// reported.
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
