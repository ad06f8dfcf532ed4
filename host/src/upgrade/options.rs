//! What a user asks for when they upgrade a job.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a user asks for when they upgrade a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpgradeOptions {
    /// The new plugin. `None` if it is the plugin that the job file names now.
    pub plugin: Option<PathBuf>,
    /// Keys of the job file that are set for the new run: dotted names, and values as TOML or text.
    pub set: Vec<(String, String)>,
    /// How many batches must keep pace and be compared before the new run is ready.
    pub batches: u64,
    /// Whether the new run takes the job over by itself as soon as it is ready.
    pub auto: bool,
    /// The new run is withdrawn if there are more differences than this. `None` if there may be any number.
    pub max_diff: Option<u64>,
    /// The new run is not ready if its batches take more than this many times as long as those of the old run. `None`
    /// if they may take any time.
    pub max_slowdown: Option<f64>,
    /// The new run is withdrawn if more batches than this wait for it.
    pub max_lag: u64,
    /// How many batches the old run is kept after the new run has taken the job over.
    pub keep: u64,
    /// Whether the checkpoints of the old run are kept after its end.
    pub keep_old_run: bool,
    /// Whether the new run begins with the state of the old run, where operators and types agree.
    pub carry_state: bool,
    /// The memory budget of the new run, in bytes. `None` if it is `engine.memory`.
    pub memory_bytes: Option<u64>,
}

impl Default for UpgradeOptions {
    fn default() -> Self {
        Self {
            plugin: None,
            set: Vec::new(),
            batches: 10,
            auto: false,
            max_diff: None,
            max_slowdown: None,
            max_lag: 100,
            keep: 10,
            keep_old_run: false,
            carry_state: false,
            memory_bytes: None,
        }
    }
}
