//! Which blocks belong to which batch.
//!
//! Owns the record of blocks that were stored, given to a batch, and done with. A block is given to exactly one batch, and
//! released when the last run that reads this batch is done with it.

mod received_block_tracker;
mod receiver_tracker;

pub use received_block_tracker::{Allocation, ReceivedBlockTracker};
pub use receiver_tracker::{Allocated, AllocationHistory, Needed, PassedOver, ReceiverTracker, TrackerHandle};
