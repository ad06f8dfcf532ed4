//! How far an upgrade has come, for people and programs: `host upgrade status`, and the report at its end.
//!
//! Owns the members that are shown. Names of members stay; later versions may add some.

use super::options::UpgradeOptions;
use crate::comparison::OutputComparison;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How far an upgrade has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The new plugin is compiled and checked.
    #[default]
    Preparing,
    /// The new run processes batches, and its windows are not full yet.
    WarmingUp,
    /// The results of both runs are compared.
    Comparing,
    /// The new run may take the job over.
    Ready,
    /// The last batch of the old run is being processed.
    HandingOver,
    /// The new run shows results, and the old one is kept.
    HandedOver,
    /// The last batch of the new run is being processed.
    HandingBack,
    /// The new run shows results, and the old one has ended.
    Done,
    /// The old run shows results again, because a user asked for that.
    RolledBack,
    /// The new run was ended because of its results or failures. The old run shows results.
    Withdrawn,
    /// The new run was ended because a user asked for that. The old run shows results.
    Aborted,
}

impl Phase {
    /// Whether the upgrade has ended.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::RolledBack | Self::Withdrawn | Self::Aborted)
    }

    /// The step that begins the phase, for events.
    pub fn step(self) -> String {
        match self {
            Self::HandedOver => "handed over".to_owned(),
            phase => phase.to_string(),
        }
    }

    /// Whether the new run processes batches and shows no results.
    pub const fn is_before_hand_over(self) -> bool {
        matches!(self, Self::WarmingUp | Self::Comparing | Self::Ready)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Preparing => "preparing",
            Self::WarmingUp => "warming up",
            Self::Comparing => "comparing",
            Self::Ready => "ready",
            Self::HandingOver => "handing over",
            Self::HandedOver => "handed over, the old run is kept",
            Self::HandingBack => "handing back",
            Self::Done => "done",
            Self::RolledBack => "rolled back",
            Self::Withdrawn => "withdrawn",
            Self::Aborted => "aborted",
        })
    }
}

/// The figures of a run since the upgrade began.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunReport {
    /// The number of batches that are done.
    pub batches: u64,
    /// The last of them. `None` if there is none.
    pub last_batch_ms: Option<u64>,
    /// How many batches wait for the run, with the one that it processes.
    pub waiting: u64,
    /// The number of records that the batches have read.
    pub records: u64,
    /// The number of batches in which an output has failed.
    pub batches_failed: u64,
    /// The average processing time, in milliseconds.
    pub processing_average_ms: f64,
    /// The longest processing time of a batch, in milliseconds.
    pub processing_max_ms: f64,
    /// The last scheduling delay, in milliseconds.
    pub scheduling_delay_ms: f64,
    /// The memory of stored rows, in bytes. `None` if it is not known.
    pub memory_bytes: Option<u64>,
    /// The total time of each stage.
    pub stages: Vec<StageTime>,
}

/// The time that a stage has taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StageTime {
    /// The operators of the stage.
    pub stage: String,
    /// The time of all batches, in milliseconds.
    pub total_ms: f64,
}

/// A key of the job file that has another value in the new run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChangedKey {
    /// The key, dotted.
    pub key: String,
    /// The value in the old run, as TOML. `None` if the key was not given.
    pub before: Option<String>,
    /// The value in the new run, as TOML. `None` if the key is not given.
    pub after: Option<String>,
    /// What the change needs otherwise: `live`, `restart` or `fresh_run`.
    pub needs: String,
}

/// A key of the job file that was set while the job runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SetKey {
    /// The key, dotted.
    pub key: String,
    /// The value before, as TOML or text. `None` if the key was not given.
    pub before: Option<String>,
    /// The value now, as TOML.
    pub after: String,
}

/// What became of the state of an operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CarriedState {
    /// The operator.
    pub operator: String,
    /// Whether the new run began with the state of the old run.
    pub is_carried: bool,
    /// The number of keys that were carried over.
    pub keys: u64,
    /// Why the state was not carried over. Empty if it was.
    pub reason: String,
}

/// How far an upgrade has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpgradeStatus {
    /// How far the upgrade has come.
    pub phase: Phase,
    /// The options of the upgrade.
    pub options: UpgradeOptions,
    /// The path of the new plugin.
    pub plugin: String,
    /// SHA-256 of the old and the new plugin, in hexadecimal.
    pub old_digest: String,
    /// See `old_digest`.
    pub new_digest: String,
    /// The directories of both runs below `runs`. `None` without checkpoints.
    pub old_run: Option<String>,
    /// See `old_run`.
    pub new_run: Option<String>,
    /// When the upgrade began.
    pub started_ms: u64,
    /// The difference of the graphs, one line for each operator.
    pub graph: Vec<String>,
    /// The keys of the job file that changed.
    pub keys: Vec<ChangedKey>,
    /// What became of the state of each operator.
    pub state: Vec<CarriedState>,
    /// The new run gets each batch after this one. State that is carried over is that after this batch.
    pub joined_after_ms: Option<u64>,
    /// The new run has the data of the batches after this one, which may be earlier: inputs that can be read again are
    /// read again.
    pub data_after_ms: Option<u64>,
    /// From this batch on, the windows of the new run are full.
    pub full_from_ms: Option<u64>,
    /// From this batch on, the results of the new run are as if it had run from the beginning. `None` if that is never
    /// so, because an operator has begun without its state.
    pub exact_from_ms: Option<u64>,
    /// How many batches were compared.
    pub compared: u64,
    /// The number of differences in these batches: rows that only one run has, keys with other values, batches whose rows
    /// have another order, and batches that could not be compared.
    pub differences: u64,
    /// How many times as long as those of the old run the batches of the new run take.
    pub slowdown: Option<f64>,
    /// The old run.
    pub old: RunReport,
    /// The new run.
    pub new: RunReport,
    /// The comparison of each output.
    pub outputs: Vec<OutputComparison>,
    /// The new run shows the results of the batches after this one.
    pub handed_over_after_ms: Option<u64>,
    /// The old run shows the results of the batches after this one again.
    pub handed_back_after_ms: Option<u64>,
    /// How many more batches the old run is kept.
    pub kept_for: u64,
    /// Why the upgrade has ended otherwise than asked for. `None` if it has not.
    pub reason: Option<String>,
    /// Who has to act on that: `user`, `plugin`, `unavailable`, `data` or `internal`, as in errors of all commands.
    pub reason_kind: Option<String>,
    /// What the user can do about that.
    pub help: Option<String>,
    /// Where the report was written. `None` if it was not written.
    pub report: Option<String>,
}
