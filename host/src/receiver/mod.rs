//! Receivers: they take records from a source and store them.
//!
//! Owns what runs all the time between a source and the block store: the trait [`Receiver`] that every source of this
//! kind implements, a socket as well as one that an embedding program brings; what a receiver can call; and who starts
//! it again. Never decides which batch a block belongs to: it reports each stored block, and the tracker decides.

mod block_generator;
mod context;
mod error;
mod registry;
mod settings;
mod socket;
mod supervisor;
#[cfg(test)]
mod tests;

pub use context::ReceiverContext;
pub use error::{OptionError, ReceiverError, StoreError};
pub use registry::{MakeReceiver, ReceiverOptions, Receivers};
pub use settings::{ReceiverSettings, StopReceiver};
pub use socket::socket;
pub use supervisor::{ReceiverHandle, start};

use crate::ids::BlockId;
use async_trait::async_trait;
use tokio::sync::oneshot;

/// Receives from one source. Spark's `Receiver`.
///
/// A receiver is *reliable* if it stores with [`ReceiverContext::store_block`] or [`ReceiverContext::store_lines`], and
/// acknowledges to its source only what these have stored. One that stores with the other methods, or whose source takes
/// no acknowledgements, is *unreliable*: what it received is lost if the host dies.
///
/// It runs on one of the two threads that all actors of the host share, so it must never block: what blocks belongs
/// into `tokio::task::spawn_blocking`. It runs in a tokio runtime with I/O and time.
#[async_trait]
pub trait Receiver: Send {
    /// Receives and stores until it is told to stop, its source has ended, or something fails.
    ///
    /// When [`ReceiverContext::stopped`] resolves it should store what it holds, acknowledge it, and return. It may
    /// take ten seconds. Then it is dropped where it waits, as it is when the job stops at once, so what has to be given
    /// back belongs into its `Drop`.
    ///
    /// # Errors
    /// Any error is told to listeners. Then `run` is called again, on the same receiver, after the source's delay or
    /// the one that the error names; or never, if the error says so. `Ok` means that nothing will come any more.
    async fn run(&mut self, context: &ReceiverContext) -> Result<(), ReceiverError>;
}

/// A block that is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlock {
    /// Its name.
    pub id: BlockId,
    /// The number of its rows.
    pub rows: u64,
}

/// What a receiver reports: a block is in the store.
#[derive(Debug)]
pub struct BlockReport {
    /// The block.
    pub block: StoredBlock,
    /// To be told when the block is recorded, so that no failure that the record outlives can lose it. Somebody waits
    /// for it only if the receiver is reliable.
    pub recorded: Option<oneshot::Sender<()>>,
}
