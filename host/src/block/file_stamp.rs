//! The identity and state of a file that a batch was given, and whether a file still matches them. The check ensures
//! that a batch that runs again reads the same content.
//!
//! Owns the rule of the check. If the content of a file was read to its end before, the file is the same if its content
//! is the same. For other files, the identity, the modification time and the size must be the noted ones. A file that
//! has only grown counts as the same: the appended data is not read.

use super::codec::{Damaged, NO_ROOM_HELP};
use crate::env::{DirectoryEntry, Disk, FileId, advice, persistence};
use crate::error::{Error, ErrorKind, Persistence};
use crate::shown::Shown as _;
use crate::time::Time;
use std::io;
use std::path::{Path, PathBuf};

/// The number of nanoseconds in a millisecond.
const NS_PER_MS: u64 = 1_000_000;

/// The help for a compressed file that is not complete.
pub(super) const WRITE_WHOLE: &str = "write a compressed file under another name or in another directory, and rename it when it is whole; replace the file, \
     or set job.on_error = \"continue\" to go on with the next batch";

/// The identity and state of a file when it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    /// The identity of the file. `None` if it was not noted: checkpoints of an earlier version have only times in whole
    /// milliseconds.
    pub id: Option<FileId>,
    /// When it was last modified, in nanoseconds since the Unix epoch.
    pub modified_ns: u64,
}

impl From<&DirectoryEntry> for FileStamp {
    fn from(entry: &DirectoryEntry) -> Self {
        Self { id: Some(entry.id), modified_ns: entry.modified_ns }
    }
}

impl FileStamp {
    /// Makes the stamp of a file of which only the modification time is known.
    pub const fn modified_at(modified: Time) -> Self {
        Self { id: None, modified_ns: modified.as_ms().saturating_mul(NS_PER_MS) }
    }

    /// When the file was last modified.
    pub const fn modified(&self) -> Time {
        Time::from_ms(self.modified_ns / NS_PER_MS)
    }

    /// Whether a directory entry has the noted modification time.
    pub fn is_as_old_as(&self, entry: &DirectoryEntry) -> bool {
        match self.id {
            Some(_) => self.modified_ns == entry.modified_ns,
            None => self.modified() == entry.modified,
        }
    }

    /// Whether a directory entry is the same file, if the identity was noted. The number of a device may change when
    /// the machine restarts. So a file on another device counts as the same if nothing else has changed.
    fn is_same_file(&self, entry: &DirectoryEntry) -> bool {
        let has_same_number = |id: FileId| {
            let is_born_with = |born_ns| id.born_ns == born_ns || id.born_ns == 0 || born_ns == 0;
            id.inode == entry.id.inode && is_born_with(entry.id.born_ns)
        };
        self.id.is_none_or(has_same_number)
    }

    /// The difference between the noted state and a file of `bytes` that was never read to its end. `None` if there is
    /// none, or if the file has only grown.
    fn change(&self, bytes: u64, entry: &DirectoryEntry) -> Option<String> {
        if !entry.is_regular {
            return Some("it is no regular file".to_owned());
        }
        if !self.is_same_file(entry) {
            return Some("another file has its name".to_owned());
        }
        if entry.bytes < bytes {
            return Some(format!("it is {} bytes shorter", bytes - entry.bytes));
        }
        let is_rewritten = entry.bytes == bytes && !self.is_as_old_as(entry);
        is_rewritten.then(|| format!("it was modified at {}, and before that at {}", entry.modified, self.modified()))
    }
}

/// Why a part of a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// The path does not exist any more.
    #[error("{} is gone", .path.shown())]
    Gone {
        /// The path of the file.
        path: PathBuf,
    },
    /// The file is not the one that the batch was given, or has changed.
    #[error("{} has changed since the batch was made: {change}", .path.shown())]
    Changed {
        /// The path of the file.
        path: PathBuf,
        /// The difference.
        change: String,
    },
    /// The file is compressed, and it is cut off or damaged.
    #[error("cannot read {}: {damage}", .path.shown())]
    Damaged {
        /// The path of the file.
        path: PathBuf,
        /// The damage.
        damage: Damaged,
    },
    /// There is not enough memory to decompress the file.
    #[error("cannot decompress {}: {error}", .path.shown())]
    NoRoom {
        /// The path of the file.
        path: PathBuf,
        /// The error of the memory budget.
        error: io::Error,
    },
    /// Reading the file fails.
    #[error("cannot read {}: {error}", .path.shown())]
    Disk {
        /// The path of the file.
        path: PathBuf,
        /// The error of the file system.
        error: io::Error,
    },
}

impl SplitError {
    /// The error that is reported, with the batch and the source, which this error does not contain.
    pub fn explain(&self, source: &str, batch: Time) -> Error {
        let message = format!("source `{source}` cannot read batch {batch}: {self}");
        let (kind, lasting, help) = match self {
            Self::Gone { .. } => (
                ErrorKind::Unavailable,
                Persistence::Permanent,
                format!(
                    "move the file back; or set sources.{source}.on_missing_file = \"skip\" to go on without files that \
                     are gone; or set job.on_error = \"continue\" to give up the batch with all its files; or start \
                     with --fresh, which goes on with the next batch"
                ),
            ),
            Self::Changed { .. } => (
                ErrorKind::User,
                Persistence::Permanent,
                "a batch that runs again reads what it was given: bring the file back as it was; or set job.on_error = \
                 \"continue\" to give up the batch; or start with --fresh, which goes on with the next batch"
                    .to_owned(),
            ),
            Self::Damaged { .. } => (ErrorKind::User, Persistence::Permanent, WRITE_WHOLE.to_owned()),
            // Other tasks will give memory back.
            Self::NoRoom { .. } => (ErrorKind::Unavailable, Persistence::Transient, NO_ROOM_HELP.to_owned()),
            Self::Disk { path, error } => (ErrorKind::Unavailable, persistence(error), advice(error, &path.shown())),
        };
        Error::new(kind, message).help(help).lasting(lasting)
    }
}

/// Checks that a file matches what was found. If the content of the file was read to its end before, only the length is
/// checked here: the checksum of the content is checked later.
///
/// # Errors
/// If the file is gone or has changed.
pub(super) fn check_file(
    disk: &dyn Disk,
    path: &Path,
    bytes: u64,
    stamp: &FileStamp,
    has_checksum: bool,
) -> Result<(), SplitError> {
    let entry = disk.entry(path).map_err(|error| failed(path, error))?;
    let change =
        if has_checksum && entry.is_regular && entry.bytes >= bytes { None } else { stamp.change(bytes, &entry) };
    change.map_or(Ok(()), |change| Err(SplitError::Changed { path: path.to_owned(), change }))
}

/// Converts an error of reading a file that a batch was given.
pub(super) fn failed(path: &Path, error: io::Error) -> SplitError {
    let path = path.to_owned();
    if let Some(damage) = Damaged::of(&error) {
        return SplitError::Damaged { path, damage: damage.clone() };
    }
    match error.kind() {
        io::ErrorKind::OutOfMemory => SplitError::NoRoom { path, error },
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => SplitError::Gone { path },
        io::ErrorKind::UnexpectedEof => SplitError::Changed { path, change: error.to_string() },
        _ => SplitError::Disk { path, error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry of a file with 10 bytes that was modified at 5 s.
    fn entry() -> DirectoryEntry {
        DirectoryEntry {
            path: "/in/a".into(),
            name: "a".to_owned(),
            is_directory: false,
            is_regular: true,
            id: FileId { device: 1, inode: 2, born_ns: 3 },
            modified: Time::from_ms(5000),
            modified_ns: 5_000_000_001,
            bytes: 10,
        }
    }

    fn change(found: &DirectoryEntry) -> Option<String> {
        FileStamp::from(&entry()).change(10, found)
    }

    #[test]
    fn a_file_is_the_same_as_long_as_it_only_grows() {
        assert_eq!(change(&entry()), None);
        let grown = DirectoryEntry { bytes: 11, modified_ns: 9_000_000_000, modified: Time::from_ms(9000), ..entry() };
        assert_eq!(change(&grown), None);
        let renumbered = DirectoryEntry { id: FileId { device: 7, ..entry().id }, ..entry() };
        assert_eq!(change(&renumbered), None);
    }

    #[test]
    fn whatever_else_differs_is_a_change() {
        let other = DirectoryEntry { id: FileId { inode: 9, ..entry().id }, ..entry() };
        assert_eq!(change(&other).unwrap(), "another file has its name");
        let reborn = DirectoryEntry { id: FileId { born_ns: 9, ..entry().id }, ..entry() };
        assert_eq!(change(&reborn).unwrap(), "another file has its name");
        // Less than a millisecond later.
        let rewritten = DirectoryEntry { modified_ns: 5_000_000_002, ..entry() };
        assert_eq!(
            change(&rewritten).unwrap(),
            "it was modified at 1970-01-01T00:00:05Z, and before that at 1970-01-01T00:00:05Z"
        );
        let shorter = DirectoryEntry { bytes: 3, ..entry() };
        assert_eq!(change(&shorter).unwrap(), "it is 7 bytes shorter");
        let pipe = DirectoryEntry { is_regular: false, ..entry() };
        assert_eq!(change(&pipe).unwrap(), "it is no regular file");
    }

    #[test]
    fn of_an_earlier_version_only_the_time_is_compared() {
        let stamp = FileStamp::modified_at(Time::from_ms(5000));
        assert_eq!(stamp.change(10, &entry()), None);
        let rewritten = DirectoryEntry { modified: Time::from_ms(5001), modified_ns: 5_001_000_000, ..entry() };
        assert!(stamp.change(10, &rewritten).is_some());
    }
}
