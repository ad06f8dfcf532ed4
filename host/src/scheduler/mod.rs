//! The batches of a run: in which order their jobs run, and how far the run is.
//!
//! Owns the queue of batches. Gets batches with their data from the ingest, and has the engine compute them. Never knows
//! other runs.

mod checkpoints;
mod job_scheduler;
mod job_set;
mod pace;

pub use checkpoints::{CheckpointParts, Checkpoints};
pub use job_scheduler::{JobScheduler, SchedulerParts};
pub use job_set::JobSet;
