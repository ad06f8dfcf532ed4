//! The limit of one receiver, and its reason.
//!
//! Owns the choice between the largest rate of the job file, the initial rate, and the rate that follows from completed
//! batches, as a pure core. Never slows a receiver down: the limiter does.

use super::rate_estimator::{CompletedBatch, RateEstimator};
use crate::config::{BackpressureSettings, Settings};
use crate::listener::{MeasuredBatch, RateLimit, RateReason};
use crate::time::{Duration, Time};

/// The settings of a rate controller.
#[derive(Clone, Copy, Debug)]
pub struct RateSettings {
    /// The batch interval.
    pub batch_interval: Duration,
    /// The most records a second, whatever batches say. `None` if there is no such limit.
    pub max_rate: Option<u32>,
    /// How the rate follows from batches.
    pub backpressure: BackpressureSettings,
}

impl RateSettings {
    /// The settings of the receivers of a job.
    pub fn of(settings: &Settings) -> Self {
        Self {
            batch_interval: settings.job.batch_interval,
            max_rate: settings.receiver.max_rate,
            backpressure: settings.backpressure,
        }
    }
}

/// Decides the limit of one receiver.
#[derive(Clone, Debug)]
pub struct RateController {
    settings: RateSettings,
    /// Batches up to this time do not count, because an earlier host has received their records.
    since: Time,
    estimator: RateEstimator,
    /// The last rate that was computed, and the batch that it follows from. `None` before the first one.
    measured: Option<(f64, MeasuredBatch)>,
}

impl RateController {
    /// Makes the controller of a receiver that starts at the time `since`.
    pub fn new(settings: RateSettings, since: Time) -> Self {
        Self { settings, since, estimator: RateEstimator::new(settings.batch_interval), measured: None }
    }

    /// The limit at present.
    pub fn limit(&self) -> RateLimit {
        let RateSettings { max_rate, backpressure, .. } = self.settings;
        let max_rate = max_rate.map(u64::from);
        let (rate, reason) = match &self.measured {
            // The rate is at least 1 and, as a whole number, at most `u64::MAX`.
            Some((rate, batch)) => (Some(*rate as u64), RateReason::Backpressure(batch.clone())),
            None if backpressure.enabled => (backpressure.initial_rate.map(u64::from), RateReason::Initial),
            None => (None, RateReason::Unlimited),
        };
        match (rate, max_rate) {
            (Some(rate), Some(max_rate)) if rate <= max_rate => RateLimit { rate: Some(rate), reason },
            (_, Some(max_rate)) => RateLimit { rate: Some(max_rate), reason: RateReason::MaxRate },
            (rate, None) => RateLimit { rate, reason },
        }
    }

    /// Takes a batch that was completed successfully, with results that were shown.
    pub fn completed(&mut self, batch: &CompletedBatch) {
        let backpressure = &self.settings.backpressure;
        if !backpressure.enabled || batch.batch <= self.since {
            return;
        }
        let Some(estimate) = self.estimator.completed(backpressure, batch) else { return };
        let CompletedBatch { batch, records, processing_delay, scheduling_delay, .. } = *batch;
        let processing_rate = estimate.processing_rate as u64;
        let measured = MeasuredBatch { batch, records, processing_delay, scheduling_delay, processing_rate };
        self.measured = Some((estimate.rate, measured));
    }

    /// Takes other settings. The batch interval and the initial rate stay as they are. If backpressure is switched off,
    /// the measurements are forgotten.
    pub fn set(&mut self, settings: &RateSettings) {
        let (now, backpressure) = (&mut self.settings, &settings.backpressure);
        now.max_rate = settings.max_rate;
        now.backpressure.enabled = backpressure.enabled;
        now.backpressure.min_rate = backpressure.min_rate;
        if !backpressure.enabled {
            self.estimator = RateEstimator::new(now.batch_interval);
            self.measured = None;
        }
    }
}

#[cfg(test)]
mod tests;
