//! A metadata checkpoint: all that a host has to know to resume a run.
//!
//! Owns the form in which a checkpoint is written. A written type never changes: a new version of it is a new type. A
//! checkpoint holds no closures and no memory of a plugin, so it can be read and compared without the plugin.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::data::schema::{Field, schema_id};
use crate::graph::{Beginning, DescribedNode, ParameterValue};
use crate::time::{Duration, Time, whole_ms};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The description of a run. It does not change while a host runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunDescription {
    /// The version of the host.
    pub host_version: String,
    /// The job's name.
    pub job: String,
    /// SHA-256 of the plugin, in hexadecimal.
    pub plugin_digest: String,
    /// The settings that the job file and the command line give: dotted keys, and values as TOML.
    pub settings: BTreeMap<String, String>,
    /// The graph.
    pub nodes: Vec<SavedNode>,
    /// The stages into which the graph is cut, in words, for people.
    pub stages: String,
    batch_interval_ms: u64,
    zero_ms: u64,
    data_after_ms: u64,
}

/// The description of a run in versions 1 and 2.
#[derive(Deserialize)]
struct RunDescription2 {
    host_version: String,
    job: String,
    plugin_digest: String,
    settings: BTreeMap<String, String>,
    nodes: Vec<SavedNode>,
    stages: String,
    batch_interval_ms: u64,
    zero_ms: u64,
}

impl From<RunDescription2> for RunDescription {
    fn from(old: RunDescription2) -> Self {
        let RunDescription2 { host_version, job, plugin_digest, settings, nodes, stages, .. } = old;
        let RunDescription2 { batch_interval_ms, zero_ms, .. } = old;
        let data_after_ms = zero_ms;
        Self { host_version, job, plugin_digest, settings, nodes, stages, batch_interval_ms, zero_ms, data_after_ms }
    }
}

/// A node of the graph, as the plugin described it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedNode {
    /// The kind of the node.
    pub kind: String,
    /// The name that the plugin's author gave to the node.
    pub name: Option<String>,
    /// The positions of the nodes that this node reads.
    pub parents: Vec<u32>,
    /// The parameters of the kind, as text.
    pub parameters: Vec<(String, String)>,
    /// The identity of the type of the node's rows. `None` for an output.
    pub schema_id: Option<[u8; 32]>,
    /// The identity of the type of the rows that the node shuffles. `None` if the node shuffles no rows.
    pub exchanged_id: Option<[u8; 32]>,
}

impl SavedNode {
    /// Makes the written form of a node.
    pub fn new(node: &DescribedNode) -> Self {
        let id = |fields: &[Field]| (!fields.is_empty()).then(|| schema_id(fields));
        let parameter = |(name, value): &(String, ParameterValue)| {
            let value = match value {
                ParameterValue::Integer(number) => number.to_string(),
                ParameterValue::Flag(flag) => flag.to_string(),
                ParameterValue::Text(text) => text.clone(),
                ParameterValue::DurationMs(ms) => format!("{ms}ms"),
            };
            (name.clone(), value)
        };
        Self {
            kind: node.kind.clone(),
            name: node.name.clone(),
            parents: node.parents.clone(),
            parameters: node.parameters.iter().map(parameter).collect(),
            schema_id: id(&node.rows),
            exchanged_id: node.exchanged.as_deref().and_then(id),
        }
    }
}

impl RunDescription {
    /// Makes the description of a new run.
    pub fn new(
        job: &str,
        plugin_digest: &str,
        settings: BTreeMap<String, String>,
        graph: (&[DescribedNode], String),
        batch_interval: Duration,
        beginning: Beginning,
    ) -> Self {
        let (described, stages) = graph;
        Self {
            host_version: env!("CARGO_PKG_VERSION").to_owned(),
            job: job.to_owned(),
            plugin_digest: plugin_digest.to_owned(),
            settings,
            nodes: described.iter().map(SavedNode::new).collect(),
            stages,
            batch_interval_ms: whole_ms(batch_interval),
            zero_ms: beginning.zero.as_ms(),
            data_after_ms: beginning.data_after.as_ms(),
        }
    }

    /// How much time one batch covers.
    pub const fn batch_interval(&self) -> Duration {
        Duration::from_millis(self.batch_interval_ms)
    }

    /// When the run began.
    pub const fn beginning(&self) -> Beginning {
        Beginning { zero: Time::from_ms(self.zero_ms), data_after: Time::from_ms(self.data_after_ms) }
    }
}

/// How far a run has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunProgress {
    generated_ms: Option<u64>,
    pending_ms: BTreeSet<u64>,
    /// For each source with blocks: one more than the number of the last block that a batch was given.
    positions: BTreeMap<String, u64>,
    /// How many files batches were given so far.
    files_seen: u64,
}

impl RunProgress {
    /// Makes the progress of a run in which all batches up to `done` are done and no other batch was made.
    pub fn after(done: Option<Time>) -> Self {
        Self { generated_ms: done.map(Time::as_ms), ..Self::default() }
    }

    /// Records that a batch was made.
    pub fn batch_generated(&mut self, batch: Time) {
        self.generated_ms = self.generated_ms.max(Some(batch.as_ms()));
        self.pending_ms.insert(batch.as_ms());
    }

    /// Records that a batch is done.
    pub fn batch_completed(&mut self, batch: Time) {
        self.pending_ms.remove(&batch.as_ms());
    }

    /// Records that the batches `from` to `through` were made and are done, or are never made.
    pub fn batches_passed_over(&mut self, from: Time, through: Time) {
        self.generated_ms = self.generated_ms.max(Some(through.as_ms()));
        self.pending_ms.retain(|batch| !(from.as_ms()..=through.as_ms()).contains(batch));
    }

    /// Records the data that a batch was given: how far sources were read, and how many files the batch has.
    pub fn data_given(&mut self, positions: impl IntoIterator<Item = (String, u64)>, files: u64) {
        self.positions.extend(positions);
        self.files_seen = self.files_seen.saturating_add(files);
    }

    /// The latest batch that was made.
    pub fn generated(&self) -> Option<Time> {
        self.generated_ms.map(Time::from_ms)
    }

    /// The pending batches, in order: those that were made and are not done.
    pub fn pending(&self) -> impl Iterator<Item = Time> {
        self.pending_ms.iter().copied().map(Time::from_ms)
    }

    /// The latest batch that is done together with all batches before it. `None` if there is none.
    pub fn completed(&self, batch_interval: Duration) -> Option<Time> {
        match self.pending_ms.first() {
            Some(first) => Some(Time::from_ms(*first) - batch_interval),
            None => self.generated(),
        }
    }

    /// The sources with blocks. For each, one more than the number of the last block that a batch was given.
    pub fn positions(&self) -> impl Iterator<Item = (&str, u64)> {
        self.positions.iter().map(|(source, next)| (source.as_str(), *next))
    }

    /// How many files batches were given so far.
    pub const fn files_seen(&self) -> u64 {
        self.files_seen
    }
}

/// A snapshot of state, by name: the owner that wrote it, and its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SnapshotId {
    /// The batch.
    pub time_ms: u64,
    /// The epoch of the owner that wrote the snapshot.
    pub epoch: u64,
    /// Whether the snapshot has all keys. Otherwise the snapshot has the keys that changed after the snapshot before
    /// it.
    pub is_full: bool,
}

impl SnapshotId {
    /// The batch.
    pub const fn time(&self) -> Time {
        Time::from_ms(self.time_ms)
    }
}

/// A metadata checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The epoch of the owner that wrote the checkpoint.
    pub epoch: u64,
    written_ms: u64,
    /// The description of the run.
    pub run: RunDescription,
    /// How far the run has come.
    pub progress: RunProgress,
    /// The snapshots of the state of the run, the oldest first.
    pub snapshots: Vec<SnapshotId>,
}

/// A metadata checkpoint in version 1, which knew no state.
#[derive(Deserialize)]
pub(super) struct Metadata1 {
    epoch: u64,
    written_ms: u64,
    run: RunDescription2,
    progress: RunProgress,
}

impl From<Metadata1> for Metadata {
    fn from(old: Metadata1) -> Self {
        let Metadata1 { epoch, written_ms, run, progress } = old;
        Self { epoch, written_ms, run: run.into(), progress, snapshots: Vec::new() }
    }
}

/// A metadata checkpoint in version 2.
#[derive(Deserialize)]
pub(super) struct Metadata2 {
    epoch: u64,
    written_ms: u64,
    run: RunDescription2,
    progress: RunProgress,
    snapshots: Vec<SnapshotId>,
}

impl From<Metadata2> for Metadata {
    fn from(old: Metadata2) -> Self {
        let Metadata2 { epoch, written_ms, run, progress, snapshots } = old;
        Self { epoch, written_ms, run: run.into(), progress, snapshots }
    }
}

impl Metadata {
    /// Makes a checkpoint that is written now.
    pub const fn new(
        epoch: u64,
        written: Time,
        run: RunDescription,
        progress: RunProgress,
        snapshots: Vec<SnapshotId>,
    ) -> Self {
        Self { epoch, written_ms: written.as_ms(), run, progress, snapshots }
    }

    /// When the checkpoint was written.
    pub const fn written(&self) -> Time {
        Time::from_ms(self.written_ms)
    }
}
