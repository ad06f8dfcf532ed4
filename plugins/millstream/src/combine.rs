//! [`CombineTable`]: values merged by key, in the order in which keys first appeared.
//!
//! Owns the hash table of the hot path. Never decides when rows leave it: see `task.rs`.

use crate::key::Key;
use crate::record::{Builder, Record};

/// The slot of a table that holds no entry.
const EMPTY: u32 = u32::MAX;

struct Entry<V> {
    hash: u32,
    end: u32,
    value: Option<V>,
}

/// A table from encoded keys to values. Nothing about it depends on how the hash spreads: entries are kept and handed
/// out in order of first appearance.
pub(crate) struct CombineTable<K, V> {
    /// Positions in `entries` by hash, probed linearly; a power of two long, at most half full.
    slots: Vec<u32>,
    entries: Vec<Entry<V>>,
    /// The encodings of all keys, one after the other.
    keys: Vec<u8>,
    scratch: Vec<u8>,
    kind: std::marker::PhantomData<K>,
}

impl<K: Key, V: Record> CombineTable<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            slots: vec![EMPTY; 1024],
            entries: Vec::new(),
            keys: Vec::new(),
            scratch: Vec::new(),
            kind: std::marker::PhantomData,
        }
    }

    /// Adds a value to its key's: the first stays as it is, later ones are merged from the left.
    #[inline]
    pub(crate) fn merge(&mut self, key: &K, value: V, merge: impl Fn(V, V) -> V) {
        let mut scratch = std::mem::take(&mut self.scratch);
        key.with_encoded(&mut scratch, |bytes| self.merge_encoded(bytes, value, merge));
        self.scratch = scratch;
    }

    #[inline]
    fn merge_encoded(&mut self, key: &[u8], value: V, merge: impl Fn(V, V) -> V) {
        let hash = hash_bytes(key);
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let at = self.slots[slot];
            if at == EMPTY {
                return self.insert(slot, hash, key, value);
            }
            let at = at as usize;
            if self.entries[at].hash == hash && self.key(at) == key {
                let entry = &mut self.entries[at];
                entry.value = match entry.value.take() {
                    Some(old) => Some(merge(old, value)),
                    None => Some(value),
                };
                return;
            }
            slot = (slot + 1) & mask;
        }
    }

    #[inline]
    fn key(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.entries[at - 1].end as usize };
        &self.keys[start..self.entries[at].end as usize]
    }

    #[cold]
    #[inline(never)]
    fn insert(&mut self, slot: usize, hash: u32, key: &[u8], value: V) {
        self.keys.extend_from_slice(key);
        self.slots[slot] = self.entries.len() as u32;
        self.entries.push(Entry { hash, end: self.keys.len() as u32, value: Some(value) });
        if self.entries.len() * 2 > self.slots.len() {
            self.grow();
        }
    }

    fn grow(&mut self) {
        let slots = self.slots.len() * 4;
        self.slots.clear();
        self.slots.resize(slots, EMPTY);
        for (at, entry) in self.entries.iter().enumerate() {
            let mut slot = entry.hash as usize & (slots - 1);
            while self.slots[slot] != EMPTY {
                slot = (slot + 1) & (slots - 1);
            }
            self.slots[slot] = at as u32;
        }
    }

    /// The number of keys.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The bytes that the encodings of the keys take.
    pub(crate) fn key_bytes(&self) -> usize {
        self.keys.len()
    }

    /// Moves all rows out in order of first appearance. `full` is called after each with the columns so far.
    pub(crate) fn drain(
        &mut self,
        columns: &mut (K::Builder, V::Builder),
        mut full: impl FnMut(&mut (K::Builder, V::Builder), usize),
    ) {
        let mut rows = 0;
        let mut start = 0;
        for entry in &mut self.entries {
            let end = entry.end as usize;
            if let Some(value) = entry.value.take() {
                K::push_encoded(&self.keys[start..end], &mut columns.0);
                columns.1.push(value);
                rows += 1;
                full(columns, rows);
            }
            start = end;
        }
        self.entries.clear();
        self.keys.clear();
        self.slots.fill(EMPTY);
    }
}

/// A hash of bytes for this table only: eight bytes at a time, multiplied and folded. Not stable, not for storage.
#[inline]
fn hash_bytes(bytes: &[u8]) -> u32 {
    const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = (bytes.len() as u64).wrapping_mul(SEED);
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        hash = (hash.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(SEED);
        rest = after;
    }
    let mut tail = 0u64;
    if let Some((word, after)) = rest.split_first_chunk::<4>() {
        tail = u64::from(u32::from_le_bytes(*word));
        rest = after;
    }
    for byte in rest {
        tail = tail << 8 | u64::from(*byte);
    }
    hash = (hash.rotate_left(5) ^ tail).wrapping_mul(SEED);
    (hash >> 32) as u32 ^ (hash >> 15) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{read_column, write_chunk, Column};
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn merges_as_a_map_does_in_order_of_first_appearance(rows in prop::collection::vec(("[a-c]{0,12}", 0u64..9), 0..3000)) {
            let mut table = CombineTable::<String, u64>::new();
            let mut order = Vec::new();
            let mut sums = HashMap::new();
            for (key, value) in &rows {
                table.merge(key, *value, |a, b| a + b);
                *sums.entry(key.clone()).or_insert_with(|| { order.push(key.clone()); 0 }) += value;
            }
            let mut columns = Default::default();
            let mut count = 0;
            table.drain(&mut columns, |_, rows| count = rows);
            let (column, rows) = read_column::<(String, u64)>(write_chunk(&mut columns, count)).unwrap();
            let ours: Vec<_> = (0..rows).map(|row| column.get(row)).collect();
            let theirs: Vec<_> = order.into_iter().map(|key| { let sum = sums[&key]; (key, sum) }).collect();
            prop_assert_eq!(ours, theirs);
            prop_assert_eq!(table.len(), 0);
        }
    }
}
