//! Files in memory, for simulations. Files can appear at a given time, can be lost in a crash, and can be unreachable.
//!
//! Owns the behaviour of a file system, as far as programs can observe it. Of the changes that were not synced, a part
//! survives a crash: the first changes of names, and any pieces of the files' content. Files that tests add are on the
//! disk at once.

mod content;
mod faults;
mod handles;
mod names;
fn directory_entry(path: &Path, entry: &Entry) -> DirectoryEntry {
    let (is_directory, number, modified, bytes) = match entry {
        Entry::File(content) => {
            let content = lock(content);
            (false, content.number, content.modified, content.bytes.len() as u64)
        }
        Entry::Directory => {
            let mut hasher = DefaultHasher::new();
            path.hash(&mut hasher);
            (true, hasher.finish(), Time::default(), 0)
        }
    };
    DirectoryEntry {
        path: path.to_path_buf(),
        name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        is_directory,
        is_regular: !is_directory,
        id: FileId { device: DEVICE, inode: number, born_ns: number },
        modified,
        modified_ns: modified.as_ms().saturating_mul(1_000_000),
        bytes,
    }
}

#[cfg(test)]
mod tests;

use super::virtual_clock::VirtualClock;
use super::{Clock as _, DirectoryEntry, Disk, FileId, OutputFile, ScratchFile};
use crate::lock::lock;
use crate::time::Time;
use content::Content;
use faults::{FailsOnce, Faults, Unreachable};
use handles::{Handle, Lock, Scratch, Writer};
use names::{Change, Entry, Journal};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// The device of all files in memory.
const DEVICE: u64 = 1;

#[derive(Default)]
struct Tree {
    journal: Journal,
    /// Files that do not exist yet, by the time at which they appear.
    appearing: BTreeMap<Time, VecDeque<(PathBuf, Content)>>,
    faults: Faults,
    /// How many files were created so far.
    made: u64,
    /// How many lock guards were given out so far.
    guards: u64,
    /// How many programs were killed so far.
    killed: u64,
}

/// The disk of a simulated world.
#[derive(Clone)]
pub(super) struct MemoryDisk {
    clock: VirtualClock,
    tree: Arc<Mutex<Tree>>,
}

/// The operations of tests.
impl MemoryDisk {
    pub(super) fn new(clock: VirtualClock) -> Self {
        Self { clock, tree: Arc::default() }
    }

    pub(super) fn add(&self, appears: Time, modified: Time, path: PathBuf, bytes: Vec<u8>) {
        let mut tree = lock(&self.tree);
        if let Some(directory) = path.parent() {
            tree.journal.change(Change::Put(directory.to_path_buf(), Entry::Directory));
        }
        tree.made += 1;
        let file = (path, Content::durable(tree.made, bytes, modified));
        tree.appearing.entry(appears).or_default().push_back(file);
    }

    pub(super) fn space(&self, bytes: u64) {
        lock(&self.tree).faults.space = Some(bytes);
    }

    pub(super) fn read_only(&self, directory: PathBuf) {
        lock(&self.tree).faults.read_only.insert(directory);
    }

    pub(super) fn fails_once(&self, directory: &'static str, number: u64) {
        lock(&self.tree).faults.fails_once = Some(FailsOnce { directory, number, seen: 0 });
    }

    pub(super) fn operations_seen(&self) -> u64 {
        lock(&self.tree).faults.fails_once.as_ref().map_or(0, |fault| fault.seen)
    }

    pub(super) fn unreachable(&self, from: Time, until: Time, below: PathBuf, kind: io::ErrorKind) {
        lock(&self.tree).faults.unreachable.push(Unreachable { from, until, below, kind });
    }

    pub(super) fn all(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let (tree, _) = self.tree();
        tree.journal.names.files().map(|(path, content)| (path.clone(), lock(content).bytes.clone())).collect()
    }

    pub(super) fn writes(&self) -> u64 {
        lock(&self.tree).faults.writes
    }

    pub(super) fn halt_at_write(&self, write: u64) {
        lock(&self.tree).faults.halt_at = Some(write);
    }

    /// How many programs were killed so far.
    pub(super) fn killed(&self) -> u64 {
        lock(&self.tree).killed
    }

    pub(super) fn is_halted(&self) -> bool {
        lock(&self.tree).faults.is_halted
    }

    /// Ends the program: its handles have no effect any more, and its locks are released.
    pub(super) fn kill(&self) {
        let (mut tree, _) = self.tree();
        tree.faults.is_halted = false;
        tree.killed += 1;
        tree.journal.names.files().for_each(|(_, content)| lock(content).holder = None);
    }

    /// Ends the program and loses changes that were not synced. The seed decides which.
    pub(super) fn crash(&self, seed: u64) {
        self.kill();
        let (mut tree, _) = self.tree();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        tree.journal.crash(&mut rng);
        tree.journal.names.files().for_each(|(_, content)| lock(content).crash(&mut rng));
    }
}

/// The common part of the operations of programs.
impl MemoryDisk {
    /// The files that exist now, and the time.
    fn tree(&self) -> (MutexGuard<'_, Tree>, Time) {
        let mut tree = lock(&self.tree);
        tree.appear(self.clock.undisturbed());
        (tree, self.clock.now())
    }

    /// The files that exist now, and the time. Fails if the path cannot be reached.
    fn reach(&self, path: &Path) -> io::Result<(MutexGuard<'_, Tree>, Time)> {
        let (mut tree, now) = self.tree();
        tree.faults.reach(self.clock.undisturbed(), path)?;
        Ok((tree, now))
    }

    fn handle(&self, path: &Path, tree: &Tree) -> Handle {
        Handle { disk: self.clone(), path: path.to_path_buf(), program: tree.killed }
    }

    /// The content of a file.
    fn content(&self, path: &Path) -> io::Result<Vec<u8>> {
        let (tree, _) = self.reach(path)?;
        let content = tree.journal.names.file(path)?;
        Ok(lock(content).bytes.clone())
    }

    fn writer(&self, path: &Path, is_emptied: bool) -> io::Result<Box<dyn OutputFile>> {
        let (mut tree, now) = self.reach(path)?;
        let content = match tree.journal.names.file(path) {
            Ok(content) if is_emptied => {
                let content = content.clone();
                tree.faults.count()?;
                lock(&content).empty(now);
                content
            }
            _ => tree.find_or_make(path, now)?,
        };
        Ok(Box::new(Writer { handle: self.handle(path, &tree), content }))
    }
}

impl Tree {
    /// Adds the files whose time has come. Their directories exist from the start.
    fn appear(&mut self, now: Time) {
        while let Some(entry) = self.appearing.first_entry().filter(|entry| *entry.key() <= now) {
            for (path, content) in entry.remove() {
                self.journal.change(Change::Put(path, Entry::File(Arc::new(Mutex::new(content)))));
            }
        }
    }

    /// The file with this name. It is created if it does not exist.
    fn find_or_make(&mut self, path: &Path, now: Time) -> io::Result<Arc<Mutex<Content>>> {
        match self.journal.names.file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found.cloned(),
        }
        self.journal.names.check_directory(path.parent().unwrap_or(path))?;
        self.faults.check_parent(path)?;
        self.faults.count()?;
        self.made += 1;
        let content = Arc::new(Mutex::new(Content::durable(self.made, Vec::new(), now)));
        self.journal.change(Change::Make(path.to_path_buf(), Entry::File(content.clone())));
        Ok(content)
    }
}

impl Disk for MemoryDisk {
    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        let bytes = self.content(path)?;
        if bytes.len() as u64 > max_bytes {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let (tree, _) = self.reach(directory)?;
        tree.journal.names.check_directory(directory)?;
        let entry = |(path, entry): (&PathBuf, &Entry)| {
            let entry = directory_entry(path, entry);
            DirectoryEntry { path: directory.join(&entry.name), ..entry }
        };
        Ok(tree.journal.names.children(directory).map(entry).collect())
    }

    fn entry(&self, path: &Path) -> io::Result<DirectoryEntry> {
        let (tree, _) = self.reach(path)?;
        tree.journal.names.find(path).map(|entry| directory_entry(path, entry))
    }

    fn open(&self, path: &Path, start: u64) -> io::Result<Box<dyn io::Read + Send>> {
        let bytes = self.content(path)?;
        let rest = bytes.get(usize::try_from(start).unwrap_or(usize::MAX)..).unwrap_or_default().to_vec();
        Ok(Box::new(io::Cursor::new(rest)))
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        let mut plain = PathBuf::new();
        for component in path.components() {
            match component {
                Component::CurDir => {}
                Component::ParentDir => {
                    plain.pop();
                }
                other => plain.push(other),
            }
        }
        let (tree, _) = self.reach(&plain)?;
        tree.journal.names.find(&plain)?;
        Ok(plain)
    }

    fn check_writable(&self, directory: &Path) -> io::Result<()> {
        let (tree, _) = self.reach(directory)?;
        tree.journal.names.check_directory(directory)?;
        tree.faults.check_parent(&directory.join("entry"))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let (mut tree, _) = self.reach(path)?;
        let missing = |above: &&Path| !tree.journal.names.contains(above);
        let missing: Vec<PathBuf> = path.ancestors().take_while(missing).map(Path::to_path_buf).collect();
        match missing.last() {
            Some(top) => tree.journal.names.check_directory(top.parent().unwrap_or(top))?,
            None if tree.journal.names.file(path).is_ok() => return Err(io::ErrorKind::AlreadyExists.into()),
            None => {}
        }
        for directory in missing.into_iter().rev() {
            tree.faults.check_parent(&directory)?;
            tree.faults.count()?;
            tree.journal.change(Change::Make(directory, Entry::Directory));
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn OutputFile>> {
        self.writer(path, true)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn OutputFile>> {
        self.writer(path, false)
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        let (tree, _) = self.reach(path)?;
        let content = tree.journal.names.file(path)?;
        Ok(lock(content).bytes.len() as u64)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let (mut tree, now) = self.reach(path)?;
        let content = tree.find_or_make(path, now)?;
        tree.guards += 1;
        Ok(Lock::take(&content, tree.guards).map(|guard| Box::new(guard) as Box<dyn Send + Sync>))
    }

    fn is_locked(&self, path: &Path) -> io::Result<Option<bool>> {
        let (tree, _) = self.reach(path)?;
        Ok(Some(tree.journal.names.find(path).is_ok_and(|entry| match entry {
            Entry::File(content) => lock(content).holder.is_some(),
            Entry::Directory => false,
        })))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (mut tree, _) = self.reach(from)?;
        tree.faults.reach(self.clock.undisturbed(), to)?;
        let names = &tree.journal.names;
        let is_directory = matches!(names.find(from)?, Entry::Directory);
        if from == to {
            return Ok(());
        }
        names.check_directory(to.parent().unwrap_or(to))?;
        let error = match names.find(to) {
            _ if from.starts_with(to) => Some(io::ErrorKind::DirectoryNotEmpty),
            _ if to.starts_with(from) => Some(io::ErrorKind::InvalidInput),
            Ok(Entry::Directory) if is_directory => Some(io::ErrorKind::AlreadyExists),
            Ok(Entry::Directory) => Some(io::ErrorKind::IsADirectory),
            Ok(Entry::File(_)) if is_directory => Some(io::ErrorKind::NotADirectory),
            _ => None,
        };
        error.map_or(Ok(()), |kind| Err(io::Error::from(kind)))?;
        tree.faults.check_parent(from).and_then(|()| tree.faults.check_parent(to))?;
        tree.faults.count()?;
        tree.journal.change(Change::Rename { from: from.to_path_buf(), to: to.to_path_buf() });
        Ok(())
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let is_there = self.reach(to)?.0.journal.names.contains(to);
        if is_there { Err(io::ErrorKind::AlreadyExists.into()) } else { self.rename(from, to) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (mut tree, _) = self.reach(path)?;
        match tree.journal.names.find(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => drop(found?),
        }
        // The entries of a directory are removed first, one after the other, because no file system removes a directory
        // in one step.
        let paths: Vec<PathBuf> = tree.journal.names.from(path).map(|(path, _)| path.clone()).collect();
        for path in paths.into_iter().rev() {
            tree.faults.check_parent(&path)?;
            tree.faults.count()?;
            tree.journal.change(Change::Remove(path));
        }
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let (mut tree, _) = self.reach(path)?;
        tree.journal.names.check_directory(path)?;
        tree.faults.count()?;
        tree.journal.sync(path);
        Ok(())
    }

    fn scratch(&self, directory: Option<&Path>) -> io::Result<Box<dyn ScratchFile>> {
        let path = directory.unwrap_or_else(|| Path::new("/tmp"));
        let (tree, _) = self.reach(path)?;
        Ok(Box::new(Scratch { handle: self.handle(path, &tree), bytes: Mutex::default() }))
    }
}
