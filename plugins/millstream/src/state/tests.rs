//! The rules of Spark for operators with state, in the test harness: the arguments of the functions, and the resulting
//! rows.

mod misuse;
mod tasks;

use super::*;
use crate::seconds;
use crate::testing;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

fn text(text: &str) -> String {
    text.to_owned()
}

/// S4.02, S4.03, S4.04, S4.05
#[test]
fn an_update_is_called_for_each_key_with_its_values_in_order() {
    let batches = vec![vec![(1u8, 3u32), (2, 9), (1, 1), (1, 2)], vec![], vec![(2, 0)], vec![(2, 5)]];
    let out = testing::run(batches, |pairs| {
        // The state is the list of all values of a key so far. A zero removes the key.
        pairs.update_state_by_key(|values, all: Option<Vec<u32>>| match values.contains(&0) {
            true => None,
            false => Some([all.unwrap_or_default(), values].concat()),
        })
    });
    let sorted = |mut rows: Vec<(u8, Vec<u32>)>| {
        rows.sort();
        rows
    };
    let out: Vec<_> = out.into_iter().map(sorted).collect();
    let both = vec![(1, vec![3, 1, 2]), (2, vec![9])];
    // The removed key comes back without its old state.
    let back = vec![(1, vec![3, 1, 2]), (2, vec![5])];
    assert_eq!(out, [both.clone(), both, vec![(1, vec![3, 1, 2])], back]);
}

/// S4.04: the function is called for a key that has state in each batch, also if the batch has no rows.
#[test]
fn an_update_is_called_in_each_batch_and_told_key_and_time() {
    let out = testing::run(vec![vec![(text("a"), true)], vec![], vec![(text("a"), true)]], |pairs| {
        pairs.update_state_by_key_with_time(|time, key, values, calls: Option<Vec<String>>| {
            let call = format!("{key} at {time}: {}", values.len());
            Some([calls.unwrap_or_default(), vec![call]].concat())
        })
    });
    let calls = vec![text("a at 1000 ms: 1"), text("a at 2000 ms: 0"), text("a at 3000 ms: 1")];
    assert_eq!(out[2], [(text("a"), calls)]);
}

#[test]
fn keys_come_in_the_order_of_their_hashes() {
    let rows: Vec<(u64, u8)> = (0..100).map(|key| (key, 0)).collect();
    let out = testing::run(vec![rows], |pairs| pairs.update_state_by_key(|values, _| values.first().copied()));
    let hash = |key: u64| twox_hash::XxHash3_64::oneshot(&key.to_le_bytes());
    assert_eq!(out[0].len(), 100);
    assert!(out[0].is_sorted_by_key(|(key, _)| hash(*key)));
}

/// A key of the initial state is updated in the first batch as any other key.
#[test]
fn an_initial_state_is_the_state_before_the_first_batch() {
    let out = testing::run(vec![vec![], vec![(1u8, 5u32)]], |pairs| {
        let sums = pairs.update_state_by_key(|values, sum: Option<u32>| {
            let sum = sum.unwrap_or(100) + values.iter().sum::<u32>();
            (sum < 9).then_some(sum)
        });
        sums.initial_state(|| vec![(1, 1), (1, 2), (2, 9)])
    });
    assert_eq!(out, [vec![(1, 2)], vec![(1, 7)]]);
}

#[test]
fn a_partition_is_updated_at_once() {
    let batches = vec![vec![(1u8, 5u32), (2, 6), (1, 7)], vec![], vec![(3, 1)]];
    let out = testing::run(batches, |pairs| {
        let counted = pairs.update_state_by_partition(|keys| {
            let keys: Vec<(u8, Vec<u32>, Option<u64>)> = keys.collect();
            let count = keys.len() as u64;
            // The state is the number of keys of the partition. A key without values in its second batch is removed.
            let kept = keys.into_iter().filter(|(_, values, state)| state.is_none_or(|n| n > 9) || !values.is_empty());
            kept.map(move |(key, values, state)| (key, count + values.len() as u64 + state.unwrap_or(0)))
        });
        counted.initial_state(|| Some((4, 50)))
    });
    let sorted = |mut rows: Vec<(u8, u64)>| {
        rows.sort();
        rows
    };
    let out: Vec<_> = out.into_iter().map(sorted).collect();
    assert_eq!(out, [vec![(1, 5), (2, 4), (4, 53)], vec![(4, 56)], vec![(3, 3), (4, 58)]]);
}

/// Of several states of a key, the first one that the function gives for a partition counts.
#[test]
fn a_partition_may_give_a_key_twice_and_keys_that_it_did_not_get() {
    let out = testing::run(vec![vec![(1u8, 5u32)], vec![]], |pairs| {
        pairs.update_state_by_partition(|keys| {
            let given = keys.flat_map(|(key, values, sum): (u8, Vec<u32>, Option<u32>)| match sum {
                Some(sum) => vec![(key, sum)],
                None => vec![(key + 1, values[0]), (key + 1, 0)],
            });
            given.collect::<Vec<_>>()
        })
    });
    assert_eq!(out, [vec![(2, 5)], vec![(2, 5)]]);
}

type Call = (u64, String, Option<u32>, Option<u32>, bool);

/// Records the arguments of the function of a `map_with_state`: time, key, value, state, and whether the key times out.
/// A value of 0 removes the state, 1 leaves the state unchanged, and any other value sets the state.
fn record_calls(calls: Rc<RefCell<Vec<Call>>>) -> impl Fn(Time, &String, Option<u32>, &mut State<u32>) -> Option<u32> {
    move |time, key, value, state| {
        let seen = state.get_option().copied();
        assert_eq!(state.exists(), seen.is_some());
        calls.borrow_mut().push((time.as_ms(), key.clone(), value, seen, state.is_timing_out()));
        match value {
            Some(0) => state.remove(),
            Some(1) | None => {}
            Some(value) => state.update(value),
        }
        value.or(seen)
    }
}

/// The calls in each batch. The harness runs each task twice, with the same calls.
fn calls_of(
    batches: Vec<Vec<(&str, u32)>>,
    spec: impl Fn(StateSpecOf<u32>) -> StateSpecOf<u32>,
) -> (Vec<Call>, Vec<Vec<u32>>) {
    let calls = Rc::new(RefCell::new(Vec::new()));
    let function: Box<Function<u32>> = Box::new(record_calls(Rc::clone(&calls)));
    let batches = batches.into_iter().map(|rows| rows.into_iter().map(|(key, value)| (text(key), value)).collect());
    let out = testing::run(batches.collect(), |pairs| {
        pairs.map_with_state(spec(StateSpec::function_with_time(function))).into_stream()
    });
    let all = calls.take();
    let mut once = Vec::new();
    let mut rest = all.as_slice();
    while let Some((time, ..)) = rest.first() {
        let (batch, later) = rest.split_at(rest.iter().take_while(|call| call.0 == *time).count());
        let (first, second) = batch.split_at(batch.len() / 2);
        assert_eq!(first, second);
        once.extend_from_slice(first);
        rest = later;
    }
    (once, out)
}

type Function<S> = dyn Fn(Time, &String, Option<u32>, &mut State<S>) -> Option<u32>;
type StateSpecOf<S> = StateSpec<String, u32, S, u32, Box<Function<S>>>;

fn call(time: u64, key: &str, value: u32, state: Option<u32>) -> Call {
    (time, text(key), Some(value), state, false)
}

/// One value for each record, in the order of the records. A removed key can come back in the same batch.
#[test]
fn each_record_is_mapped_in_order_with_the_state_that_the_last_one_left() {
    let batches =
        vec![vec![("a", 5), ("b", 6), ("a", 0), ("a", 1), ("a", 7), ("a", 1)], vec![("b", 0)], vec![("b", 1)]];
    let (calls, out) = calls_of(batches, |spec| spec);
    let first = [("a", 5, None), ("b", 6, None), ("a", 0, Some(5)), ("a", 1, None), ("a", 7, None), ("a", 1, Some(7))];
    let mut expected: Vec<Call> = first.iter().map(|(key, value, state)| call(1000, key, *value, *state)).collect();
    expected.extend([call(2000, "b", 0, Some(6)), call(3000, "b", 1, None)]);
    assert_eq!(calls, expected);
    assert_eq!(out, [vec![5, 6, 0, 1, 7, 1], vec![0], vec![1]]);
}

/// A key times out when it was idle for longer than the timeout, once. A record in the same batch prevents that, also a
/// record that leaves the state alone. The initial state counts from the first batch.
#[test]
fn a_key_times_out_once_and_not_in_a_batch_in_which_it_has_a_record() {
    let batches = vec![vec![("a", 5)], vec![], vec![], vec![("a", 1)], vec![], vec![], vec![], vec![], vec![("a", 1)]];
    let (calls, out) = calls_of(batches, |spec| spec.timeout(seconds(2)).initial_state(|| [(text("i"), 3)]));
    let timed_out = |time, key, state| (time, text(key), None, Some(state), true);
    let expected = [
        call(1000, "a", 5, None),
        // Without its record, "a" would time out in this batch: it was idle for longer than two seconds as well.
        call(4000, "a", 1, Some(5)),
        timed_out(4000, "i", 3),
        timed_out(7000, "a", 5),
        call(9000, "a", 1, None),
    ];
    assert_eq!(calls, expected);
    assert_eq!(out, [vec![5], vec![], vec![], vec![1, 3], vec![], vec![], vec![5], vec![], vec![1]]);
}

/// A key that a record removes does not time out. If the key comes back, its time counts from there.
#[test]
fn a_removed_key_does_not_time_out() {
    let batches = vec![vec![("a", 5), ("b", 5)], vec![("a", 0)], vec![("b", 0), ("b", 4)], vec![], vec![]];
    let (calls, _) = calls_of(batches, |spec| spec.timeout(seconds(1)));
    let ends: Vec<_> = calls.into_iter().filter(|call| call.4).collect();
    assert_eq!(ends, [(5000, text("b"), None, Some(4), true)]);
}

#[test]
fn snapshots_hold_all_keys_and_the_state_after_the_batch() {
    let batches = vec![vec![(text("a"), 5u32), (text("b"), 6)], vec![(text("a"), 7)], vec![(text("b"), 0)]];
    let out = testing::run(batches, |pairs| {
        let spec = StateSpec::function(|_: &String, value: Option<u32>, state: &mut State<u32>| {
            match value {
                Some(0) => state.remove(),
                value => state.update(value.unwrap_or_default()),
            }
            true
        });
        pairs.map_with_state(spec.partitions(3)).name("last").checkpoint(seconds(10)).state_snapshots()
    });
    let sorted = |mut rows: Vec<(String, u32)>| {
        rows.sort();
        rows
    };
    let out: Vec<_> = out.into_iter().map(sorted).collect();
    let (a, b) = (|n| (text("a"), n), |n| (text("b"), n));
    assert_eq!(out, [vec![a(5), b(6)], vec![a(7), b(6)], vec![a(7)]]);
}

/// S4.15, S4.18: a key whose value became zero stays. With a filter, the key is removed, and starts anew when it comes
/// back.
#[test]
fn inverse_windows_keep_keys_unless_they_are_filtered() {
    let batches = || vec![vec![(1u8, 5i64), (1, 1)], vec![(2, 3)], vec![], vec![], vec![(1, 7)]];
    let sorted = |out: Vec<Vec<(u8, i64)>>| -> Vec<Vec<(u8, i64)>> {
        let sorted = |mut rows: Vec<(u8, i64)>| {
            rows.sort();
            rows
        };
        out.into_iter().map(sorted).collect()
    };
    let kept = testing::run(batches(), |pairs| {
        pairs.reduce_by_key_and_window_inverse(|a, b| a + b, |a, b| a - b, seconds(2)).partitions(2)
    });
    let expected =
        [vec![(1, 6)], vec![(1, 6), (2, 3)], vec![(1, 0), (2, 3)], vec![(1, 0), (2, 0)], vec![(1, 7), (2, 0)]];
    assert_eq!(sorted(kept), expected);
    let filtered = testing::run(batches(), |pairs| {
        pairs.reduce_by_key_and_window_inverse_filtered(
            |a, b| a + b,
            |a, b| a - b,
            (seconds(2), seconds(1)),
            |(_, sum)| *sum != 0,
        )
    });
    assert_eq!(sorted(filtered), [vec![(1, 6)], vec![(1, 6), (2, 3)], vec![(2, 3)], vec![], vec![(1, 7)]]);
}

/// A key was filtered away while some of its values are still in the window. These values do not count when they leave.
#[test]
fn values_of_a_removed_key_leave_without_effect() {
    let batches = vec![vec![(1u8, 5i64)], vec![(1, -5)], vec![], vec![], vec![]];
    let out = testing::run(batches, |pairs| {
        pairs.reduce_by_key_and_window_inverse_filtered(|a, b| a + b, |a, b| a - b, seconds(2), |(_, sum)| *sum != 0)
    });
    assert_eq!(out, [vec![(1, 5)], vec![], vec![], vec![], vec![]]);
}

proptest! {
    /// A sum over a window with an inverse function is the sum over the window, for any length and slide: windows that
    /// overlap, windows that do not overlap, and windows with gaps.
    #[test]
    fn inverse_windows_are_plain_windows_and_the_keys_that_were_there(
        batches in prop::collection::vec(prop::collection::vec((0u8..5, 0u32..9), 0..6), 1..12),
        length in 1u64..6,
        slide in 1u64..6,
    ) {
        let window = (seconds(length), seconds(slide));
        let plain = testing::run(batches.clone(), |pairs| pairs.reduce_by_key_and_window(|a, b| a + b, window));
        let inverse = testing::run(batches.clone(), |pairs| {
            pairs.reduce_by_key_and_window_inverse(|a, b| a + b, |a, b| a - b, window)
        });
        let mut known = BTreeMap::new();
        for (plain, inverse) in plain.into_iter().zip(inverse) {
            known.values_mut().for_each(|sum| *sum = 0);
            known.extend(plain);
            prop_assert_eq!(&known, &inverse.into_iter().collect());
        }
    }

    /// The states of `map_with_state` and of `update_state_by_key` are the states of a simple model.
    #[test]
    fn states_are_those_of_a_map(batches in prop::collection::vec(prop::collection::vec((0u8..5, 0u32..9), 0..9), 1..9)) {
        let updated = testing::run(batches.clone(), |pairs| {
            pairs.update_state_by_key(|values, state: Option<u32>| {
                values.into_iter().fold(state, |state, value| (value > 0).then(|| state.unwrap_or(0) * 10 % 9999 + value))
            })
        });
        let mapped = testing::run(batches.clone(), |pairs| {
            let spec = StateSpec::function(|_: &u8, value: Option<u32>, state: &mut State<u32>| match value {
                Some(0) => {
                    state.remove();
                    true
                }
                value => {
                    let next = state.get_option().copied().unwrap_or(0) * 10 % 9999 + value.unwrap_or(0);
                    state.update(next);
                    false
                }
            });
            pairs.map_with_state(spec).state_snapshots()
        });
        let mut model = BTreeMap::<u8, u32>::new();
        for (batch, (updated, mapped)) in batches.into_iter().zip(updated.into_iter().zip(mapped)) {
            for (key, value) in batch {
                match value {
                    0 => drop(model.remove(&key)),
                    _ => drop(model.insert(key, model.get(&key).copied().unwrap_or(0) * 10 % 9999 + value)),
                }
            }
            prop_assert_eq!(&updated, &mapped);
            prop_assert_eq!(&model, &updated.into_iter().collect());
        }
    }
}
