//! What follows from the facts about an upgrade: a pure decision.
//!
//! Owns when the new run is warm, when it is ready to take the job over, and when it is withdrawn.

use super::options::UpgradeOptions;
use crate::shown::counted;
use crate::time::Time;

/// The facts about the new run, before it takes the job over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The last batch that the new run has done. `None` if it has done none.
    pub last: Option<Time>,
    /// From this batch on, the windows of the new run are full.
    pub full_from: Time,
    /// How many batches wait for the new run.
    pub waiting: u64,
    /// For how many batches, one after the other, the new run has kept pace.
    pub in_pace: u64,
    /// How many batches with full windows the new run has done.
    pub compared: u64,
    /// The number of differences in the compared batches.
    pub differences: u64,
    /// How many times as long as those of the old run the batches of the new run take. `None` if that is not known yet.
    pub slowdown: Option<f64>,
    /// The first output of the new run that has failed where that of the old run has not: the batch, the output and the
    /// reason.
    pub failure: Option<(Time, String, String)>,
    /// The error with which the new run has ended. `None` if it goes on.
    pub ended: Option<String>,
}

/// Why a new run is withdrawn.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Withdrawal {
    /// The run has ended.
    #[error("the new run ended: {0}")]
    Ended(String),
    /// An output has failed.
    #[error("{output} of the new plugin failed at batch {batch}: {reason}")]
    OutputFailed {
        /// The batch.
        batch: Time,
        /// The output.
        output: String,
        /// Why it failed.
        reason: String,
    },
    /// The run does not keep up.
    #[error("{waiting} batches wait for the new run, which is more than --max-lag {max}")]
    FellBehind {
        /// How many batches wait.
        waiting: u64,
        /// How many may wait.
        max: u64,
    },
    /// The results differ.
    #[error("the results of both runs have {}, which is more than --max-diff {max}", counted(*differences, "difference"))]
    TooDifferent {
        /// How many differences there are.
        differences: u64,
        /// How many there may be.
        max: u64,
    },
    /// The new run is slow, and would never become ready.
    #[error(
        "batches of the new run take {slowdown:.2} times as long as those of the old one, which is more than --max-slowdown {max}"
    )]
    TooSlow {
        /// How many times as long the batches take.
        slowdown: f64,
        /// How many times as long they may take.
        max: f64,
    },
}

/// What follows from the facts.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// The windows of the new run are not full yet.
    WarmUp,
    /// The new run is warm, and has not been compared for long enough.
    Compare,
    /// The new run may take the job over.
    Ready,
    /// The new run is withdrawn.
    Withdraw(Withdrawal),
}

/// Decides what follows from the facts.
pub fn decide(options: &UpgradeOptions, facts: &Facts) -> Decision {
    if let Some((batch, output, reason)) = facts.failure.clone() {
        return Decision::Withdraw(Withdrawal::OutputFailed { batch, output, reason });
    }
    // A run also ends after its output has failed. The failure says more than the end.
    if let Some(reason) = &facts.ended {
        return Decision::Withdraw(Withdrawal::Ended(reason.clone()));
    }
    if facts.waiting > options.max_lag {
        let (waiting, max) = (facts.waiting, options.max_lag);
        return Decision::Withdraw(Withdrawal::FellBehind { waiting, max });
    }
    if let Some(max) = options.max_diff.filter(|max| facts.differences > *max) {
        return Decision::Withdraw(Withdrawal::TooDifferent { differences: facts.differences, max });
    }
    if facts.last.is_none_or(|last| last < facts.full_from) {
        return Decision::WarmUp;
    }
    let wanted = options.batches.max(1);
    if facts.compared < wanted || facts.in_pace < wanted.min(facts.compared) {
        return Decision::Compare;
    }
    match (options.max_slowdown, facts.slowdown) {
        (Some(max), Some(slowdown)) if slowdown > max && options.auto => {
            Decision::Withdraw(Withdrawal::TooSlow { slowdown, max })
        }
        (Some(max), Some(slowdown)) if slowdown > max => Decision::Compare,
        (Some(_), None) => Decision::Compare,
        _ => Decision::Ready,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: u64) -> Time {
        Time::from_ms(second * 1000)
    }

    /// A new run that is ready.
    fn good() -> Facts {
        Facts { last: Some(at(20)), full_from: at(10), in_pace: 10, compared: 10, ..Facts::default() }
    }

    fn options() -> UpgradeOptions {
        UpgradeOptions { max_diff: Some(2), max_slowdown: Some(1.2), ..UpgradeOptions::default() }
    }

    fn withdrawn(options: &UpgradeOptions, facts: Facts) -> String {
        match decide(options, &facts) {
            Decision::Withdraw(reason) => reason.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_run_is_warm_then_compared_then_ready() {
        let decided = |facts: Facts| decide(&UpgradeOptions::default(), &facts);
        assert_eq!(decided(Facts { last: None, ..good() }), Decision::WarmUp);
        assert_eq!(decided(Facts { last: Some(at(9)), ..good() }), Decision::WarmUp);
        assert_eq!(decided(Facts { compared: 9, ..good() }), Decision::Compare);
        assert_eq!(decided(Facts { in_pace: 3, ..good() }), Decision::Compare);
        assert_eq!(decided(good()), Decision::Ready);
        assert_eq!(decided(Facts { differences: 99, slowdown: Some(7.0), ..good() }), Decision::Ready);
    }

    #[test]
    fn each_condition_is_told_with_its_limit() {
        let (ready, auto) = (options(), UpgradeOptions { auto: true, ..options() });
        assert_eq!(decide(&ready, &Facts { slowdown: Some(1.2), differences: 2, ..good() }), Decision::Ready);
        assert_eq!(decide(&ready, &good()), Decision::Compare, "it is not known how slow it is");
        let slow = Facts { slowdown: Some(1.3), ..good() };
        assert_eq!(decide(&ready, &slow), Decision::Compare);
        assert_eq!(
            withdrawn(&auto, slow),
            "batches of the new run take 1.30 times as long as those of the old one, which is more than \
             --max-slowdown 1.2"
        );
        assert_eq!(
            withdrawn(&ready, Facts { differences: 3, ..good() }),
            "the results of both runs have 3 differences, which is more than --max-diff 2"
        );
        assert_eq!(
            withdrawn(&ready, Facts { waiting: 101, ..good() }),
            "101 batches wait for the new run, which is more than --max-lag 100"
        );
        let failure = Some((at(7), "output counts".to_owned(), "it trapped".to_owned()));
        assert_eq!(
            withdrawn(&ready, Facts { failure, ..good() }),
            "output counts of the new plugin failed at batch 1970-01-01T00:00:07Z: it trapped"
        );
        assert_eq!(
            withdrawn(&ready, Facts { ended: Some("out of memory".to_owned()), ..good() }),
            "the new run ended: out of memory"
        );
    }

    proptest! {
        /// A run that is ready keeps all conditions.
        #[test]
        fn a_ready_run_keeps_all_conditions(
            last in prop::option::of(0u64..40), waiting in 0u64..200, in_pace in 0u64..20, compared in 0u64..20,
            differences in 0u64..5, slowdown in prop::option::of(0.5f64..2.0), auto: bool,
        ) {
            let facts = Facts { last: last.map(at), waiting, in_pace, compared, differences, slowdown, ..good() };
            let options = UpgradeOptions { auto, ..options() };
            if decide(&options, &facts) == Decision::Ready {
                prop_assert!(last.unwrap() >= 10 && waiting <= 100 && compared >= 10 && in_pace >= 10);
                prop_assert!(differences <= 2 && slowdown.unwrap() <= 1.2);
            }
        }
    }
}
