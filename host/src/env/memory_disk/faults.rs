//! Faults of the disk in a simulated world: no room, no permission, no connection, or the machine stops.

use crate::time::Time;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// The faults that a test asks for.
#[derive(Default)]
pub(super) struct Faults {
    /// Directories in which nothing can be created or removed.
    pub(super) read_only: BTreeSet<PathBuf>,
    /// How many bytes can still be written. `None` if there is no limit.
    pub(super) space: Option<u64>,
    pub(super) unreachable: Vec<Unreachable>,
    /// An operation that fails once. `None` if a test asks for no such operation.
    pub(super) fails_once: Option<FailsOnce>,
    /// How many operations have changed something so far.
    pub(super) writes: u64,
    /// The number of the operation at which the machine stops. `None` if it does not stop.
    pub(super) halt_at: Option<u64>,
    /// Whether the machine has stopped.
    pub(super) is_halted: bool,
}

/// Files that cannot be reached for some time.
pub(super) struct Unreachable {
    pub(super) from: Time,
    pub(super) until: Time,
    pub(super) below: PathBuf,
    pub(super) kind: io::ErrorKind,
}

/// One operation, which fails. The operations after it succeed.
pub(super) struct FailsOnce {
    /// Only operations on paths with a directory of this name count.
    pub(super) directory: &'static str,
    /// The number of the operation that fails, from 1.
    pub(super) number: u64,
    /// How many operations there were so far.
    pub(super) seen: u64,
}

impl Faults {
    /// Checks that an operation on a path can be tried at this time.
    pub(super) fn reach(&mut self, at: Time, path: &Path) -> io::Result<()> {
        self.check_running()?;
        if let Some(fault) = self.fails_once.as_mut().filter(|fault| path.iter().any(|part| part == fault.directory)) {
            fault.seen += 1;
            if fault.seen == fault.number {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        let is_hit = |fault: &&Unreachable| (fault.from..fault.until).contains(&at) && path.starts_with(&fault.below);
        self.unreachable.iter().find(is_hit).map_or(Ok(()), |fault| Err(fault.kind.into()))
    }

    pub(super) fn check_running(&self) -> io::Result<()> {
        if self.is_halted { Err(io::Error::other("the machine has stopped")) } else { Ok(()) }
    }

    /// Checks that an entry with this path can be created or removed.
    pub(super) fn check_parent(&self, path: &Path) -> io::Result<()> {
        let is_read_only = path.parent().is_some_and(|parent| self.read_only.contains(parent));
        if is_read_only { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
    }

    /// Counts an operation that is about to change something. If the machine stops here, this is an error, and the
    /// operation must not be done.
    pub(super) fn count(&mut self) -> io::Result<()> {
        if self.halt_at.is_some_and(|at| self.writes + 1 >= at) {
            self.halt_at = None;
            self.is_halted = true;
        }
        self.check_running()?;
        self.writes += 1;
        Ok(())
    }

    /// How many of `bytes` still fit on the disk.
    pub(super) fn room(&self, bytes: usize) -> io::Result<usize> {
        match self.space {
            Some(0) if bytes > 0 => Err(io::ErrorKind::StorageFull.into()),
            Some(space) => Ok(bytes.min(usize::try_from(space).unwrap_or(usize::MAX))),
            None => Ok(bytes),
        }
    }

    pub(super) fn take(&mut self, bytes: usize) {
        self.space = self.space.map(|space| space.saturating_sub(bytes as u64));
    }
}
