//! The parts of files that the tasks of running batches have read, and the files that these batches go on without.
//!
//! Owns that all tasks of a batch see the same files. If a task has read a part of a file to its end, the other tasks
//! must find the same content in it. If a task goes on without a file because the file is gone, the other tasks go on
//! without the file too.

use crate::block::{FileSplit, LogRange, ReadPart};
use crate::listener::{Event, ListenerBus};
use crate::lock::lock;
use crate::shown::Shown as _;
use crate::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

/// Identifies a part of a file: batch, source, path and first byte. Identifies also a range of a log: batch, source,
/// partition and first position.
type Part = (Time, String, PathBuf, u64);

/// The facts about a part of a file that was read to its end.
#[derive(Clone, Copy)]
struct Read {
    rows: u64,
    /// `None` if the source cannot change what was read.
    checksum: Option<u64>,
    /// Whether the checksum was known before this batch ran.
    is_known: bool,
}

/// Records which parts of files were read, and which files were left out.
pub(super) struct SplitReads {
    listeners: ListenerBus,
    /// The sources whose missing files are left out.
    may_be_gone: BTreeSet<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    read: BTreeMap<Part, Read>,
    left_out: BTreeSet<(Time, String, PathBuf)>,
}

impl SplitReads {
    /// Makes the record. Of the sources in `may_be_gone`, missing files are left out.
    pub(super) fn new(listeners: ListenerBus, may_be_gone: BTreeSet<String>) -> Self {
        Self { listeners, may_be_gone, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The split, with the checksum that another task of the batch has found.
    pub(super) fn as_read_before(&self, batch: Time, split: FileSplit) -> FileSplit {
        let read = self.lock().read.get(&part(batch, &split)).copied();
        FileSplit { checksum: split.checksum.or(read.and_then(|read| read.checksum)), ..split }
    }

    /// The range, with the checksum that another task of the batch has found.
    pub(super) fn range_as_read_before(&self, batch: Time, range: LogRange) -> LogRange {
        let read = self.lock().read.get(&range_part(batch, &range)).copied();
        LogRange { checksum: range.checksum.or(read.and_then(|read| read.checksum)), ..range }
    }

    /// Whether the batch goes on without a file.
    pub(super) fn is_left_out(&self, batch: Time, split: &FileSplit) -> bool {
        self.lock().left_out.contains(&(batch, split.source.clone(), split.path.clone()))
    }

    /// Leaves a missing file out of the batch, if that is possible. Returns whether the batch goes on without the file.
    /// It does not if a task of the batch has read any part of the file.
    pub(super) fn leave_out(&self, batch: Time, split: &FileSplit) -> bool {
        if !self.may_be_gone.contains(&split.source) {
            return false;
        }
        let mut state = self.lock();
        let parts = part(batch, &FileSplit { start: 0, ..split.clone() })
            ..=part(batch, &FileSplit { start: u64::MAX, ..split.clone() });
        if state.read.range(parts).next().is_some() {
            return false;
        }
        let is_new = state.left_out.insert((batch, split.source.clone(), split.path.clone()));
        drop(state);
        if is_new {
            let (source, file) = (split.source.clone(), split.path.shown().into_owned());
            self.listeners.post(&Event::FileMissing { source, batch, file });
        }
        true
    }

    /// Records that a split was read to its end.
    pub(super) fn ended(&self, batch: Time, split: &FileSplit, rows: u64, checksum: u64) {
        let (checksum, is_known) = (Some(checksum), split.checksum.is_some());
        self.lock().read.entry(part(batch, split)).or_insert(Read { rows, checksum, is_known });
    }

    /// Records that a range was read to its end.
    pub(super) fn range_ended(&self, batch: Time, range: &LogRange, rows: u64, checksum: Option<u64>) {
        let is_known = range.checksum.is_some();
        self.lock().read.entry(range_part(batch, range)).or_insert(Read { rows, checksum, is_known });
    }

    /// How many records a batch has read, by source.
    pub(super) fn records(&self, batch: Time) -> BTreeMap<String, u64> {
        let mut records = BTreeMap::new();
        for ((_, source, ..), read) in self.lock().read.iter().filter(|((time, ..), _)| *time == batch) {
            *records.entry(source.clone()).or_default() += read.rows;
        }
        records
    }

    /// The parts that a batch has read to their ends, whose checksums were not known before. Each part is returned
    /// once.
    pub(super) fn take_new(&self, batch: Time) -> Vec<ReadPart> {
        let mut state = self.lock();
        let new = state.read.iter_mut().filter(|((time, ..), read)| *time == batch && !read.is_known);
        new.filter_map(|((_, source, path, start), read)| {
            read.is_known = true;
            Some(ReadPart { source: source.clone(), path: path.clone(), start: *start, checksum: read.checksum? })
        })
        .collect()
    }

    /// Forgets a batch.
    pub(super) fn forget(&self, batch: Time) {
        let mut state = self.lock();
        state.read.retain(|(time, ..), _| *time != batch);
        state.left_out.retain(|(time, ..)| *time != batch);
    }
}

fn part(batch: Time, split: &FileSplit) -> Part {
    (batch, split.source.clone(), split.path.clone(), split.start)
}

fn range_part(batch: Time, range: &LogRange) -> Part {
    (batch, range.source.clone(), PathBuf::from(&range.partition), range.from.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::FileStamp;

    fn split(path: &str, start: u64) -> FileSplit {
        FileSplit {
            source: "lines".to_owned(),
            path: path.into(),
            start,
            end: start + 1,
            file_bytes: 9,
            stamp: FileStamp::modified_at(Time::default()),
            checksum: None,
            max_line_bytes: 9,
        }
    }

    const BATCH: Time = Time::from_ms(1000);

    #[test]
    fn all_tasks_of_a_batch_see_the_same_files() {
        let reads = SplitReads::new(ListenerBus::default(), ["lines".to_owned()].into());
        reads.ended(BATCH, &split("/in/a", 5), 7, 77);
        assert_eq!(reads.as_read_before(BATCH, split("/in/a", 5)).checksum, Some(77));
        assert_eq!(reads.as_read_before(BATCH, split("/in/a", 0)).checksum, None);
        // Another task has rows of it.
        assert!(!reads.leave_out(BATCH, &split("/in/a", 0)));
        assert!(reads.leave_out(BATCH, &split("/in/b", 0)));
        assert!(reads.is_left_out(BATCH, &split("/in/b", 5)));
        assert!(!reads.is_left_out(Time::from_ms(2000), &split("/in/b", 5)));
        reads.forget(BATCH);
        assert!(!reads.is_left_out(BATCH, &split("/in/b", 5)));
        assert_eq!(reads.records(BATCH), BTreeMap::new());
    }

    #[test]
    fn a_checksum_is_given_out_once_and_only_if_it_is_new() {
        let reads = SplitReads::new(ListenerBus::default(), BTreeSet::new());
        reads.ended(BATCH, &split("/in/a", 0), 7, 77);
        reads.ended(BATCH, &FileSplit { checksum: Some(78), ..split("/in/b", 0) }, 7, 78);
        let path = PathBuf::from("/in/a");
        let new = ReadPart { source: "lines".to_owned(), path, start: 0, checksum: 77 };
        assert_eq!(reads.take_new(BATCH), [new]);
        assert_eq!(reads.take_new(BATCH), []);
        assert_eq!(reads.records(BATCH), BTreeMap::from([("lines".to_owned(), 14)]));
        assert!(!reads.leave_out(BATCH, &split("/in/c", 0)));
    }
}
