//! Batches in time: when each is made, and in which order their jobs run.
//!
//! Owns the batch clock and the queue of batches. Learns what a batch holds from the tracker, and what it computes from
//! the engine.

mod checkpoints;
mod job_generator;
mod job_scheduler;
mod job_set;
mod pace;

pub use checkpoints::{CheckpointParts, Checkpoints};
pub use job_generator::{CatchUp, GeneratorParts, GeneratorSettings, JobGenerator, StopRequest};
pub use job_scheduler::{JobScheduler, SchedulerParts};
pub use job_set::{JobSet, Purpose};
