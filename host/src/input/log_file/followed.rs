//! Which files a log consists of, one after the other: a pure function of what the directory shows.
//!
//! Owns the names of partitions, and the decision when a file is finished, gone or truncated. Never reads a file.

use crate::env::FileId;
use std::fmt;
use std::path::PathBuf;

/// The partition of a log that one file is. If the file is truncated, it is another partition from then on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Partition {
    /// The name of the file when it was found. Other files may have the same name.
    pub name: String,
    /// The number of the file on its device.
    pub inode: u64,
    /// When the file was created, in nanoseconds since the Unix epoch. 0 if the file system does not say it.
    pub born_ns: u64,
    /// How often the file was truncated.
    pub truncations: u32,
}

impl Partition {
    /// The partition of a file that was not followed before.
    pub(super) fn new(name: &str, id: FileId) -> Self {
        Self { name: name.to_owned(), inode: id.inode, born_ns: id.born_ns, truncations: 0 }
    }

    /// The partition of the file after it was truncated once more.
    pub(super) fn truncated(&self) -> Self {
        Self { truncations: self.truncations.saturating_add(1), ..self.clone() }
    }

    /// The partition with this name. `None` if no partition has such a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let (name, file) = name.rsplit_once('#')?;
        let mut numbers = file.split('-');
        let mut next = || numbers.next();
        let (inode, born_ns, truncations) = (next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?);
        next().is_none().then(|| Self { name: name.to_owned(), inode, born_ns, truncations })
    }

    /// Whether this is a partition that the file of `other` was before it was truncated.
    pub(super) fn is_before(&self, other: &Self) -> bool {
        (self.inode, self.born_ns) == (other.inode, other.born_ns) && self.truncations < other.truncations
    }

    /// Whether a file is the file of this partition. The number of a device may change when the machine restarts, so
    /// the device is not compared.
    pub(super) fn is(&self, id: FileId) -> bool {
        (self.inode, self.born_ns) == (id.inode, id.born_ns)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}-{}-{}", self.name, self.inode, self.born_ns, self.truncations)
    }
}

/// A file that is followed, and how far batches were given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Followed {
    pub partition: Partition,
    /// The first byte that no batch was given.
    pub position: u64,
    /// The file has no line end between `position` and this byte.
    pub searched: u64,
    /// Whether the allocation log does not know the position yet.
    pub is_new: bool,
}

impl Followed {
    /// A file that is read from `position` on, which the allocation log does not know yet.
    pub(super) fn new(partition: Partition, position: u64) -> Self {
        Self { partition, position, searched: position, is_new: true }
    }
}

/// A file as the directory shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub id: FileId,
    pub path: PathBuf,
    pub bytes: u64,
}

/// What has become of a file that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The file may get more lines.
    Open(Seen),
    /// The file gets no more lines, because its writer writes to a later file.
    Finished(Seen),
    /// The file is shorter than what was read of it.
    Truncated(Seen),
    /// The file is not in its directory any more.
    Gone,
}

/// The files of the log, in the order in which they are read, and the fate of each. `current` is the file that has the
/// name of the log, and `others` are the other files of its directory. `others` must have been found after `current`:
/// only then a file before `current` has all its lines when `current` has its first one.
pub(super) fn follow(files: &[Followed], name: &str, current: Option<&Seen>, others: &[Seen]) -> Vec<(Followed, Fate)> {
    let mut files = files.to_vec();
    if let Some(current) = current {
        let known = files.iter().position(|file| file.partition.is(current.id));
        let file = match known {
            Some(at) => files.remove(at),
            None => Followed::new(Partition::new(name, current.id), 0),
        };
        files.push(file);
    }
    let mut has_later_lines = false;
    let mut fates: Vec<(Followed, Fate)> = Vec::new();
    for file in files.into_iter().rev() {
        let seen = current.into_iter().chain(others).find(|seen| file.partition.is(seen.id));
        let fate = match seen {
            None => Fate::Gone,
            Some(seen) if seen.bytes < file.position => Fate::Truncated(seen.clone()),
            Some(seen) if has_later_lines => Fate::Finished(seen.clone()),
            Some(seen) => Fate::Open(seen.clone()),
        };
        has_later_lines |= seen.is_some_and(|seen| seen.bytes > 0);
        fates.push((file, fate));
    }
    fates.reverse();
    fates
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(inode: u64) -> FileId {
        FileId { device: 1, inode, born_ns: 7 }
    }

    fn seen(inode: u64, bytes: u64) -> Seen {
        Seen { id: id(inode), path: format!("/logs/{inode}").into(), bytes }
    }

    fn followed(inode: u64, position: u64) -> Followed {
        Followed::new(Partition::new("a#1-2-3.log", id(inode)), position)
    }

    fn fates(files: &[Followed], current: Option<Seen>, others: &[Seen]) -> Vec<(u64, u64, &'static str)> {
        let fates = follow(files, "a.log", current.as_ref(), others);
        let word = |fate| match fate {
            Fate::Open(_) => "open",
            Fate::Finished(_) => "finished",
            Fate::Truncated(_) => "truncated",
            Fate::Gone => "gone",
        };
        fates.into_iter().map(|(file, fate)| (file.partition.inode, file.position, word(fate))).collect()
    }

    #[test]
    fn the_name_of_a_partition_is_read_back() {
        let partition = Partition::new("a#1-2-3.log", id(5)).truncated();
        assert_eq!(partition.to_string(), "a#1-2-3.log#5-7-1");
        assert_eq!(Partition::named("a#1-2-3.log#5-7-1"), Some(partition));
        for other in ["", "a.log", "a.log#5-7", "a.log#5-7-1-2", "a.log#5-7-x", "a.log#5-7--1"] {
            assert_eq!(Partition::named(other), None, "{other}");
        }
    }

    #[test]
    fn a_rotated_file_is_finished_when_the_new_file_has_its_first_line() {
        let files = [followed(5, 10)];
        assert_eq!(fates(&files, None, &[]), [(5, 10, "gone")]);
        assert_eq!(fates(&files, Some(seen(5, 10)), &[]), [(5, 10, "open")]);
        assert_eq!(fates(&files, None, &[seen(5, 12)]), [(5, 10, "open")]);
        assert_eq!(fates(&files, Some(seen(6, 0)), &[seen(5, 12)]), [(5, 10, "open"), (6, 0, "open")]);
        assert_eq!(fates(&files, Some(seen(6, 1)), &[seen(5, 12)]), [(5, 10, "finished"), (6, 0, "open")]);
        assert_eq!(fates(&files, Some(seen(6, 1)), &[]), [(5, 10, "gone"), (6, 0, "open")]);
    }

    #[test]
    fn a_file_that_gets_its_name_back_is_the_last_one_again() {
        let files = [followed(5, 10), followed(6, 0)];
        assert_eq!(fates(&files, Some(seen(5, 12)), &[seen(6, 3)]), [(6, 0, "finished"), (5, 10, "open")]);
    }

    #[test]
    fn a_file_that_became_shorter_was_truncated() {
        assert_eq!(fates(&[followed(5, 10)], Some(seen(5, 9)), &[]), [(5, 10, "truncated")]);
    }
}
