//! The interface between the batch clock and the runs: batches with their data.
//!
//! Owns [`GivenBatch`] and the trait by which a run takes batches. Never knows how a run processes them.

use crate::checkpoint::Durable;
use crate::time::{Duration, Time};
use crate::tracker::Allocated;
use futures::future::BoxFuture;

/// The purpose of running a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The outputs of the batch are computed.
    Run,
    /// The data sets that later windows read are computed again. The batch is done, so its outputs do not run. Nothing
    /// is known of the batches up to the given time, and no window needs them.
    Restore(Time),
    /// The batch has no data, and no work without data. The same is true of all batches from the given time to this
    /// one.
    Nothing(Time),
}

/// A batch with its data.
#[derive(Clone, Debug)]
pub struct GivenBatch {
    /// The time of the batch.
    pub batch: Time,
    /// The purpose of running the batch.
    pub purpose: Purpose,
    /// The data of the batch.
    pub allocated: Allocated,
    /// When the batch was submitted.
    pub submission_time: Time,
    /// When the batch was submitted, on the monotonic clock.
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

/// The part of a run that takes batches. The batch clock drops the taker when the run gets no more batches.
pub trait BatchTaker: Send + Sync {
    /// Records that a batch was made and given its data. This is called once for each batch, and not for a batch that
    /// runs again. The run gets the batch next.
    fn generated(&self, batch: Time, allocated: &Allocated);

    /// Records that the batches `from` to `through` have no work, or are never made. `durable` waits until this is on
    /// stable storage; `None` if nothing is to be written. The run gets these batches next, as one.
    fn passed_over(&self, from: Time, through: Time, durable: Option<Durable>);

    /// Takes a batch. Waits as long as too many batches wait for the run. Returns false if the run has ended.
    fn take(&self, given: GivenBatch) -> BoxFuture<'_, bool>;

    /// Takes a batch, but never waits.
    ///
    /// # Errors
    /// Returns an error if the batch is not taken.
    fn take_at_once(&self, given: GivenBatch) -> Result<(), NotTaken>;

    /// Records that the run gets no batches from this one on, because too many batches wait for it.
    fn left_behind(&self, batch: Time);
}
