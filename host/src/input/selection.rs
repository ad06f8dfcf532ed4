//! Decides which files belong to which batch, by the rules of Spark: a pure decision from the entries of the
//! directories.
//!
//! Owns the rule for files that change. A file is identified by its file id, not by its name. After a batch has read a
//! file, the file is remembered for a while, and changes to it in that time are not read. A later modification makes a
//! new version of the file, which is read once, as a whole.

use crate::block::FileStamp;
use crate::env::{DirectoryEntry, FileId};
use crate::listener::PassedOverCause;
use crate::time::{Duration, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The precision of modification times. A system stamps files with the time of the last tick of its clock, so a file
/// may look older than it is.
const CLOCK_TICK: Duration = Duration::from_millis(10);
/// The first characters of names of hidden or unfinished files.
const HIDDEN: [char; 2] = ['.', '_'];
/// The end of a file's name while Hadoop copies the file.
const COPYING: &str = "._COPYING_";

/// The rules about names of files.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// If there are any patterns, a name must match one of them.
    pub include: Vec<glob::Pattern>,
    /// A name must match none of these patterns.
    pub ignore: Vec<glob::Pattern>,
}

impl Names {
    /// Why a file is not read because of its name. `None` if the name is accepted.
    fn refuse(&self, name: &str) -> Option<PassedOverCause> {
        if is_hidden(name) {
            return Some(PassedOverCause::HiddenName);
        }
        let matches = |patterns: &[glob::Pattern]| patterns.iter().any(|pattern| pattern.matches(name));
        let is_left_out = (!self.include.is_empty() && !matches(&self.include)) || matches(&self.ignore);
        is_left_out.then_some(PassedOverCause::Pattern)
    }
}

/// Whether a name shows that the file or directory is hidden or not finished.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with(HIDDEN) || name.ends_with(COPYING)
}

/// A file that was given to a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenFile {
    /// The batch that was given the file.
    pub batch: Time,
    /// The path of the file at that time.
    pub path: PathBuf,
    /// The identity of the file, and its modification time at that time.
    pub stamp: FileStamp,
    /// The size of the file at that time, in bytes.
    pub bytes: u64,
}

impl TakenFile {
    pub(super) fn new(batch: Time, entry: &DirectoryEntry) -> Self {
        Self { batch, path: entry.path.clone(), stamp: FileStamp::from(entry), bytes: entry.bytes }
    }

    /// Whether an entry shows the file unchanged.
    pub(super) fn is_unchanged(&self, entry: &DirectoryEntry) -> bool {
        self.bytes == entry.bytes && self.stamp.is_as_old_as(entry)
    }
}

/// The decision about an entry of a directory, for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The batch reads the file.
    Take,
    /// A later batch may read the file.
    NotYet,
    /// A batch has read the file.
    Known,
    /// The file changed after this batch had read it. If the file only grew, `unread_bytes` is the number of bytes that
    /// were added.
    Changed { batch: Time, unread_bytes: Option<u64> },
    /// The file is not read, for this cause.
    PassOver(PassedOverCause),
    /// The file is empty.
    Empty,
}

/// The files that were given to batches, and the rules for new files.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    /// Files with modification times up to this one are too old for every batch.
    initial_threshold: Option<Time>,
    /// Whether the next batch reads all existing files, whatever their age.
    reads_all: bool,
    /// Files with modification times up to this one were seen by an earlier host.
    seen_before: Option<Time>,
    /// How long a file is remembered: a whole number of batches, at least `min_remember`.
    remember: Duration,
    names: Names,
    by_id: BTreeMap<FileId, TakenFile>,
    /// The last file of each path. Used for files without an identity, which an earlier version of the host recorded.
    by_path: BTreeMap<PathBuf, TakenFile>,
}

impl Selection {
    /// Makes the selection of a job that starts now.
    pub(super) fn new(
        start: Time,
        new_files_only: bool,
        min_remember: Duration,
        slide: Duration,
        names: Names,
    ) -> Self {
        let slide_ms = slide.as_millis().max(1);
        let batches = u32::try_from(min_remember.as_millis().div_ceil(slide_ms)).unwrap_or(u32::MAX);
        Self {
            initial_threshold: new_files_only.then(|| start - CLOCK_TICK),
            reads_all: !new_files_only,
            seen_before: None,
            remember: slide.saturating_mul(batches.max(1)),
            names,
            by_id: BTreeMap::new(),
            by_path: BTreeMap::new(),
        }
    }

    /// Goes on as if the directories had been watched since `started`. `last` is the last batch that was made. `taken`
    /// are the files that batches were given.
    pub(super) fn resume(&mut self, started: Time, last: Option<Time>, taken: impl IntoIterator<Item = TakenFile>) {
        if self.initial_threshold.is_some() {
            self.initial_threshold = Some(started - CLOCK_TICK);
        }
        self.reads_all &= last.is_none();
        self.seen_before = last;
        taken.into_iter().for_each(|file| self.remember(file));
    }

    /// How long before a batch the files of other batches matter: such a file is not given to the batch again.
    pub(super) fn remembered(&self) -> Duration {
        self.remember.saturating_mul(2)
    }

    fn remember(&mut self, file: TakenFile) {
        self.by_id.extend(file.stamp.id.map(|id| (id, file.clone())));
        self.by_path.insert(file.path.clone(), file);
    }

    /// The file that was given to a batch and is now shown by an entry. `None` if no batch was given the file.
    fn taken(&self, entry: &DirectoryEntry) -> Option<&TakenFile> {
        if let Some(file) = self.by_id.get(&entry.id) {
            // Without a time of birth, a new file may have the inode number of a file that was removed.
            let is_other = entry.id.born_ns == 0 && file.path != entry.path && !file.stamp.is_as_old_as(entry);
            return (!is_other).then_some(file);
        }
        // A file system that was mounted again may have another device number.
        let file = self.by_path.get(&entry.path)?;
        (file.stamp.id.is_none() || file.is_unchanged(entry)).then_some(file)
    }

    /// Decides about an entry for a batch. Other entries of the same file are not considered.
    fn judge(&self, batch: Time, entry: &DirectoryEntry) -> Verdict {
        if entry.is_directory {
            let is_hidden = is_hidden(&entry.name);
            return Verdict::PassOver(if is_hidden { PassedOverCause::HiddenName } else { PassedOverCause::Nested });
        }
        if let Some(cause) = self.names.refuse(&entry.name) {
            return Verdict::PassOver(cause);
        }
        if !entry.is_regular {
            return Verdict::PassOver(PassedOverCause::NoRegularFile);
        }
        if let Some(file) = self.taken(entry).filter(|file| entry.modified <= file.batch + self.remember) {
            let grown = entry.bytes.checked_sub(file.bytes).filter(|bytes| *bytes > 0);
            return match file.is_unchanged(entry) {
                true => Verdict::Known,
                false => Verdict::Changed { batch: file.batch, unread_bytes: grown },
            };
        }
        if entry.bytes == 0 {
            return Verdict::Empty;
        }
        if entry.modified > batch {
            return Verdict::NotYet;
        }
        if self.reads_all {
            return Verdict::Take;
        }
        if entry.modified > self.threshold(batch) {
            return Verdict::Take;
        }
        match self.seen_before {
            Some(last) if entry.modified <= last => Verdict::Known,
            _ if self.initial_threshold.is_some_and(|initial| entry.modified <= initial) => {
                Verdict::PassOver(PassedOverCause::Existing)
            }
            _ => Verdict::PassOver(PassedOverCause::TooOld),
        }
    }

    /// Files with modification times up to this one are too old for a batch.
    fn threshold(&self, batch: Time) -> Time {
        self.initial_threshold.into_iter().chain([batch - self.remember]).max().unwrap_or_default()
    }

    /// Decides about each entry for `batch`. The files that the batch reads are remembered.
    pub(super) fn select(&mut self, batch: Time, entries: &[DirectoryEntry]) -> Vec<Verdict> {
        let remembered = self.remembered();
        self.by_id.retain(|_, file| file.batch + remembered > batch);
        self.by_path.retain(|_, file| file.batch + remembered > batch);
        let mut chosen = BTreeSet::new();
        let verdicts: Vec<Verdict> = entries
            .iter()
            .map(|entry| match self.judge(batch, entry) {
                // The entry is a second name of a file that the batch reads.
                Verdict::Take if !chosen.insert(entry.id) => Verdict::Known,
                verdict => verdict,
            })
            .collect();
        for (entry, _) in entries.iter().zip(&verdicts).filter(|(_, verdict)| **verdict == Verdict::Take) {
            self.remember(TakenFile::new(batch, entry));
        }
        self.reads_all = false;
        verdicts
    }

    /// The first batch from `from` on for which `select` would find a file, if nothing changes in the directories.
    pub(super) fn next(&self, from: Time, slide: Duration, entries: &[DirectoryEntry]) -> Option<Time> {
        let batch_of = |entry: &DirectoryEntry| {
            let is_old = self.initial_threshold.is_some_and(|threshold| entry.modified <= threshold);
            if !entry.is_regular || self.names.refuse(&entry.name).is_some() || entry.bytes == 0 {
                return None;
            }
            let is_known = self.taken(entry).is_some_and(|file| entry.modified <= file.batch + self.remember);
            if is_known || (is_old && !self.reads_all) {
                return None;
            }
            let batch = from.max(at_or_after(entry.modified, slide));
            (self.reads_all || entry.modified > batch - self.remember).then_some(batch)
        };
        entries.iter().filter_map(batch_of).min()
    }
}

/// The first multiple of `slide` that is not before `time`.
pub(super) fn at_or_after(time: Time, slide: Duration) -> Time {
    let floor = time.floor(slide);
    if floor == time { time } else { floor + slide }
}

#[cfg(test)]
pub(super) mod tests;
