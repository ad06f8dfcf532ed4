//! Counts the files that a source has skipped, and decides what is reported. Each cause is reported once, and again
//! when it has ten times as many files.
//!
//! Owns the count. Remembers only files that are still in the directories: a file that is gone is forgotten.

use super::selection::Verdict;
use crate::env::{DirectoryEntry, FileId};
use crate::listener::{Event, PassedOverCause, PassedOverInfo};
use crate::shown::Shown as _;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The factor by which the number of files of a cause must grow before the cause is reported again.
const TOLD_AGAIN: u64 = 10;

/// The skipped files of one cause.
#[derive(Default)]
struct Tally {
    /// The files that are in the directories now.
    present: BTreeSet<FileId>,
    files: u64,
    /// The number of files when the cause was last reported.
    told: u64,
}

/// The skipped files of one source.
pub(super) struct PassedOver {
    source: String,
    tallies: BTreeMap<PassedOverCause, Tally>,
    /// The files that were read. A file that was read does not count as skipped when it gets too old.
    read: BTreeSet<FileId>,
    /// The files whose change was reported.
    changed: BTreeSet<FileId>,
    /// The files that wait for a later batch, by path.
    waiting: BTreeMap<PathBuf, FileId>,
    /// Whether the directories were searched before.
    has_looked: bool,
}

impl PassedOver {
    pub(super) fn new(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            tallies: BTreeMap::new(),
            read: BTreeSet::new(),
            changed: BTreeSet::new(),
            waiting: BTreeMap::new(),
            has_looked: false,
        }
    }

    /// The events to report after a search of the directories. `verdicts` are the decisions about `entries`, one for
    /// each. `others` are entries that are not files of the source, each with the cause.
    pub(super) fn look<'a>(
        &mut self,
        entries: &'a [DirectoryEntry],
        verdicts: &[Verdict],
        others: impl IntoIterator<Item = (PassedOverCause, &'a DirectoryEntry)>,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        let mut passed: Vec<(PassedOverCause, FileId, &Path)> =
            others.into_iter().map(|(cause, entry)| (cause, entry.id, entry.path.as_path())).collect();
        let (mut read, mut changed, mut waiting) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        for (entry, verdict) in entries.iter().zip(verdicts) {
            match verdict {
                Verdict::Take | Verdict::Known => drop(read.insert(entry.id)),
                Verdict::Changed { batch, unread_bytes } => {
                    read.insert(entry.id);
                    changed.insert(entry.id);
                    if !self.changed.contains(&entry.id) {
                        let (source, file) = (self.source.clone(), entry.path.shown().into_owned());
                        events.push(Event::FileChanged { source, batch: *batch, file, unread_bytes: *unread_bytes });
                    }
                }
                Verdict::NotYet => drop(waiting.insert(entry.path.clone(), entry.id)),
                Verdict::PassOver(_) if self.read.contains(&entry.id) => drop(read.insert(entry.id)),
                Verdict::PassOver(cause) => passed.push((self.cause(*cause, entry.id), entry.id, &entry.path)),
                Verdict::Empty => {}
            }
        }
        let present: BTreeSet<FileId> = entries.iter().map(|entry| entry.id).collect();
        let lost = std::mem::replace(&mut self.waiting, waiting);
        let lost: Vec<_> = lost.into_iter().filter(|(_, id)| !present.contains(id)).collect();
        passed.extend(lost.iter().map(|(path, id)| (PassedOverCause::Replaced, *id, path.as_path())));
        (self.read, self.changed, self.has_looked) = (read, changed, true);
        events.extend(self.count(&passed));
        events
    }

    /// The cause under which a file is counted. A file that is older than the job, but was not there at the first
    /// search, was moved in.
    fn cause(&self, cause: PassedOverCause, id: FileId) -> PassedOverCause {
        let was_there =
            || self.tallies.get(&PassedOverCause::Existing).is_some_and(|tally| tally.present.contains(&id));
        if cause == PassedOverCause::Existing && self.has_looked && !was_there() {
            return PassedOverCause::MovedIn;
        }
        cause
    }

    fn count(&mut self, passed: &[(PassedOverCause, FileId, &Path)]) -> Vec<Event> {
        let mut present: BTreeMap<PassedOverCause, BTreeSet<FileId>> = BTreeMap::new();
        let mut examples: BTreeMap<PassedOverCause, &Path> = BTreeMap::new();
        for (cause, id, path) in passed {
            let tally = self.tallies.entry(*cause).or_default();
            if present.entry(*cause).or_default().insert(*id) && !tally.present.contains(id) {
                tally.files += 1;
                examples.entry(*cause).or_insert(path);
            }
        }
        let mut events = Vec::new();
        for (cause, tally) in &mut self.tallies {
            tally.present = present.remove(cause).unwrap_or_default();
            let Some(example) = examples.get(cause) else { continue };
            if tally.files < tally.told.saturating_mul(TOLD_AGAIN).max(1) {
                continue;
            }
            let is_first = tally.told == 0;
            tally.told = tally.files;
            events.push(Event::FilesPassedOver(PassedOverInfo {
                source: self.source.clone(),
                cause: *cause,
                files: tally.files,
                example: example.shown().into_owned(),
                is_first,
            }));
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::super::selection::tests::file;
    use super::*;
    use crate::time::Time;

    fn told(events: &[Event]) -> Vec<String> {
        let told = |event: &Event| match event {
            Event::FilesPassedOver(info) => {
                format!("{} {} {} {}", info.cause.word(), info.files, info.example, info.is_first)
            }
            Event::FileChanged { file, unread_bytes, .. } => format!("changed {file} {unread_bytes:?}"),
            other => other.to_string(),
        };
        events.iter().map(told).collect()
    }

    const OLD: Verdict = Verdict::PassOver(PassedOverCause::TooOld);

    #[test]
    fn a_cause_is_told_once_and_again_for_ten_times_as_many() {
        let mut passed = PassedOver::new("lines");
        let files: Vec<_> = (0..25).map(|at| file(&format!("/in/{at}"), 1)).collect();
        let mut look = |count: usize| told(&passed.look(&files[..count], &vec![OLD; count], []));
        assert_eq!(look(2), ["too_old 2 /in/0 true"]);
        assert!(look(2).is_empty() && look(19).is_empty());
        assert_eq!(look(25), ["too_old 25 /in/19 false"]);
    }

    /// A file that was read gets too old later, and a file that is gone may appear again.
    #[test]
    fn only_what_was_never_read_is_passed_over() {
        let mut passed = PassedOver::new("lines");
        let files = [file("/in/a", 1), file("/in/b", 1)];
        assert!(passed.look(&files, &[Verdict::Take, Verdict::Known], []).is_empty());
        assert!(passed.look(&files, &[OLD, OLD], []).is_empty());
        assert!(passed.look(&[], &[], []).is_empty());
        assert_eq!(told(&passed.look(&files[..1], &[OLD], [])), ["too_old 1 /in/a true"]);
    }

    #[test]
    fn a_file_that_comes_later_with_an_older_time_was_moved_in() {
        const EXISTING: Verdict = Verdict::PassOver(PassedOverCause::Existing);
        let mut passed = PassedOver::new("lines");
        let files = [file("/in/a", 1), file("/in/b", 1), file("/in/c", 1)];
        assert_eq!(told(&passed.look(&files[..1], &[EXISTING], [])), ["existing 1 /in/a true"]);
        assert_eq!(told(&passed.look(&files[..2], &[EXISTING; 2], [])), ["moved_in 1 /in/b true"]);
        assert!(passed.look(&files, &[EXISTING; 3], []).is_empty());
        assert_eq!(passed.tallies.values().map(|tally| tally.files).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_change_is_told_once_for_each_file() {
        let mut passed = PassedOver::new("lines");
        let files = [file("/in/a", 1), file("/in/b", 1)];
        let grown = |bytes| Verdict::Changed { batch: Time::default(), unread_bytes: Some(bytes) };
        let changed = Verdict::Changed { batch: Time::default(), unread_bytes: None };
        let first = told(&passed.look(&files, &[grown(7), changed], []));
        assert_eq!(first, ["changed /in/a Some(7)", "changed /in/b None"]);
        assert!(passed.look(&files, &[grown(9), changed], []).is_empty());
        // A new version may change as well.
        assert!(passed.look(&files, &[Verdict::Take, changed], []).is_empty());
        assert_eq!(told(&passed.look(&files, &[grown(9), changed], [])), ["changed /in/a Some(9)"]);
    }

    /// A file is replaced by another one of the same name between two searches.
    #[test]
    fn a_file_that_was_seen_and_replaced_before_its_batch_is_told() {
        let mut passed = PassedOver::new("lines");
        let first = file("/in/a", 1);
        let second = DirectoryEntry { id: FileId { inode: 1, ..first.id }, ..first.clone() };
        let renamed = DirectoryEntry { path: "/in/b".into(), ..second.clone() };
        assert!(passed.look(&[first], &[Verdict::NotYet], []).is_empty());
        assert_eq!(told(&passed.look(&[second], &[Verdict::NotYet], [])), ["replaced 1 /in/a true"]);
        assert!(passed.look(&[renamed], &[Verdict::Take], []).is_empty());
    }

    #[test]
    fn names_are_escaped() {
        let mut passed = PassedOver::new("lines");
        let event = &passed.look(&[file("/in/\u{1b}[2J", 1)], &[OLD], [])[0];
        assert!(event.to_string().contains(r"/in/\u{1b}[2J"), "{event}");
    }
}
