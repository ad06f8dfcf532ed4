//! State, compared with a map: any changes, removals, snapshots and restarts, in pages of any size, in memory or in
//! files.

use super::*;
use crate::block::{RowStorage, SpillSettings};
use crate::data::schema::RecordType;
use crate::env::Simulation;
use crate::ids::NodeId;
use crate::memory::MemoryBudget;
use crate::time::Time;
use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, UInt64Array};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

fn storage(bytes: u64) -> RowStorage {
    let settings = SpillSettings { directory: None, limit_bytes: u64::MAX, compressed: false };
    RowStorage::new(&MemoryBudget::new(bytes, 0).unwrap(), Simulation::new(0, Time::default()).env().disk, settings)
}

/// Pairs of a text and a number.
fn pair() -> RecordType {
    RecordType::tuple(&[&RecordType::text(), &RecordType::number()]).unwrap()
}

/// Changes of keys to states, or removals.
type Changes = BTreeMap<String, Option<u32>>;

fn keys_of(changes: &Changes) -> ArrayRef {
    Arc::new(changes.keys().map(Some).collect::<StringArray>())
}

/// Applies changes to all partitions of a version, as `map_with_state` does.
fn changed(store: &StateStore, before: Option<&Version>, partitions: u32, now: u64, changes: &Changes) -> Version {
    let node = NodeId(1);
    let layout = store.layout(node, &pair()).unwrap();
    for partition in 0..partitions {
        let mine: Changes = changes
            .iter()
            .filter(|(key, _)| is_of_partition(crate::data::key::hash(key.as_bytes()), partition, partitions))
            .map(|(key, state)| (key.clone(), *state))
            .collect();
        let state =
            before.map_or_else(PartitionState::default, |version| version.partitions[partition as usize].clone());
        let touched = Touched::of(&layout, &keys_of(&mine), partition, partitions).unwrap();
        let values: Vec<Option<u32>> = mine.values().copied().collect();
        let mut next = PartitionWriter::new(store.storage(), &layout, store.saved(node).as_ms());
        for at in state.pages() {
            let range = touched.range(at.first, at.end);
            let open = at.page.map_or_else(OpenPage::default, |page| page.open(&layout).unwrap());
            let found = open.find(&touched, range.clone()).unwrap();
            let rows: Vec<(usize, Option<Found>, bool)> = range
                .clone()
                .zip(found)
                .map(|(key, found)| (key, found, values[touched.first_row(key)].is_some()))
                .filter(|(_, found, exists)| found.is_some() || *exists)
                .collect();
            let growth: i64 =
                rows.iter().map(|(_, found, exists)| i64::from(*exists) - i64::from(found.is_some())).sum();
            let found: Vec<Option<Found>> = rows.iter().map(|(_, found, _)| *found).collect();
            let hashes: UInt64Array = rows.iter().map(|(key, ..)| touched.hash(*key)).collect();
            let times = UInt64Array::from_value(now, rows.len());
            let removed = rows.iter().map(|(.., exists)| Some(!*exists)).collect();
            let names: Vec<&String> = mine.keys().collect();
            let keys: StringArray = rows.iter().map(|(key, ..)| Some(names[touched.first_row(*key)])).collect();
            let states: arrow::array::UInt32Array =
                rows.iter().map(|(key, ..)| Some(values[touched.first_row(*key)].unwrap_or(0))).collect();
            let rows = layout.rows(hashes, times, Some(removed), Arc::new(keys), Arc::new(states)).unwrap();
            let keys = at.page.map_or(0, |page| page.keys()).saturating_add_signed(growth);
            next.change(at, &rows, &found, keys).unwrap();
        }
        store.put(node, Time::from_ms(now), partition, next.finish());
    }
    store.commit(node, Time::from_ms(now), partitions).unwrap()
}

/// State of node 1 with one key, as the batch at `now` left it.
pub fn state_of_one_key(now: Time) -> StateStore {
    let store = StateStore::new(storage(64 << 20));
    changed(&store, None, 1, now.as_ms(), &Changes::from([("a".to_owned(), Some(1))]));
    store
}

/// The keys and states of a version, in its order.
fn content(version: &Version) -> Vec<(String, u32)> {
    let mut pairs = Vec::new();
    for partition in version.partitions.iter() {
        for page in partition.pages().filter_map(|at| at.page) {
            let rows = live(&page.open(&version.layout).unwrap().newest(u64::MAX).unwrap()).unwrap();
            let (keys, states) = (keys(&rows).as_string::<i32>(), states(&rows).as_primitive());
            let states: &arrow::array::PrimitiveArray<arrow::datatypes::UInt32Type> = states;
            pairs.extend(keys.iter().flatten().map(str::to_owned).zip(states.values().iter().copied()));
        }
    }
    pairs
}

/// The expected content of a version of the model: sorted by hash, and then by key.
fn expected(model: &BTreeMap<String, u32>) -> Vec<(String, u32)> {
    let mut pairs: Vec<(String, u32)> = model.iter().map(|(key, state)| (key.clone(), *state)).collect();
    pairs.sort_by_key(|(key, _)| (crate::data::key::hash(key.as_bytes()), key.clone()));
    pairs
}

/// The parts of a snapshot, converted to bytes and back.
fn parts(version: &Version, after: Option<Time>) -> Vec<RecordBatch> {
    let bytes = version.saved(after).map(|part| encode(&part.unwrap()).unwrap());
    bytes.map(|bytes| decode(&version.layout, &bytes).unwrap()).collect()
}

fn read(parts: Vec<RecordBatch>) -> ReadParts<'static, StateError> {
    let mut parts = parts.into_iter();
    Box::new(move || parts.next().map(Ok))
}

proptest! {
    /// Batches of changes and removals, with snapshots in between, full or of changes, which are restored in any number
    /// of partitions, with and without memory.
    #[test]
    fn state_is_what_a_map_is(
        batches in prop::collection::vec(prop::collection::btree_map("[a-e]{1,4}", prop::option::weighted(0.7, 0u32..9), 0..60), 1..30),
        (partitions, restored) in (1u32..5, 1u32..9),
        every in 1usize..6,
        bytes in prop::sample::select(vec![0u64, 64 << 20]),
    ) {
        let store = StateStore::new(storage(bytes));
        let (mut model, mut version) = (BTreeMap::new(), None);
        let (mut snapshots, mut saved) = (Vec::new(), None);
        for (now, changes) in (1u64..).zip(&batches) {
            for (key, state) in changes {
                match state {
                    Some(state) => drop(model.insert(key.clone(), *state)),
                    None => drop(model.remove(key)),
                }
            }
            let next = changed(&store, version.as_ref(), partitions, now, changes);
            prop_assert_eq!(content(&next), expected(&model));
            prop_assert_eq!(next.keys(), model.len() as u64);
            if (now as usize).is_multiple_of(every) {
                snapshots.push(parts(&next, saved));
                saved = Some(Time::from_ms(now));
                store.has_saved(NodeId(1), Time::from_ms(now));
                let chain = snapshots.iter().cloned().map(read).collect();
                let again = restore(store.storage(), &next.layout, next.batch, restored, chain).unwrap();
                prop_assert_eq!(content(&again), expected(&model));
                prop_assert_eq!((again.keys(), again.partitions.len()), (model.len() as u64, restored as usize));
            }
            version = Some(next);
        }
    }
}

#[test]
fn many_keys_take_several_pages_which_are_written_anew_one_by_one() {
    let store = StateStore::new(storage(256 << 20));
    let (mut model, mut version) = (BTreeMap::new(), None);
    for now in 1..30u64 {
        let keys = (0..5000u64).map(|at| format!("key {}", (at * 7 + now * 4000) % 60_000));
        let changes: Changes = keys.map(|key| (key, (now % 7 != 0).then_some(now as u32))).collect();
        for (key, state) in &changes {
            match state {
                Some(state) => drop(model.insert(key.clone(), *state)),
                None => drop(model.remove(key)),
            }
        }
        version = Some(changed(&store, version.as_ref(), 2, now, &changes));
    }
    let version = version.unwrap();
    assert_eq!(content(&version), expected(&model));
    assert!(version.partitions.iter().all(|partition| partition.pages().count() > 1));
    let all: Vec<RecordBatch> = parts(&version, None);
    let rows: usize = all.iter().map(RecordBatch::num_rows).sum();
    let changed: usize = parts(&version, Some(Time::from_ms(28))).iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, model.len());
    assert_eq!(changed, 5000, "those of the last batch");
    assert!(all.iter().all(|part| hashes(part).values().is_sorted()));
}

#[test]
fn partitions_have_all_hashes() {
    for partitions in [1, 2, 3, 7, 200, 256, 300] {
        let firsts: Vec<Option<u64>> = (0..=partitions).map(|partition| first_hash(partition, partitions)).collect();
        assert_eq!((firsts[0], firsts[partitions as usize]), (Some(0), None));
        for hash in [0, 1, u64::MAX / 2, u64::MAX / 3, u64::MAX] {
            let of = (0..partitions).filter(|partition| is_of_partition(hash, *partition, partitions));
            let of: Vec<u32> = of.collect();
            assert_eq!(of.len(), 1);
            assert!(firsts[of[0] as usize].is_some_and(|first| first <= hash));
            assert!(firsts[of[0] as usize + 1].is_none_or(|next| hash < next));
        }
    }
}

/// Keys of another partition come from a plugin that breaks the rules, and never from the host.
#[test]
fn a_key_of_another_partition_is_refused() {
    let layout = Layout::new(&pair()).unwrap();
    let keys: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d", "e", "f"]));
    assert!(Touched::of(&layout, &keys, 0, 1).is_ok());
    let refused = (0..2).filter(|partition| Touched::of(&layout, &keys, *partition, 2).is_err()).count();
    assert_eq!(refused, 2);
}

#[test]
fn each_row_belongs_to_its_key() {
    let layout = Layout::new(&RecordType::tuple(&[&RecordType::number(), &RecordType::number()]).unwrap()).unwrap();
    let keys: ArrayRef = Arc::new(arrow::array::UInt32Array::from(vec![3, 1, 3, 2, 1]));
    let touched = Touched::of(&layout, &keys, 0, 1).unwrap();
    let mut rows: Vec<&[u32]> = (0..touched.len()).map(|key| touched.rows_of(key)).collect();
    rows.sort_unstable();
    assert_eq!(rows, [&[0, 2][..], &[1, 4], &[3]]);
    let numbers = touched.numbers();
    assert!((0..5).all(|row| touched.rows_of(numbers.value(row) as usize).contains(&(row as u32))));
}

/// A key that is looked for is found as all others are, in a version and in the parts of its snapshots.
#[test]
fn one_key_is_found_without_the_others() {
    let store = StateStore::new(storage(64 << 20));
    let (mut model, mut version) = (BTreeMap::new(), None);
    for now in 1..12u64 {
        let changes: Changes = (0..300u64)
            .map(|at| (format!("{}", (at * 11 + now * 150) % 2000), (at % 5 != 0).then_some(now as u32)))
            .collect();
        for (key, state) in &changes {
            match state {
                Some(state) => drop(model.insert(key.clone(), *state)),
                None => drop(model.remove(key)),
            }
        }
        version = Some(changed(&store, version.as_ref(), 3, now, &changes));
    }
    let version = version.unwrap();
    let (full, after) = (parts(&version, None), parts(&version, Some(Time::from_ms(10))));
    let states_of = |pair: Option<RecordBatch>| {
        pair.map(|pair| pair.column(1).as_primitive::<arrow::datatypes::UInt32Type>().value(0))
    };
    for key in (0..2100u64).map(|key| key.to_string()) {
        let keys: ArrayRef = Arc::new(StringArray::from(vec![key.clone()]));
        let sought = SoughtKey::new(&version.layout, &keys).unwrap().unwrap();
        assert_eq!(sought.hash(), crate::data::key::hash(key.as_bytes()));
        assert_eq!(states_of(sought.pair_in(&version).unwrap()), model.get(&key).copied(), "{key}");
        let row = |parts: &[RecordBatch]| parts.iter().find_map(|part| sought.row_in(part).unwrap());
        let of_full = row(&full).and_then(|row| sought.pair_of(&row).unwrap());
        assert_eq!(states_of(of_full), model.get(&key).copied(), "{key}");
        if let Some(row) = row(&after) {
            assert_eq!(states_of(sought.pair_of(&row).unwrap()), model.get(&key).copied(), "{key}");
        }
    }
    let none: ArrayRef = Arc::new(StringArray::from(Vec::<String>::new()));
    assert!(SoughtKey::new(&version.layout, &none).unwrap().is_none());
}
