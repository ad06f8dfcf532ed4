//! The rate controller: against the formula of `reference/tech-facts.md` 12.2, and on a source that is too fast.

use super::*;
use crate::config::Gain;
use proptest::prelude::*;

const INTERVAL: Duration = Duration::from_secs(1);
const SINCE: Time = Time::from_ms(10_000);

fn gain(value: f64) -> Gain {
    Gain::of_millionths((value * 1e6).round() as u32)
}

fn backpressure(initial_rate: Option<u32>, min_rate: u32, gains: [f64; 3]) -> BackpressureSettings {
    let [proportional, integral, derivative] = gains.map(gain);
    BackpressureSettings { enabled: true, initial_rate, min_rate, proportional, integral, derivative }
}

fn settings(max_rate: Option<u32>, initial_rate: Option<u32>) -> RateSettings {
    let backpressure = backpressure(initial_rate, 100, [1.0, 0.2, 0.0]);
    RateSettings { batch_interval: INTERVAL, max_rate, backpressure }
}

/// A batch that ends so many ms after the start, with its records and delays in ms.
fn batch(ended_ms: u64, records: u64, processing_ms: u64, scheduling_ms: u64) -> CompletedBatch {
    CompletedBatch {
        batch: Time::from_ms(SINCE.as_ms() + ended_ms.max(1)),
        ended: Time::from_ms(SINCE.as_ms() + ended_ms),
        records,
        processing_delay: Duration::from_millis(processing_ms),
        scheduling_delay: Duration::from_millis(scheduling_ms),
    }
}

/// The limit and the word for its reason.
fn limit(controller: &RateController) -> (Option<u64>, &'static str) {
    let limit = controller.limit();
    (limit.rate, limit.reason.word())
}

/// The estimator of Spark, in Spark's units.
struct Model {
    latest: Option<(u64, f64, f64)>,
}

impl Model {
    fn compute(&mut self, gains: [f64; 3], min_rate: f64, batch: (u64, u64, u64, u64)) -> Option<f64> {
        let (time, n, processing_ms, scheduling_ms) = batch;
        if self.latest.is_some_and(|(latest_time, ..)| time <= latest_time) || n == 0 || processing_ms == 0 {
            return None;
        }
        let proc_rate = n as f64 / processing_ms as f64 * 1000.0;
        let Some((latest_time, latest_rate, latest_error)) = self.latest else {
            self.latest = Some((time, proc_rate, 0.0));
            return None;
        };
        let since_update = (time - latest_time) as f64 / 1000.0;
        let error = latest_rate - proc_rate;
        let historical_error = scheduling_ms as f64 * proc_rate / INTERVAL.as_millis() as f64;
        let d_error = (error - latest_error) / since_update;
        let new = (latest_rate - gains[0] * error - gains[1] * historical_error - gains[2] * d_error).max(min_rate);
        self.latest = Some((time, new, error));
        Some(new)
    }
}

proptest! {
    /// S12.20: the rates are those of Spark's formula, whatever the batches are, and nothing panics.
    #[test]
    fn rates_follow_the_formula(
        min_rate in 1..2000_u32,
        gains in (0.0..3.0_f64, 0.0..1.0_f64, 0.0..1.0_f64),
        batches in prop::collection::vec((0..3000_u64, 0..5000_u64, 0..3000_u64, 0..20_000_u64), 1..40),
    ) {
        let gains = [gains.0, gains.1, gains.2].map(|value| gain(value).value());
        let backpressure = backpressure(None, min_rate, gains);
        let mut controller =
            RateController::new(RateSettings { batch_interval: INTERVAL, max_rate: None, backpressure }, SINCE);
        let (mut model, mut ended, mut last) = (Model { latest: None }, 0, None);
        for (step, records, processing_ms, scheduling_ms) in batches {
            ended += step;
            controller.completed(&batch(ended, records, processing_ms, scheduling_ms));
            last = model.compute(gains, min_rate.into(), (ended, records, processing_ms, scheduling_ms)).or(last);
            match (last, controller.limit().rate) {
                (None, rate) => prop_assert_eq!(rate, None),
                (Some(model), rate) => {
                    let rate = rate.expect("a rate was computed") as f64;
                    prop_assert!((rate - model.floor()).abs() <= 1.0 + model * 1e-9, "{rate} is not {model}");
                    prop_assert!(rate >= f64::from(min_rate));
                }
            }
        }
    }

    /// Extreme batches neither panic nor give a rate of zero, and the largest rate holds.
    #[test]
    fn the_largest_rate_holds_in_any_case(
        max_rate in 1..=u32::MAX,
        batches in prop::collection::vec(any::<(u64, u64, u64, u64)>(), 1..10),
    ) {
        let mut controller = RateController::new(settings(Some(max_rate), None), SINCE);
        for (ended, records, processing_ms, scheduling_ms) in batches {
            controller.completed(&batch(ended / 2, records, processing_ms, scheduling_ms));
            prop_assert!(controller.limit().rate.is_some_and(|rate| (1..=u64::from(max_rate)).contains(&rate)));
        }
    }

    /// A source brings as many records as it may, and batches take a fixed time and a time for each record. The rate goes
    /// to the capacity and the delay below one batch interval, within 30 batches: of a source with up to twice the capacity,
    /// and of a faster source if there is an initial rate.
    #[test]
    fn a_source_that_is_too_fast_is_slowed_to_the_capacity(
        capacity in 1000..100_000_u64,
        fixed_ms in 0..300_u64,
        (offered, initial) in prop_oneof![
            (1.2..2.0_f64, Just(None)),
            (1.2..10.0_f64, (0.2..1.0_f64).prop_map(Some)),
        ],
    ) {
        let per_interval = capacity as f64 * (1.0 - fixed_ms as f64 / 1000.0);
        let offered = (per_interval * offered) as u64;
        let initial_rate = initial.map(|part| (per_interval * part) as u32);
        let mut controller = RateController::new(settings(None, initial_rate), SINCE);
        let (mut busy_until, mut done): (f64, Vec<CompletedBatch>) = (0.0, Vec::new());
        for number in 1..60_u64 {
            let submitted = number as f64 * 1000.0;
            // Batches that ended before this one was received say how many records it has.
            let begins = submitted - 1000.0;
            done.retain(|batch| {
                let is_over = batch.ended.since(SINCE).as_secs_f64() * 1e3 <= begins;
                if is_over {
                    controller.completed(batch);
                }
                !is_over
            });
            let records = controller.limit().rate.map_or(offered, |rate| rate.min(offered));
            let scheduling = (busy_until - submitted).max(0.0);
            let processing = fixed_ms as f64 + records as f64 / capacity as f64 * 1000.0;
            busy_until = submitted + scheduling + processing;
            if number > 30 {
                prop_assert!(scheduling < 1000.0, "batch {number} waits {scheduling} ms");
                prop_assert!((records as f64 - per_interval).abs() < per_interval * 0.1, "batch {number}: {records}");
            }
            done.push(batch(busy_until as u64, records, processing as u64, scheduling as u64));
        }
    }
}

/// S12.20: the initial rate holds until the second batch with records is done, after a restart too. Batches whose records
/// an earlier host has received say nothing about it.
#[test]
fn the_initial_rate_holds_in_the_first_batch() {
    let mut controller = RateController::new(settings(Some(5000), Some(700)), SINCE);
    assert_eq!(limit(&controller), (Some(700), "initial"));
    for ended in [100, 200, 300] {
        let earlier = CompletedBatch { batch: SINCE, ..batch(ended, 9000, 1000, 50_000) };
        controller.completed(&earlier);
    }
    controller.completed(&batch(1000, 0, 10, 0));
    controller.completed(&batch(2000, 500, 250, 0));
    assert_eq!(limit(&controller), (Some(700), "initial"));
    controller.completed(&batch(3000, 500, 250, 0));
    assert_eq!(limit(&controller), (Some(2000), "backpressure"));
}

#[test]
fn the_limit_has_the_reason_of_what_is_smallest() {
    let off = BackpressureSettings { enabled: false, ..settings(None, Some(700)).backpressure };
    let alone = |max_rate| RateSettings { max_rate, backpressure: off, ..settings(None, None) };
    assert_eq!(limit(&RateController::new(alone(None), SINCE)), (None, "unlimited"));
    assert_eq!(limit(&RateController::new(alone(Some(5)), SINCE)), (Some(5), "max_rate"));
    assert_eq!(limit(&RateController::new(settings(None, None), SINCE)), (None, "initial"));
    assert_eq!(limit(&RateController::new(settings(Some(5), None), SINCE)), (Some(5), "max_rate"));
    let mut controller = RateController::new(settings(Some(1500), Some(700)), SINCE);
    controller.completed(&batch(1000, 500, 250, 0));
    controller.completed(&batch(2000, 500, 250, 0));
    assert_eq!(limit(&controller), (Some(1500), "max_rate"));
    controller.set(&settings(Some(3000), None));
    assert_eq!(limit(&controller), (Some(2000), "backpressure"));
    controller.set(&alone(Some(3000)));
    assert_eq!(limit(&controller), (Some(3000), "max_rate"));
    controller.set(&settings(None, None));
    assert_eq!(limit(&controller), (Some(700), "initial"), "the initial rate stays as it was");
}
