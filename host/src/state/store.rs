//! [`StateStore`]: the state of all stateful nodes of a run, by version.
//!
//! Owns which version counts. The version of a batch begins to count when the tasks of all partitions have succeeded.

use super::layout::Layout;
use super::partition::PartitionState;
use crate::block::RowStorage;
use crate::data::schema::RecordType;
use crate::ids::NodeId;
use crate::lock::lock;
use crate::time::Time;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The state of a node after a batch. It never changes, and clones share it.
#[derive(Clone, Debug)]
pub struct Version {
    /// The batch.
    pub batch: Time,
    /// How the state is stored.
    pub layout: Arc<Layout>,
    /// The state of each partition.
    pub partitions: Arc<[PartitionState]>,
}

/// The state of all stateful nodes. Clones share it.
#[derive(Clone)]
pub struct StateStore {
    storage: RowStorage,
    nodes: Arc<Mutex<BTreeMap<NodeId, NodeState>>>,
}

#[derive(Default)]
struct NodeState {
    layout: Option<Arc<Layout>>,
    version: Option<Version>,
    /// The state that an earlier version of the plugin has left, until the first version is made of it.
    earlier: Option<Version>,
    /// The states that tasks have made for a batch that is not done.
    made: BTreeMap<(Time, u32), PartitionState>,
    /// The time of the last version that is saved.
    saved: Time,
}

impl Version {
    /// The number of keys that have state.
    pub fn keys(&self) -> u64 {
        self.partitions.iter().map(PartitionState::keys).sum()
    }

    /// The bytes of the stored rows.
    pub fn bytes(&self) -> u64 {
        self.partitions.iter().map(PartitionState::bytes).sum()
    }
}

impl StateStore {
    /// Makes a store without state.
    pub fn new(storage: RowStorage) -> Self {
        Self { storage, nodes: Arc::default() }
    }

    /// The storage of the rows.
    pub fn storage(&self) -> &RowStorage {
        &self.storage
    }

    fn with<R>(&self, node: NodeId, run: impl FnOnce(&mut NodeState) -> R) -> R {
        run(lock(&self.nodes).entry(node).or_default())
    }

    /// The layout of a node's state. `None` if `pair` is no type of pairs.
    pub fn layout(&self, node: NodeId, pair: &RecordType) -> Option<Arc<Layout>> {
        self.with(node, |state| {
            if state.layout.is_none() {
                state.layout = Layout::new(pair).map(Arc::new);
            }
            state.layout.clone()
        })
    }

    /// The state of a node. `None` if the node has no state yet.
    pub fn version(&self, node: NodeId) -> Option<Version> {
        self.with(node, |state| state.version.clone())
    }

    /// The time up to which the state of a node is saved.
    pub fn saved(&self, node: NodeId) -> Time {
        self.with(node, |state| state.saved)
    }

    /// Notes that the state of a node is saved up to a time.
    pub fn has_saved(&self, node: NodeId, time: Time) {
        self.with(node, |state| state.saved = state.saved.max(time));
    }

    /// Takes the state that a task has made. It replaces what an earlier attempt of the same task has made.
    pub fn put(&self, node: NodeId, batch: Time, partition: u32, made: PartitionState) {
        let replaced = self.with(node, |state| state.made.insert((batch, partition), made));
        drop(replaced);
    }

    /// Lets the version of a batch count, if the tasks of all `partitions` partitions have made it. Returns the
    /// version.
    pub fn commit(&self, node: NodeId, batch: Time, partitions: u32) -> Option<Version> {
        let (version, old) = self.with(node, |state| {
            let made = std::mem::take(&mut state.made);
            let of_batch: Vec<_> =
                (0..partitions).map_while(|partition| made.get(&(batch, partition)).cloned()).collect();
            let layout = state.layout.clone().filter(|_| of_batch.len() == partitions as usize);
            let version = layout.map(|layout| Version { batch, layout, partitions: of_batch.into() });
            let old = version.as_ref().and_then(|version| state.version.replace(version.clone()));
            let earlier = state.earlier.take_if(|_| version.is_some());
            (version, (old, earlier, made))
        });
        drop(old);
        version
    }

    /// The state of an earlier version of the plugin, of which the first version of the node's state is made. `None` if
    /// there is none, or if the node has a version already.
    pub fn earlier(&self, node: NodeId) -> Option<Version> {
        self.with(node, |state| state.earlier.clone())
    }

    /// Sets the state that an earlier version of the plugin has left, at the start of a run. It has another type than the
    /// state of the node.
    pub fn set_earlier(&self, node: NodeId, earlier: Version) {
        self.with(node, |state| state.earlier = Some(earlier));
    }

    /// Sets the state of a node at the start of a run. The version is that of the snapshot of the time `saved`.
    pub fn restore(&self, node: NodeId, version: Version, saved: Time) {
        self.with(node, |state| {
            state.layout = Some(version.layout.clone());
            state.saved = saved;
            state.version = Some(version);
        });
    }

    /// Drops the states that tasks have made for batches whose stages failed.
    pub fn discard(&self, node: NodeId) {
        let dropped = self.with(node, |state| std::mem::take(&mut state.made));
        drop(dropped);
    }
}
