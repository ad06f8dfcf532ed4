//! The rate at which a source should bring records, from the batches that were completed. Spark's `PIDRateEstimator`.
//!
//! Owns the state of the estimator, as a pure core. Never reads a clock, and knows no limit but the smallest rate.

use crate::config::BackpressureSettings;
use crate::time::{Duration, Time};

/// A batch that was completed, as one source sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletedBatch {
    /// The batch.
    pub batch: Time,
    /// When the last output of the batch ended.
    pub ended: Time,
    /// The number of records that the batch got from the source.
    pub records: u64,
    /// How long the outputs of the batch took.
    pub processing_delay: Duration,
    /// How long the batch waited for earlier batches.
    pub scheduling_delay: Duration,
}

/// Computes rates from completed batches. Rates are in records a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateEstimator {
    batch_interval: Duration,
    latest: Option<Latest>,
}

/// The state after a batch.
#[derive(Clone, Copy, Debug)]
struct Latest {
    ended: Time,
    rate: f64,
    error: f64,
}

/// A rate that was computed, and how fast the batch was processed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) rate: f64,
    pub(super) processing_rate: f64,
}

impl RateEstimator {
    pub(super) const fn new(batch_interval: Duration) -> Self {
        Self { batch_interval, latest: None }
    }

    /// Takes a completed batch. `None` if the batch says nothing about the rate, or if the batch is the first one: then
    /// the next rate follows from the rate at which this batch was processed.
    pub(super) fn completed(&mut self, settings: &BackpressureSettings, batch: &CompletedBatch) -> Option<Estimate> {
        let is_later = self.latest.is_none_or(|latest| batch.ended > latest.ended);
        if !is_later || batch.records == 0 || batch.processing_delay.is_zero() {
            return None;
        }
        let processing_rate = batch.records as f64 / batch.processing_delay.as_secs_f64();
        let Some(latest) = self.latest else {
            self.latest = Some(Latest { ended: batch.ended, rate: processing_rate, error: 0.0 });
            return None;
        };
        // How much faster records came than they were processed.
        let error = latest.rate - processing_rate;
        // The records that wait, as the rate that would process them within a batch interval.
        let waiting =
            batch.scheduling_delay.as_secs_f64() * processing_rate / self.batch_interval.as_secs_f64().max(1e-3);
        let change = (error - latest.error) / batch.ended.since(latest.ended).as_secs_f64();
        let corrected = latest.rate
            - settings.proportional.value() * error
            - settings.integral.value() * waiting
            - settings.derivative.value() * change;
        let rate = corrected.max(f64::from(settings.min_rate));
        self.latest = Some(Latest { ended: batch.ended, rate, error });
        Some(Estimate { rate, processing_rate })
    }
}
