//! Which refused requests the log tells of: the first, and then at most one a minute, with the number of the others.
//!
//! Owns this pace. A client that sends a bad request again and again must not fill the log.

use crate::shown::counted;
use crate::time::Duration;

/// The time between two reports.
const PACE: Duration = Duration::from_secs(60);

/// The refused requests of one source.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// When the last report was made.
    last: Option<Duration>,
    /// The number of refused requests since then.
    untold: u64,
}

impl Refusals {
    /// Notes that a request was refused at `now`, a time of a clock that never goes back. Returns the report that is to
    /// be made now; `None` if none is due.
    pub(super) fn refused(&mut self, now: Duration, status: u16, problem: &str) -> Option<String> {
        if self.last.is_some_and(|last| now.saturating_sub(last) < PACE) {
            self.untold += 1;
            return None;
        }
        self.last = Some(now);
        let others = match std::mem::take(&mut self.untold) {
            0 => String::new(),
            untold => format!(", and {} before", counted(untold, "other request")),
        };
        Some(format!("refused a request with {status}{others}: {problem}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_errs_all_the_time_does_not_fill_the_log() {
        let mut refusals = Refusals::default();
        let mut at = |seconds| refusals.refused(Duration::from_secs(seconds), 400, "no");
        assert_eq!(at(5), Some("refused a request with 400: no".into()));
        assert_eq!((at(6), at(64)), (None, None));
        assert_eq!(at(65), Some("refused a request with 400, and 2 other requests before: no".into()));
        assert_eq!(at(200), Some("refused a request with 400: no".into()));
    }
}
