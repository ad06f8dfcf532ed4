//! Which files belong to which batch, by the rules of Spark: a pure decision from what a look at the directories found.
//!
//! Owns the one rule for files that change. A file is known by what it is, not by its name. After a batch has read it, it
//! is remembered for a while, and what is done to it in that time is not read. A later modification makes it a new version,
//! which is read once, as a whole.

use crate::block::FileStamp;
use crate::env::{DirectoryEntry, FileId};
use crate::listener::PassedOverCause;
use crate::time::{Duration, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A system stamps its files with the time of the last tick of its clock, so that a file may look older than it is.
const CLOCK_TICK: Duration = Duration::from_millis(10);
/// What the names of files begin with that are hidden or not finished.
const HIDDEN: [char; 2] = ['.', '_'];
/// What the name of a file ends with while Hadoop copies it.
const COPYING: &str = "._COPYING_";

/// Which names of files are read.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// If there are any, a name has to match one of them.
    pub include: Vec<glob::Pattern>,
    /// A name must not match any of them.
    pub ignore: Vec<glob::Pattern>,
}

impl Names {
    /// Why a file is not read because of its name.
    fn refuse(&self, name: &str) -> Option<PassedOverCause> {
        if is_hidden(name) {
            return Some(PassedOverCause::HiddenName);
        }
        let matches = |patterns: &[glob::Pattern]| patterns.iter().any(|pattern| pattern.matches(name));
        let is_left_out = (!self.include.is_empty() && !matches(&self.include)) || matches(&self.ignore);
        is_left_out.then_some(PassedOverCause::Pattern)
    }
}

/// Whether a name says that what bears it is hidden or not finished.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with(HIDDEN) || name.ends_with(COPYING)
}

/// A file that a batch has read or is to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenFile {
    /// The batch.
    pub batch: Time,
    /// Its path then.
    pub path: PathBuf,
    /// Which file it is, and when it had been modified.
    pub stamp: FileStamp,
    /// Its size then.
    pub bytes: u64,
}

impl TakenFile {
    pub(super) fn new(batch: Time, entry: &DirectoryEntry) -> Self {
        Self { batch, path: entry.path.clone(), stamp: FileStamp::from(entry), bytes: entry.bytes }
    }

    /// Whether an entry is as the file was.
    pub(super) fn is_unchanged(&self, entry: &DirectoryEntry) -> bool {
        self.bytes == entry.bytes && self.stamp.is_as_old_as(entry)
    }
}

/// What becomes of an entry of a directory in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The batch reads it.
    Take,
    /// A later batch may read it.
    NotYet,
    /// A batch has read it.
    Known,
    /// It changed after this batch had read it. If it only grew, by so many bytes.
    Changed { batch: Time, unread_bytes: Option<u64> },
    /// It is not read.
    PassOver(PassedOverCause),
    /// There is nothing to read in it.
    Empty,
}

/// Which files were taken, and when.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    /// Modification times up to here are too old whatever the batch.
    initial_threshold: Option<Time>,
    /// Whether the next batch reads what is there, whatever its age.
    reads_all: bool,
    /// What is older was seen by an earlier host.
    seen_before: Option<Time>,
    /// A whole number of batches, at least `min_remember`.
    remember: Duration,
    names: Names,
    by_id: BTreeMap<FileId, TakenFile>,
    /// The last file of each path. An earlier version of the host noted nothing else.
    by_path: BTreeMap<PathBuf, TakenFile>,
}

impl Selection {
    /// A job that starts now.
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

    /// Goes on as if it had been watching since `started`. `last` is the last batch that was made, if there was one.
    pub(super) fn resume(&mut self, started: Time, last: Option<Time>, taken: impl IntoIterator<Item = TakenFile>) {
        if self.initial_threshold.is_some() {
            self.initial_threshold = Some(started - CLOCK_TICK);
        }
        self.reads_all &= last.is_none();
        self.seen_before = last;
        taken.into_iter().for_each(|file| self.remember(file));
    }

    /// How long before a batch a file may have been given to another, and is not given to it.
    pub(super) fn remembered(&self) -> Duration {
        self.remember.saturating_mul(2)
    }

    fn remember(&mut self, file: TakenFile) {
        self.by_id.extend(file.stamp.id.map(|id| (id, file.clone())));
        self.by_path.insert(file.path.clone(), file);
    }

    /// The file that an entry was when it was read.
    fn taken(&self, entry: &DirectoryEntry) -> Option<&TakenFile> {
        if let Some(file) = self.by_id.get(&entry.id) {
            // Without a time of birth, the number of a file that was removed may have been given to another one.
            let is_other = entry.id.born_ns == 0 && file.path != entry.path && !file.stamp.is_as_old_as(entry);
            return (!is_other).then_some(file);
        }
        // A file system that is mounted again may have another device.
        let file = self.by_path.get(&entry.path)?;
        (file.stamp.id.is_none() || file.is_unchanged(entry)).then_some(file)
    }

    /// What becomes of an entry in a batch, if no other entry is the same file.
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

    /// Modification times up to here are too old for a batch.
    fn threshold(&self, batch: Time) -> Time {
        self.initial_threshold.into_iter().chain([batch - self.remember]).max().unwrap_or_default()
    }

    /// What becomes of each entry in `batch`. Those that it takes are remembered.
    pub(super) fn select(&mut self, batch: Time, entries: &[DirectoryEntry]) -> Vec<Verdict> {
        let remembered = self.remembered();
        self.by_id.retain(|_, file| file.batch + remembered > batch);
        self.by_path.retain(|_, file| file.batch + remembered > batch);
        let mut chosen = BTreeSet::new();
        let verdicts: Vec<Verdict> = entries
            .iter()
            .map(|entry| match self.judge(batch, entry) {
                // A second name of the same file.
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

    /// The first batch from one time on for which `select` would find something, if nothing changes.
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
