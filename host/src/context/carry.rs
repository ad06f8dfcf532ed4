//! State that a new run takes over from the run beside it.
//!
//! Owns the copy of versions of state into the memory of the new run, and the snapshot that makes the copy durable. Which
//! operators take state over is decided before.

use super::job::{JobRun, no_more_batches};
use crate::block::RowStorage;
use crate::error::{Error, ErrorKind};
use crate::graph::Graph;
use crate::ids::NodeId;
use crate::scheduler::{StateTap, Versions};
use crate::state::{StateError, StateStore, Version, restore};
use crate::time::Time;
use std::sync::Arc;

/// Which state a new run takes over.
#[derive(Clone)]
pub(super) struct Carry {
    /// Takes the state of the run beside the new one.
    pub(super) tap: Arc<StateTap>,
    /// For each operator whose state is taken over: its node in the old run, and its node in the new one. The types of
    /// both are the same, or the new operator migrates states of the old type.
    pub(super) operators: Vec<(NodeId, NodeId)>,
}

impl Carry {
    /// Lets a new run, which has not begun, take over the state that the old run had after `batch`. Makes the state durable
    /// if the run has checkpoints. Returns the number of keys of each node of the new run.
    ///
    /// # Errors
    /// Returns an error if the old run has ended, or if the state cannot be stored.
    pub(super) async fn take_over(
        &self,
        run: &JobRun,
        versions: Option<Versions>,
        batch: Time,
        state: &StateStore,
    ) -> Result<Vec<(NodeId, u64)>, Error> {
        let versions = versions.ok_or_else(no_more_batches)?;
        let keys = self.copy(&versions, (&run.graph, run.settings.job.parallelism), batch, state)?;
        if let Some(checkpoints) = &run.checkpoints {
            checkpoints.save_state(batch).await?;
        }
        Ok(keys)
    }

    /// Copies the state of the old run after `batch` into the store of the new run. Returns the number of keys of each
    /// node of the new run.
    ///
    /// # Errors
    /// Returns an error if the state does not fit into the memory and the spill directory of the new run.
    fn copy(
        &self,
        versions: &Versions,
        (graph, parallelism): (&Graph, u32),
        batch: Time,
        state: &StateStore,
    ) -> Result<Vec<(NodeId, u64)>, Error> {
        let mut keys = Vec::new();
        for (old, new) in &self.operators {
            let Some((_, version)) = versions.iter().find(|(node, _)| node == old) else {
                keys.push((*new, 0));
                continue;
            };
            let Some(node) = graph.node(*new) else { continue };
            let partitions = node.operation.stateful().and_then(|stateful| stateful.partitions).unwrap_or(parallelism);
            let copied = copied(version, partitions, state.storage()).map_err(|error| {
                let message = format!("the state of {node} cannot be carried over: {error}");
                Error::new(ErrorKind::Unavailable, message)
                    .help("give the new run more memory with --memory, or more room for spilled rows")
            })?;
            keys.push((*new, copied.keys()));
            if node.state.as_ref() == Some(copied.layout.pair()) {
                state.restore(*new, copied, batch);
            } else {
                state.set_earlier(*new, copied);
            }
        }
        Ok(keys)
    }
}

/// Copies a version into another storage.
fn copied(version: &Version, partitions: u32, storage: &RowStorage) -> Result<Version, StateError> {
    let mut parts = version.saved(None);
    restore(storage, &version.layout, version.batch, partitions, vec![Box::new(move || parts.next())])
}
