//! The settings of a receiver, and the request to stop it.

use crate::config::WhenFull;
use crate::data::schema::RecordType;
use crate::encoding::Encoding;
use crate::time::Duration;
use tokio::sync::watch;

/// The settings of a receiver.
#[derive(Clone, Debug)]
pub struct ReceiverSettings {
    /// The source's name in the job file.
    pub source: String,
    /// The source's number, for listeners.
    pub stream_id: u32,
    /// The type of the source's records.
    pub rows: RecordType,
    /// How long to wait before the receiver is started again.
    pub restart_delay: Duration,
    /// The longest line that is accepted.
    pub max_line_bytes: usize,
    /// The encoding of lines that are given as bytes, unless a byte order mark says another encoding.
    pub encoding: Encoding,
    /// How often a block is cut.
    pub block_interval: Duration,
    /// What happens to a block if there is no room for it.
    pub when_full: WhenFull,
    /// The number of the first block.
    pub first_block: u64,
    /// The most records a second that the receiver takes at present. `None` if there is no limit.
    pub rate_limit: watch::Receiver<Option<u64>>,
    /// The keys of blocks that were found when the job continued after a crash: see
    /// [`ReceiverContext::known_keys`](super::ReceiverContext::known_keys).
    pub known_keys: Vec<String>,
}

/// The request to stop a receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopReceiver {
    /// The receiver need not stop.
    #[default]
    No,
    /// The receiver has to stop after it has stored the records that it has received.
    Graceful,
    /// The receiver has to stop at once. Records that are not stored are lost.
    Now,
}
