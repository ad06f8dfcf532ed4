//! State that is updated in parts, compared with a map and with state that is updated in one part.

use super::parts::{Parts, StateRoom};
use super::rows::{Keys, entries};
use crate::block::{RowStorage, SpillSettings, StoredRows};
use crate::data::schema::RecordType;
use crate::env::Simulation;
use crate::memory::MemoryBudget;
use crate::state::{self, Layout, PartitionState, PartitionWriter, Touched, first_hash, is_of_partition};
use crate::time::Time;
use arrow::array::{ArrayRef, AsArray as _, RecordBatch, StringArray, UInt32Array, UInt64Array};
use arrow::buffer::NullBuffer;
use arrow::compute::concat_batches;
use arrow::datatypes::UInt32Type;
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

fn hash(key: &str) -> u64 {
    crate::data::key::hash(key.as_bytes())
}

fn rows(pairs: &[(String, u32)]) -> RecordBatch {
    let keys: ArrayRef = Arc::new(pairs.iter().map(|(key, _)| Some(key)).collect::<StringArray>());
    let values: ArrayRef = Arc::new(pairs.iter().map(|(_, value)| *value).collect::<UInt32Array>());
    RecordBatch::try_new(pair().arrow().clone(), vec![keys, values]).unwrap()
}

fn pairs(keys: &ArrayRef, values: &ArrayRef) -> Vec<(String, u32)> {
    let values = values.as_primitive::<UInt32Type>().values().iter().copied();
    keys.as_string::<i32>().iter().flatten().map(str::to_owned).zip(values).collect()
}

fn stored(storage: &RowStorage, pairs: &[(String, u32)]) -> StoredRows {
    let mut writer = storage.writer(1);
    pairs.chunks(7).for_each(|piece| writer.append(0, rows(piece)).unwrap());
    writer.finish()
}

/// A partition whose state lists the values of each key, as a number of which each value is a digit. A key with the
/// value 0 is removed.
struct Partition {
    storage: RowStorage,
    layout: Arc<Layout>,
    /// The partition and the number of partitions.
    of: (u32, u32),
    state: PartitionState,
}

/// The next state of a key.
fn next(before: Option<u32>, values: impl Iterator<Item = u32>) -> Option<u32> {
    let mut next = before;
    for value in values {
        next = (value > 0).then(|| next.unwrap_or(0).wrapping_mul(7).wrapping_add(value));
    }
    next
}

impl Partition {
    fn new(bytes: u64, of: (u32, u32)) -> Self {
        let layout = Arc::new(Layout::new(&pair()).unwrap());
        Self { storage: storage(bytes), layout, of, state: PartitionState::default() }
    }

    fn parts(&self, read: &[(String, u32)], part_bytes: usize) -> Parts {
        let room = StateRoom::of(part_bytes);
        Parts::new(&self.storage, self.layout.encoder(), &pair(), room, self.of).of_rows(&stored(&self.storage, read))
    }

    /// Updates the state with new values, as `update_state_by_key` does. Returns the pairs that come out, and the number
    /// of parts.
    fn update(&mut self, read: &[(String, u32)], part_bytes: usize, now_ms: u64) -> (Vec<(String, u32)>, usize) {
        let (mut out, mut count) = (Vec::new(), 0);
        let before = self.state.clone();
        let mut after = PartitionWriter::new(&self.storage, &self.layout, now_ms.saturating_sub(2));
        let mut parts = self.parts(read, part_bytes);
        while let Some(part) = futures::executor::block_on(parts.next()).unwrap() {
            count += 1;
            let touched = Touched::of(&self.layout, part.rows.column(0), self.of.0, self.of.1).unwrap();
            let values = part.rows.column(1).as_primitive::<UInt32Type>();
            for piece in part.pieces(&before) {
                let all = match piece.page.page {
                    Some(page) => page.open(&self.layout).unwrap().newest(after.forgotten_ms()).unwrap(),
                    None => RecordBatch::new_empty(self.layout.schema().clone()),
                };
                let rows = piece.rows_of(&all);
                let live = state::live(&rows).unwrap();
                let entries = entries(&live, &touched, touched.range(piece.first, piece.end), &self.layout).unwrap();
                let keys = Keys::of(&self.layout, &live, &touched, &entries).unwrap();
                let states = state::states(&live).as_primitive::<UInt32Type>();
                let next = entries.iter().map(|(row, key)| {
                    let new = key.map_or(&[][..], |key| touched.rows_of(key));
                    next(row.map(|row| states.value(row)), new.iter().map(|row| values.value(*row as usize)))
                });
                let next: UInt32Array = next.collect();
                let exists: Option<NullBuffer> = arrow::array::Array::nulls(&next).cloned();
                let changed = keys.after(&self.layout, &(Arc::new(next) as ArrayRef), exists.as_ref(), now_ms).unwrap();
                let is_changed = changed.is_some();
                let rows = match changed {
                    Some(changed) => state::merged(&self.layout, rows, changed, after.forgotten_ms()).unwrap(),
                    None => rows,
                };
                after.piece(rows.clone(), is_changed).unwrap();
                if piece.is_last() {
                    after.end_page(piece.page.page, piece.page.first).unwrap();
                }
                let live = state::live(&rows).unwrap();
                out.extend(pairs(state::keys(&live), state::states(&live)));
            }
        }
        self.state = after.finish();
        (out, count)
    }

    /// The pages: the first hash and all rows of each.
    fn pages(&self) -> Vec<(u64, RecordBatch)> {
        let pages = self.state.pages().filter_map(|at| Some((at.first, at.page?)));
        pages.map(|(first, page)| (first, page.open(&self.layout).unwrap().newest(0).unwrap())).collect()
    }
}

/// The pairs of a map, in the order of state.
fn sorted(model: &BTreeMap<String, u32>) -> Vec<(String, u32)> {
    let mut pairs: Vec<(String, u32)> = model.iter().map(|(key, state)| (key.clone(), *state)).collect();
    pairs.sort_by_key(|(key, _)| (hash(key), key.clone()));
    pairs
}

proptest! {
    /// Batches of new values and removals give the rows of a map, in order, and the pages of a state that is updated in
    /// one part, however small the parts are.
    #[test]
    fn state_does_not_show_the_parts(
        batches in prop::collection::vec(prop::collection::vec(("[a-e]{1,3}", 0u32..5), 0..200), 1..8),
        part_bytes in 1usize..9000,
        bytes in prop::sample::select(vec![0u64, 64 << 20]),
        of in prop::sample::select(vec![(0, 1), (1, 3), (7, 8)]),
    ) {
        let (mut in_parts, mut whole) = (Partition::new(bytes, of), Partition::new(64 << 20, of));
        let mut model = BTreeMap::new();
        for (now_ms, batch) in (1..).zip(batches) {
            let mine: Vec<(String, u32)> =
                batch.into_iter().filter(|(key, _)| is_of_partition(hash(key), of.0, of.1)).collect();
            let mut values = BTreeMap::<String, Vec<u32>>::new();
            mine.iter().for_each(|(key, value)| values.entry(key.clone()).or_default().push(*value));
            for (key, values) in values {
                match next(model.get(&key).copied(), values.into_iter()) {
                    Some(state) => drop(model.insert(key, state)),
                    None => drop(model.remove(&key)),
                }
            }
            let (out, count) = in_parts.update(&mine, part_bytes, now_ms);
            let (of_whole, one) = whole.update(&mine, usize::MAX, now_ms);
            prop_assert_eq!(&out, &sorted(&model));
            prop_assert_eq!(&out, &of_whole);
            prop_assert_eq!(one, 1);
            prop_assert!(count > 1 || mine.len() * 40 < part_bytes, "{} values in one part", mine.len());
            prop_assert_eq!(in_parts.pages(), whole.pages());
        }
    }

    /// The parts have all rows, in order, those that leave a window first; and all hashes.
    #[test]
    fn parts_have_all_rows_and_all_hashes(
        (leaving, entering) in {
            let rows = || prop::collection::vec(("[a-z]{1,2}", any::<u32>()), 0..300);
            (rows(), rows())
        },
        part_bytes in 1usize..20_000,
    ) {
        let partition = Partition::new(0, (0, 1));
        let [first, second] = [&leaving, &entering].map(|rows| stored(&partition.storage, rows));
        let mut parts = partition.parts(&[], part_bytes).of_each(&[first, second]);
        let (mut end, mut found) = (Some(0), [Vec::new(), Vec::new()]);
        while let Some(part) = futures::executor::block_on(parts.next()).unwrap() {
            prop_assert_eq!(Some(part.first), end);
            end = part.end;
            let rows = pairs(part.rows.column(0), part.rows.column(1));
            let is_in = |(key, _): &(String, u32)| hash(key) >= part.first && part.end.is_none_or(|end| hash(key) < end);
            prop_assert!(rows.iter().all(is_in));
            let (left, entered) = rows.split_at(part.leaving);
            for (found, (rows, all)) in found.iter_mut().zip([(left, &leaving), (entered, &entering)]) {
                let expected: Vec<(String, u32)> = all.iter().filter(|row| is_in(row)).cloned().collect();
                prop_assert_eq!(rows, &expected);
                found.extend_from_slice(rows);
            }
            let is_one_hash = rows.iter().all(|(key, _)| hash(key) == hash(&rows[0].0));
            prop_assert!(is_one_hash || rows.len() * 40 <= part_bytes + 200, "{} rows in {part_bytes}", rows.len());
        }
        prop_assert_eq!(end, None);
        prop_assert_eq!(found.map(|rows| rows.len()), [leaving.len(), entering.len()]);
    }
}

/// So many new keys that they take several pages, in pieces that end anywhere.
#[test]
fn many_new_keys_are_cut_into_the_same_pages() {
    let keys: Vec<(String, u32)> = (0..40_000).map(|n| (format!("key {n}"), 1)).collect();
    let mut pages = Vec::new();
    for part_bytes in [usize::MAX, 1 << 20, 100_000] {
        let mut partition = Partition::new(256 << 20, (0, 1));
        let (out, parts) = partition.update(&keys, part_bytes, 1);
        assert_eq!(out.len(), keys.len());
        assert_eq!(parts > 1, part_bytes < usize::MAX);
        pages.push(partition.pages());
    }
    assert_eq!(pages[0].len(), 5);
    assert_eq!(pages[0], pages[1]);
    assert_eq!(pages[0], pages[2]);
    let all: Vec<RecordBatch> = pages.swap_remove(0).into_iter().map(|(_, rows)| rows).collect();
    let all = concat_batches(&all[0].schema(), &all).unwrap();
    assert!(state::hashes(&all).values().is_sorted());
    let hashes: UInt64Array = state::hashes(&all).clone();
    assert!(first_hash(0, 1) <= hashes.values().first().copied());
}

/// A key that has more values than a part may have is a part of its own. If the job has no room for it, the error names
/// the key.
#[test]
fn a_key_that_is_too_large_is_named() {
    let large = format!("large {}", "x".repeat(500));
    let key = |n: u32| if n.is_multiple_of(3) { format!("key {n}") } else { large.clone() };
    let many: Vec<(String, u32)> = (0..30_000).map(|n| (key(n), n)).collect();
    let partition = Partition::new(1 << 20, (0, 1));
    let mut parts = partition.parts(&many, 1 << 20);
    let error = loop {
        match futures::executor::block_on(parts.next()) {
            Ok(Some(part)) => assert!(part.rows.num_rows() < 10_000),
            Ok(None) => panic!("the values of a key take 30 MB"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("the new values of key large x"), "{error}");
    assert!(error.contains(" take at least ") && error.ends_with(": raise engine.memory"), "{error}");
}
