//! The machine's files.

use super::real::time_of;
use super::{DirectoryEntry, Disk, OutputFile, ScratchFile};
use crate::time::Time;
use rustix::fs::Access;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The files of the machine.
pub(super) struct Files;

impl Disk for Files {
    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max_bytes {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            entries.extend(self.entry(&path));
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    fn entry(&self, path: &Path) -> io::Result<DirectoryEntry> {
        let metadata = std::fs::metadata(path)?;
        Ok(DirectoryEntry {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            is_directory: metadata.is_dir(),
            modified: metadata.modified().map_or(Time::default(), time_of),
            bytes: metadata.len(),
            path: path.to_path_buf(),
        })
    }

    fn open(&self, path: &Path, start: u64) -> io::Result<Box<dyn io::Read + Send>> {
        let mut file = std::fs::File::open(path)?;
        if start > 0 {
            file.seek(io::SeekFrom::Start(start))?;
        }
        Ok(Box::new(file))
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::canonicalize(path)
    }

    fn check_writable(&self, directory: &Path) -> io::Result<()> {
        if !std::fs::metadata(directory)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(rustix::fs::access(directory, Access::WRITE_OK | Access::EXEC_OK)?)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn OutputFile>> {
        Ok(Box::new(std::fs::File::create(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = match std::fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path),
            Ok(_) => std::fs::remove_file(path),
            Err(error) => Err(error),
        };
        removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::File::open(path)?.sync_all()
    }

    fn scratch(&self, directory: Option<&Path>) -> io::Result<Box<dyn ScratchFile>> {
        let file = directory.map_or_else(tempfile::tempfile, tempfile::tempfile_in)?;
        Ok(Box::new(Scratch { file, end: Mutex::new(0) }))
    }
}

/// A file whose name was removed when it was made.
struct Scratch {
    file: std::fs::File,
    /// Where the next bytes go. A failed write leaves bytes behind that nobody reads.
    end: Mutex<u64>,
}

impl ScratchFile for Scratch {
    fn append(&self, bytes: &[u8]) -> io::Result<u64> {
        // Only a finished write moves the end.
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let start = *end;
        self.file.write_all_at(bytes, start)?;
        *end += bytes.len() as u64;
        Ok(start)
    }

    fn read_at(&self, start: u64, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes)
    }
}

impl OutputFile for std::fs::File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}
