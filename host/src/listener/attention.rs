//! How much attention an event needs, and its text for people.
//!
//! Owns this decision for the log and for the page of a job. Never decides how often an event is told.

use super::{Event, LagInfo, PassedOverCause};
use crate::time::Duration;

/// How much attention an event needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attention {
    /// Only those who look for a mistake read it.
    Detail,
    /// It is worth to be read.
    Notice,
    /// Somebody may have to act.
    Warning,
    /// A defect.
    Error,
}

impl Event {
    /// How much attention the event needs.
    pub fn attention(&self) -> Attention {
        match self {
            Self::HostPanicked { .. } => Attention::Error,
            Self::UpgradeChanged(info) if info.reason.is_some() => Attention::Warning,
            // The start of the job has warned of such files already.
            Self::FilesPassedOver(info) if info.cause == PassedOverCause::MatchedByPath => Attention::Detail,
            Self::FilesPassedOver(info) if !info.is_first => Attention::Detail,
            Self::FilesPassedOver(info) if !info.cause.is_asked_for() => Attention::Warning,
            Self::ReceiverError { .. }
            | Self::InputError { .. }
            | Self::FileChanged { .. }
            | Self::FileMissing { .. }
            | Self::DataLost { .. }
            | Self::FileLeft { .. }
            | Self::LineCutOff { .. }
            | Self::RecordsDropped { .. }
            | Self::MessagesGivenUp { .. }
            | Self::RecordsLost { .. }
            | Self::CheckpointFailed { .. }
            | Self::LinesDropped { .. }
            | Self::TextReplaced { .. }
            | Self::ClockSetBack { .. }
            | Self::TaskRetried { .. }
            | Self::FallingBehind(_) => Attention::Warning,
            Self::UpgradeChanged(_)
            | Self::SettingChanged { .. }
            | Self::RecordsRecovered { .. }
            | Self::FilesPassedOver(_)
            | Self::ReceiverStarted(_)
            | Self::ReceiverListens { .. }
            | Self::PageListens { .. }
            | Self::RateLimitChanged(_)
            | Self::StreamingStarted { .. }
            | Self::RecoveryStarted(_)
            | Self::BatchesWithoutData { .. }
            | Self::BatchCompleted(_)
            | Self::CaughtUp(_)
            | Self::CheckpointResumed { .. }
            | Self::StreamingStopped { .. } => Attention::Notice,
            _ => Attention::Detail,
        }
    }

    /// The text of the event for people, which may say more than the event itself.
    pub fn words(&self) -> String {
        match self {
            Self::FallingBehind(lag) => falling_behind(lag),
            Self::CaughtUp(lag) => {
                format!(
                    "the job has caught up: batch {} had a scheduling delay of {:.1} ms",
                    lag.batch_time,
                    ms(lag.scheduling_delay)
                )
            }
            event => event.to_string(),
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The text of a warning: by how much a job is behind, and what can be done.
fn falling_behind(lag: &LagInfo) -> String {
    let growth = if lag.growth.is_zero() {
        String::new()
    } else {
        format!(", {:.1} ms more than shortly before", ms(lag.growth))
    };
    format!(
        "the job falls behind: batch {} had a scheduling delay of {:.1} ms{growth}; the processing time of batches is {:.1} ms \
         on average, and one comes every {:.1} ms. Make batches cheaper, raise engine.threads or job.parallelism, or raise \
         job.batch_interval above the processing time",
        lag.batch_time,
        ms(lag.scheduling_delay),
        ms(lag.processing_delay_average),
        ms(lag.batch_interval),
    )
}
