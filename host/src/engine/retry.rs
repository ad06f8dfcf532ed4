//! What follows a task's failure: a pure decision.

/// Why an attempt failed, as far as the decision goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Plugin code failed. It is deterministic, so it will again: the next attempt is there to say where.
    Plugin,
    /// Something outside the plugin failed.
    Outside,
    /// The run is being stopped.
    Cancelled,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Run the task again.
    Retry {
        /// Whether to trace it.
        traced: bool,
    },
    /// Report the failure.
    Fail,
}

/// Decides after a failed attempt. `outside_failures` counts those of the task so far, this one included; `tries` is the
/// total of attempts that causes outside the plugin may cost.
pub fn after_failure(cause: Cause, traced: bool, outside_failures: u32, tries: u32) -> Next {
    match cause {
        Cause::Cancelled => Next::Fail,
        Cause::Plugin if traced => Next::Fail,
        Cause::Plugin => Next::Retry { traced: true },
        Cause::Outside if outside_failures < tries => Next::Retry { traced },
        Cause::Outside => Next::Fail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn causes() -> impl Strategy<Value = Vec<Cause>> {
        prop::collection::vec(prop::sample::select(vec![Cause::Plugin, Cause::Outside, Cause::Cancelled]), 1..30)
    }

    proptest! {
        /// Whatever goes wrong: plugin code runs at most twice more than causes outside of it allow, and a failure in
        /// the plugin is only reported from a traced run.
        #[test]
        fn every_task_ends(causes in causes(), tries in 0u32..6) {
            let (mut traced, mut outside, mut attempts) = (false, 0, 0);
            for cause in causes {
                attempts += 1;
                outside += u32::from(cause == Cause::Outside);
                match after_failure(cause, traced, outside, tries) {
                    Next::Retry { traced: next } => {
                        prop_assert!(next || !traced, "a trace is not given up");
                        traced = next;
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
}
