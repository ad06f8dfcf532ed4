//! Events as log lines.

use super::{Event, StreamingListener};

/// Writes events to the log: what needs attention as warnings, batches as information, the rest for debugging.
pub struct LogListener;

impl StreamingListener for LogListener {
    fn on_event(&self, event: &Event) {
        match event {
            Event::ReceiverError { .. }
            | Event::InputError { .. }
            | Event::LineCutOff { .. }
            | Event::LinesSkipped { .. }
            | Event::TaskRetried { .. } => {
                tracing::warn!("{event}");
            }
            Event::StreamingStarted { .. } | Event::ReceiverStarted { .. } | Event::StreamingStopped => {
                tracing::info!("{event}");
            }
            Event::BatchCompleted(info) => tracing::info!(
                "{event}: {} records, scheduling delay {:.1} ms, processing time {:.1} ms, total delay {:.1} ms",
                info.record_count(),
                info.scheduling_delay.as_secs_f64() * 1e3,
                info.processing_delay.as_secs_f64() * 1e3,
                info.total_delay().as_secs_f64() * 1e3,
            ),
            _ => tracing::debug!("{event}"),
        }
    }
}
