//! How a run stops after signals and requests of clients: a pure decision.
//!
//! Owns the rule. The first request stops the run gracefully. A signal that follows within a second belongs to the same
//! request: `timeout`, a terminal and a service manager send a signal to a process and to its group, so that the signal
//! arrives twice. A later signal stops the run at once, as `host stop --now` does. Never reads a clock.

use crate::ingest::StopRequest;
use crate::time::Duration;

/// A signal that follows the first request within this time belongs to the same request.
pub(super) const ONE_WISH: Duration = Duration::from_secs(1);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Stop gracefully.
    Graceful,
    /// Stop at once. Holds the time since the first request; `None` if this is the first request.
    Now(Option<Duration>),
    /// Nothing, because the same was requested before.
    Nothing,
}

/// The requests so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    first: Option<Duration>,
    strongest: StopRequest,
}

impl Wishes {
    /// Decides about a signal that arrived at this time. The times are those of a clock that never goes back.
    pub(super) fn signal(&mut self, at: Duration) -> Decision {
        match self.first {
            Some(first) if at.saturating_sub(first) < ONE_WISH => Decision::Nothing,
            Some(_) => self.request(StopRequest::Now, at),
            None => self.request(StopRequest::Graceful, at),
        }
    }

    /// Decides about a request that a client made at this time. Any number of clients may make the same request.
    pub(super) fn request(&mut self, request: StopRequest, at: Duration) -> Decision {
        if request <= self.strongest {
            return Decision::Nothing;
        }
        self.strongest = request;
        let first = self.first;
        self.first = first.or(Some(at));
        match request {
            StopRequest::None => Decision::Nothing,
            StopRequest::Graceful => Decision::Graceful,
            StopRequest::Now => Decision::Now(first.map(|first| at.saturating_sub(first))),
        }
    }

    /// The strongest request so far.
    pub(super) fn strongest(&self) -> StopRequest {
        self.strongest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decisions(signals_ms: &[u64]) -> Vec<Decision> {
        let mut wishes = Wishes::default();
        signals_ms.iter().map(|at| wishes.signal(Duration::from_millis(*at))).collect()
    }

    #[test]
    fn two_signals_within_a_second_are_one_wish() {
        use Decision::{Graceful, Nothing, Now};
        let after = |ms| Now(Some(Duration::from_millis(ms)));
        assert_eq!(decisions(&[5, 5]), [Graceful, Nothing]);
        assert_eq!(decisions(&[5, 6, 1004]), [Graceful, Nothing, Nothing]);
        assert_eq!(decisions(&[5, 1005]), [Graceful, after(1000)]);
        assert_eq!(decisions(&[5, 6, 3005, 3006, 9000]), [Graceful, Nothing, after(3000), Nothing, Nothing]);
    }

    #[test]
    fn a_request_for_a_stop_at_once_waits_for_no_second() {
        let mut wishes = Wishes::default();
        let at = Duration::from_secs(7);
        assert_eq!(wishes.request(StopRequest::Graceful, at), Decision::Graceful);
        assert_eq!(wishes.request(StopRequest::Graceful, at * 2), Decision::Nothing);
        assert_eq!(wishes.request(StopRequest::Now, at), Decision::Now(Some(Duration::ZERO)));
        assert_eq!(wishes.request(StopRequest::Now, at), Decision::Nothing);
        assert_eq!(Wishes::default().request(StopRequest::Now, at), Decision::Now(None));
    }

    proptest! {
        /// Whatever comes: at most one graceful stop, at most one immediate stop, and nothing after the immediate stop.
        #[test]
        fn each_stop_is_decided_at_most_once(gaps_ms in prop::collection::vec(0u64..1500, 1..20)) {
            let times: Vec<u64> = gaps_ms.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            let decided: Vec<_> = decisions(&times).into_iter().filter(|decision| *decision != Decision::Nothing).collect();
            prop_assert_eq!(decided[0], Decision::Graceful);
            prop_assert!(decided.len() <= 2);
            let last = times.last().zip(times.first()).map_or(0, |(last, first)| last - first);
            prop_assert_eq!(decided.len() == 2, last >= 1000);
        }
    }
}
