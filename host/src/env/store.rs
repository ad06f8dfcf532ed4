//! Where checkpoints are kept: named pieces of bytes that are on stable storage when a call returns.
//!
//! Owns the trait and its form on a [`Disk`], a directory. Names are paths with `/`, relative to the store. Calls wait for
//! the storage, so they belong on the background executor. Never knows what the bytes are.

use super::{Disk, OutputFile};
use crate::lock::lock;
use crate::shown::Shown as _;
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What holds a lock until it is dropped, or the process ends.
pub type LockGuard = Box<dyn Send + Sync>;

/// A piece of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPiece {
    /// Its name, without the directory.
    pub name: String,
    /// Its size, in bytes.
    pub bytes: u64,
}

/// Keeps pieces of bytes.
pub trait Store: Send + Sync {
    /// The whole of a piece of at most `max_bytes`.
    ///
    /// # Errors
    /// What the storage says, [`io::ErrorKind::NotFound`], or [`io::ErrorKind::FileTooLarge`].
    fn read(&self, name: &str, max_bytes: u64) -> io::Result<Vec<u8>>;

    /// The pieces right below a directory, by name. A directory that is not there is empty.
    ///
    /// # Errors
    /// What the storage says.
    fn list(&self, directory: &str) -> io::Result<Vec<StoredPiece>>;

    /// The directories right below a directory, by name.
    ///
    /// # Errors
    /// What the storage says.
    fn directories(&self, directory: &str) -> io::Result<Vec<String>>;

    /// Stores a piece, in place of the one that had the name. After a crash there is the old one or the new one, whole.
    ///
    /// # Errors
    /// What the storage says. Either of the two may be there then.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Stores a piece whose name nobody has used yet, whole or not at all. Of several hosts that do so at the same time,
    /// one succeeds.
    ///
    /// # Errors
    /// What the storage says, and then the piece may be there or not; or [`io::ErrorKind::AlreadyExists`].
    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// A new piece that grows. After a crash it may be short of what was appended last.
    ///
    /// # Errors
    /// What the storage says.
    fn appender(&self, name: &str) -> io::Result<Box<dyn Appender>>;

    /// Removes a piece. It is no error if it is not there.
    ///
    /// # Errors
    /// What the storage says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Takes a lock that nobody else holds. Nothing if somebody does.
    ///
    /// # Errors
    /// What the storage says, or [`io::ErrorKind::Unsupported`] if it has no locks.
    fn lock(&self, name: &str) -> io::Result<Option<LockGuard>>;

    /// Whether somebody holds a lock right now. Nothing if that cannot be known without taking it.
    ///
    /// # Errors
    /// What the storage says.
    fn is_locked(&self, _name: &str) -> io::Result<Option<bool>> {
        Ok(None)
    }

    /// The place, for messages.
    fn describe(&self) -> String;
}

/// Adds to the end of a piece.
pub trait Appender: Send {
    /// Appends, and waits until it is on stable storage.
    ///
    /// # Errors
    /// What the storage says. Any part of `bytes` may be there then, and nothing more can be appended.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Whether another piece is better begun: this one becomes slow to read.
    fn is_long(&self) -> bool {
        false
    }
}

/// A store in a directory.
pub struct DiskStore {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    /// The directories right below the root that other users cannot enter.
    private: Mutex<BTreeSet<String>>,
}

/// The directories of checkpoints that whoever takes the lock may find there.
const CHECKPOINT_DIRECTORIES: [&str; 2] = ["ingest", "runs"];

/// What the name of a piece begins with while it is written.
const UNFINISHED: &str = ".new-";

impl DiskStore {
    /// A store in the directory `root`, which need not be there.
    pub fn new(disk: Arc<dyn Disk>, root: PathBuf) -> Self {
        Self { disk, root, private: Mutex::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Takes the rights of other users to a directory right below the root that an older version of the host, or somebody
    /// else, made. The root itself may be a directory that holds more than the store.
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

    /// Writes a piece under the name that it has until it is whole. Returns its directory, that path and its own.
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

    /// Makes the directory of a piece, durably, for the user of this process alone.
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
        // Where there are no locks, two hosts may write the unfinished file at the same time. One of them can give it its
        // name, and whoever reads it then sees whose it is.
        let (parent, unfinished, path) = self.write_unfinished(name, bytes)?;
        if let Err(error) = self.disk.rename_new(&unfinished, &path) {
            // If it stays, the next piece of that name replaces it.
            let _ = self.disk.remove(&unfinished);
            return Err(error);
        }
        self.disk.sync_directory(&parent)
    }

    fn appender(&self, name: &str) -> io::Result<Box<dyn Appender>> {
        let path = self.path(name);
        let parent = self.make_parent(name, &path)?;
        let file = self.disk.create_private(&path)?;
        Ok(Box::new(FileAppender { file, disk: self.disk.clone(), parent: Some(parent) }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(&self.path(name))
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
    disk: Arc<dyn Disk>,
    /// The directory whose entry of the file is not durable yet.
    parent: Option<PathBuf>,
}

impl Appender for FileAppender {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync()?;
        if let Some(parent) = &self.parent {
            self.disk.sync_directory(parent)?;
            self.parent = None;
        }
        Ok(())
    }
}
