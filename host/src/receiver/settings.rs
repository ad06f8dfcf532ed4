//! What a receiver needs to know, and how it is asked to stop.

use crate::config::WhenFull;
use crate::data::schema::RecordType;
use crate::encoding::Encoding;
use crate::time::Duration;

/// What a receiver needs to know.
#[derive(Clone, Debug)]
pub struct ReceiverSettings {
    /// The source's name in the job file.
    pub source: String,
    /// The source's number, for listeners.
    pub stream_id: u32,
    /// The type of its records.
    pub rows: RecordType,
    /// How long to wait before it is started again.
    pub restart_delay: Duration,
    /// The longest line that is accepted.
    pub max_line_bytes: usize,
    /// The encoding of lines that come as bytes, unless a byte order mark says another.
    pub encoding: Encoding,
    /// How often a block is cut.
    pub block_interval: Duration,
    /// What happens to a block for which there is no room.
    pub when_full: WhenFull,
}

/// How a receiver is asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopReceiver {
    /// It is not.
    #[default]
    No,
    /// After it has stored what it has received.
    Graceful,
    /// At once. What it holds is lost.
    Now,
}
