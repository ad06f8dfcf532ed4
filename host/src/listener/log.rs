//! Events as log lines.

use super::{Event, LagInfo, QueuedListener};
use crate::time::{Duration, Time};

/// Writes events to the log: what needs attention as warnings, batches as information, the rest for debugging.
pub struct LogListener;

fn ms(duration: Option<Duration>) -> f64 {
    duration.unwrap_or_default().as_secs_f64() * 1e3
}

impl QueuedListener for LogListener {
    fn on_event(&mut self, _: Time, event: &Event) {
        match event {
            Event::HostPanicked { .. } => tracing::error!("{event}"),
            Event::ReceiverError { .. }
            | Event::InputError { .. }
            | Event::LineCutOff { .. }
            | Event::RecordsDropped { .. }
            | Event::RecordsLost { .. }
            | Event::CheckpointFailed { .. }
            | Event::LinesSkipped { .. }
            | Event::TaskRetried { .. } => {
                tracing::warn!("{event}");
            }
            Event::StreamingStarted { .. }
            | Event::ReceiverStarted(_)
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

/// By how much a job is behind, and what can be done.
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
