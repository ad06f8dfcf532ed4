//! Operators that keep state between batches.

use crate::{pairs, reading};
use millstream::{Bytes, Chain, Cut, DStream, Output, State, StateSpec, Time, milliseconds, seconds};

/// Sums by keys of many types. The name of each stream says the type of its keys. `None` if there is no such operator.
pub fn by_keys_of_many_types(numbers: &DStream<i64, Cut<i64>>, operator: &str) -> Option<Output> {
    if operator != "states_by_keys_of_many_types" {
        return None;
    }
    let sum = |values: Vec<i64>, sum: Option<i64>| Some(sum.unwrap_or(0) + values.iter().sum::<i64>());
    let texts = numbers.map(|n| (format!("number {n}"), n)).update_state_by_key(sum);
    let bytes = numbers.map(|n| (Bytes(n.to_string().into_bytes()), n)).update_state_by_key(sum);
    let floats = numbers.map(|n| (n as f64 * 0.0, n)).update_state_by_key(sum);
    let optionals = numbers.map(|n| ((n > 2).then_some(n), n)).update_state_by_key(sum);
    let tuples = numbers.map(|n| ((n % 2 == 0, vec![n.to_string()]), n)).update_state_by_key(sum);
    let structs = numbers.map(|n| (reading(n), n)).update_state_by_key(sum);
    texts.name("texts").print_n(0);
    bytes.name("bytes").print_n(0);
    floats.name("floats").print_n(0);
    optionals.name("optionals").print_n(0);
    tuples.name("tuples").print_n(0);
    Some(structs.name("structs").print_n(0))
}

/// A sum that ends with a value that is divisible by three, and a list of values. `None` if there is no such operator.
pub fn states(numbers: &DStream<i64, Cut<i64>>, operator: &str) -> Option<Output> {
    // Only these operators may add nodes to the graph.
    if !["state", "inverse"].iter().any(|word| operator.contains(word)) {
        return None;
    }
    let pairs = pairs(numbers);
    let sum = |values: Vec<i64>, sum: Option<i64>| match values.contains(&0) {
        true => None,
        false => Some(sum.unwrap_or(0) + values.iter().sum::<i64>()),
    };
    let count = StateSpec::function(|key: &i64, value: Option<i64>, state: &mut State<Vec<i64>>| {
        if state.is_timing_out() {
            return format!("{key} ends with {:?}", state.get());
        }
        let mut values = state.get_option().cloned().unwrap_or_default();
        match value {
            Some(n) if n % 10 == 9 => {
                if state.exists() {
                    state.remove();
                }
                return format!("{key} is removed after {values:?}");
            }
            value => values.extend(value),
        }
        state.update(values.clone());
        format!("{key}: {values:?}")
    });
    Some(match operator {
        "update_state_by_key" => pairs.update_state_by_key(sum).name("sums").print_n(100),
        "update_state_by_key_from_initial_state" => {
            let sums = pairs.update_state_by_key(sum).initial_state(|| [(1, 100), (7, 700), (1, 200)]);
            sums.partitions(3).checkpoint(seconds(2)).print_n(100)
        }
        "update_state_by_key_with_time" => {
            let seen =
                pairs.update_state_by_key_with_time(|time: Time, key: &i64, values, seen: Option<(u64, String)>| {
                    let seen =
                        if values.is_empty() { seen } else { Some((time.as_ms(), format!("{key}: {values:?}"))) };
                    seen.filter(|(last, _)| last + 2000 > time.as_ms())
                });
            seen.print_n(100)
        }
        "update_state_by_partition" => {
            let best = pairs.update_state_by_partition(|keys| {
                let sums = keys.map(|(key, values, sum): (i64, Vec<i64>, Option<i64>)| {
                    (key, sum.unwrap_or(0) + values.iter().sum::<i64>())
                });
                sums.filter(|(_, sum)| *sum < 15).collect::<Vec<_>>()
            });
            best.partitions(1).print_n(100)
        }
        "optional_states" => {
            let last = pairs.update_state_by_key(|values: Vec<i64>, last: Option<Option<i64>>| match values.last() {
                Some(0) => None,
                Some(n) => Some(Some(*n).filter(|n| n % 2 == 1)),
                None => last,
            });
            last.print_n(100)
        }
        "map_with_state" => pairs.map_with_state(count).into_stream().print_n(100),
        "map_with_state_and_timeout" => {
            let counts = pairs.map_with_state(count.timeout(seconds(1)).initial_state(|| [(5, vec![50])]));
            counts.union(&counts.state_snapshots().map(|(key, values)| format!("{key} has {values:?}"))).print_n(100)
        }
        "state_snapshots" => {
            pairs.map_with_state(count.partitions(2)).checkpoint(seconds(3)).state_snapshots().print_n(100)
        }
        "window_of_states" => {
            let counts = pairs.map_with_state(count).checkpoint(seconds(2));
            counts.window((seconds(3), seconds(2))).print_n(100)
        }
        "state_of_a_window" => {
            let counts = pairs.window((seconds(3), seconds(2))).map_with_state(count).checkpoint(seconds(2));
            counts.map(|text| text.len() as u64).print_n(100)
        }
        "state_of_states" => {
            let sums = pairs.update_state_by_key(sum).map(|(key, sum)| (key % 2, sum));
            sums.update_state_by_key(|sums, last: Option<Vec<i64>>| Some([last.unwrap_or_default(), sums].concat()))
                .print_n(100)
        }
        _ => {
            let found = inverse_windows(numbers, &pairs, operator).or_else(|| migrations(&pairs, operator));
            return found.or_else(|| misfits(&pairs, operator));
        }
    })
}

/// Operators that take over the states of `update_state_by_key` and `map_with_state`, which have other types. `None` if the
/// operator is another.
fn migrations<C: Chain<Out = (i64, i64)>>(pairs: &DStream<(i64, i64), C>, operator: &str) -> Option<Output> {
    let refuses = operator == "state_migration_refused";
    let with_batches = |values: Vec<i64>, state: Option<(i64, u64)>| {
        let (sum, batches) = state.unwrap_or_default();
        Some((sum + values.iter().sum::<i64>(), batches + 1))
    };
    let migrate = move |key: &i64, sum: i64| match key {
        2 if refuses => Err("there is no place for it".to_owned()),
        0 => Ok(None),
        _ => Ok(Some((sum, 1000))),
    };
    Some(match operator {
        "state_migrated" | "state_migration_refused" => {
            pairs.update_state_by_key(with_batches).migrate_state(migrate).name("sums").print_n(100)
        }
        "map_with_state_migrated" => {
            let spec = StateSpec::function(|key: &i64, value: Option<i64>, state: &mut State<u64>| {
                let count = state.get_option().copied().unwrap_or(0) + u64::from(value.is_some());
                state.update(count);
                format!("{key}: {count}")
            });
            let migrated = spec.migrate_state(|_, values: Vec<i64>| Ok(Some(values.len() as u64)));
            pairs.map_with_state(migrated).into_stream().print_n(100)
        }
        _ => return None,
    })
}

/// Windows with an inverse function. `None` if the operator is another.
fn inverse_windows<C: Chain<Out = (i64, i64)>>(
    numbers: &DStream<i64, Cut<i64>>,
    pairs: &DStream<(i64, i64), C>,
    operator: &str,
) -> Option<Output> {
    Some(match operator {
        "reduce_by_key_and_window_inverse" => {
            let sums = pairs.reduce_by_key_and_window_inverse(|a, b| a + b, |a, b| a - b, seconds(3));
            sums.checkpoint(seconds(2)).print_n(100)
        }
        "reduce_by_key_and_window_inverse_filtered" => {
            let kept = |(_, sum): &(i64, i64)| *sum != 0;
            let sums = pairs.reduce_by_key_and_window_inverse_filtered(
                |a, b| a + b,
                |a, b| a - b,
                (seconds(4), seconds(2)),
                kept,
            );
            sums.partitions(2).checkpoint(seconds(2)).print_n(100)
        }
        "inverse_beside_states" => {
            // Snapshots are also due between two windows.
            let window = (seconds(4), seconds(2));
            let sums =
                pairs.reduce_by_key_and_window_inverse(|a, b| a + b, |a, b| a - b, window).checkpoint(seconds(6));
            let late = pairs.window((seconds(8), seconds(4)));
            let first = late.update_state_by_key(|values, first: Option<i64>| first.or(values.first().copied()));
            let first = first.initial_state(|| [(7, 70)]).checkpoint(seconds(4));
            first.map(|(key, n)| format!("{key} began with {n}")).print_n(100);
            let last = pairs.update_state_by_key(|values, last: Option<i64>| values.last().copied().or(last));
            last.checkpoint(seconds(3)).map(|(key, n)| format!("{key} has {n}")).print_n(100);
            sums.print_n(100)
        }
        "reduce_by_window_inverse" => {
            numbers.reduce_by_window_inverse(|a, b| a + b, |a, b| a - b, (seconds(2), seconds(3))).print_n(100)
        }
        _ => return None,
    })
}

/// State that does not fit an earlier run or the slide interval, and windows over batches that the number 13 makes
/// fail. `None` if there is no such operator.
fn misfits<C: Chain<Out = (i64, i64)>>(pairs: &DStream<(i64, i64), C>, operator: &str) -> Option<Output> {
    Some(match operator {
        "map_with_state_of_another_type" => {
            let count = StateSpec::function(|key: &i64, value: Option<i64>, state: &mut State<u64>| {
                let values = state.get_option().copied().unwrap_or(0) + u64::from(value.is_some());
                state.update(values);
                format!("{key}: {values} values")
            });
            pairs.map_with_state(count).into_stream().print_n(100)
        }
        "inverse_windows_over_failures" => {
            let lucky = pairs.map(|(key, n)| {
                assert!(n != 13, "an unlucky number");
                (key, n)
            });
            lucky.reduce_by_key_and_window(|a, b| a + b, seconds(3)).print_n(100);
            lucky.reduce_by_key_and_window_inverse(|a, b| a + b, |a, b| a - b, seconds(3)).print_n(100)
        }
        "state_of_an_unlucky_key" => {
            let sums = pairs.update_state_by_key(|values: Vec<i64>, sum: Option<i64>| {
                assert!(!values.contains(&13), "an unlucky number");
                Some(sum.unwrap_or(0) + values.iter().sum::<i64>())
            });
            sums.name("sums").print_n(100)
        }
        "states_that_time_out_badly" => {
            let spec = StateSpec::function(|key: &i64, value: Option<i64>, state: &mut State<i64>| {
                assert!(value != Some(13) && !(state.is_timing_out() && *key == 2), "an unlucky number");
                let last = value.or(state.get_option().copied()).unwrap_or_default();
                if !state.is_timing_out() {
                    state.update(last);
                }
                last
            });
            pairs.map_with_state(spec.timeout(milliseconds(20))).name("sessions").count().print()
        }
        "state_for_keys_of_others" => {
            let all = pairs.update_state_by_partition(|_| (0..10).map(|key: i64| (key, 1i64)).collect::<Vec<_>>());
            all.partitions(2).name("all").print_n(100)
        }
        "state_of_empty_partitions" => {
            // The function counts how often it was called, which only the host knows otherwise.
            let calls = pairs.update_state_by_partition(|keys| {
                let keys: Vec<(i64, Vec<i64>, Option<i64>)> = keys.collect();
                keys.into_iter()
                    .map(|(key, _, calls)| (key, calls.unwrap_or(0) + 1))
                    .chain([(0, 1)])
                    .collect::<Vec<_>>()
            });
            calls.partitions(1).print_n(100)
        }
        "state_whose_checkpoint_does_not_fit" => {
            pairs.update_state_by_key(|values, _| values.last().copied()).checkpoint(seconds(3)).print_n(100)
        }
        "inverse_whose_checkpoint_does_not_fit" => {
            let window = (seconds(4), seconds(2));
            let sums = pairs.reduce_by_key_and_window_inverse(|a, b| a + b, |a, b| a - b, window).name("sums");
            sums.checkpoint(seconds(3)).print_n(100)
        }
        _ => return None,
    })
}
