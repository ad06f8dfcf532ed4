//! Events as log lines.

use super::absence::{Absence, Away, Tell};
use super::attention::Attention;
use super::{Event, QueuedListener, RateLimitInfo, ReceiverInfo};
use crate::ids::RunId;
use crate::shown::counted;
use crate::time::{Duration, Time};
use std::collections::BTreeMap;
use std::fmt;

/// Writes events to the log: events that need attention as warnings, batches as information, all other events for
/// debugging. Of a source that is away, the log has the first failure, then few of the further failures with their
/// number, and then the return. Of the rates of a receiver, the log has those that differ much from the one before.
#[derive(Default)]
pub struct LogListener {
    /// The absences of sources, by the source's name.
    absences: BTreeMap<String, Absence>,
    /// The rates that the log has shown as information, by the source's name. `None` stands for no limit.
    rates: BTreeMap<String, Option<u64>>,
}

fn ms(duration: Option<Duration>) -> f64 {
    duration.unwrap_or_default().as_secs_f64() * 1e3
}

impl LogListener {
    /// Reports that a receiver lost its source, or did not reach it, and tries again.
    fn away(&mut self, at: Time, receiver: &ReceiverInfo, event: &Event) {
        match self.absences.entry(receiver.name.clone()).or_default().failed(at) {
            Tell::First => tracing::warn!("{event}"),
            Tell::Repeated(Away { failures, time }) => {
                tracing::warn!("{event}; failed {} in {:.0} s", counted(failures, "time"), time.as_secs_f64());
            }
            Tell::Nothing => tracing::debug!("{event}"),
        }
    }

    /// Reports that the limit of a receiver has changed.
    fn limited(&mut self, info: &RateLimitInfo, event: &Event) {
        let rate = info.limit.rate;
        match self.rates.get_mut(&info.source) {
            Some(shown) if !differs_much(*shown, rate) => tracing::debug!("{event}"),
            Some(shown) => {
                *shown = rate;
                tracing::info!("{event}");
            }
            None => {
                self.rates.insert(info.source.clone(), rate);
                tracing::info!("{event}");
            }
        }
    }

    /// Reports that a receiver has reached its source.
    fn back(&mut self, at: Time, receiver: &ReceiverInfo, event: &Event) {
        let absence = self.absences.entry(receiver.name.clone()).or_default();
        let was_away = absence.is_open();
        match absence.returned(at) {
            Some(Away { failures, time }) => {
                tracing::info!(
                    "{event}, which was away for {:.0} s and failed {}",
                    time.as_secs_f64(),
                    counted(failures, "time")
                );
            }
            None if was_away => tracing::debug!("{event}"),
            None => tracing::info!("{event}"),
        }
    }
}

/// Whether a rate differs much from an earlier one: it is twice as high or half as high, or only one is a limit.
fn differs_much(before: Option<u64>, now: Option<u64>) -> bool {
    match (before, now) {
        (Some(before), Some(now)) => before / 2 >= now || now / 2 >= before,
        (before, now) => before != now,
    }
}

/// Whether the log may show an event. This decides only about the events that come with every batch.
fn is_shown(event: &Event) -> bool {
    match event {
        Event::BatchSubmitted(_)
        | Event::BatchStarted(_)
        | Event::OutputOperationStarted(_)
        | Event::OutputOperationCompleted(_)
        | Event::StageCompleted(_)
        | Event::OperatorsSampled(_)
        | Event::CheckpointWritten { .. } => tracing::enabled!(tracing::Level::DEBUG),
        Event::BatchCompleted(_) => tracing::enabled!(tracing::Level::INFO),
        _ => true,
    }
}

impl QueuedListener for LogListener {
    fn filter(&self) -> fn(&Event) -> bool {
        is_shown
    }

    fn on_event(&mut self, at: Time, run: RunId, event: &Event) {
        let told = Told { run, event };
        match event {
            Event::ReceiverError { receiver, retry_in: Some(_) } => self.away(at, receiver, event),
            Event::ReceiverStarted(receiver) => self.back(at, receiver, event),
            Event::RateLimitChanged(info) => self.limited(info, event),
            Event::BatchCompleted(info) => tracing::info!(
                "{told}: {}, scheduling delay {:.1} ms, processing time {:.1} ms, total delay {:.1} ms",
                counted(info.num_records(), "record"),
                ms(info.scheduling_delay),
                ms(info.processing_delay),
                ms(info.total_delay()),
            ),
            Event::StageCompleted(info) => {
                let operators: Vec<String> = info
                    .operators
                    .iter()
                    .map(|operator| format!("{} {}", operator.role, operator.name.as_deref().unwrap_or(&operator.kind)))
                    .collect();
                tracing::debug!(
                    "{told}, {} shuffled, {:.1} ms, {:.1} ms in tasks ({})",
                    counted(info.shuffle_bytes_written, "byte"),
                    ms(Some(info.duration)),
                    ms(Some(info.task_time)),
                    operators.join(", "),
                );
            }
            _ => match event.attention() {
                Attention::Error => tracing::error!("{told}"),
                Attention::Warning => tracing::warn!("{told}"),
                Attention::Notice => tracing::info!("{told}"),
                Attention::Detail => tracing::debug!("{told}"),
            },
        }
    }
}

/// An event with its run, as the log shows them: `run 1: BatchStarted ...`. The first run is not named.
struct Told<'a> {
    run: RunId,
    event: &'a Event,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.run != RunId::FIRST {
            write!(f, "{}: ", self.run)?;
        }
        f.write_str(&self.event.words())
    }
}
