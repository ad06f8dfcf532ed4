//! Events as log lines.

use super::absence::{Absence, Away, Tell};
use super::{Event, LagInfo, PassedOverCause, QueuedListener, ReceiverInfo};
use crate::time::{Duration, Time};
use std::collections::BTreeMap;

/// Writes events to the log: events that need attention as warnings, batches as information, all other events for debugging.
/// Of a source that is away, the log has the first failure, then few of the further failures with their number, and then the
/// return.
#[derive(Default)]
pub struct LogListener {
    /// The absences of sources, by the source's name.
    absences: BTreeMap<String, Absence>,
}

fn ms(duration: Option<Duration>) -> f64 {
    duration.unwrap_or_default().as_secs_f64() * 1e3
}

impl LogListener {
    /// A receiver lost its source, or did not reach it, and tries again.
    fn away(&mut self, at: Time, receiver: &ReceiverInfo, event: &Event) {
        match self.absences.entry(receiver.name.clone()).or_default().failed(at) {
            Tell::First => tracing::warn!("{event}"),
            Tell::Again(Away { failures, time }) => {
                tracing::warn!("{event}; failed {failures} times in {:.0} s", time.as_secs_f64());
            }
            Tell::Nothing => tracing::debug!("{event}"),
        }
    }

    /// A receiver has reached its source.
    fn back(&mut self, at: Time, receiver: &ReceiverInfo, event: &Event) {
        let absence = self.absences.entry(receiver.name.clone()).or_default();
        let was_away = absence.is_open();
        match absence.returned(at) {
            Some(Away { failures, time }) => {
                tracing::info!("{event}, which was away for {:.0} s and failed {failures} times", time.as_secs_f64());
            }
            None if was_away => tracing::debug!("{event}"),
            None => tracing::info!("{event}"),
        }
    }
}

impl QueuedListener for LogListener {
    fn on_event(&mut self, at: Time, event: &Event) {
        match event {
            Event::HostPanicked { .. } => tracing::error!("{event}"),
            Event::ReceiverError { receiver, retry_in: Some(_) } => self.away(at, receiver, event),
            Event::ReceiverStarted(receiver) => self.back(at, receiver, event),
            Event::ReceiverError { .. }
            | Event::InputError { .. }
            | Event::FileChanged { .. }
            | Event::FileMissing { .. }
            | Event::DataLost { .. }
            | Event::FileLeft { .. }
            | Event::LineCutOff { .. }
            | Event::RecordsDropped { .. }
            | Event::RecordsLost { .. }
            | Event::CheckpointFailed { .. }
            | Event::LinesDropped { .. }
            | Event::TextReplaced { .. }
            | Event::ClockSetBack { .. }
            | Event::TaskRetried { .. } => {
                tracing::warn!("{event}");
            }
            // The start of the job has warned of such files already.
            Event::FilesPassedOver(info) if info.cause == PassedOverCause::MatchedByPath => tracing::debug!("{event}"),
            Event::FilesPassedOver(info) if !info.is_first => tracing::debug!("{event}"),
            Event::FilesPassedOver(info) if !info.cause.is_asked_for() => tracing::warn!("{event}"),
            Event::FilesPassedOver(_)
            | Event::StreamingStarted { .. }
            | Event::RecoveryStarted(_)
            | Event::BatchesWithoutData { .. }
            | Event::CheckpointResumed { .. }
            | Event::StreamingStopped { .. } => {
                tracing::info!("{event}");
            }
            Event::BatchCompleted(info) => tracing::info!(
                "{event}: {} records, scheduling delay {:.1} ms, processing time {:.1} ms, total delay {:.1} ms",
                info.num_records(),
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
                    "{event}, {} bytes shuffled, {:.1} ms, {:.1} ms in tasks ({})",
                    info.shuffle_bytes_written,
                    ms(Some(info.duration)),
                    ms(Some(info.task_time)),
                    operators.join(", "),
                );
            }
            Event::FallingBehind(lag) => tracing::warn!("{}", falling_behind(lag)),
            Event::CaughtUp(lag) => tracing::info!(
                "the job has caught up: batch {} waited {:.1} ms",
                lag.batch_time,
                ms(Some(lag.scheduling_delay))
            ),
            _ => tracing::debug!("{event}"),
        }
    }
}

/// The text of a warning: by how much a job is behind, and what can be done.
fn falling_behind(lag: &LagInfo) -> String {
    let growth = if lag.growth.is_zero() {
        String::new()
    } else {
        format!(", {:.1} ms longer than shortly before", ms(Some(lag.growth)))
    };
    format!(
        "the job falls behind: batch {} waited {:.1} ms for earlier ones{growth}; batches take {:.1} ms on average, and \
         one comes every {:.1} ms. Make batches cheaper, raise engine.threads or job.parallelism, or raise \
         job.batch_interval above what a batch takes",
        lag.batch_time,
        ms(Some(lag.scheduling_delay)),
        ms(Some(lag.processing_delay_average)),
        ms(Some(lag.batch_interval)),
    )
}
