//! The files whose change makes `host dev` begin again.
//!
//! Owns which files these are. Files that the job itself writes, such as its outputs, are never among them. Never reads
//! the content of a file: a file has changed if its time or its size is another one.

use crate::env::{DirectoryEntry, Disk};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The directories of a crate whose files are watched, with all directories below them.
const DIRECTORIES: &[&str] = &["src", "tests", "examples", "benches"];
/// The endings of the files that are watched in the directory of the crate itself.
const EXTENSIONS: &[&str] = &["toml", "rs"];
/// The configuration of cargo for the crate.
const CARGO_CONFIG: &str = ".cargo/config.toml";
/// How deep directories are followed. A link can lead back to a directory above it.
const DEPTH_MAX: usize = 16;

/// The files that are watched.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// The crate; `None` if it is not known.
    pub crate_directory: Option<PathBuf>,
    /// Files of the job: the job file, and the files of queues.
    pub files: Vec<PathBuf>,
}

/// Times in nanoseconds and sizes in bytes of the files that were there at some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot(BTreeMap<PathBuf, (u64, u64)>);

impl Watched {
    /// How the files are now. A file that cannot be looked at counts as absent.
    pub fn look(&self, disk: &dyn Disk) -> Snapshot {
        let mut found = Snapshot::default();
        let named = self.files.iter().cloned().chain(self.crate_directory.iter().map(|at| at.join(CARGO_CONFIG)));
        found.add(named.filter_map(|file| disk.entry(&file).ok()));
        if let Some(directory) = &self.crate_directory {
            let is_watched = |entry: &DirectoryEntry| {
                let extension = entry.path.extension().and_then(|extension| extension.to_str());
                extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
            };
            found.add(disk.list(directory).unwrap_or_default().into_iter().filter(is_watched));
            DIRECTORIES.iter().for_each(|name| found.add_all(&directory.join(name), DEPTH_MAX, disk));
        }
        found
    }
}

impl Snapshot {
    fn add(&mut self, entries: impl Iterator<Item = DirectoryEntry>) {
        // Editors write files with such names beside the file that they change.
        let entries = entries.filter(|entry| entry.is_regular && !entry.name.ends_with('~'));
        self.0.extend(entries.map(|entry| (entry.path, (entry.modified_ns, entry.bytes))));
    }

    /// Adds all files below a directory, except hidden ones.
    fn add_all(&mut self, directory: &Path, depth: usize, disk: &dyn Disk) {
        let entries = disk.list(directory).unwrap_or_default();
        let shown = entries.into_iter().filter(|entry| !entry.name.starts_with('.'));
        let (directories, files): (Vec<_>, Vec<_>) = shown.partition(|entry| entry.is_directory);
        self.add(files.into_iter());
        if let Some(depth) = depth.checked_sub(1) {
            directories.iter().for_each(|below| self.add_all(&below.path, depth, disk));
        }
    }

    /// The first file that was not as it is in `later`. `None` if all files are the same.
    pub fn changed<'a>(&'a self, later: &'a Self) -> Option<&'a Path> {
        let differs = |path: &&PathBuf| self.0.get(*path) != later.0.get(*path);
        self.0.keys().chain(later.0.keys()).find(differs).map(PathBuf::as_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Simulation;
    use crate::time::Time;
    use std::io::Write as _;

    #[test]
    fn files_of_the_crate_and_the_job_are_watched_and_those_that_the_job_writes_are_not() {
        let env = Simulation::new(1, Time::from_ms(0)).env();
        let disk = &*env.disk;
        let write = |path: &str, text: &str| {
            let path = Path::new("/crate").join(path);
            disk.create_directory(path.parent().unwrap()).unwrap();
            disk.create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        };
        let watched = Watched {
            crate_directory: Some(PathBuf::from("/crate")),
            files: ["/crate/job.toml", "/crate/batches.jsonl"].map(PathBuf::from).to_vec(),
        };
        for file in ["Cargo.toml", "src/lib.rs", "src/parse/line.rs", ".cargo/config.toml", "job.toml", "batches.jsonl"]
        {
            write(file, "a");
            let before = watched.look(disk);
            write(file, "longer");
            let after = watched.look(disk);
            assert_eq!(before.changed(&after), Some(Path::new("/crate").join(file).as_path()));
            assert_eq!(after.changed(&watched.look(disk)), None);
        }
        let before = watched.look(disk);
        for file in
            ["out/x.txt", "Cargo.lock", "log.txt", "target/x.rs", "src/.lib.rs.swp", "src/lib.rs~", "checkpoint/a.toml"]
        {
            write(file, "a");
            assert_eq!(before.changed(&watched.look(disk)), None, "{file}");
        }
        write("src/new.rs", "a");
        assert_eq!(before.changed(&watched.look(disk)), Some(Path::new("/crate/src/new.rs")));
    }
}
