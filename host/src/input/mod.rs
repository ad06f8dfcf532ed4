//! Inputs without a receiver: they are asked for data when a batch is made.
//!
//! Owns how a queue becomes blocks, batch by batch. Takes no thread and no time between batches.

mod queue;

pub use queue::{QueueError, QueueInput};
