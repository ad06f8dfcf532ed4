//! The data of events about the rates of receivers.
//!
//! Owns plain data. Never decides anything.

use crate::shown::counted;
use crate::time::{Duration, Time};
use std::fmt;

/// The limit of the rate of a receiver, from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitInfo {
    /// The number of the receiver's source, as in [`StreamInputInfo`](super::StreamInputInfo).
    pub stream_id: u32,
    /// The source's name in the job file.
    pub source: String,
    /// The limit.
    pub limit: RateLimit,
}

/// A limit, and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The most records a second. `None` if there is no limit.
    pub rate: Option<u64>,
    /// Why the limit is what it is.
    pub reason: RateReason,
}

/// The reason of a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateReason {
    /// The job file sets no limit.
    Unlimited,
    /// Backpressure has not computed a rate since the job was started.
    Initial,
    /// The limit is the largest rate of the job file.
    MaxRate,
    /// Backpressure computed the limit after this batch.
    Backpressure(MeasuredBatch),
}

/// The facts about a batch from which a rate follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeasuredBatch {
    /// The batch.
    pub batch: Time,
    /// The number of records that the batch got from the source.
    pub records: u64,
    /// How long the outputs of the batch took.
    pub processing_delay: Duration,
    /// How long the batch waited for earlier batches.
    pub scheduling_delay: Duration,
    /// At how many records a second the batch was processed.
    pub processing_rate: u64,
}

impl RateReason {
    /// The word for the reason in JSON.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unlimited => "unlimited",
            Self::Initial => "initial",
            Self::MaxRate => "max_rate",
            Self::Backpressure(_) => "backpressure",
        }
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rate {
            Some(rate) => write!(f, "at most {} a second: {}", counted(rate, "record"), self.reason),
            None => write!(f, "any number of records: {}", self.reason),
        }
    }
}

impl fmt::Display for RateReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("the job file sets no limit"),
            Self::Initial => f.write_str("no batch was measured yet"),
            Self::MaxRate => f.write_str("receiver.max_rate"),
            Self::Backpressure(measured) => {
                let ms = |span: Duration| span.as_secs_f64() * 1e3;
                let MeasuredBatch { batch, records, processing_rate, .. } = measured;
                let records = counted(*records, "record");
                let (took, waited) = (ms(measured.processing_delay), ms(measured.scheduling_delay));
                write!(
                    f,
                    "batch {batch} had {records} and a processing time of {took:.1} ms, so {processing_rate} a second, "
                )?;
                write!(f, "and a scheduling delay of {waited:.1} ms")
            }
        }
    }
}
