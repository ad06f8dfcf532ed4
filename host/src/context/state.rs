//! Restores the state of a run from its snapshots, before the run begins.
//!
//! Owns the check that saved state has the types of the plugin. Which snapshots are needed is decided in
//! `graph/needs.rs`.

use super::checkpoint::Resumption;
use crate::block::RowStorage;
use crate::checkpoint::SavedState;
use crate::data::schema::{RecordType, schema_id};
use crate::error::{Error, ErrorKind};
use crate::graph::{Graph, Intervals, Node};
use crate::state::{Layout, StateStore, Version, restore};
use crate::state_reader::{ChainError, SnapshotChain};
use crate::time::Time;
use std::sync::Arc;

impl Resumption {
    /// Reads the state with which the nodes of the graph begin.
    ///
    /// # Errors
    /// Returns an error if a snapshot cannot be read, or if the state of a node has other types than the plugin
    /// declares.
    pub(super) fn restore_state(
        &self,
        graph: &Graph,
        intervals: &Intervals,
        parallelism: u32,
        state: &StateStore,
    ) -> Result<(), Error> {
        for (node, time) in &self.needs.snapshots {
            let (Some(time), Some(node)) = (time, graph.node(*node)) else { continue };
            let (Some(pair), Some(stateful)) = (node.state.as_ref(), node.operation.stateful()) else { continue };
            let partitions = stateful.partitions.unwrap_or(parallelism);
            let Some(version) = self.restore_node(node, pair, *time, partitions, state.storage())? else { continue };
            let (version, made) = version;
            // A snapshot has the states of all nodes, also of those that had no data set at its time.
            let batch = made.unwrap_or_else(|| intervals.last_due(node.id, *time, self.description.beginning().zero));
            state.restore(node.id, Version { batch, ..version }, *time);
        }
        Ok(())
    }

    /// The state of a node at the time of a snapshot, and the batch that made it, if the snapshot says so. `None` if the node
    /// had no state then.
    fn restore_node(
        &self,
        node: &Node,
        pair: &RecordType,
        time: Time,
        partitions: u32,
        storage: &RowStorage,
    ) -> Result<Option<(Version, Option<Time>)>, Error> {
        let Some(layout) = Layout::new(pair).map(Arc::new) else { return Ok(None) };
        let chain = SnapshotChain::read(&self.store, &self.run, &self.snapshots, time)?;
        for (_, saved) in chain.of_node(node.id.0) {
            self.check_type(node, pair, saved)?;
        }
        let Some((_, newest)) = chain.of_node(node.id.0).next_back() else { return Ok(None) };
        let parts = chain.parts(node.id.0, &layout);
        let version = restore(storage, &layout, time, partitions, parts).map_err(|failed| match failed {
            ChainError::Snapshot(error) => Error::from(error),
            ChainError::State(error) => {
                let message = format!("the state of {node} cannot be restored: {error}");
                Error::new(ErrorKind::Unavailable, message)
                    .help("give the job more engine.memory, or more room for spilled rows")
            }
        })?;
        Ok(Some((version, newest.batch_ms.map(Time::from_ms))))
    }

    /// Checks that saved state has the type that the plugin declares.
    fn check_type(&self, node: &Node, pair: &RecordType, saved: &SavedState) -> Result<(), Error> {
        if saved.schema_id == schema_id(pair.fields()) {
            return Ok(());
        }
        let was = saved.pair().map_or_else(|| "of an unknown type".to_owned(), |pair| pair.to_string());
        let message =
            format!("the saved state of {node} in {} is {was}, and the plugin declares {pair}", self.store.describe());
        Err(Error::new(ErrorKind::User, message).help(
            "start a new run with --fresh, which begins without state; or go back to the plugin whose state it is",
        ))
    }
}
