//! Inputs without a receiver: they are asked for data when a batch is made.
//!
//! Owns how a queue becomes blocks, batch by batch. Takes no thread and no time between batches.

use crate::env::Env;
use crate::time::Time;

mod after_use;
mod directories;
mod error;
mod passed_over;
mod queue;
mod selection;
mod text_files;

pub use after_use::{DoneFiles, WhenDone};
pub use error::TextFilesError;
pub use queue::{GivenBlock, QueueError, QueueInput};
pub use selection::TakenFile;
pub use text_files::{FoundFiles, TextFiles, TextFilesSettings};

/// An input that is asked for data when a batch is made.
pub enum Input {
    /// A queue of data sets.
    Queue(QueueInput),
    /// Directories in which files appear.
    TextFiles(Box<TextFiles>),
}

impl Input {
    /// The source's name.
    pub fn source(&self) -> &str {
        match self {
            Self::Queue(queue) => queue.source(),
            Self::TextFiles(files) => files.source(),
        }
    }

    /// Whether what is there for the next batches is what it has to be.
    ///
    /// # Errors
    /// The first thing that is not.
    pub fn check(&self) -> Result<(), QueueError> {
        match self {
            Self::Queue(queue) => queue.check(),
            // Any bytes are lines of text.
            Self::TextFiles(_) => Ok(()),
        }
    }

    /// The first batch from one time on that may have data, as far as is known.
    pub fn next_data(&mut self, env: &Env, from: Time) -> Option<Time> {
        match self {
            Self::Queue(queue) => (!queue.is_used_up()).then_some(from),
            Self::TextFiles(files) => files.next_data(env, from),
        }
    }

    /// A batch has failed for good: what it was given stays where it is.
    pub fn failed(&mut self, batch: Time) {
        if let Self::TextFiles(files) = self {
            files.failed(batch);
        }
    }

    /// What the batches before a time were given, and nothing needs any more.
    pub fn done_before(&mut self, before: Time) -> Option<DoneFiles> {
        match self {
            Self::Queue(_) => None,
            Self::TextFiles(files) => files.done_before(before),
        }
    }

    /// Whether it is not expected to bring more: a queue at its end, directories without a new file.
    pub fn is_used_up(&self) -> bool {
        match self {
            Self::Queue(queue) => queue.is_used_up(),
            Self::TextFiles(files) => files.is_idle(),
        }
    }
}
