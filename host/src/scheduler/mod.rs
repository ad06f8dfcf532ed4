//! Runs the batches of a run: the order of their jobs, and the progress of the run.
//!
//! Owns the queue of batches. Gets batches with their data from the ingest, and lets the engine compute them. Never
//! knows about other runs.

mod checkpoints;
mod job_scheduler;
mod job_set;
mod output_jobs;
mod pace;
mod parts;
mod recorder;
mod snapshots;
mod state_tap;

pub use checkpoints::{CheckpointParts, Checkpoints};
pub use job_scheduler::JobScheduler;
pub use job_set::JobSet;
pub use parts::SchedulerParts;
pub use state_tap::{StateTap, Versions};
