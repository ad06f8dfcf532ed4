//! What goes wrong with the disk of a simulated world: no room, no permission, no connection, or the machine stops.

use crate::time::Time;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// What a test wants to go wrong.
#[derive(Default)]
pub(super) struct Faults {
    /// Directories that nothing can be made or removed in.
    pub(super) read_only: BTreeSet<PathBuf>,
    /// How many bytes can still be written, if that is limited.
    pub(super) space: Option<u64>,
    pub(super) unreachable: Vec<Unreachable>,
    /// How many operations changed something.
    pub(super) writes: u64,
    /// At which of them the machine stops.
    pub(super) halt_at: Option<u64>,
    /// Whether it has stopped.
    pub(super) is_halted: bool,
}

/// Files that cannot be reached for some time.
pub(super) struct Unreachable {
    pub(super) from: Time,
    pub(super) until: Time,
    pub(super) below: PathBuf,
    pub(super) kind: io::ErrorKind,
}

impl Faults {
    /// Whether an operation on a path can be tried at all.
    pub(super) fn reach(&self, at: Time, path: &Path) -> io::Result<()> {
        self.check_running()?;
        let is_hit = |fault: &&Unreachable| (fault.from..fault.until).contains(&at) && path.starts_with(&fault.below);
        self.unreachable.iter().find(is_hit).map_or(Ok(()), |fault| Err(fault.kind.into()))
    }

    pub(super) fn check_running(&self) -> io::Result<()> {
        if self.is_halted { Err(io::Error::other("the machine has stopped")) } else { Ok(()) }
    }

    /// Whether an entry with this path can be made or removed.
    pub(super) fn check_parent(&self, path: &Path) -> io::Result<()> {
        let is_read_only = path.parent().is_some_and(|parent| self.read_only.contains(parent));
        if is_read_only { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
    }

    /// Counts an operation that is about to change something. If the machine stops here, it must not be done.
    pub(super) fn count(&mut self) -> io::Result<()> {
        if self.halt_at.is_some_and(|at| self.writes + 1 >= at) {
            self.halt_at = None;
            self.is_halted = true;
        }
        self.check_running()?;
        self.writes += 1;
        Ok(())
    }

    /// How many of `bytes` there is room for.
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
