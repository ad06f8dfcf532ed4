//! The storage of checkpoints: named pieces of bytes that are on stable storage when a call returns.
//!
//! Owns the trait, and its implementation in a directory of a [`Disk`]. Names are paths with `/`, relative to the
//! store. Calls wait for the storage, so they have to run on the background executor. Never knows the meaning of the
//! bytes.

use super::{Disk, OutputFile};
use crate::lock::lock;
use crate::shown::Shown as _;
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A guard that holds a lock until the guard is dropped, or the process ends.
pub type LockGuard = Box<dyn Send + Sync>;

/// An entry in the list of a store's pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPiece {
    /// The name of the piece, without the directory.
    pub name: String,
    /// The size of the piece, in bytes.
    pub bytes: u64,
}

/// Stores named pieces of bytes.
pub trait Store: Send + Sync {
    /// The whole content of a piece of at most `max_bytes`.
    ///
    /// # Errors
    /// The error of the storage; [`io::ErrorKind::NotFound`] if there is no such piece; [`io::ErrorKind::FileTooLarge`]
    /// if the piece has more than `max_bytes`.
    fn read(&self, name: &str, max_bytes: u64) -> io::Result<Vec<u8>>;

    /// The pieces directly in a directory, by name. A directory that does not exist counts as empty.
    ///
    /// # Errors
    /// The error of the storage.
    fn list(&self, directory: &str) -> io::Result<Vec<StoredPiece>>;

    /// The directories directly in a directory, by name.
    ///
    /// # Errors
    /// The error of the storage.
    fn directories(&self, directory: &str) -> io::Result<Vec<String>>;

    /// Stores a piece. An existing piece with the name is replaced. After a crash, there is either the whole old piece
    /// or the whole new piece.
    ///
    /// # Errors
    /// The error of the storage. Then there may be either of the two pieces.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Stores a piece under a name that was never used, completely or not at all. If several hosts do so at the same
    /// time, exactly one succeeds.
    ///
    /// # Errors
    /// The error of the storage, after which the piece may exist or not; [`io::ErrorKind::AlreadyExists`] if the name
    /// is used.
    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Makes a new piece that grows. After a crash, the bytes that were appended last may be missing.
    ///
    /// # Errors
    /// The error of the storage.
    fn appender(&self, name: &str) -> io::Result<Box<dyn Appender>>;

    /// Removes a piece. If the piece does not exist, that is not an error.
    ///
    /// # Errors
    /// The error of the storage.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Removes a directory with everything in it, also with what unfinished writes have left there. If the directory does
    /// not exist, that is not an error.
    ///
    /// # Errors
    /// The error of the storage. Then any part of the directory may be left.
    fn remove_directory(&self, directory: &str) -> io::Result<()> {
        for below in self.directories(directory)? {
            self.remove_directory(&format!("{directory}/{below}"))?;
        }
        self.list(directory)?.iter().try_for_each(|piece| self.remove(&format!("{directory}/{}", piece.name)))
    }

    /// Takes a lock. `None` if another guard holds the lock.
    ///
    /// # Errors
    /// The error of the storage, or [`io::ErrorKind::Unsupported`] if it has no locks.
    fn lock(&self, name: &str) -> io::Result<Option<LockGuard>>;

    /// Whether some guard holds a lock now. `None` if that cannot be known without taking the lock.
    ///
    /// # Errors
    /// The error of the storage.
    fn is_locked(&self, _name: &str) -> io::Result<Option<bool>> {
        Ok(None)
    }

    /// The place of the store, for messages.
    fn describe(&self) -> String;
}

/// Adds to the end of a piece. After an error, any part of the bytes since the last success of [`Appender::sync`] may be
/// in the piece, and nothing more can be appended.
pub trait Appender: Send {
    /// Appends bytes. They may be lost in a crash until [`Appender::sync`] has returned.
    ///
    /// # Errors
    /// The error of the storage.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Waits until all bytes that were appended are on stable storage.
    ///
    /// # Errors
    /// The error of the storage; [`io::ErrorKind::NotFound`] if the piece is a file that was removed.
    fn sync(&mut self) -> io::Result<()>;

    /// Appends bytes, and waits until they are on stable storage.
    ///
    /// # Errors
    /// The error of the storage.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes)?;
        self.sync()
    }

    /// Whether it is better to begin another piece, because this one has become slow to read.
    fn is_long(&self) -> bool {
        false
    }
}

/// A store in a directory.
pub struct DiskStore {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    /// The directories directly in the root that other users cannot enter.
    private: Mutex<BTreeSet<String>>,
}

/// The directories of checkpoints that may exist already when a host takes the lock.
const CHECKPOINT_DIRECTORIES: [&str; 2] = ["ingest", "runs"];

/// The beginning of the name of a piece while the piece is written.
const UNFINISHED: &str = ".new-";

impl DiskStore {
    /// Makes a store in the directory `root`, which need not exist yet.
    pub fn new(disk: Arc<dyn Disk>, root: PathBuf) -> Self {
        Self { disk, root, private: Mutex::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Removes the permissions of other users on a directory directly in the root. An older version of the host, or
    /// somebody else, may have created it. The root itself is not changed, because it may contain more than the store.
    fn keep_others_out(&self, name: &str) {
        let top = name.split('/').next().unwrap_or(name);
        if !lock(&self.private).insert(top.to_owned()) {
            return;
        }
        let directory = self.path(top);
        if let Err(error) = self.disk.keep_others_out(&directory) {
            tracing::warn!("other users of this machine may read {}: {error}", directory.shown());
        }
    }

    /// Writes a piece under its temporary name. Returns the directory of the piece, the temporary path and the final
    /// path.
    fn write_unfinished(&self, name: &str, bytes: &[u8]) -> io::Result<(PathBuf, PathBuf, PathBuf)> {
        let path = self.path(name);
        let parent = self.make_parent(name, &path)?;
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = parent.join(format!("{UNFINISHED}{file_name}"));
        let mut file = self.disk.create_private(&unfinished)?;
        file.write_all(bytes)?;
        file.sync()?;
        Ok((parent, unfinished, path))
    }

    /// Creates the directory of a piece, durably and only for the user of this process.
    fn make_parent(&self, name: &str, path: &Path) -> io::Result<PathBuf> {
        let parent = path.parent().unwrap_or(&self.root).to_path_buf();
        let missing: Vec<&Path> =
            parent.ancestors().take_while(|above| self.disk.canonicalize(above).is_err()).collect();
        if !missing.is_empty() {
            self.disk.create_private_directory(&parent)?;
            for made in missing.iter().rev() {
                if let Some(above) = made.parent() {
                    let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
                    self.disk.sync_directory(above)?;
                }
            }
        }
        self.keep_others_out(name);
        Ok(parent)
    }
}

impl Store for DiskStore {
    fn read(&self, name: &str, max_bytes: u64) -> io::Result<Vec<u8>> {
        match self.disk.read(&self.path(name), max_bytes) {
            // A directory is not a piece.
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => Err(io::ErrorKind::NotFound.into()),
            read => read,
        }
    }

    fn list(&self, directory: &str) -> io::Result<Vec<StoredPiece>> {
        let entries = match self.disk.list(&self.path(directory)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let is_piece = |entry: &super::DirectoryEntry| !entry.is_directory && !entry.name.starts_with('.');
        let pieces = entries.into_iter().filter(is_piece);
        Ok(pieces.map(|entry| StoredPiece { name: entry.name, bytes: entry.bytes }).collect())
    }

    fn directories(&self, directory: &str) -> io::Result<Vec<String>> {
        match self.disk.list(&self.path(directory)) {
            Ok(entries) => Ok(entries.into_iter().filter(|entry| entry.is_directory).map(|entry| entry.name).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (parent, unfinished, path) = self.write_unfinished(name, bytes)?;
        self.disk.rename(&unfinished, &path)?;
        self.disk.sync_directory(&parent)
    }

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        // If there are no locks, two hosts may write the unfinished file at the same time. Only one of them can give
        // the file its name. A reader of the file then sees which host has written it.
        let (parent, unfinished, path) = self.write_unfinished(name, bytes)?;
        if let Err(error) = self.disk.rename_new(&unfinished, &path) {
            // If the file stays, the next piece with this name replaces it.
            let _ = self.disk.remove(&unfinished);
            return Err(error);
        }
        self.disk.sync_directory(&parent)
    }

    fn appender(&self, name: &str) -> io::Result<Box<dyn Appender>> {
        let path = self.path(name);
        let parent = self.make_parent(name, &path)?;
        let file = self.disk.create_private(&path)?;
        Ok(Box::new(FileAppender { file, path, disk: self.disk.clone(), parent: Some(parent) }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(&self.path(name))
    }

    fn remove_directory(&self, directory: &str) -> io::Result<()> {
        self.disk.remove(&self.path(directory))
    }

    fn lock(&self, name: &str) -> io::Result<Option<LockGuard>> {
        let path = self.path(name);
        self.make_parent(name, &path)?;
        for made in CHECKPOINT_DIRECTORIES.iter().filter(|made| self.disk.canonicalize(&self.path(made)).is_ok()) {
            self.keep_others_out(made);
        }
        self.disk.lock(&path)
    }

    fn is_locked(&self, name: &str) -> io::Result<Option<bool>> {
        self.disk.is_locked(&self.path(name))
    }

    fn describe(&self) -> String {
        self.root.shown().into_owned()
    }
}

struct FileAppender {
    file: Box<dyn OutputFile>,
    path: PathBuf,
    disk: Arc<dyn Disk>,
    /// The directory whose entry for the file is not durable yet; `None` when it is durable.
    parent: Option<PathBuf>,
}

impl Appender for FileAppender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        if let Some(parent) = &self.parent {
            self.disk.sync_directory(parent)?;
            self.parent = None;
        }
        // A file that somebody has removed can be written to, and nobody can read it.
        match self.disk.entry(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(io::Error::new(error.kind(), format!("{} was removed", self.path.shown())))
            }
            found => found.map(drop),
        }
    }
}
