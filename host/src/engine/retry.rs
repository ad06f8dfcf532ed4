//! Decides what follows the failure of an attempt at a task: a pure decision.

use crate::time::Duration;

/// The kind of cause that made an attempt fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Plugin code failed. Plugin code is deterministic, so it will fail again: the next attempt only finds out at
    /// which record.
    Plugin,
    /// Something outside the plugin failed and may succeed later.
    Transient,
    /// Something outside the plugin failed and would fail again.
    Permanent,
    /// The run is being stopped.
    Cancelled,
}

/// The next action after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Run the task again.
    Retry {
        /// Whether to trace the next attempt.
        traced: bool,
        /// The pause before the next attempt.
        pause: Duration,
    },
    /// Report the failure.
    Fail,
}

/// The pause after the first transient failure.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
/// The factor by which each pause is longer than the pause before it.
const PAUSE_GROWTH: u32 = 4;
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Decides what to do after a failed attempt. `transient_failures` is the number of transient failures of the task so
/// far, including this one. `tries` is the most attempts of a task that may fail by transient causes.
pub fn after_failure(cause: Cause, traced: bool, transient_failures: u32, tries: u32) -> Next {
    match cause {
        Cause::Cancelled | Cause::Permanent => Next::Fail,
        Cause::Plugin if traced => Next::Fail,
        Cause::Plugin => Next::Retry { traced: true, pause: Duration::ZERO },
        Cause::Transient if transient_failures < tries => Next::Retry { traced, pause: pause(transient_failures) },
        Cause::Transient => Next::Fail,
    }
}

/// The pause after this many transient failures: 200 ms, 800 ms, 3.2 s and so on, at most 30 s.
fn pause(transient_failures: u32) -> Duration {
    let growth = PAUSE_GROWTH.saturating_pow(transient_failures.saturating_sub(1));
    PAUSE_FIRST.saturating_mul(growth).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn causes() -> impl Strategy<Value = Vec<Cause>> {
        prop::collection::vec(
            prop::sample::select(vec![Cause::Plugin, Cause::Transient, Cause::Permanent, Cause::Cancelled]),
            1..30,
        )
    }

    proptest! {
        /// For any causes, plugin code runs at most two times more than outside causes allow. A failure in the plugin
        /// is reported only after a traced run.
        #[test]
        fn every_task_ends(causes in causes(), tries in 0u32..6) {
            let (mut traced, mut outside, mut attempts) = (false, 0, 0);
            let mut last_pause = Duration::ZERO;
            for cause in causes {
                attempts += 1;
                outside += u32::from(cause == Cause::Transient);
                match after_failure(cause, traced, outside, tries) {
                    Next::Retry { traced: next, pause } => {
                        prop_assert!(next || !traced, "a trace is not given up");
                        traced = next;
                        if cause == Cause::Transient {
                            prop_assert!(pause > last_pause && pause <= PAUSE_MAX, "{pause:?} after {last_pause:?}");
                            last_pause = pause;
                        }
                    }
                    Next::Fail => {
                        prop_assert!(cause != Cause::Plugin || traced);
                        prop_assert!(attempts <= tries.max(1) + 1);
                        return Ok(());
                    }
                }
            }
            prop_assert!(attempts <= tries.max(1) + 1);
        }
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        let pauses: Vec<u128> = [1, 2, 3, 4, 5, 100].map(|failures| pause(failures).as_millis()).into();
        assert_eq!(pauses, [200, 800, 3200, 12_800, 30_000, 30_000]);
    }

    #[test]
    fn what_cannot_pass_is_final_at_once() {
        assert_eq!(after_failure(Cause::Permanent, false, 0, 4), Next::Fail);
        assert_eq!(after_failure(Cause::Cancelled, false, 0, 4), Next::Fail);
    }
}
