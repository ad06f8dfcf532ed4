//! Handles of a program to files in memory: writers, scratch files and locks.
//!
//! A handle of a killed program has no effect any more.

use super::content::Content;
use super::{MemoryDisk, Tree};
use crate::env::{OutputFile, ScratchFile};
use crate::lock::lock;
use crate::time::Time;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

/// The program that has opened a file, and the path of the file.
pub(super) struct Handle {
    pub(super) disk: MemoryDisk,
    pub(super) path: PathBuf,
    /// How many programs were killed before this program started.
    pub(super) program: u64,
}

impl Handle {
    /// Returns the disk, the time, and whether the file can be reached. Fails if this program was killed.
    fn tree(&self) -> io::Result<(MutexGuard<'_, Tree>, Time, io::Result<()>)> {
        let (mut tree, now) = self.disk.tree();
        tree.faults.check_running()?;
        if tree.killed != self.program {
            return Err(io::Error::other("the program that opened the file was killed"));
        }
        let reached = tree.faults.reach(self.disk.clock.undisturbed(), &self.path);
        Ok((tree, now, reached))
    }
}

/// Writes to the end of a file, even if the file was renamed.
pub(super) struct Writer {
    pub(super) handle: Handle,
    pub(super) content: Arc<Mutex<Content>>,
}

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (mut tree, now, reached) = self.handle.tree()?;
        reached?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let count = tree.faults.room(bytes.len())?;
        tree.faults.count()?;
        tree.faults.take(count);
        lock(&self.content).append(bytes.get(..count).unwrap_or_default(), now);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl OutputFile for Writer {
    fn sync(&mut self) -> io::Result<()> {
        let (mut tree, _, reached) = self.handle.tree()?;
        if let Err(error) = reached {
            lock(&self.content).fail_sync();
            return Err(error);
        }
        tree.faults.count()?;
        lock(&self.content).sync();
        Ok(())
    }
}

/// A scratch file. Its bytes count towards the room on the disk.
pub(super) struct Scratch {
    pub(super) handle: Handle,
    pub(super) bytes: Mutex<Vec<u8>>,
}

impl ScratchFile for Scratch {
    fn append(&self, bytes: &[u8]) -> io::Result<u64> {
        let (mut tree, _, reached) = self.handle.tree()?;
        reached?;
        if tree.faults.room(bytes.len())? < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        tree.faults.take(bytes.len());
        let mut content = lock(&self.bytes);
        let start = content.len() as u64;
        content.extend_from_slice(bytes);
        Ok(start)
    }

    fn read_at(&self, start: u64, count: usize) -> io::Result<Vec<u8>> {
        let (tree, _, reached) = self.handle.tree()?;
        drop(tree);
        reached?;
        let content = lock(&self.bytes);
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let bytes = content.get(start..).and_then(|rest| rest.get(..count));
        bytes.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// A lock on a file, even if the file was renamed.
pub(super) struct Lock {
    pub(super) content: Arc<Mutex<Content>>,
    pub(super) holder: u64,
}

impl Lock {
    /// Takes the lock; `None` if another guard has it.
    pub(super) fn take(content: &Arc<Mutex<Content>>, holder: u64) -> Option<Self> {
        let mut locked = lock(content);
        if locked.holder.is_some() {
            return None;
        }
        locked.holder = Some(holder);
        Some(Self { content: content.clone(), holder })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut content = lock(&self.content);
        // After a kill, another guard may have the lock.
        if content.holder == Some(self.holder) {
            content.holder = None;
        }
    }
}
