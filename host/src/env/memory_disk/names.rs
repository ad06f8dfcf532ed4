//! The names of files and directories, in two versions: as programs see them, and as they would survive if the machine
//! went down.
//!
//! Owns the journal, which makes changes of names durable in the order in which they were made, as journaling file
//! systems do. Knows no content: see [`super::content`].

use super::content::Content;
use rand::{Rng, RngExt as _};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A file or a directory.
#[derive(Clone)]
pub(super) enum Entry {
    File(Arc<Mutex<Content>>),
    Directory,
}

/// A change of names, which happens completely or not at all.
pub(super) enum Change {
    /// A program creates a file or directory.
    Make(PathBuf, Entry),
    /// The test adds a file, with the directories above it.
    Put(PathBuf, Entry),
    /// A file or directory is renamed.
    Rename { from: PathBuf, to: PathBuf },
    /// A file or empty directory is removed.
    Remove(PathBuf),
}

impl Change {
    fn is_in(&self, directory: &Path) -> bool {
        let is_in = |path: &Path| path.parent() == Some(directory);
        match self {
            Self::Make(path, _) | Self::Put(path, _) | Self::Remove(path) => is_in(path),
            Self::Rename { from, to } => is_in(from) || is_in(to),
        }
    }
}

/// All names at one moment. The directory of each file exists.
#[derive(Clone)]
pub(super) struct Names(BTreeMap<PathBuf, Entry>);

impl Default for Names {
    fn default() -> Self {
        Self(["/", ""].map(|root| (root.into(), Entry::Directory)).into())
    }
}

impl Names {
    pub(super) fn find(&self, path: &Path) -> io::Result<&Entry> {
        let is_file = |path: &Path| matches!(self.0.get(path), Some(Entry::File(_)));
        self.0.get(path).ok_or_else(|| {
            let is_below_file = path.ancestors().any(is_file);
            if is_below_file { io::ErrorKind::NotADirectory.into() } else { io::ErrorKind::NotFound.into() }
        })
    }

    pub(super) fn contains(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<&Arc<Mutex<Content>>> {
        match self.find(path)? {
            Entry::File(content) => Ok(content),
            Entry::Directory => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn check_directory(&self, path: &Path) -> io::Result<()> {
        match self.find(path)? {
            Entry::File(_) => Err(io::ErrorKind::NotADirectory.into()),
            Entry::Directory => Ok(()),
        }
    }

    /// An entry and everything below it, by path.
    pub(super) fn from(&self, path: &Path) -> impl Iterator<Item = (&PathBuf, &Entry)> {
        self.0.range(path.to_path_buf()..).take_while(move |(other, _)| other.starts_with(path))
    }

    pub(super) fn children(&self, directory: &Path) -> impl Iterator<Item = (&PathBuf, &Entry)> {
        self.from(directory).filter(move |(path, _)| path.parent() == Some(directory))
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&PathBuf, &Arc<Mutex<Content>>)> {
        self.0.iter().filter_map(|(path, entry)| match entry {
            Entry::File(content) => Some((path, content)),
            Entry::Directory => None,
        })
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Make(path, entry) => drop(self.0.insert(path.clone(), entry.clone())),
            Change::Put(path, entry) => {
                for above in path.ancestors().skip(1) {
                    self.0.entry(above.to_path_buf()).or_insert(Entry::Directory);
                }
                self.0.insert(path.clone(), entry.clone());
            }
            Change::Rename { from, to } => {
                let moved: Vec<PathBuf> = self.from(from).map(|(path, _)| path.clone()).collect();
                for path in moved {
                    let Some((entry, rest)) = self.0.remove(&path).zip(path.strip_prefix(from).ok()) else { continue };
                    // Joining an empty path would add a slash.
                    let path = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
                    self.0.insert(path, entry);
                }
            }
            Change::Remove(path) => drop(self.0.remove(path)),
        }
    }
}

/// The names, and which of them are durable.
#[derive(Default)]
pub(super) struct Journal {
    pub(super) names: Names,
    durable: Names,
    /// The changes that lead from `durable` to `names`, in order.
    pending: Vec<Change>,
}

impl Journal {
    pub(super) fn change(&mut self, change: Change) {
        self.names.apply(&change);
        self.pending.push(change);
    }

    /// Makes the changes in a directory durable, together with all changes that were made before the last of them.
    pub(super) fn sync(&mut self, directory: &Path) {
        let count = self.pending.iter().rposition(|change| change.is_in(directory)).map_or(0, |last| last + 1);
        self.pending.drain(..count).for_each(|change| self.durable.apply(&change));
    }

    /// Of the changes that are not durable, keeps some of the first. The changes that the test has made stay, too.
    pub(super) fn crash(&mut self, rng: &mut impl Rng) {
        let count = match rng.random_range(0..4) {
            0 => 0,
            1 => self.pending.len(),
            _ => rng.random_range(0..=self.pending.len()),
        };
        for (at, change) in self.pending.drain(..).enumerate() {
            if at < count || matches!(change, Change::Put(..)) {
                self.durable.apply(&change);
            }
        }
        self.names = self.durable.clone();
    }
}
