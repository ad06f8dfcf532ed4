//! Restores the state of a run from its snapshots, before the run begins.
//!
//! Owns the check that saved state has the types of the plugin. Which snapshots are needed is decided in
//! `graph/needs.rs`.

use super::checkpoint::Resumption;
use crate::checkpoint::{Snapshot, SnapshotError, SnapshotId, broken_part, needed_snapshots, read_part, read_snapshot};
use crate::data::schema::{RecordType, schema_id};
use crate::env::Store;
use crate::error::{Error, ErrorKind};
use crate::graph::{Graph, Node};
use crate::state::{Layout, ReadParts, StateError, StateStore, decode, restore};
use crate::time::Time;
use std::sync::Arc;

/// Why the state of a node cannot be restored.
enum Failed {
    Snapshot(SnapshotError),
    State(StateError),
}

impl From<StateError> for Failed {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

impl Resumption {
    /// Reads the state with which the nodes of the graph begin.
    ///
    /// # Errors
    /// Returns an error if a snapshot cannot be read, or if the state of a node has other types than the plugin
    /// declares.
    pub(super) fn restore_state(&self, graph: &Graph, parallelism: u32, state: &StateStore) -> Result<(), Error> {
        for (node, time) in &self.needs.snapshots {
            let (Some(time), Some(node)) = (time, graph.node(*node)) else { continue };
            let (Some(pair), Some(stateful)) = (node.state.as_ref(), node.operation.stateful()) else { continue };
            let partitions = stateful.partitions.unwrap_or(parallelism);
            self.restore_node(node, pair, *time, partitions, state)?;
        }
        Ok(())
    }

    fn restore_node(
        &self,
        node: &Node,
        pair: &RecordType,
        time: Time,
        partitions: u32,
        state: &StateStore,
    ) -> Result<(), Error> {
        let chain: Vec<&SnapshotId> =
            needed_snapshots(&self.snapshots, Some(time)).iter().filter(|snapshot| snapshot.time() <= time).collect();
        let Some(layout) = Layout::new(pair).map(Arc::new) else { return Ok(()) };
        let mut snapshots: Vec<ReadParts<'_, Failed>> = Vec::new();
        for id in chain {
            let snapshot = read_snapshot(&*self.store, &self.run, id)?;
            let parts = self.parts_of(node, pair, &snapshot)?;
            let (store, run, layout, mut next) = (&*self.store, &self.run, layout.clone(), 0);
            snapshots.push(Box::new(move || {
                let part = next;
                next += 1;
                (part < parts).then(|| read_rows(store, run, id, (node.id.0, part), &layout))
            }));
        }
        let version =
            restore(state.storage(), &layout, time, partitions, snapshots).map_err(|failed| match failed {
                Failed::Snapshot(error) => Error::from(error),
                Failed::State(error) => {
                    let message = format!("the state of {node} cannot be restored: {error}");
                    Error::new(ErrorKind::Unavailable, message)
                        .help("give the job more engine.memory, or more room for spilled rows")
                }
            })?;
        state.restore(node.id, version);
        Ok(())
    }

    /// The number of parts of a node's rows in a snapshot, after a check of their types.
    fn parts_of(&self, node: &Node, pair: &RecordType, snapshot: &Snapshot) -> Result<u32, Error> {
        let Some(saved) = snapshot.nodes.iter().find(|saved| saved.node == node.id.0) else { return Ok(0) };
        if saved.schema_id == schema_id(pair.fields()) {
            return Ok(saved.parts);
        }
        let was = saved.pair().map_or_else(|| "of an unknown type".to_owned(), |pair| pair.to_string());
        let message =
            format!("the saved state of {node} in {} is {was}, and the plugin declares {pair}", self.store.describe());
        Err(Error::new(ErrorKind::User, message).help(
            "start a new run with --fresh, which begins without state; or go back to the plugin whose state it is",
        ))
    }
}

fn read_rows(
    store: &dyn Store,
    run: &str,
    id: &SnapshotId,
    place: (u32, u32),
    layout: &Layout,
) -> Result<arrow::array::RecordBatch, Failed> {
    let bytes = read_part(store, run, id, place).map_err(Failed::Snapshot)?;
    decode(layout, &bytes).map_err(|error| Failed::Snapshot(broken_part(store, run, id, place, &error.to_string())))
}
