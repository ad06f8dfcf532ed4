//! The checkpoint directory: what a job stores to resume after a crash, a stop or a new version of the host.
//!
//! Owns the directory and every format in it:
//!
//! ```text
//! <checkpoint>/ingest/log-EPOCH-NUMBER               what each batch reads          allocation_log.rs
//! <checkpoint>/ingest/received-EPOCH-NUMBER          what was received              write_ahead_log.rs
//! <checkpoint>/runs/DIGEST-NUMBER/checkpoint-NUMBER  how far a run has come         runs.rs
//! <checkpoint>/runs/DIGEST-NUMBER/snapshots/...      the state of a run             snapshots.rs
//! <checkpoint>/runs/DIGEST-NUMBER/plugin.wasm, trial the plugin of a run            run_files.rs
//! <checkpoint>/owner/epoch-NUMBER, owner/lock        who may write                  owner.rs
//! ```
//!
//! The log of ingest belongs to the job. A run belongs to one plugin. Nothing in the directory is trusted: any bytes
//! that are read become a value or an error. Never knows what a batch computes, and never runs a batch.

mod allocation_log;
mod allocation_segments;
mod allocation_writer;
mod allocations;
mod allocations_1;
mod allocations_2;
mod checked_piece;
mod checked_snapshots;
mod claim;
mod codec;
mod metadata;
mod owner;
mod recovery;
mod retention;
mod run_files;
mod runs;
mod snapshots;
#[cfg(test)]
mod tests;
mod trouble;
mod verify;
mod write_ahead_log;

pub use allocation_log::AllocationLog;
pub use allocation_segments::{LogError, ReadLog, TornTail, read as read_log};
pub use allocation_writer::{AllocationWriter, Durable};
pub use allocations::{Allocations, BatchPartitions};
pub use checked_piece::{CheckedDocument, CheckedPiece, Condition, PieceKind};
pub use claim::{HandedOver, Owner, OwnerError, current as current_owner};
pub use codec::CodecError;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use codec::reseal;
pub use metadata::{Metadata, RunDescription, RunProgress, SavedNode, SnapshotId};
pub use owner::{Ownership, RENEWAL, is_locked};
pub use recovery::{Findings, PlanError, RecoveryPlan, plan};
pub use retention::{Kept, Retention, needed_snapshots};
pub use run_files::{begin_trial, end_trial, remove_run, remove_trials, save_plugin, saved_plugin};
pub use runs::{
    RunsError, SavedRun, UnreadableCheckpoint, lost_checkpoints, names as run_names, new_name as new_run,
    read as read_run, write as write_checkpoint,
};
pub use snapshots::{
    SavedState, Snapshot, SnapshotError, broken_part, read as read_snapshot, read_part, remove_unless,
    write as write_snapshot, write_part,
};
pub use trouble::{OnTrouble, Trouble};
pub use verify::{Verification, verify};
pub use write_ahead_log::{
    Entry as LogEntry, LogContent, LogIndex, LogOptions, Need, ReadRows, RecoverError, Recovery, WriteAheadLog,
    recover as recover_blocks,
};
