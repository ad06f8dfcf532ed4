//! [`CombineTable`]: values merged by key, in the order in which keys first appeared.
//!
//! Owns the hash table of the hot path. Never decides when rows leave it: see `task.rs`.

use crate::key::Key;
use crate::record::Record;

/// The position of an entry that is none.
const EMPTY: u32 = u32::MAX;

/// Where an entry may be found. The hash stands here too, so that another key's entry is hardly ever looked at.
#[derive(Clone, Copy)]
struct Slot {
    hash: u32,
    at: u32,
}

const EMPTY_SLOT: Slot = Slot { hash: 0, at: EMPTY };

/// A key and its value. A key of up to eight bytes is known by `front` and `length` alone.
struct Entry<V> {
    front: u64,
    start: u32,
    length: u32,
    value: Option<V>,
}

/// A table from encoded keys to values. Nothing about it depends on how the hash spreads: entries are kept and handed
/// out in order of first appearance.
pub(crate) struct CombineTable<K, V> {
    /// Entries by hash, probed linearly; a power of two long, at most half full.
    slots: Vec<Slot>,
    entries: Vec<Entry<V>>,
    /// The encodings of all keys, one after the other.
    keys: Vec<u8>,
    scratch: Vec<u8>,
    kind: std::marker::PhantomData<K>,
}

impl<K: Key, V: Record> CombineTable<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            slots: vec![EMPTY_SLOT; 1024],
            entries: Vec::new(),
            keys: Vec::new(),
            scratch: Vec::new(),
            kind: std::marker::PhantomData,
        }
    }

    /// Adds a value to its key's: the first is made an accumulator by `create`, later ones are added from the right.
    // Inlined by force, here and below: in a component every call asks whether it has to stop.
    #[inline(always)]
    pub(crate) fn merge<X>(&mut self, key: &K, value: X, create: impl Fn(X) -> V, add: impl Fn(V, X) -> V) {
        let mut scratch = std::mem::take(&mut self.scratch);
        key.with_encoded(&mut scratch, |bytes| self.merge_encoded(bytes, value, create, add));
        self.scratch = scratch;
    }

    #[inline(always)]
    fn merge_encoded<X>(&mut self, key: &[u8], value: X, create: impl Fn(X) -> V, add: impl Fn(V, X) -> V) {
        let front = front_of(key);
        let hash = hash_of(front, key);
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        let mut found = self.slots[slot];
        while !self.is(found, hash, front, key) {
            if found.at == EMPTY {
                return self.insert(slot, hash, front, key, create(value));
            }
            slot = (slot + 1) & mask;
            found = self.slots[slot];
        }
        let entry = &mut self.entries[found.at as usize];
        entry.value = match entry.value.take() {
            Some(old) => Some(add(old, value)),
            None => Some(create(value)),
        };
    }

    /// Whether the entry of a slot is that of `key`.
    #[inline(always)]
    fn is(&self, slot: Slot, hash: u32, front: u64, key: &[u8]) -> bool {
        if slot.hash != hash || slot.at == EMPTY {
            return false;
        }
        let entry = &self.entries[slot.at as usize];
        let start = entry.start as usize;
        entry.front == front
            && entry.length as usize == key.len()
            && (key.len() <= 8 || same_rest(&self.keys[start..start + key.len()], key))
    }

    #[cold]
    #[inline(never)]
    fn insert(&mut self, slot: usize, hash: u32, front: u64, key: &[u8], value: V) {
        let start = self.keys.len() as u32;
        self.keys.extend_from_slice(key);
        self.slots[slot] = Slot { hash, at: self.entries.len() as u32 };
        self.entries.push(Entry { front, start, length: key.len() as u32, value: Some(value) });
        if self.entries.len() * 2 > self.slots.len() {
            self.grow();
        }
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        let mask = old.len() * 4 - 1;
        self.slots.resize(mask + 1, EMPTY_SLOT);
        for entry in old.into_iter().filter(|slot| slot.at != EMPTY) {
            let mut slot = entry.hash as usize & mask;
            while self.slots[slot].at != EMPTY {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = entry;
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

    /// Moves all keys, encoded, and their accumulators out, in order of first appearance.
    pub(crate) fn drain(&mut self, mut out: impl FnMut(&[u8], V)) {
        for entry in self.entries.drain(..) {
            if let Some(value) = entry.value {
                let start = entry.start as usize;
                out(&self.keys[start..start + entry.length as usize], value);
            }
        }
        self.keys.clear();
        self.slots.fill(EMPTY_SLOT);
    }
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

#[inline(always)]
fn half_word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |word| u64::from(u32::from_le_bytes(*word)))
}

/// The first bytes of a key, without a loop. Two keys of the same length of up to eight bytes have the same front
/// exactly if they are equal.
#[inline(always)]
fn front_of(key: &[u8]) -> u64 {
    match key.len() {
        8.. => word(key, 0),
        length @ 4..8 => half_word(key, 0) | half_word(key, length - 4) << 32,
        0 => 0,
        length => u64::from(key[0]) | u64::from(key[length / 2]) << 8 | u64::from(key[length - 1]) << 16,
    }
}

/// Whether keys of the same length of more than eight bytes, whose first eight are equal, are equal.
#[inline(never)]
fn same_rest(a: &[u8], b: &[u8]) -> bool {
    let last = b.len() - 8;
    word(a, last) == word(b, last) && (8..last).step_by(8).all(|at| word(a, at) == word(b, at))
}

/// A hash for this table only. Not stable, not for storage.
#[inline(always)]
fn hash_of(front: u64, key: &[u8]) -> u32 {
    const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = (front ^ (key.len() as u64) << 56).wrapping_mul(SEED);
    if key.len() > 8 {
        let last = key.len() - 8;
        for at in (8..last).step_by(8) {
            hash = (hash.rotate_left(23) ^ word(key, at)).wrapping_mul(SEED);
        }
        hash = (hash.rotate_left(23) ^ word(key, last)).wrapping_mul(SEED);
    }
    (hash ^ hash >> 32) as u32 ^ (hash >> 47) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn merges_as_a_map_does_in_order_of_first_appearance(rows in prop::collection::vec(("[a-c]{0,4}|[ab]{8,20}", 0u64..9), 0..3000)) {
            let mut table = CombineTable::<String, u64>::new();
            let mut order = Vec::new();
            let mut sums = HashMap::new();
            for (key, value) in &rows {
                table.merge(key, *value, |first| first, |a, b| a + b);
                *sums.entry(key.clone()).or_insert_with(|| { order.push(key.clone()); 0 }) += value;
            }
            let mut ours = Vec::new();
            table.drain(|mut key, sum| ours.push((String::decode(&mut key, true), sum)));
            let theirs: Vec<_> = order.into_iter().map(|key| { let sum = sums[&key]; (key, sum) }).collect();
            prop_assert_eq!(ours, theirs);
            prop_assert_eq!(table.len(), 0);
        }
    }
}
