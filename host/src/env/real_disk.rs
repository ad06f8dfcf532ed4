//! The machine's files.

use super::early_sync::EarlySync;
use super::machine_time::time_of;
use super::{DirectoryEntry, Disk, FileId, OutputFile, ScratchFile};
use crate::lock::lock;
use crate::time::Time;
use rustix::fs::{Access, OFlags};
use rustix::io::Errno;
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

/// The mode of a file that other users must not read.
const PRIVATE_FILE: u32 = 0o600;
/// The mode of a directory that other users must not enter.
const PRIVATE_DIRECTORY: u32 = 0o700;
/// The permission bits of all users except the owner.
const OTHERS: u32 = 0o077;

/// The files of the machine.
pub(super) struct Files;

impl Disk for Files {
    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        regular(path, OpenOptions::new().read(true))?.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max_bytes {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            match self.entry(&path) {
                Ok(entry) => entries.push(entry),
                // The directory itself was replaced while it was listed, so its entries are not known.
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(error),
                // The entry was removed, or is a link to nothing.
                Err(_) => {}
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    fn entry(&self, path: &Path) -> io::Result<DirectoryEntry> {
        let metadata = std::fs::metadata(path)?;
        Ok(DirectoryEntry {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            is_directory: metadata.is_dir(),
            is_regular: metadata.is_file(),
            id: FileId {
                device: metadata.dev(),
                inode: metadata.ino(),
                born_ns: metadata.created().map_or(0, nanoseconds_of),
            },
            modified: metadata.modified().map_or(Time::default(), time_of),
            modified_ns: metadata.modified().map_or(0, nanoseconds_of),
            bytes: metadata.len(),
            path: path.to_path_buf(),
        })
    }

    fn open(&self, path: &Path, start: u64) -> io::Result<Box<dyn io::Read + Send>> {
        let mut file = regular(path, OpenOptions::new().read(true))?;
        if start > 0 {
            file.seek(io::SeekFrom::Start(start))?;
        }
        Ok(Box::new(file))
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::canonicalize(path)
    }

    fn link(&self, path: &Path) -> Option<PathBuf> {
        std::fs::read_link(path).ok()
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

    fn create_private_directory(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(PRIVATE_DIRECTORY).create(path)
    }

    fn keep_others_out(&self, path: &Path) -> io::Result<()> {
        let mode = std::fs::metadata(path)?.permissions().mode();
        if mode & OTHERS == 0 {
            return Ok(());
        }
        std::fs::set_permissions(path, Permissions::from_mode(mode & 0o7777 & !OTHERS))?;
        match std::fs::metadata(path)?.permissions().mode() & OTHERS {
            0 => Ok(()),
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, "the file system does not keep others out")),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn OutputFile>> {
        Ok(Box::new(writable(path, OpenOptions::new().write(true).create(true).truncate(true))?))
    }

    fn create_private(&self, path: &Path) -> io::Result<Box<dyn OutputFile>> {
        let mut options = OpenOptions::new();
        Ok(Box::new(writable(path, options.write(true).create(true).truncate(true).mode(PRIVATE_FILE))?))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn OutputFile>> {
        Ok(Box::new(EarlySync::new(regular(path, OpenOptions::new().append(true).create(true))?)))
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        let metadata = std::fs::metadata(path)?;
        if metadata.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(metadata.len()) }
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        loop {
            // The file is opened for writing because network file systems need that for an exclusive lock.
            let file = regular(path, OpenOptions::new().write(true).create(true).truncate(false).mode(PRIVATE_FILE))?;
            // Every user who can open the file could keep it locked. If the permissions cannot be changed, the lock
            // still works.
            let _ = self.keep_others_out(path);
            match file.try_lock() {
                Ok(()) if has_name(&file, path)? => return Ok(Some(Box::new(Lock(file)))),
                // The previous holder has removed the file just before it released the lock.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) if knows_no_locks(&error) => {
                    return Err(io::Error::new(io::ErrorKind::Unsupported, error));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    fn is_locked(&self, path: &Path) -> io::Result<Option<bool>> {
        let file = match std::fs::metadata(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(false)),
            Err(error) => return Err(error),
        };
        // If the system has no such table, nothing is known.
        let Ok(locks) = std::fs::read_to_string("/proc/locks") else { return Ok(None) };
        Ok(is_among_locks(&locks, file.dev(), file.ino()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        // Not every file system can rename a file only if the new name is free, but all of them can create a link under
        // that condition.
        std::fs::hard_link(from, to)?;
        std::fs::remove_file(from)
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
        let flags = (OFlags::DIRECTORY | OFlags::NONBLOCK).bits().cast_signed();
        OpenOptions::new().read(true).custom_flags(flags).open(path)?.sync_all()
    }

    fn scratch(&self, directory: Option<&Path>) -> io::Result<Box<dyn ScratchFile>> {
        let file = directory.map_or_else(tempfile::tempfile, tempfile::tempfile_in)?;
        Ok(Box::new(Scratch { file, end: Mutex::new(0) }))
    }
}

/// Whether an open file is still the file with this name.
fn has_name(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A point in time in nanoseconds since the Unix epoch; 0 if it is before the epoch.
fn nanoseconds_of(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Opens a regular file. A directory is opened, too, so that the system reports which operation is impossible on it.
fn regular(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let refuse = |metadata: &std::fs::Metadata| {
        let is_file = metadata.is_file() || metadata.is_dir();
        let refused = || io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
        if is_file { Ok(()) } else { Err(refused()) }
    };
    // Opening a device can have an effect, so a device is not opened.
    match std::fs::metadata(path) {
        Ok(metadata) => refuse(&metadata)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // Another file may have the name meanwhile. Opening a pipe must not wait for its other end.
    let file = options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed()).open(path)?;
    refuse(&file.metadata()?)?;
    Ok(file)
}

/// Opens a path to which bytes can be written: a regular file, a terminal or similar device, or a pipe that some
/// program reads. Writing to a full pipe fails and does not wait.
fn writable(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.file_type().is_fifo() || metadata.file_type().is_char_device() => {
            options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed()).open(path)
        }
        _ => regular(path, options),
    }
}

/// Whether an error says that there are no locks: the file system has none, or its lock server does not answer.
fn knows_no_locks(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    code.is_some_and(|code| [Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOTSUP, Errno::NOSYS].contains(&code))
}

/// Whether the system's table of locks has a lock on a file. `None` if the file system hides its device, so that this
/// cannot be known.
fn is_among_locks(locks: &str, device: u64, inode: u64) -> Option<bool> {
    let file_of = |line: &str| {
        let mut words = line.split_ascii_whitespace().skip_while(|word| *word != "FLOCK");
        let mut parts = words.nth(4)?.split(':');
        let (major, minor) = (parts.next()?, parts.next()?);
        let inode: u64 = parts.next()?.parse().ok()?;
        Some((u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?, inode))
    };
    let device = (rustix::fs::major(device), rustix::fs::minor(device));
    let mut answer = Some(false);
    for (major, minor, _) in locks.lines().filter_map(file_of).filter(|(.., of)| *of == inode) {
        if (major, minor) == device {
            return Some(true);
        }
        answer = None;
    }
    answer
}

/// A locked file. The lock belongs to the open file, which a process that was just started may still share. So closing
/// the file here would not be enough to release the lock.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!("cannot unlock a file: {error}");
        }
    }
}

/// A file whose name was removed directly after its creation.
struct Scratch {
    file: File,
    /// The position at which the next bytes are written. A failed write leaves bytes behind that are never read.
    end: Mutex<u64>,
}

impl ScratchFile for Scratch {
    fn append(&self, bytes: &[u8]) -> io::Result<u64> {
        // Only a successful write moves the end.
        let mut end = lock(&self.end);
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

impl OutputFile for File {
    fn sync(&mut self) -> io::Result<()> {
        // The size of the file is stored as well, and its times are not: nobody needs them after a crash.
        self.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode};
    use std::io::Write as _;

    /// No program opens the other end of these pipes, so a call that waited for that would never return.
    #[test]
    fn what_is_no_regular_file_is_never_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let found = Files.entry(&pipe).unwrap();
        assert!(!found.is_regular && !found.is_directory);
        let refused = |outcome: io::Result<()>| outcome.unwrap_err().to_string();
        for path in [pipe.as_path(), Path::new("/dev/null")] {
            assert_eq!(refused(Files.read(path, 10).map(drop)), "it is no regular file");
            assert_eq!(refused(Files.open(path, 0).map(drop)), "it is no regular file");
            assert_eq!(refused(Files.append(path).map(drop)), "it is no regular file");
            assert_eq!(refused(Files.lock(path).map(drop)), "it is no regular file");
            assert!(Files.sync_directory(path).is_err());
        }
        assert!(Files.create(&pipe).is_err());
        assert!(Files.create(Path::new("/dev/null")).and_then(|mut file| file.write_all(b"text")).is_ok());
    }

    #[test]
    fn a_pipe_that_is_full_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let _reader = OpenOptions::new().read(true).custom_flags(flags).open(&pipe).unwrap();
        let mut file = Files.create(&pipe).unwrap();
        let error = file.write_all(&vec![b'x'; 1 << 22]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
