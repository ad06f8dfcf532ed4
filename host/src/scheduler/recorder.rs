//! Notes the progress of a run, for the next checkpoint.
//!
//! Owns the progress until a checkpoint holds it. Never writes anything: see `checkpoints.rs`.

use crate::checkpoint::{Durable, Ownership, RunProgress, SnapshotId, Trouble};
use crate::lock::lock;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;

/// Notes the progress of a run, for the next checkpoint.
#[derive(Clone)]
pub(super) struct Recorder {
    pub(super) shared: Arc<Shared>,
}

/// What all clones of a recorder share.
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) changed: watch::Sender<u64>,
    pub(super) ownership: Arc<Ownership>,
    /// Handles failures to find out which host has the checkpoint directory.
    pub(super) trouble: Trouble,
}

/// The progress of a run, and what the next checkpoint waits for.
pub(super) struct State {
    pub(super) progress: RunProgress,
    /// The snapshots of state, the oldest first.
    pub(super) snapshots: Vec<SnapshotId>,
    /// The number of changes so far.
    pub(super) version: u64,
    /// Waits until the data of the last batch is on stable storage. A checkpoint must not contain a batch that the
    /// allocation log does not contain.
    pub(super) durable: Option<Durable>,
}

impl Recorder {
    /// Changes the progress, and wakes the writer of checkpoints.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        let version = {
            let mut state = self.shared.lock();
            change(&mut state);
            state.version += 1;
            state.version
        };
        self.shared.changed.send_replace(version);
    }

    /// Notes that a snapshot of state is on stable storage.
    pub(super) fn snapshot_written(&self, snapshot: SnapshotId) {
        self.change(|state| state.snapshots.push(snapshot));
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}
