//! Receivers: they take records from a source and make blocks of them.
//!
//! Owns what runs all the time between a source and the block store. Never decides which batch a block belongs to: it
//! reports each stored block, and the tracker decides.

mod block_generator;
mod socket;
mod supervisor;

pub use block_generator::BlockGenerator;
pub use supervisor::{ReceiverHandle, ReceiverSettings, start};

use crate::ids::BlockId;

/// A block that is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlock {
    /// Its name.
    pub id: BlockId,
    /// The number of its rows.
    pub rows: u64,
}
