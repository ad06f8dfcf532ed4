//! Batches in time: when each is made, and in which order their jobs run.
//!
//! Owns the batch clock and the queue of batches. Learns what a batch holds from the tracker, and what it computes from
//! the engine.

mod job_generator;
mod job_scheduler;

pub use job_generator::{GeneratorSettings, JobGenerator, StopRequest};
pub use job_scheduler::{JobScheduler, JobSet, SchedulerParts};
