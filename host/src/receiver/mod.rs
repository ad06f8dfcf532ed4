//! Receivers: they receive records from a source and store them.
//!
//! Owns everything that runs all the time between a source and the block store. That is the trait [`Receiver`], which
//! the built-in socket receiver and the receivers of embedding programs implement; the calls that a receiver can make;
//! the supervisor, which starts receivers again; and the rates of receivers, which follow from completed batches. Never
//! decides which batch a block belongs to: a receiver reports each stored block, and the tracker decides.

mod admission;
mod block_generator;
mod context;
mod error;
mod http;
mod kafka;
mod nats;
mod payload;
mod rate_controller;
mod rate_estimator;
mod rate_limiter;
mod registry;
mod settings;
mod socket;
mod supervisor;
#[cfg(test)]
mod tests;

pub use context::{ReceiverContext, TakenBlock};
pub use error::{OptionError, ReceiverError, StoreError};
pub use http::{HttpError, http};
pub use kafka::kafka;
pub use nats::{NatsError, nats};
pub use payload::{PayloadError, records as records_of_payload};
pub use rate_controller::{RateController, RateSettings};
pub use rate_estimator::CompletedBatch;
pub use registry::{MakeReceiver, ReceiverOptions, Receivers};
pub use settings::{ReceiverSettings, StopReceiver};
pub use socket::socket;
pub use supervisor::{ReceiverHandle, start};

use crate::ids::BlockId;
use async_trait::async_trait;
use tokio::sync::oneshot;

/// Receives from one source. Spark's `Receiver`.
///
/// A receiver is *reliable* if it stores records with [`ReceiverContext::store_block`] or
/// [`ReceiverContext::store_lines`], and acknowledges to its source only records that these methods have stored. All
/// other receivers are *unreliable*: those that use the other methods, and those whose source has no acknowledgements.
/// Records of an unreliable receiver are lost if the host dies.
///
/// A receiver runs on one of the two threads that all actors of the host share, so it must never block. Code that
/// blocks belongs into `tokio::task::spawn_blocking`. The receiver runs in a tokio runtime with I/O and time.
#[async_trait]
pub trait Receiver: Send {
    /// Receives and stores records until the receiver has to stop, until its source ends, or until something fails.
    ///
    /// When [`ReceiverContext::stopped`] resolves, the receiver should store the records that it has, acknowledge them,
    /// and return. It may take ten seconds for that. After ten seconds, or when the job stops at once, the future is
    /// dropped where it waits. So resources must be released in `Drop`.
    ///
    /// # Errors
    /// Every error is reported to listeners. Then `run` is called again on the same receiver, after the source's delay
    /// or the delay that the error names. If the error says so, `run` is not called again. `Ok` means that the source
    /// has no more records.
    async fn run(&mut self, context: &ReceiverContext) -> Result<(), ReceiverError>;
}

/// A block that is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlock {
    /// The id of the block.
    pub id: BlockId,
    /// The number of its rows.
    pub rows: u64,
}

/// The report of a receiver that a block is in the store.
#[derive(Debug)]
pub struct BlockReport {
    /// The block.
    pub block: StoredBlock,
    /// The key by which the sender of the rows recognises them. `None` if the source has no such keys.
    pub key: Option<String>,
    /// Gets a message when the block is recorded, so that the block survives every failure that the record survives.
    /// Only reliable receivers wait for the message.
    pub recorded: Option<oneshot::Sender<()>>,
}
