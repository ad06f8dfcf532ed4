//! What the batch clock gives to runs: batches with their data.
//!
//! Owns [`GivenBatch`] and the trait by which a run takes batches. Never knows what a run does with them.

use crate::checkpoint::Durable;
use crate::time::{Duration, Time};
use crate::tracker::Allocated;
use futures::future::BoxFuture;

/// Why a batch runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// For its outputs.
    Run,
    /// For data sets that later windows read. The batch is done, and its outputs do not run. Nothing is known of the time up
    /// to the given one, and nothing of that time is needed.
    Restore(Time),
    /// The batch has no data, and nothing to do without data. The same holds for the batches from the given time on.
    Nothing(Time),
}

/// A batch that was given its data.
#[derive(Clone, Debug)]
pub struct GivenBatch {
    /// Its time.
    pub batch: Time,
    /// Why it runs.
    pub purpose: Purpose,
    /// Its data.
    pub allocated: Allocated,
    /// When it was submitted.
    pub submission_time: Time,
    /// When it was submitted, on the monotonic clock.
    pub submitted: Duration,
}

/// Why a run did not take a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// Too many batches wait for the run already.
    Full,
    /// The run has ended.
    Ended,
}

/// A run, as the batch clock sees it. The clock drops its taker when the run gets no more batches.
pub trait BatchTaker: Send + Sync {
    /// A batch was made for the first time in this life of the host, and given its data. The run gets the batch next.
    fn generated(&self, batch: Time, allocated: &Allocated);

    /// The batches from one through another have nothing to do, or are never made. `durable` says when that is on stable
    /// storage, `None` if nothing is to be written. The run gets them next, as one.
    fn passed_over(&self, from: Time, through: Time, durable: Option<Durable>);

    /// Takes a batch, and waits as long as too many wait already. False if the run has ended.
    fn take(&self, given: GivenBatch) -> BoxFuture<'_, bool>;

    /// Takes a batch unless that means to wait.
    ///
    /// # Errors
    /// When the batch is not taken.
    fn take_at_once(&self, given: GivenBatch) -> Result<(), NotTaken>;

    /// The run gets no batch from this one on, because too many wait for it already.
    fn left_behind(&self, batch: Time);
}
