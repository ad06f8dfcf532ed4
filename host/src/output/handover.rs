//! [`Handover`]: which run of a job shows the results of each batch.
//!
//! Owns the rule that exactly one run shows a batch, also while one run hands over to another. During a hand-over it is
//! open for some time which run shows later batches. A run waits before such a batch. Never writes anything: the code
//! that hands over makes the decision durable before it calls [`Handover::hand_to`].

use crate::ids::RunId;
use crate::time::Time;
use tokio::sync::watch;

/// Which run shows the results of each batch. All runs of a job share one value.
#[derive(Debug)]
pub struct Handover {
    state: watch::Sender<State>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    /// The runs that show batches, in order. Each run shows the batches after the given batch, through the batch of the
    /// next entry. With `None`, it shows batches from the beginning.
    shown: Vec<(Option<Time>, RunId)>,
    /// The batch after which it is open which run shows results. `None` if it is not open.
    open_after: Option<Time>,
}

/// The answer to the question which run shows a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ShownBy {
    /// This run. `None` if the batch was shown before the job was resumed.
    Run(Option<RunId>),
    /// That is not decided yet.
    Open,
}

impl State {
    fn shown_by(&self, batch: Time) -> ShownBy {
        if self.open_after.is_some_and(|after| batch > after) {
            return ShownBy::Open;
        }
        let begins_before = |(after, _): &&(Option<Time>, RunId)| after.is_none_or(|after| batch > after);
        ShownBy::Run(self.shown.iter().rev().find(begins_before).map(|(_, run)| *run))
    }
}

impl Handover {
    /// The first run of a job shows the batches after `after`. With `None`, it shows all batches.
    pub fn new(after: Option<Time>) -> Self {
        let state = State { shown: vec![(after, RunId::FIRST)], open_after: None };
        Self { state: watch::Sender::new(state) }
    }

    /// The run that shows results now. While it is open which run shows later batches, this is the run that shows
    /// earlier ones.
    pub fn owner(&self) -> RunId {
        self.state.borrow().shown.last().map_or(RunId::FIRST, |(_, run)| *run)
    }

    /// Whether a run shows a batch, as far as that is decided. While it is open, the present owner counts.
    pub fn shows_now(&self, run: RunId, batch: Time) -> bool {
        match self.state.borrow().shown_by(batch) {
            ShownBy::Run(shown_by) => shown_by == Some(run),
            ShownBy::Open => run == self.owner(),
        }
    }

    /// Whether a run shows a batch. Waits while that is open.
    pub async fn shows(&self, run: RunId, batch: Time) -> bool {
        let mut state = self.state.subscribe();
        let decided = state.wait_for(|state| state.shown_by(batch) != ShownBy::Open).await;
        // The sender lives as long as `self`.
        decided.is_ok_and(|state| state.shown_by(batch) == ShownBy::Run(Some(run)))
    }

    /// Makes it open which run shows the batches after `after`. No run may have begun such a batch.
    pub fn open(&self, after: Time) {
        self.state.send_modify(|state| state.open_after = Some(after));
    }

    /// Decides that `run` shows the batches that are open. Returns the batch after which `run` shows results. `None` if
    /// nothing is open.
    pub fn hand_to(&self, run: RunId) -> Option<Time> {
        let mut after = None;
        self.state.send_modify(|state| {
            after = state.open_after.take();
            state.shown.extend(after.map(|after| (Some(after), run)));
        });
        after
    }

    /// Decides that the present owner shows the batches that are open.
    pub fn keep(&self) {
        self.state.send_modify(|state| state.open_after = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OTHER: RunId = RunId(1);

    #[test]
    fn a_resumed_run_does_not_show_what_was_shown_before() {
        let handover = Handover::new(Some(Time::from_ms(5)));
        let shows = |ms| handover.shows_now(RunId::FIRST, Time::from_ms(ms));
        assert_eq!((shows(5), shows(6)), (false, true));
    }

    #[test]
    fn a_batch_waits_while_its_run_is_open() {
        let handover = Handover::new(None);
        handover.open(Time::from_ms(10));
        let shows = |run, ms| futures::FutureExt::now_or_never(handover.shows(run, Time::from_ms(ms)));
        assert_eq!((shows(RunId::FIRST, 10), shows(OTHER, 10)), (Some(true), Some(false)));
        assert_eq!((shows(RunId::FIRST, 11), shows(OTHER, 11)), (None, None));
        assert!(handover.shows_now(RunId::FIRST, Time::from_ms(11)));
        assert_eq!(handover.hand_to(OTHER), Some(Time::from_ms(10)));
        assert_eq!((shows(RunId::FIRST, 11), shows(OTHER, 11)), (Some(false), Some(true)));
        assert_eq!((shows(RunId::FIRST, 10), handover.owner()), (Some(true), OTHER));
        handover.open(Time::from_ms(20));
        handover.keep();
        assert_eq!((shows(OTHER, 21), handover.hand_to(RunId::FIRST)), (Some(true), None));
    }

    proptest! {
        /// Whatever is handed over and taken back, one run shows each batch, and a batch that was decided stays so.
        #[test]
        fn one_run_shows_each_batch(steps in prop::collection::vec((1u64..5, 0u32..3, any::<bool>()), 0..20)) {
            let handover = Handover::new(None);
            let (mut now, mut decided) = (0, Vec::new());
            for (pause, run, keeps) in steps {
                now += pause;
                handover.open(Time::from_ms(now));
                match keeps {
                    true => handover.keep(),
                    false => prop_assert_eq!(handover.hand_to(RunId(run)), Some(Time::from_ms(now))),
                }
                let by = |ms| (0..3).filter(|run| handover.shows_now(RunId(*run), Time::from_ms(ms))).collect::<Vec<_>>();
                for (ms, before) in decided.iter().enumerate() {
                    prop_assert_eq!(&by(ms as u64), before);
                }
                decided = (0..=now).map(by).collect();
                prop_assert!(decided.iter().all(|runs| runs.len() == 1));
            }
        }
    }
}
