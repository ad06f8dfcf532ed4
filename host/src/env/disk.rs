//! The files of the machine, as the host sees them.
//!
//! Owns the trait. Never decides which files may be read or written: the caller has checked that.

use crate::time::Time;
use std::io;
use std::path::{Path, PathBuf};

/// The identity of a file, whatever its name is and however a path to it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// The device that holds the file.
    pub device: u64,
    /// The number of the file on its device. After a file is removed, another file may get its number.
    pub inode: u64,
    /// When the file was created, in nanoseconds since the Unix epoch. This time distinguishes two files that had the
    /// same number one after the other. 0 if the file system does not say it.
    pub born_ns: u64,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The full path of the entry.
    pub path: PathBuf,
    /// The name of the entry. Bytes that are not UTF-8 are replaced.
    pub name: String,
    /// Whether the entry is a directory. Links are followed.
    pub is_directory: bool,
    /// Whether the entry is a regular file: not a directory, pipe, socket or device. Links are followed.
    pub is_regular: bool,
    /// The identity of the file or directory. Links are followed.
    pub id: FileId,
    /// When the entry was last modified.
    pub modified: Time,
    /// When the entry was last modified, in nanoseconds since the Unix epoch, as precisely as the file system says it.
    pub modified_ns: u64,
    /// The size of the entry, in bytes.
    pub bytes: u64,
}

/// A file that is being written. Bytes that were written and not synced may be lost if the machine goes down.
pub trait OutputFile: io::Write + Send {
    /// Waits until everything that was written is on the disk.
    ///
    /// # Errors
    /// The error of the file system. Then nothing is known about the content of the file.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file without a name, for data that does not fit into memory. The file is removed when it is dropped, or when the
/// program ends, however it ends.
pub trait ScratchFile: Send + Sync {
    /// Writes bytes at the end of the file, and returns the position at which they begin.
    ///
    /// # Errors
    /// The error of the file system.
    fn append(&self, bytes: &[u8]) -> io::Result<u64>;

    /// Reads `count` bytes that were written at `start`.
    ///
    /// # Errors
    /// The error of the file system, or [`io::ErrorKind::UnexpectedEof`] if there are fewer bytes.
    fn read_at(&self, start: u64, count: usize) -> io::Result<Vec<u8>>;
}

/// Reads and writes files.
///
/// Only regular files can be read, appended to or locked; for anything else, these methods return
/// [`io::ErrorKind::InvalidInput`]. No method waits until another program opens the other end of a pipe.
pub trait Disk: Send + Sync {
    /// The whole content of a file of at most `max_bytes`.
    ///
    /// # Errors
    /// The error of the file system, or [`io::ErrorKind::FileTooLarge`] if the file has more than `max_bytes`.
    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>>;

    /// The entries of a directory, by name. An entry that is removed meanwhile is left out.
    ///
    /// # Errors
    /// The error of the file system.
    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>>;

    /// The entry of a file or directory. Links are followed.
    ///
    /// # Errors
    /// The error of the file system.
    fn entry(&self, path: &Path) -> io::Result<DirectoryEntry>;

    /// Makes a reader of a file, which begins at byte `start`.
    ///
    /// # Errors
    /// The error of the file system.
    fn open(&self, path: &Path, start: u64) -> io::Result<Box<dyn io::Read + Send>>;

    /// Returns the path without links, `.` and `..`. The path must exist.
    ///
    /// # Errors
    /// The error of the file system.
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf>;

    /// The target of a link, as it is written in the link. `None` if the path is not a link, or if nothing is there.
    fn link(&self, _path: &Path) -> Option<PathBuf> {
        None
    }

    /// Checks that files can be created in a directory, as far as that is possible without creating one.
    ///
    /// # Errors
    /// The error that the file system would return.
    fn check_writable(&self, directory: &Path) -> io::Result<()>;

    /// Creates a directory and the directories above it, if they do not exist.
    ///
    /// # Errors
    /// The error of the file system.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// As [`Disk::create_directory`], but other users of the machine get no access to the directories that are created.
    ///
    /// # Errors
    /// The error of the file system.
    fn create_private_directory(&self, path: &Path) -> io::Result<()> {
        self.create_directory(path)
    }

    /// Removes the permissions of other users on a directory or a file.
    ///
    /// # Errors
    /// The error of the file system, or [`io::ErrorKind::Unsupported`] if it has no permissions.
    fn keep_others_out(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    /// Creates an empty file, or empties the file that exists. If the path is a terminal, or a pipe that another
    /// program reads, returns a writer to it.
    ///
    /// # Errors
    /// The error of the file system.
    fn create(&self, path: &Path) -> io::Result<Box<dyn OutputFile>>;

    /// As [`Disk::create`], but other users of the machine cannot read a file that is created. An existing file keeps
    /// its permissions.
    ///
    /// # Errors
    /// The error of the file system.
    fn create_private(&self, path: &Path) -> io::Result<Box<dyn OutputFile>> {
        self.create(path)
    }

    /// Makes a writer at the end of a file. The file is created if it does not exist. [`OutputFile::sync`] also covers
    /// bytes that others have written to the file before.
    ///
    /// # Errors
    /// The error of the file system.
    fn append(&self, path: &Path) -> io::Result<Box<dyn OutputFile>>;

    /// The size of a file, in bytes.
    ///
    /// # Errors
    /// The error of the file system.
    fn size(&self, path: &Path) -> io::Result<u64>;

    /// Locks a file for this program alone. If the file does not exist, it is created so that other users cannot read
    /// it. The lock is on the file that has the name at this time. `None` if another program, or another guard of this
    /// program, holds the lock. The lock is released when the guard is dropped, or when the program ends, however it
    /// ends.
    ///
    /// # Errors
    /// The error of the file system, or [`io::ErrorKind::Unsupported`] if it has no locks.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>>;

    /// Whether some program holds the lock on a file now. `None` if that cannot be known without taking the lock.
    ///
    /// # Errors
    /// The error of the file system.
    fn is_locked(&self, path: &Path) -> io::Result<Option<bool>>;

    /// Renames a file or directory, in one step. An existing file with the new name is replaced. There must be no
    /// directory with the new name.
    ///
    /// # Errors
    /// The error of the file system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Renames a file to a name that does not exist yet. If several programs try it at the same time, exactly one
    /// succeeds.
    ///
    /// # Errors
    /// The error of the file system, or [`io::ErrorKind::AlreadyExists`] if the name exists.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file, or a directory with everything in it. If nothing is there, that is not an error.
    ///
    /// # Errors
    /// The error of the file system.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Waits until the names in a directory are on the disk: the names of files that were created, renamed or removed
    /// there.
    ///
    /// # Errors
    /// The error of the file system.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Creates a scratch file in `directory`. `None` means the system's directory for temporary files.
    ///
    /// # Errors
    /// The error of the file system.
    fn scratch(&self, directory: Option<&Path>) -> io::Result<Box<dyn ScratchFile>>;
}
