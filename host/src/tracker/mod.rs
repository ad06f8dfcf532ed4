//! Decides which blocks belong to which batch.
//!
//! Owns the record of the blocks that were stored, that were given to a batch, and that are not needed any more. A
//! block is given to exactly one batch. It is released when the last run that reads this batch is done with the batch.

mod block_logger;
mod handle;
mod received_block_tracker;
mod receiver_tracker;

pub use block_logger::BlockLog;
pub use handle::{Allocated, Needed, PassedOver, TrackerHandle};
pub use received_block_tracker::{Allocation, ReceivedBlockTracker};
pub use receiver_tracker::{AllocationHistory, ReceiverTracker};
