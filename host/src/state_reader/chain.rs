//! [`SnapshotChain`]: the snapshots that have a state together, which are a full one and those of changes after it.
//!
//! Owns how rows are read from these snapshots, for a start that restores state and for people who look at state.

use crate::checkpoint::{
    SavedState, Snapshot, SnapshotError, SnapshotId, broken_part, needed_snapshots, read_part, read_snapshot,
};
use crate::env::Store;
use crate::state::{Layout, ReadParts, SoughtKey, StateError, decode};
use crate::time::Time;
use arrow::array::RecordBatch;
use std::sync::Arc;

/// The snapshots that have a state together.
pub struct SnapshotChain {
    store: Arc<dyn Store>,
    run: String,
    /// The snapshots, the oldest first. The first one has all keys.
    snapshots: Vec<(SnapshotId, Snapshot)>,
}

/// Why rows of a chain cannot be read.
pub enum ChainError {
    /// A snapshot cannot be read.
    Snapshot(SnapshotError),
    /// The rows cannot be used, or there is no room for them.
    State(StateError),
}

impl From<SnapshotError> for ChainError {
    fn from(error: SnapshotError) -> Self {
        Self::Snapshot(error)
    }
}

impl From<StateError> for ChainError {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

impl SnapshotChain {
    /// Reads the descriptions of the snapshots that have the state after the batch at `time`. `named` are the snapshots
    /// that a checkpoint of the run names, the oldest first.
    ///
    /// # Errors
    /// Returns an error if a description cannot be read.
    pub fn read(store: &Arc<dyn Store>, run: &str, named: &[SnapshotId], time: Time) -> Result<Self, SnapshotError> {
        let needed = needed_snapshots(named, Some(time)).iter().filter(|id| id.time() <= time);
        let read = |id: &SnapshotId| Ok((*id, read_snapshot(&**store, run, id)?));
        let snapshots = needed.map(read).collect::<Result<_, SnapshotError>>()?;
        Ok(Self { store: store.clone(), run: run.to_owned(), snapshots })
    }

    /// The snapshots and their descriptions, the oldest first.
    pub fn snapshots(&self) -> &[(SnapshotId, Snapshot)] {
        &self.snapshots
    }

    /// What each snapshot says of the state of a node, the oldest first.
    pub fn of_node(&self, node: u32) -> impl DoubleEndedIterator<Item = (&SnapshotId, &SavedState)> {
        let of = move |(id, snapshot)| Some((id, of_node(snapshot, node)?));
        self.snapshots.iter().map(|(id, snapshot)| (id, snapshot)).filter_map(of)
    }

    /// The parts of a node's rows, each read when it is needed: a list of parts for each snapshot, the oldest first.
    pub fn parts(&self, node: u32, layout: &Arc<Layout>) -> Vec<ReadParts<'_, ChainError>> {
        let of_snapshot = |(id, saved): (&SnapshotId, &SavedState)| -> ReadParts<'_, ChainError> {
            let (id, layout, mut numbers) = (*id, layout.clone(), 0..saved.parts);
            Box::new(move || Some(self.part(&id, (node, numbers.next()?), &layout)))
        };
        self.of_node(node).map(of_snapshot).collect()
    }

    /// The newest row of a key, which may say that the key was removed. `None` if no snapshot has the key. Reads only
    /// parts that may have the key, from the newest snapshot to the oldest one.
    ///
    /// # Errors
    /// Returns an error if a part cannot be read.
    pub fn row(&self, node: u32, layout: &Layout, key: &SoughtKey) -> Result<Option<RecordBatch>, ChainError> {
        for (id, saved) in self.of_node(node).rev() {
            for part in saved.parts_with(key.hash()) {
                let row = key.row_in(&self.part(id, (node, part), layout)?)?;
                if row.is_some() {
                    return Ok(row);
                }
            }
        }
        Ok(None)
    }

    /// The rows of a part of a snapshot.
    fn part(&self, id: &SnapshotId, place: (u32, u32), layout: &Layout) -> Result<RecordBatch, ChainError> {
        let bytes = read_part(&*self.store, &self.run, id, place)?;
        let broken = |error: StateError| broken_part(&*self.store, &self.run, id, place, &error.to_string());
        Ok(decode(layout, &bytes).map_err(broken)?)
    }
}

/// The state of a node in a snapshot.
pub(super) fn of_node(snapshot: &Snapshot, node: u32) -> Option<&SavedState> {
    snapshot.nodes.iter().find(|saved| saved.node == node)
}
