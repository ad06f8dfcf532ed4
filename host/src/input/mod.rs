//! Inputs without a receiver. The host asks them for data when it makes a batch.
//!
//! Owns the trait [`Input`], which is the only thing that the rest of the host knows of an input. Owns also the inputs
//! themselves: a queue gives blocks to each batch, files are given as splits, and a log as ranges. An input has no
//! thread, and does no work between batches.

mod after_use;
mod directories;
mod error;
mod kafka;
mod log_file;
mod passed_over;
mod queue;
mod selection;
mod text_files;

pub use after_use::{DoneFiles, WhenDone};
pub use error::TextFilesError;
pub use kafka::Kafka;
pub use log_file::{LogFile, LogFileSettings};
pub use queue::{QueueError, QueueInput};
pub use text_files::{TextFiles, TextFilesSettings};

use crate::block::{Block, InputPartition, RangeReader};
use crate::env::Env;
use crate::error::Error;
use crate::ids::BlockId;
use crate::listener::Event;
use crate::time::{Duration, Time};
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// The data that an input has for a batch.
#[derive(Debug, Default)]
pub struct NewData {
    /// The partitions that the batch reads, in order.
    pub partitions: Vec<InputPartition>,
    /// The rows of those partitions that are blocks.
    pub blocks: Vec<Block>,
    /// Events to be reported.
    pub events: Vec<Event>,
}

/// The state of an input from before a restart.
pub struct InputHistory<'a> {
    /// When the job was started for the first time.
    pub started: Time,
    /// The last batch that was given its data. `None` if there was none.
    pub last_batch: Option<Time>,
    /// One more than the number of the last block that was given to a batch.
    pub next_block: u64,
    /// The checksum of the content of the input up to the last block that was given. `None` if it is not known.
    pub checksum: Option<u64>,
    /// The partitions of the input that have more ranges or may get more. For each, the position after its last range.
    pub log_positions: BTreeMap<String, i64>,
    /// The batches that are not forgotten, in order, each with the partitions that this input gave to it.
    pub given: Vec<(Time, Vec<InputPartition>)>,
    /// The partitions of this input that are needed by batches that run again, in order.
    pub needed: Vec<InputPartition>,
    /// Whether the success of a batch is known, or will be known.
    pub is_outcome_known: &'a dyn Fn(Time) -> bool,
}

/// An input that is asked for data when a batch is made.
pub trait Input: Send {
    /// The name of the source.
    fn source(&self) -> &str;

    /// Checks that the data for the next batches is valid.
    ///
    /// # Errors
    /// Returns an error for the first thing that is not valid.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Makes the input go on where it stopped before a restart.
    ///
    /// # Errors
    /// Returns an error if data that batches have read is gone.
    fn resume(&mut self, history: InputHistory<'_>) -> Result<(), Error>;

    /// Obeys a limit of its rate, in records a second, from now on. Returns false if the input has no rate.
    fn limit_rate(&mut self, _: watch::Receiver<Option<u64>>) -> bool {
        false
    }

    /// Asks servers what [`Input::read`] needs to know for the next batch. Takes some seconds at most.
    fn prepare<'a>(&'a mut self, _: &'a Env) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    /// The data of `batch`. No other batch gets this data.
    ///
    /// # Errors
    /// Returns in words why there is no data now. Then the batch gets no data, and the next batch gets the data of
    /// both.
    fn read(&mut self, env: &Env, batch: Time) -> Result<NewData, String>;

    /// Makes the blocks again that a batch was given before. Files need no blocks: they are read where they are.
    fn again(&self, _given: &[&BlockId]) -> Vec<Block> {
        Vec::new()
    }

    /// The reader of the ranges that this input gives. `None` if it gives none.
    fn ranges(&self) -> Option<Arc<dyn RangeReader>> {
        None
    }

    /// The first batch from `from` on that may have data, as far as this is known now. `None` if no batch will have
    /// data.
    fn next_data(&mut self, env: &Env, from: Time) -> Option<Time>;

    /// How long before a batch the allocations of other batches are needed to decide what the batch gets.
    fn remembered(&self) -> Duration {
        Duration::ZERO
    }

    /// Records that all runs are done with a batch.
    fn done(&mut self, _: &Env, _: Time) {}

    /// Waits some seconds at most until servers know what they are told of batches that are done.
    fn end<'a>(&'a mut self, _: &'a Env) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Records that a batch has failed for good. The files that the batch was given stay where they are.
    fn failed(&mut self, _batch: Time) {}

    /// The files that were given to batches before a time, if they are not needed any more. `None` if such files just
    /// stay.
    fn done_before(&mut self, _before: Time) -> Option<DoneFiles> {
        None
    }

    /// Whether the input is not expected to bring more data: a queue at its end, directories without a new
    /// file, or a log without a new line.
    fn is_used_up(&self) -> bool;
}
