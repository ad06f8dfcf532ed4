//! Each batch is settled once, in order, and as soon as it can be.

use super::super::waiting::{Result as SideResult, Settled, Waiting};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// The most results that may wait in these tests.
const RESULTS_MAX: usize = 3;

fn batch_of(settled: &Settled<u64>) -> u64 {
    let (Settled::Both { batch, .. } | Settled::Only { batch, .. } | Settled::Dropped { batch }) = settled;
    batch.as_ms()
}

proptest! {
    /// Both sides take their batches in order, the one faster than the other.
    #[test]
    fn each_batch_is_settled_once(
        batches in prop::collection::vec((any::<bool>(), any::<bool>()), 1..20),
        turns in prop::collection::vec(any::<bool>(), 0..200),
    ) {
        let of = |side: Side| batches.iter().enumerate().filter_map(move |(at, (old, new))| {
            let has = if side == Side::Old { *old } else { *new };
            has.then_some(at as u64)
        }).collect::<Vec<u64>>();
        let mut waiting: Waiting<u64> = Waiting::new(RESULTS_MAX);
        let mut settled = Vec::new();
        // Each side begins a batch in one step, and has the result in the next.
        let (mut next, mut all) = ([0, 0], [of(Side::Old), of(Side::New)]);
        let fair = (0..2 * batches.len()).flat_map(|_| [false, true]);
        for turn in turns.iter().copied().chain(fair) {
            let (at, side) = if turn { (1, Side::New) } else { (0, Side::Old) };
            if let Some(&batch) = all[at].get(next[at] / 2) {
                let time = Time::from_ms(batch);
                if next[at] % 2 == 0 {
                    waiting.begin(side, time);
                } else {
                    waiting.done(side, time, SideResult::Rows(batch));
                }
                next[at] += 1;
            } else {
                waiting.passed(side, Time::from_ms(u64::MAX));
            }
            settled.extend(waiting.settle());
            let results = all.iter().zip(next).map(|(all, next)| {
                let done = &all[..next / 2];
                done.iter().filter(|batch| settled.last().is_none_or(|last| **batch > batch_of(last))).count()
            });
            prop_assert!(results.max().unwrap_or_default() <= RESULTS_MAX);
        }
        let times: Vec<u64> = settled.iter().map(batch_of).collect();
        prop_assert!(times.is_sorted_by(|one, next| one < next), "{:?}", times);
        let [old, new] = all.each_mut().map(|all| all.drain(..).collect::<BTreeSet<u64>>());
        // A side that is too far behind may begin a batch of its own too late.
        let is_dropped = |settled: &&Settled<u64>| matches!(settled, Settled::Dropped { .. });
        let dropped = settled.iter().filter(is_dropped).map(batch_of).max();
        prop_assert!(old.union(&new).all(|batch| times.contains(batch) || dropped.is_some_and(|last| *batch < last)));
        for settled in &settled {
            match settled {
                Settled::Both { batch, old: SideResult::Rows(one), new: SideResult::Rows(other) } => {
                    prop_assert_eq!((*one, *other), (batch.as_ms(), batch.as_ms()));
                    prop_assert!(old.contains(one) && new.contains(one));
                }
                Settled::Only { batch, side, .. } => {
                    let has = [old.contains(&batch.as_ms()), new.contains(&batch.as_ms())];
                    prop_assert_eq!(has, [*side == Side::Old, *side == Side::New]);
                }
                Settled::Dropped { batch } => {
                    prop_assert!(old.contains(&batch.as_ms()) || new.contains(&batch.as_ms()));
                }
                Settled::Both { .. } => prop_assert!(false, "no side has failed"),
            }
        }
    }
}

/// A side that is a little behind is waited for.
#[test]
fn nothing_is_dropped_before_too_many_results_wait() {
    let mut waiting: Waiting<u64> = Waiting::new(RESULTS_MAX);
    let mut done = |side, at: u64| {
        waiting.begin(side, Time::from_ms(at));
        waiting.done(side, Time::from_ms(at), SideResult::Rows(at));
        waiting.settle()
    };
    (1..=RESULTS_MAX as u64).for_each(|at| assert_eq!(done(Side::Old, at), []));
    let (old, new) = (SideResult::Rows(1), SideResult::Rows(1));
    assert_eq!(done(Side::New, 1), [Settled::Both { batch: Time::from_ms(1), old, new }]);
    assert_eq!(done(Side::Old, 4), []);
    assert_eq!(done(Side::Old, 5), [Settled::Dropped { batch: Time::from_ms(2) }]);
}
