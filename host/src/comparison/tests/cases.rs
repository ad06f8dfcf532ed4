//! Each case that a comparison tells apart.

use super::*;
use futures::FutureExt as _;
use serde_json::json;

fn shown(result: &OutputComparison) -> Vec<String> {
    result.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn differences_of_pairs_are_told_by_key() {
    let old = [json!(["a", 1]), json!(["b", 2]), json!(["c", 3]), json!(["d", 4]), json!(["d", 5])];
    let new = [json!(["d", 5]), json!(["d", 6]), json!(["a", 1]), json!(["b", 20]), json!(["e", 7])];
    let result = compare_rows(&pairs(), &old, &new);
    let mut lines = shown(&result);
    lines[4..].sort();
    assert_eq!(
        lines,
        [
            "counts: 1 batch compared, 0 equal",
            "  5 rows of the old version, 5 rows of the new one",
            "  1 batch with different rows: 1 only old, 1 only new, 2 keys changed",
            "  the first batch that differs is 1970-01-01T00:00:01Z, the last one is 1970-01-01T00:00:01Z",
            "  batch 1970-01-01T00:00:01Z: key b: old 2, new 20",
            "  batch 1970-01-01T00:00:01Z: key c: only old: 3",
            "  batch 1970-01-01T00:00:01Z: key d: old [4, 5], new [5, 6]",
            "  batch 1970-01-01T00:00:01Z: key e: only new: 7",
        ]
    );
    assert!(!result.is_equal());
}

#[test]
fn equal_rows_that_are_frequent_count_as_often_as_they_are_there() {
    let result =
        compare_rows(&RecordType::text(), &["x", "x", "x", "y"].map(Value::from), &["x", "z"].map(Value::from));
    let RowCounts { rows_only_old, rows_only_new, keys_changed, .. } = result.rows;
    assert_eq!((rows_only_old, rows_only_new, keys_changed), (3, 1, 0));
    let mut lines = shown(&result).split_off(4);
    lines.sort();
    assert_eq!(
        lines,
        [
            "  batch 1970-01-01T00:00:01Z: only new: z",
            "  batch 1970-01-01T00:00:01Z: only old: x (3 times, 1 in the other version)",
            "  batch 1970-01-01T00:00:01Z: only old: y",
        ]
    );
}

#[test]
fn another_order_is_told_apart_from_other_rows() {
    let result =
        compare_rows(&RecordType::text(), &["a", "b", "c"].map(Value::from), &["a", "c", "b"].map(Value::from));
    assert_eq!((result.batches_order_different, result.batches_different), (1, 0));
    assert_eq!(result.rows.differences(), 0);
    assert_eq!(
        shown(&result),
        [
            "counts: 1 batch compared, 0 equal",
            "  3 rows of the old version, 3 rows of the new one",
            "  1 batch with the same rows in another order",
            "  the first batch that differs is 1970-01-01T00:00:01Z, the last one is 1970-01-01T00:00:01Z",
            "  batch 1970-01-01T00:00:01Z: the order differs from row 1 on: old b, new c",
        ]
    );
}

/// `print` shows the two as `-0.0` and `0.0`.
#[test]
fn a_negative_zero_is_another_row_and_the_same_key() {
    let (old, new) = (json!([-0.0, 1]), json!([0.0, 1]));
    let ty = ty(&[("", "struct", 2), ("0", "f64", 0), ("1", "u8", 0)]);
    assert_eq!(compare_rows(&ty, std::slice::from_ref(&old), std::slice::from_ref(&new)).rows.keys_changed, 1);
    assert!(compare_rows(&ty, std::slice::from_ref(&new), std::slice::from_ref(&new)).is_equal());
}

#[test]
fn totals_are_those_of_all_batches() {
    let compared = Compared::new(pairs(), Limits { samples: 1, ..Limits::default() }, 1_000_000);
    for at in 1..=4u64 {
        let changed = u64::from(at == 2 || at == 3);
        compared.commit(Side::Old, at * 1000, &[json!(["a", 1]), json!(["b", 1])]);
        compared.commit(Side::New, at * 1000, &[json!(["a", 1 + changed]), json!(["b", 1 + changed])]);
    }
    let (told, total) = compared.finish();
    let outcomes: Vec<Outcome> = told.iter().map(|batch| batch.outcome).collect();
    assert_eq!(outcomes, [Outcome::Equal, Outcome::RowsDiffer, Outcome::RowsDiffer, Outcome::Equal]);
    assert_eq!((total.batches_compared, total.batches_equal, total.batches_different), (4, 2, 2));
    assert_eq!((total.first_different_ms, total.last_different_ms), (Some(2000), Some(3000)));
    assert_eq!((total.last_compared_ms, total.rows.keys_changed, total.rows.rows_old), (Some(4000), 4, 8));
    assert_eq!(total.samples.len(), 1);
}

#[test]
fn an_output_that_only_one_side_has_is_told_and_not_recorded() {
    let of = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), pairs())).collect::<Vec<_>>();
    let (comparison, _worker) = Comparison::new(&storage(0), Limits::default(), &of(&["a", "b"]), &of(&["b", "c"]));
    let presence: Vec<_> = comparison.results().iter().map(|output| (output.output.clone(), output.presence)).collect();
    let expected = [("a", Presence::OnlyOld), ("b", Presence::Both), ("c", Presence::OnlyNew)];
    assert_eq!(presence, expected.map(|(name, presence)| (name.to_owned(), presence)));
    let has_recorder = |side, name| comparison.recorder(side, name, Time::from_ms(1000)).is_some();
    assert!(has_recorder(Side::Old, "b") && has_recorder(Side::New, "b"));
    assert!(!has_recorder(Side::Old, "a") && !has_recorder(Side::New, "c") && !has_recorder(Side::New, "d"));
    assert_eq!(comparison.results()[0].to_string(), "a: only the old version has this output\n");
}

#[test]
fn rows_of_different_types_are_counted_only() {
    let floats = ty(&[("", "struct", 2), ("0", "text", 0), ("1", "f64", 0)]);
    let named = |ty: &RecordType| [(OUTPUT.to_owned(), ty.clone())];
    let (comparison, worker) = Comparison::new(&storage(0), Limits::default(), &named(&pairs()), &named(&floats));
    let compared = Compared { comparison, worker, ty: pairs() };
    compared.commit(Side::Old, 1000, &[json!(["a", 1]), json!(["b", 1])]);
    let recorder = compared.begin(Side::New, 1000);
    let mut partition = recorder.partition(0);
    partition.write(&batch(&floats, &[json!(["a", 1.5])]));
    partition.finish();
    recorder.commit(1);
    let (told, total) = compared.finish();
    assert_eq!((told[0].outcome, total.types_differ), (Outcome::NotCompared, true));
    assert_eq!((total.rows.rows_old, total.rows.rows_new, total.batches_compared), (2, 1, 0));
    let reason = "the types of the rows differ: (text, u64) and (text, f64)";
    assert_eq!(total.not_compared_reason.as_deref(), Some(reason));
}

/// The old side has a result each second, the new side every three seconds.
#[test]
fn only_common_batch_times_are_compared() {
    let compared = Compared::new(pairs(), Limits::default(), 0);
    for at in 1..=7u64 {
        compared.commit(Side::Old, at * 1000, &[json!(["a", at])]);
        if at % 3 == 0 {
            compared.commit(Side::New, at * 1000, &[json!(["a", at])]);
        }
    }
    compared.comparison.passed(Side::New, Time::from_ms(7000));
    let (told, total) = compared.finish();
    let times: Vec<u64> = told.iter().map(|batch| batch.batch_ms).collect();
    assert_eq!(times, [1000, 2000, 3000, 4000, 5000, 6000, 7000]);
    assert_eq!((total.batches_equal, total.batches_only_old, total.batches_only_new), (2, 5, 0));
    assert!(!total.is_equal());
}

#[test]
fn results_wait_for_the_other_side_for_a_number_of_batches_only() {
    let compared = Compared::new(pairs(), Limits { waiting_batches: 2, ..Limits::default() }, 0);
    let commit = |side, at: u64| compared.commit(side, at, &[json!(["a", at])]);
    (1..=5).for_each(|at| commit(Side::Old, at));
    (1..=5).for_each(|at| commit(Side::New, at));
    let (told, total) = compared.finish();
    let outcomes: Vec<_> = told.iter().map(|batch| (batch.batch_ms, batch.outcome)).collect();
    let (dropped, equal) = (Outcome::NotCompared, Outcome::Equal);
    assert_eq!(outcomes, [(1, dropped), (2, dropped), (3, dropped), (4, equal), (5, equal)]);
    let reason = "one version was more than 2 batches behind the other";
    assert_eq!(total.not_compared_reason.as_deref(), Some(reason));
}

#[test]
fn batches_that_wait_to_be_compared_are_given_up_when_they_are_too_many() {
    let compared = Compared::new(pairs(), Limits { waiting_batches: 2, ..Limits::default() }, 0);
    for at in 1..=4u64 {
        compared.commit(Side::Old, at, &[json!(["a", at])]);
        compared.commit(Side::New, at, &[json!(["a", at])]);
    }
    let (told, _) = compared.finish();
    let outcomes: Vec<_> = told.iter().map(|batch| batch.outcome).collect();
    let (given_up, equal) = (Outcome::NotCompared, Outcome::Equal);
    assert_eq!(outcomes, [given_up, given_up, equal, equal]);
    assert_eq!(told[0].reason.as_deref(), Some("more than 2 batches of both versions waited to be compared"));
}

#[test]
fn outputs_that_fail_are_told() {
    let compared = Compared::new(pairs(), Limits::default(), 0);
    compared.commit(Side::Old, 1, &[]);
    compared.begin(Side::New, 1).abort();
    // A batch that is never ended has failed, too.
    drop(compared.begin(Side::Old, 2));
    compared.commit(Side::New, 2, &[]);
    compared.commit(Side::Old, 3, &[]);
    compared.commit(Side::New, 3, &[]);
    let (_, total) = compared.finish();
    assert_eq!((total.batches_failed_old, total.batches_failed_new, total.batches_equal), (1, 1, 1));
}

#[test]
fn a_batch_that_is_begun_again_replaces_what_was_there() {
    let compared = Compared::new(pairs(), Limits::default(), 0);
    let first = compared.begin(Side::Old, 1);
    let mut partition = first.partition(0);
    partition.write(&batch(&compared.ty, &[json!(["a", 1])]));
    partition.finish();
    compared.commit(Side::Old, 1, &[json!(["b", 1])]);
    first.commit(1);
    compared.commit(Side::New, 1, &[json!(["b", 1])]);
    assert!(compared.finish().1.is_equal());
}

#[test]
fn a_partition_that_was_not_recorded_is_told() {
    let compared = Compared::new(pairs(), Limits::default(), 0);
    let recorder = compared.begin(Side::Old, 1);
    recorder.partition(0).finish();
    recorder.commit(2);
    compared.commit(Side::New, 1, &[]);
    let (told, _) = compared.finish();
    assert_eq!(told[0].reason.as_deref(), Some("the rows of partition 1 were not recorded"));
}

/// The worker does not run, so the rows of the old side wait in the queue.
#[test]
fn rows_that_come_too_fast_are_not_compared() {
    let compared = Compared::new(pairs(), Limits::default(), 0);
    let text = "x".repeat(400_000);
    let rows = [json!([text, 1])];
    let recorder = compared.begin(Side::Old, 1);
    let mut partition = recorder.partition(0);
    (0..10).for_each(|_| partition.write(&batch(&compared.ty, &rows)));
    assert!(compared.comparison.shared.queued.hold(BYTES_MIN as u64 / 2).is_none());
    partition.finish();
    recorder.commit(1);
    compared.commit(Side::New, 1, &rows);
    let (queued, stored) = (compared.comparison.shared.queued.clone(), compared.comparison.shared.stored.clone());
    let (told, _) = compared.finish();
    let reason =
        format!("the rows came faster than they were stored: more than {BYTES_MIN} bytes or 3072 pieces waited");
    assert_eq!(told[0].reason, Some(reason));
    // Everything is given back.
    assert!(queued.hold(BYTES_MIN as u64).is_some() && stored.hold(stored.bytes_max()).is_some());
}

/// The queue of messages is full, since the worker does not run: nobody waits, and nothing is taken for equal.
#[test]
fn batches_of_which_the_worker_is_not_told_are_not_compared() {
    let compared = Compared::new(pairs(), Limits { waiting_batches: 2000, ..Limits::default() }, 0);
    let rows = batch(&compared.ty, &[json!(["a", 1])]);
    let comparison = compared.comparison.clone();
    let commit = |side, at| {
        let Some(recorder) = comparison.recorder(side, OUTPUT, Time::from_ms(at)) else { return false };
        let mut partition = recorder.partition(0);
        partition.write(&rows);
        partition.finish();
        recorder.commit(1);
        true
    };
    // Four messages a batch, then three without its rows. The last batch that is begun is not ended.
    let begun = (1..=2000).filter(|at| commit(Side::Old, *at)).count();
    assert_eq!(begun, 768 + 1024 / 3 + 1);
    let mut run = Box::pin(compared.worker.run(|| Box::pin(async {}), |_| {}));
    let mut step = || {
        let _ = run.as_mut().now_or_never();
    };
    step();
    // The worker runs again, and the old side is told of, while the new side follows.
    for at in 1..=4000u64 {
        assert!(at <= 2000 || commit(Side::Old, at));
        assert!(commit(Side::New, at));
        step();
    }
    comparison.finish();
    step();
    let result = comparison.results().remove(0);
    assert_eq!((result.batches_only_old, result.batches_only_new, result.batches_different), (0, 0, 0));
    assert_eq!((result.batches_equal, result.batches_not_compared), (768 + 2000, 2000 - 768));
}

#[test]
fn rows_that_are_too_many_are_not_compared() {
    for (side, other) in [(Side::Old, Side::New), (Side::New, Side::Old)] {
        let compared = Compared::new(pairs(), Limits { stored_bytes: 1000, ..Limits::default() }, 0);
        compared.commit(side, 1, &[json!(["x".repeat(2000), 1])]);
        compared.commit(other, 1, &[]);
        compared.commit(Side::Old, 2, &[json!(["y", 1])]);
        compared.commit(Side::New, 2, &[json!(["y", 1])]);
        let (told, total) = compared.finish();
        let reason = "the rows that wait to be compared would take more than 1000 bytes";
        assert_eq!(told[0].reason.as_deref(), Some(reason));
        assert_eq!((total.batches_not_compared, total.batches_equal), (1, 1));
    }
}

/// The disk has no room: the rows of the batch are not compared, and no output fails.
#[test]
fn rows_without_room_are_not_compared() {
    let settings = SpillSettings { directory: None, limit_bytes: 100, compressed: false };
    let disk = Simulation::new(0, Time::default()).env().disk;
    let storage = RowStorage::new(&MemoryBudget::new(0, 0).unwrap(), disk, settings);
    let outputs = [(OUTPUT.to_owned(), pairs())];
    let (comparison, worker) = Comparison::new(&storage, Limits::default(), &outputs, &outputs);
    let compared = Compared { comparison, worker, ty: pairs() };
    compared.commit(Side::Old, 1, &[json!(["a", 1])]);
    compared.commit(Side::New, 1, &[json!(["a", 1])]);
    let (told, _) = compared.finish();
    let reason = "spilled data would take more than engine.spill_limit = 100 bytes";
    assert_eq!(told[0].reason.as_deref(), Some(reason));
}

#[test]
fn numbers_are_minimums_if_passes_are_not_enough() {
    let rows = |value: u64| (0..10).map(|key| json!([key.to_string(), value])).collect::<Vec<_>>();
    let compared = Compared::new(pairs(), Limits { groups: 3, passes: 2, ..Limits::default() }, 0);
    compared.commit(Side::Old, 1, &rows(1));
    compared.commit(Side::New, 1, &rows(2));
    let (told, total) = compared.finish();
    assert_eq!((told[0].rows.keys_changed, told[0].rows.is_minimum), (6, true));
    let line = "  1 batch with different rows: at least 0 only old, 0 only new, 6 keys changed";
    assert_eq!(shown(&total)[2], line);
}

#[test]
fn batches_before_the_first_one_are_not_recorded() {
    let compared = Compared::new(pairs(), Limits::default(), 0);
    compared.comparison.record_from(Time::from_ms(2000));
    assert!(compared.comparison.recorder(Side::Old, OUTPUT, Time::from_ms(1999)).is_none());
    compared.commit(Side::Old, 2000, &[]);
    compared.commit(Side::New, 2000, &[]);
    assert!(compared.finish().1.is_equal());
}

#[test]
fn a_closed_comparison_ends_at_once() {
    let compared = Compared::new(pairs(), Limits::default(), 1_000_000);
    let mut open = compared.begin(Side::Old, 1).partition(0);
    compared.commit(Side::Old, 2, &[json!(["a", 1])]);
    compared.commit(Side::New, 2, &[json!(["a", 1])]);
    let comparison = compared.comparison.clone();
    comparison.close();
    let (told, _) = compared.finish();
    assert_eq!(told, []);
    assert!(comparison.recorder(Side::Old, OUTPUT, Time::from_ms(3)).is_none());
    open.write(&batch(&pairs(), &[json!(["a", 1])]));
    open.finish();
    assert!(comparison.shared.queued.hold(comparison.shared.queued.bytes_max()).is_some());
}

/// Text from outside can neither change the terminal nor be long.
#[test]
fn samples_are_short_and_harmless() {
    let long = "é".repeat(300);
    let result = compare_rows(&RecordType::text(), &["\u{1b}[2J\nforged".into(), long.clone().into()], &[]);
    let mut texts: Vec<String> = result.samples.iter().filter_map(|sample| sample.old.clone()).collect();
    texts.sort();
    assert_eq!(texts, [r"\u{1b}[2J\u{a}forged".to_owned(), "é".repeat(200) + "..."]);
    let huge = compare_rows(&RecordType::text(), &["x".repeat(100_000).into()], &[]);
    assert_eq!(huge.samples[0].old.as_deref(), Some("(a row of about 100004 bytes)"));
}

/// A key or a value may be a tuple, whose members are the columns of its type.
#[test]
fn keys_and_values_of_any_type_are_shown() {
    let fields = [("", "struct", 2), ("0", "struct", 2), ("0", "text", 0), ("1", "u8", 0), ("1", "?list", 1)];
    let ty = ty(&[&fields[..], &[("item", "f64", 0)]].concat());
    let result = compare_rows(&ty, &[json!([["a", 1], [1.5]])], &[json!([["a", 1], null])]);
    assert_eq!(shown(&result)[4], "  batch 1970-01-01T00:00:01Z: key (a,1): old Some([1.5]), new None");
}

/// Of many values of a key, those are shown that the other side does not have.
#[test]
fn of_many_values_only_the_different_ones_are_shown() {
    let many = |from: u64, to: u64| (from..to).map(|value| json!(["a", value])).collect::<Vec<_>>();
    let result = compare_rows(&pairs(), &many(0, 10), &many(1, 15));
    assert_eq!(shown(&result)[4], "  batch 1970-01-01T00:00:01Z: key a: old 0, new [10, 11, 12 and 2 more]");
    let result = compare_rows(&pairs(), &many(0, 30), &many(0, 31));
    assert_eq!(shown(&result)[4], "  batch 1970-01-01T00:00:01Z: key a: old 30 values, new 31 values");
}

/// The names are those that other programs read.
#[test]
fn results_are_the_same_after_a_way_through_json() {
    let result = compare_rows(&pairs(), &[json!(["a", 1])], &[json!(["a", 2]), json!(["b", 3])]);
    let json = serde_json::to_value(&result).unwrap();
    assert_eq!(json["rows_only_new"], 1);
    assert_eq!(json["keys_changed"], 1);
    assert_eq!(json["samples"].as_array().unwrap().len(), 2);
    let changed = json!({"batch_ms": 1000, "kind": "changed", "key": "a", "old": "1", "new": "2"});
    assert!(json["samples"].as_array().unwrap().contains(&changed), "{json}");
    assert_eq!(serde_json::from_value::<OutputComparison>(json).unwrap(), result);
}
