//! Files in memory, for simulations: they can appear at a time, and there can be too little room for them.

use super::{DirectoryEntry, Disk, OutputFile, ScratchFile};
use crate::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A file, and since when it is there.
struct File {
    appears: Time,
    modified: Time,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Tree {
    files: BTreeMap<PathBuf, File>,
    /// Directories that were made. Those of files are there without being listed here.
    directories: BTreeSet<PathBuf>,
    /// Directories that nothing can be made or removed in.
    read_only: BTreeSet<PathBuf>,
    /// How many bytes can still be written, if that is limited.
    space: Option<u64>,
}

/// The disk of a simulated world.
pub(super) struct MemoryDisk {
    now: Arc<Mutex<Time>>,
    tree: Arc<Mutex<Tree>>,
}

/// No code runs between a panic and the next use of a lock that could leave the data half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryDisk {
    pub(super) fn new(now: Arc<Mutex<Time>>) -> Self {
        Self { now, tree: Arc::default() }
    }

    pub(super) fn add(&self, appears: Time, modified: Time, path: PathBuf, bytes: Vec<u8>) {
        lock(&self.tree).files.insert(path, File { appears, modified, bytes });
    }

    pub(super) fn space(&self, bytes: u64) {
        lock(&self.tree).space = Some(bytes);
    }

    pub(super) fn read_only(&self, directory: PathBuf) {
        lock(&self.tree).read_only.insert(directory);
    }

    pub(super) fn all(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let now = *lock(&self.now);
        let tree = lock(&self.tree);
        let there = tree.files.iter().filter(|(_, file)| file.appears <= now);
        there.map(|(path, file)| (path.clone(), file.bytes.clone())).collect()
    }

    /// What a file holds, if it is there.
    fn content(&self, path: &Path) -> io::Result<Vec<u8>> {
        let now = *lock(&self.now);
        let tree = lock(&self.tree);
        let file = tree.files.get(path).filter(|file| file.appears <= now).ok_or(io::ErrorKind::NotFound)?;
        Ok(file.bytes.clone())
    }
}

impl Tree {
    fn is_directory(&self, path: &Path) -> bool {
        let above = |other: &PathBuf| other != path && other.starts_with(path);
        self.directories.contains(path) || self.files.keys().any(above) || self.directories.iter().any(above)
    }

    /// Whether an entry with this path can be made or removed.
    fn check_parent(&self, path: &Path) -> io::Result<()> {
        let read_only = path.parent().is_some_and(|parent| self.read_only.contains(parent));
        if read_only { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
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
        let now = *lock(&self.now);
        let tree = lock(&self.tree);
        let mut entries = BTreeMap::new();
        let mut add = |path: &Path, modified: Time, bytes: Option<u64>| {
            let Some(name) = path.strip_prefix(directory).ok().and_then(|rest| rest.components().next()) else {
                return;
            };
            let own = bytes.filter(|_| path == directory.join(name));
            let entry = DirectoryEntry {
                path: directory.join(name),
                name: name.as_os_str().to_string_lossy().into_owned(),
                is_directory: own.is_none(),
                modified,
                bytes: own.unwrap_or(0),
            };
            entries.entry(entry.path.clone()).or_insert(entry);
        };
        for (path, file) in tree.files.iter().filter(|(_, file)| file.appears <= now) {
            add(path, file.modified, Some(file.bytes.len() as u64));
        }
        for path in &tree.directories {
            add(path, Time::default(), None);
        }
        let is_there = !entries.is_empty() || tree.directories.contains(directory);
        if is_there { Ok(entries.into_values().collect()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn entry(&self, path: &Path) -> io::Result<DirectoryEntry> {
        let now = *lock(&self.now);
        let tree = lock(&self.tree);
        let file = tree.files.get(path).filter(|file| file.appears <= now);
        if file.is_none() && !tree.is_directory(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(DirectoryEntry {
            path: path.to_path_buf(),
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            is_directory: file.is_none(),
            modified: file.map_or(Time::default(), |file| file.modified),
            bytes: file.map_or(0, |file| file.bytes.len() as u64),
        })
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
        let tree = lock(&self.tree);
        let is_there = tree.files.contains_key(&plain) || tree.is_directory(&plain);
        if is_there { Ok(plain) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn check_writable(&self, directory: &Path) -> io::Result<()> {
        let tree = lock(&self.tree);
        if tree.files.contains_key(directory) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        if !tree.is_directory(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        tree.check_parent(&directory.join("entry"))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let mut tree = lock(&self.tree);
        if path.ancestors().any(|above| tree.files.contains_key(above)) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        path.ancestors()
            .take_while(|above| !tree.is_directory(above))
            .try_for_each(|above| tree.check_parent(above))?;
        tree.directories.extend(path.ancestors().filter(|above| above.components().count() > 0).map(Path::to_path_buf));
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn OutputFile>> {
        let now = *lock(&self.now);
        let mut tree = lock(&self.tree);
        if tree.is_directory(path) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !path.parent().is_some_and(|parent| tree.is_directory(parent)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        tree.check_parent(path)?;
        tree.files.insert(path.to_path_buf(), File { appears: now, modified: now, bytes: Vec::new() });
        Ok(Box::new(Writer { path: path.to_path_buf(), tree: self.tree.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = lock(&self.tree);
        tree.check_parent(from).and_then(|()| tree.check_parent(to))?;
        if let Some(file) = tree.files.remove(from) {
            tree.files.insert(to.to_path_buf(), file);
            return Ok(());
        }
        if !tree.is_directory(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if tree.files.contains_key(to) || tree.is_directory(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let moved = |path: &Path| {
            let rest = path.strip_prefix(from).ok()?;
            Some(if rest.components().next().is_none() { to.to_path_buf() } else { to.join(rest) })
        };
        let tree = &mut *tree;
        let files = std::mem::take(&mut tree.files).into_iter();
        tree.files = files.map(|(path, file)| (moved(&path).unwrap_or(path), file)).collect();
        let directories = std::mem::take(&mut tree.directories).into_iter();
        tree.directories = directories.map(|path| moved(&path).unwrap_or(path)).collect();
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut tree = lock(&self.tree);
        if !tree.files.contains_key(path) && !tree.is_directory(path) {
            return Ok(());
        }
        tree.check_parent(path)?;
        tree.files.retain(|other, _| !other.starts_with(path));
        tree.directories.retain(|other| !other.starts_with(path));
        Ok(())
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn scratch(&self, _: Option<&Path>) -> io::Result<Box<dyn ScratchFile>> {
        Ok(Box::new(Scratch { bytes: Mutex::default(), tree: self.tree.clone() }))
    }
}

/// A file that takes its room from that of the disk.
struct Scratch {
    bytes: Mutex<Vec<u8>>,
    tree: Arc<Mutex<Tree>>,
}

impl ScratchFile for Scratch {
    fn append(&self, bytes: &[u8]) -> io::Result<u64> {
        if let Some(space) = &mut lock(&self.tree).space {
            *space = space.checked_sub(bytes.len() as u64).ok_or(io::ErrorKind::StorageFull)?;
        }
        let mut content = lock(&self.bytes);
        let start = content.len() as u64;
        content.extend_from_slice(bytes);
        Ok(start)
    }

    fn read_at(&self, start: u64, count: usize) -> io::Result<Vec<u8>> {
        let content = lock(&self.bytes);
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let bytes = content.get(start..).and_then(|rest| rest.get(..count));
        bytes.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Writes to the end of a file, as long as it has its name.
struct Writer {
    path: PathBuf,
    tree: Arc<Mutex<Tree>>,
}

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut tree = lock(&self.tree);
        let tree = &mut *tree;
        let count = match &mut tree.space {
            Some(0) if !bytes.is_empty() => return Err(io::ErrorKind::StorageFull.into()),
            Some(space) => {
                let count = bytes.len().min(usize::try_from(*space).unwrap_or(usize::MAX));
                *space -= count as u64;
                count
            }
            None => bytes.len(),
        };
        if let Some(file) = tree.files.get_mut(&self.path) {
            file.bytes.extend_from_slice(bytes.get(..count).unwrap_or_default());
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl OutputFile for Writer {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RealExecutors, Simulation, real};
    use super::*;
    use std::io::Write as _;

    /// The same steps on a disk, with everything that they gave.
    fn steps(disk: &dyn Disk, root: &Path) -> Vec<String> {
        let mut seen = Vec::new();
        let mut see = |what: &str, outcome: io::Result<()>| {
            seen.push(format!("{what}: {:?}", outcome.map_err(|error| error.kind())));
        };
        let write = |path: &str, text: &str| {
            disk.create(&root.join(path)).and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync()
            })
        };
        see("write without a directory", write("a/b/one", "1"));
        see("make a/b", disk.create_directory(&root.join("a/b")));
        see("make it again", disk.create_directory(&root.join("a/b")));
        see("write one", write("a/b/one", "1"));
        see("write it again", write("a/b/one", "22"));
        see("write to a directory", write("a/b", "1"));
        see("make a directory below a file", disk.create_directory(&root.join("a/b/one/two")));
        see("can write", disk.check_writable(&root.join("a/b")));
        see("can write to a file", disk.check_writable(&root.join("a/b/one")));
        see("can write to nothing", disk.check_writable(&root.join("a/c")));
        see("rename a file", disk.rename(&root.join("a/b/one"), &root.join("a/b/two")));
        see("rename nothing", disk.rename(&root.join("a/b/one"), &root.join("a/b/two")));
        see("rename a directory", disk.rename(&root.join("a/b"), &root.join("a/c")));
        see("sync", disk.sync_directory(&root.join("a")));
        see("read", disk.read(&root.join("a/c/two"), 10).map(|bytes| assert_eq!(bytes, b"22")));
        see("find", disk.canonicalize(&root.join("a/./c/../c/two")).map(|path| assert!(path.ends_with("a/c/two"))));
        see("find nothing", disk.canonicalize(&root.join("a/b")).map(drop));
        let names = disk.list(&root.join("a")).map(|entries| {
            assert_eq!(
                entries.iter().map(|entry| (&*entry.name, entry.is_directory)).collect::<Vec<_>>(),
                [("c", true)]
            );
        });
        see("list", names);
        see("remove a directory", disk.remove(&root.join("a/c")));
        see("remove nothing", disk.remove(&root.join("a/c")));
        see("list what is empty", disk.list(&root.join("a")).map(|entries| assert!(entries.is_empty())));
        see("list nothing", disk.list(&root.join("a/c")).map(drop));
        let scratch = disk.scratch(Some(root)).unwrap();
        assert_eq!((scratch.append(b"abc").unwrap(), scratch.append(b"de").unwrap()), (0, 3));
        assert_eq!(
            (scratch.read_at(0, 3).unwrap(), scratch.read_at(2, 3).unwrap()),
            (b"abc".to_vec(), b"cde".to_vec())
        );
        see("read beyond the end", scratch.read_at(3, 3).map(drop));
        see("list the directory of a scratch file", disk.list(root).map(|entries| assert_eq!(entries.len(), 1)));
        seen
    }

    #[test]
    fn files_in_memory_behave_as_files_on_disk() {
        let executors = RealExecutors::start(1).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let on_disk = steps(&*real(&executors).disk, directory.path());
        let simulation = Simulation::new(0, Time::default());
        simulation.env().disk.create_directory(Path::new("/root")).unwrap();
        assert_eq!(steps(&*simulation.env().disk, Path::new("/root")), on_disk);
    }

    #[test]
    fn a_full_disk_takes_what_fits() {
        let simulation = Simulation::new(0, Time::default());
        simulation.file("/f", "");
        let mut file = simulation.env().disk.create(Path::new("/f")).unwrap();
        simulation.disk_space(3);
        assert_eq!(file.write_all(b"12345").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(simulation.files()[Path::new("/f")], b"123");
    }
}
