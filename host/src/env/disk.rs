//! Files, as the host sees them.
//!
//! Owns the trait. Never decides what may be read or written: who calls it has checked that.

use crate::time::Time;
use std::io;
use std::path::{Path, PathBuf};

/// What tells a file from every other one, whatever its name is and however a path to it is spelt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// The device that holds the file.
    pub device: u64,
    /// The number of the file on its device. A number is given again when its file is removed.
    pub inode: u64,
    /// When the file was made, in nanoseconds since the Unix epoch: it tells files apart that had the same number one after
    /// the other. 0 if the file system does not say.
    pub born_ns: u64,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Its full path.
    pub path: PathBuf,
    /// Its name; bytes that are not UTF-8 are replaced.
    pub name: String,
    /// Whether it is a directory itself. Links are followed.
    pub is_directory: bool,
    /// Whether it is a regular file: no directory, and no pipe, socket or device either. Links are followed.
    pub is_regular: bool,
    /// Which file or directory it is. Links are followed.
    pub id: FileId,
    /// When it was last modified.
    pub modified: Time,
    /// The same in nanoseconds since the Unix epoch, as exactly as the file system says it.
    pub modified_ns: u64,
    /// Its size, in bytes.
    pub bytes: u64,
}

/// A file that is being written. What was written and not synced may be lost if the machine goes down.
pub trait OutputFile: io::Write + Send {
    /// Waits until everything that was written is on the disk.
    ///
    /// # Errors
    /// What the file system says. Nothing can be said about the content then.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file without a name, for data that does not fit into memory. It is gone when it is dropped, or when the program
/// ends in whatever way.
pub trait ScratchFile: Send + Sync {
    /// Writes to the end and returns where that was.
    ///
    /// # Errors
    /// What the file system says.
    fn append(&self, bytes: &[u8]) -> io::Result<u64>;

    /// Reads `count` bytes that were written at `start`.
    ///
    /// # Errors
    /// What the file system says, or [`io::ErrorKind::UnexpectedEof`].
    fn read_at(&self, start: u64, count: usize) -> io::Result<Vec<u8>>;
}

/// Reads and writes files.
///
/// What is no regular file is never read, appended to or locked: [`io::ErrorKind::InvalidInput`] says so. No call waits
/// for somebody to open the other end of a pipe.
pub trait Disk: Send + Sync {
    /// The whole content of a file of at most `max_bytes`.
    ///
    /// # Errors
    /// What the file system says, or [`io::ErrorKind::FileTooLarge`].
    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>>;

    /// What a directory holds, by name. An entry that vanishes meanwhile is left out.
    ///
    /// # Errors
    /// What the file system says.
    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>>;

    /// The entry of a file or directory. Links are followed.
    ///
    /// # Errors
    /// What the file system says.
    fn entry(&self, path: &Path) -> io::Result<DirectoryEntry>;

    /// A reader of a file from byte `start` on.
    ///
    /// # Errors
    /// What the file system says.
    fn open(&self, path: &Path, start: u64) -> io::Result<Box<dyn io::Read + Send>>;

    /// The path without links, `.` and `..`. It must exist.
    ///
    /// # Errors
    /// What the file system says.
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf>;

    /// Where a link leads, as it is written in the link. `None` if the path itself is no link, or nothing is there.
    fn link(&self, _path: &Path) -> Option<PathBuf> {
        None
    }

    /// Makes sure that something can be made in a directory, as far as that can be known without doing so.
    ///
    /// # Errors
    /// What the file system would say.
    fn check_writable(&self, directory: &Path) -> io::Result<()>;

    /// Makes a directory and those above it, if they are not there.
    ///
    /// # Errors
    /// What the file system says.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// As [`Disk::create_directory`], and keeps other users of the machine out of the directories that are made.
    ///
    /// # Errors
    /// What the file system says.
    fn create_private_directory(&self, path: &Path) -> io::Result<()> {
        self.create_directory(path)
    }

    /// Takes the rights of other users to a directory or a file away.
    ///
    /// # Errors
    /// What the file system says, or [`io::ErrorKind::Unsupported`] if it keeps no rights.
    fn keep_others_out(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    /// Makes an empty file, or empties the one that is there. A terminal, or a pipe that somebody reads, is written to as
    /// it is.
    ///
    /// # Errors
    /// What the file system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn OutputFile>>;

    /// As [`Disk::create`], and other users of the machine cannot read a file that is made. A file that is there keeps its
    /// rights.
    ///
    /// # Errors
    /// What the file system says.
    fn create_private(&self, path: &Path) -> io::Result<Box<dyn OutputFile>> {
        self.create(path)
    }

    /// A writer at the end of a file, which is made if it is not there. [`OutputFile::sync`] also covers what others
    /// wrote to the file before.
    ///
    /// # Errors
    /// What the file system says.
    fn append(&self, path: &Path) -> io::Result<Box<dyn OutputFile>>;

    /// How many bytes a file holds.
    ///
    /// # Errors
    /// What the file system says.
    fn size(&self, path: &Path) -> io::Result<u64>;

    /// Locks a file for this program alone, and makes it, unreadable for other users, if it is not there. What is locked is
    /// the file that has the name then. `None` if somebody else, or another guard
    /// of this program, holds the lock. It ends when the guard is dropped, or when the program ends in whatever way.
    ///
    /// # Errors
    /// What the file system says, or [`io::ErrorKind::Unsupported`] if it knows no locks.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>>;

    /// Whether somebody holds the lock on a file right now. Nothing if that cannot be known without taking it.
    ///
    /// # Errors
    /// What the file system says.
    fn is_locked(&self, path: &Path) -> io::Result<Option<bool>>;

    /// Gives a file or directory another name, at once. A file that has that name is replaced; a directory must not be
    /// there.
    ///
    /// # Errors
    /// What the file system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file another name that nothing has yet. Of several programs that try at the same time, one does.
    ///
    /// # Errors
    /// What the file system says, or [`io::ErrorKind::AlreadyExists`].
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file, or a directory with all that it holds. It is no error if nothing is there.
    ///
    /// # Errors
    /// What the file system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Waits until the names in a directory are on the disk: files that were made, renamed or removed there.
    ///
    /// # Errors
    /// What the file system says.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes a scratch file in a directory, or where the system keeps temporary files.
    ///
    /// # Errors
    /// What the file system says.
    fn scratch(&self, directory: Option<&Path>) -> io::Result<Box<dyn ScratchFile>>;
}
