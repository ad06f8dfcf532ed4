//! Inputs without a receiver: they are asked for data when a batch is made.
//!
//! Owns [`Input`], which is all that the rest of the host knows of one, and the inputs themselves: a queue becomes blocks,
//! batch by batch, and files become splits. Takes no thread and no time between batches.

mod after_use;
mod directories;
mod error;
mod passed_over;
mod queue;
mod selection;
mod text_files;

pub use after_use::{DoneFiles, WhenDone};
pub use error::TextFilesError;
pub use queue::{QueueError, QueueInput};
pub use text_files::{TextFiles, TextFilesSettings};

use crate::block::{Block, InputPartition};
use crate::env::Env;
use crate::error::Error;
use crate::ids::BlockId;
use crate::listener::Event;
use crate::time::{Duration, Time};

/// What an input has for a batch.
#[derive(Debug, Default)]
pub struct NewData {
    /// What the batch reads, in order.
    pub partitions: Vec<InputPartition>,
    /// The rows of those of them that are blocks.
    pub blocks: Vec<Block>,
    /// What was noticed.
    pub events: Vec<Event>,
}

/// What is known of an input from before a restart.
pub struct InputHistory<'a> {
    /// When the job was started for the first time.
    pub started: Time,
    /// The last batch that was given its data. `None` if there was none.
    pub last_batch: Option<Time>,
    /// The number of the block after the last that was given to a batch.
    pub next_block: u64,
    /// What identifies the content of the input up to that last block. `None` if it is not known.
    pub checksum: Option<u64>,
    /// What the batches that are not forgotten were given of this input, in order.
    pub given: Vec<(Time, Vec<InputPartition>)>,
    /// What the batches were given of this input that run again, in order.
    pub needed: Vec<InputPartition>,
    /// Whether it is known that a batch has succeeded, or will be known.
    pub is_settled: &'a dyn Fn(Time) -> bool,
}

/// An input that is asked for data when a batch is made.
pub trait Input: Send {
    /// The source's name.
    fn source(&self) -> &str;

    /// Whether what is there for the next batches is what it has to be.
    ///
    /// # Errors
    /// The first thing that is not.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Goes on where the input was.
    ///
    /// # Errors
    /// When what was read from it is not there any more.
    fn resume(&mut self, history: InputHistory<'_>) -> Result<(), Error>;

    /// The data that belongs to `batch`, which no other batch gets.
    ///
    /// # Errors
    /// Why there is none now. Nothing is taken then: the next batch gets what this one would have got.
    fn read(&mut self, env: &Env, batch: Time) -> Result<NewData, String>;

    /// The blocks of a batch that was given these of this input before. Files are read where they are.
    fn again(&self, _given: &[&BlockId]) -> Vec<Block> {
        Vec::new()
    }

    /// The first batch from one time on that may have data, as far as is known. `None` if no batch will have any.
    fn next_data(&mut self, env: &Env, from: Time) -> Option<Time>;

    /// How long before a batch the record of what others were given is needed to know what this one gets.
    fn remembered(&self) -> Duration {
        Duration::ZERO
    }

    /// A batch has failed for good: what it was given stays where it is.
    fn failed(&mut self, _batch: Time) {}

    /// The files that batches before a time were given, and that nothing needs any more. `None` if they just stay.
    fn done_before(&mut self, _before: Time) -> Option<DoneFiles> {
        None
    }

    /// Whether it is not expected to bring more: a queue at its end, directories without a new file.
    fn is_used_up(&self) -> bool;
}
