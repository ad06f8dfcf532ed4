//! Random rows, against a model that keeps everything in memory.

use super::*;
use crate::data::arbitrary::rows;
use crate::data::key::KeyEncoder;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

/// How the rows of a side come: the sizes of pieces, which pieces end a partition, and which partitions have an attempt
/// that fails first.
#[derive(Clone, Debug)]
struct Arrival(Vec<(usize, bool, bool)>);

fn arrival() -> impl Strategy<Value = Arrival> {
    prop::collection::vec((0usize..5, any::<bool>(), any::<bool>()), 0..8).prop_map(Arrival)
}

impl Arrival {
    /// Commits these rows as a batch.
    fn commit(&self, compared: &Compared, side: Side, rows: &[Value]) {
        let recorder = compared.begin(side, 1000);
        let (mut rest, mut partition) = (rows, 0);
        let mut pieces = Vec::new();
        for (size, ends, repeats) in self.0.iter().chain([&(usize::MAX, true, false)]) {
            let (piece, after) = rest.split_at((*size).min(rest.len()));
            rest = after;
            pieces.push(batch(&compared.ty, piece));
            if !ends {
                continue;
            }
            if *repeats {
                // The first attempt fails half way, the second one finishes, and the third one replaces it.
                let mut failed = recorder.partition(partition);
                pieces.iter().take(1).for_each(|piece| failed.write(piece));
                drop(failed);
                let mut replaced = recorder.partition(partition);
                pieces.iter().chain(&pieces).for_each(|piece| replaced.write(piece));
                replaced.finish();
            }
            let mut last = recorder.partition(partition);
            pieces.iter().for_each(|piece| last.write(piece));
            last.finish();
            pieces.clear();
            partition += 1;
        }
        recorder.commit(partition);
    }
}

/// The identity of the group of each row, and of the row.
fn identities(ty: &RecordType, rows: &[Value]) -> Vec<(Vec<u8>, String)> {
    let columns = batch(ty, rows);
    let key = ty.pair().map(|(key, _)| KeyEncoder::new(&key));
    let identity = |(at, row): (usize, &Value)| {
        let row = row.to_string();
        let mut group = Vec::new();
        match &key {
            Some(key) => key.encode(columns.column(0), at, &mut group).unwrap(),
            None => group.extend(row.bytes()),
        }
        (group, row)
    };
    rows.iter().enumerate().map(identity).collect()
}

/// What the comparison of one batch has to find.
fn expected(ty: &RecordType, old: &[Value], new: &[Value]) -> (Outcome, RowCounts) {
    let (old, new) = (identities(ty, old), identities(ty, new));
    let (rows_old, rows_new) = (old.len() as u64, new.len() as u64);
    let mut counts = RowCounts { rows_old, rows_new, ..RowCounts::default() };
    let mut groups: BTreeMap<&Vec<u8>, [Vec<&String>; 2]> = BTreeMap::new();
    for (side, rows) in [&old, &new].into_iter().enumerate() {
        rows.iter().for_each(|(group, row)| groups.entry(group).or_default()[side].push(row));
    }
    for [old, new] in groups.values_mut() {
        old.sort();
        new.sort();
        let (only_old, only_new) = (old.len() as u64, new.len() as u64);
        match (ty.is_pair(), only_old, only_new) {
            _ if old == new => {}
            (true, 1.., 1..) => counts.keys_changed += 1,
            (true, ..) => (counts.rows_only_old += only_old, counts.rows_only_new += only_new).0,
            (false, ..) => {
                counts.rows_only_old += only_old.saturating_sub(only_new);
                counts.rows_only_new += only_new.saturating_sub(only_old);
            }
        }
    }
    let outcome = match counts.differences() {
        0 if old == new => Outcome::Equal,
        0 => Outcome::OrderDiffers,
        _ => Outcome::RowsDiffer,
    };
    (outcome, counts)
}

/// Some of the rows, in any order, some of them several times.
fn picked(rows: &[Value], picks: &[Index]) -> Vec<Value> {
    if rows.is_empty() { Vec::new() } else { picks.iter().map(|pick| pick.get(rows).clone()).collect() }
}

/// Compares rows that come in these ways.
fn check(
    (ty, groups, budget): (&RecordType, usize, u64),
    (old, old_arrival): (&[Value], &Arrival),
    (new, new_arrival): (&[Value], &Arrival),
) -> Result<(), TestCaseError> {
    let limits = Limits { groups, passes: usize::MAX, ..Limits::default() };
    let compared = Compared::new(ty.clone(), limits, budget);
    let storage = compared.worker.shared.storage.clone();
    old_arrival.commit(&compared, Side::Old, old);
    new_arrival.commit(&compared, Side::New, new);
    let (told, total) = compared.finish();
    let (outcome, counts) = expected(ty, old, new);
    prop_assert_eq!((told.len(), told[0].outcome, told[0].rows), (1, outcome, counts));
    prop_assert_eq!(total.rows, counts);
    let kinds = [SampleKind::OnlyOld, SampleKind::OnlyNew, SampleKind::Changed];
    let found = [counts.rows_only_old, counts.rows_only_new, counts.keys_changed];
    for (kind, found) in kinds.into_iter().zip(found) {
        prop_assert_eq!(told[0].samples.iter().any(|sample| sample.kind == kind), found > 0);
    }
    prop_assert_eq!(storage.memory_bytes(), 0);
    Ok(())
}

proptest! {
    /// Rows with few different keys and values, so that all kinds of differences are frequent.
    #[test]
    fn pairs_are_compared_as_the_model_does(
        old in prop::collection::vec((0u8..5, 0u8..3), 0..20),
        new in prop::collection::vec((0u8..5, 0u8..3), 0..20),
        is_similar: bool,
        (groups, budget) in (1usize..6, prop_oneof![Just(0), 0u64..20_000]),
        arrivals in (arrival(), arrival()),
    ) {
        let json = |rows: &[(u8, u8)]| rows.iter().map(|(key, value)| json!([key.to_string(), value])).collect::<Vec<_>>();
        let (old, mut new) = (json(&old), json(&new));
        if is_similar {
            let few = new.len().min(2);
            new = old.iter().chain(&new[..few]).cloned().collect();
        }
        check((&pairs(), groups, budget), (&old, &arrivals.0), (&new, &arrivals.1))?;
    }

    /// Rows of any type: some of them on both sides, some of them on one.
    #[test]
    fn rows_of_any_type_are_compared_as_the_model_does(
        (ty, values, _) in rows(6),
        (old, new) in (prop::collection::vec(any::<Index>(), 0..10), prop::collection::vec(any::<Index>(), 0..10)),
        is_same: bool,
        groups in 1usize..4,
        arrivals in (arrival(), arrival()),
    ) {
        let old = picked(&values, &old);
        let new = if is_same { old.iter().rev().cloned().collect() } else { picked(&values, &new) };
        check((&ty, groups, 0), (&old, &arrivals.0), (&new, &arrivals.1))?;
    }
}
