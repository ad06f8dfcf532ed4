//! [`CombineTable`]: values merged by key, in the order in which keys first appeared.
//!
//! Owns the hash table of the hot path. The layout of the table follows from measurements: the cost of a row is the
//! number of cache lines that it touches. So the first sixteen bytes of a key and a small value stand inside the slot,
//! and a key of up to sixteen bytes is found without a branch on its length. Never decides when rows leave the table:
//! see `task.rs`.

use crate::key::Key;
use crate::record::Record;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// How many bytes at the beginning of a key are stored in its slot.
const FRONT_BYTES: usize = 16;
/// Stands for the length of the key in a slot that holds no key.
const FREE: u32 = u32::MAX;
/// How many slots a new table has: a power of two.
const SLOTS_MIN: usize = 1024;
/// How many slots a key may lie behind its home slot before the table no longer trusts the fast hash. With a good hash,
/// a table of millions of keys that is three quarters full stays below this number.
const PROBE_MAX: usize = 512;

/// A slot for a key and its value: 32 bytes, so that a cache line holds two slots.
#[derive(Clone, Copy)]
struct Slot {
    /// The first bytes of the key, in order. If the key is shorter, the rest is zero.
    front: [u64; 2],
    /// The value, if the values of this type are small. Not initialised otherwise.
    small: MaybeUninit<u64>,
    /// The length of the key in bytes, or [`FREE`].
    length: u32,
    /// The position of the key among all keys, in order of first appearance.
    entry: u32,
}

impl Slot {
    /// Whether the key of this slot has this length and this front.
    #[inline(always)]
    fn begins_with(&self, [low, high]: [u64; 2], length: usize) -> bool {
        // Word by word: in a component, a comparison of arrays is a call of `memcmp`.
        let [own_low, own_high] = self.front;
        (own_low ^ low) | (own_high ^ high) | u64::from(self.length ^ length as u32) == 0
    }
}

const FREE_SLOT: Slot = Slot { front: [0; 2], small: MaybeUninit::uninit(), length: FREE, entry: 0 };

/// The data of a key that is not in its slot, by the position of the key.
struct Entry {
    /// The slot of the key.
    slot: u32,
    /// Where the key begins in `keys`, if the key is longer than the front of a slot.
    start: u32,
}

/// Whether values of a type are stored inside slots. Such values have at most eight bytes, and nothing happens when
/// they are dropped. All other values are stored apart from the slots.
const fn is_small<V>() -> bool {
    size_of::<V>() <= size_of::<u64>() && align_of::<V>() <= align_of::<u64>() && !std::mem::needs_drop::<V>()
}

/// A table from encoded keys to values. The hash function has no influence on the results: keys come out in the order
/// in which they first appeared.
pub(crate) struct CombineTable<K, V> {
    /// The slots: found by hash, with linear probing. The number of slots is a power of two, and at most three quarters
    /// of them are used.
    slots: Vec<Slot>,
    /// By how many bits a hash is shifted to give the index of a slot.
    shift: u32,
    entries: Vec<Entry>,
    /// The values that are not small, by entry. A value is `None` only while it is being replaced.
    values: Vec<Option<V>>,
    /// The encodings of the keys that are longer than a slot's front, one after the other.
    keys: Vec<u8>,
    /// The bytes of all keys.
    key_bytes: usize,
    /// The hash that an attacker cannot predict. `None` until many keys have collided under the fast hash.
    strong: Option<RandomState>,
    scratch: Vec<u8>,
    kind: PhantomData<K>,
}

impl<K: Key, V: Record> CombineTable<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            slots: vec![FREE_SLOT; SLOTS_MIN],
            shift: shift_of(SLOTS_MIN),
            entries: Vec::new(),
            values: Vec::new(),
            keys: Vec::new(),
            key_bytes: 0,
            strong: None,
            scratch: Vec::new(),
            kind: PhantomData,
        }
    }

    /// Adds a value for a key. The first value becomes an accumulator through `create`; later values are added to it in
    /// order.
    // Inlined by force, here and below: in a component, every call checks whether the task has to stop.
    #[inline(always)]
    pub(crate) fn merge<X>(&mut self, key: &K, value: X, create: impl Fn(X) -> V, add: impl Fn(V, X) -> V) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut short = [0; FRONT_BYTES];
        let (readable, length) = key.readable(&mut short, &mut scratch);
        let front = front_of(readable, length);
        let at = self.place(front, readable, length);
        // Only the home slot is examined here; `find` examines other slots. Most keys are in their home slots, and the
        // loop of `find` would cost registers here.
        let slot = &self.slots[at];
        if slot.begins_with(front, length) && length <= FRONT_BYTES {
            self.replace(at, |old| add(old, value));
        } else {
            match self.find(at, front, readable, length) {
                Ok(at) => self.replace(at, |old| add(old, value)),
                Err(free) => self.insert(free, front, &readable[..length], create(value)),
            }
        }
        self.scratch = scratch;
    }

    /// Finds the slot of a key, or the free slot where the key belongs. The search begins at the slot `home`.
    #[inline(never)]
    fn find(&mut self, home: usize, front: [u64; 2], readable: &[u8], length: usize) -> Result<usize, usize> {
        let mask = self.slots.len().wrapping_sub(1);
        for step in 0..=mask {
            let at = home.wrapping_add(step) & mask;
            let slot = &self.slots[at];
            if slot.begins_with(front, length) {
                if length <= FRONT_BYTES || self.is_long_key(slot.entry, &readable[..length]) {
                    return Ok(at);
                }
            } else if slot.length == FREE {
                return Err(at);
            }
            if step == PROBE_MAX && self.strong.is_none() {
                self.strong = Some(RandomState::new());
                self.rebuild(self.slots.len());
                break;
            }
        }
        // All keys have just been hashed again, with a hash that an attacker cannot predict.
        self.find(self.place(front, readable, length), front, readable, length)
    }

    /// The home slot of a key: the search for the key begins there.
    #[inline(always)]
    fn place(&self, front: [u64; 2], readable: &[u8], length: usize) -> usize {
        let hash = match &self.strong {
            None => hash_of(front, readable, length),
            Some(strong) => strong.hash_one(&readable[..length]),
        };
        hash.wrapping_shr(self.shift) as usize
    }

    #[inline(never)]
    fn is_long_key(&self, entry: u32, key: &[u8]) -> bool {
        let start = self.entries[entry as usize].start as usize;
        self.keys[start..start + key.len()] == *key
    }

    /// Replaces the value of a slot.
    #[inline(always)]
    fn replace(&mut self, at: usize, change: impl FnOnce(V) -> V) {
        let slot = &mut self.slots[at];
        if is_small::<V>() {
            // SAFETY: a slot with a key holds a value of this type, which `write_small` wrote. The copy that stays in the
            // slot meanwhile is only bits: nothing is done when a small value is dropped.
            let old = unsafe { read_small::<V>(&slot.small) };
            write_small(&mut slot.small, change(old));
        } else {
            let value = &mut self.values[slot.entry as usize];
            *value = value.take().map(change);
        }
    }

    #[cold]
    #[inline(never)]
    fn insert(&mut self, at: usize, front: [u64; 2], key: &[u8], value: V) {
        let entry = self.entries.len() as u32;
        let start = self.keys.len() as u32;
        if key.len() > FRONT_BYTES {
            self.keys.extend_from_slice(key);
        }
        self.key_bytes += key.len();
        self.entries.push(Entry { slot: at as u32, start });
        let mut small = MaybeUninit::uninit();
        if is_small::<V>() {
            write_small(&mut small, value);
        } else {
            self.values.push(Some(value));
        }
        self.slots[at] = Slot { front, small, length: key.len() as u32, entry };
        // At three quarters the table grows: its speed depends on how much of it the caches hold. Frequent keys come
        // early, and so lie near their home slots.
        if self.entries.len() * 4 > self.slots.len() * 3 {
            self.rebuild(self.slots.len() * 2);
        }
    }

    /// Moves all keys into a new list of `slots` slots.
    fn rebuild(&mut self, slots: usize) {
        let old = std::mem::replace(&mut self.slots, vec![FREE_SLOT; slots]);
        self.shift = shift_of(slots);
        let mask = slots - 1;
        for entry in 0..self.entries.len() {
            let slot = old[self.entries[entry].slot as usize];
            let length = slot.length as usize;
            let mut at = if length <= FRONT_BYTES {
                self.place(slot.front, &bytes_of(slot.front), length)
            } else {
                let start = self.entries[entry].start as usize;
                self.place(slot.front, &self.keys[start..start + length], length)
            };
            while self.slots[at].length != FREE {
                at = (at + 1) & mask;
            }
            self.slots[at] = slot;
            self.entries[entry].slot = at as u32;
        }
    }

    /// The number of keys.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many bytes the encodings of all keys take.
    pub(crate) fn key_bytes(&self) -> usize {
        self.key_bytes
    }

    /// Removes all keys and their accumulators from the table, in order of first appearance. Keys are given as
    /// encodings.
    pub(crate) fn drain(&mut self, mut out: impl FnMut(&[u8], V)) {
        let mut values = self.values.drain(..);
        for entry in self.entries.drain(..) {
            let slot = &self.slots[entry.slot as usize];
            let length = slot.length as usize;
            let value = if is_small::<V>() {
                // SAFETY: the slot of an entry holds a value of this type, which `write_small` wrote, and it is not read
                // again: all slots are free after this.
                Some(unsafe { read_small::<V>(&slot.small) })
            } else {
                values.next().flatten()
            };
            let Some(value) = value else { continue };
            if length <= FRONT_BYTES {
                out(&bytes_of(slot.front)[..length], value);
            } else {
                out(&self.keys[entry.start as usize..entry.start as usize + length], value);
            }
        }
        drop(values);
        self.keys.clear();
        self.key_bytes = 0;
        self.slots.fill(FREE_SLOT);
    }
}

/// Writes a small value into the room for it in a slot.
#[inline(always)]
fn write_small<V>(place: &mut MaybeUninit<u64>, value: V) {
    assert!(const { is_small::<V>() });
    // SAFETY: a small value fits into the place, in size and in alignment.
    unsafe { place.as_mut_ptr().cast::<V>().write(value) };
}

/// Reads a small value from the room for it in a slot.
///
/// # Safety
/// The room must hold a value of this type.
#[inline(always)]
unsafe fn read_small<V>(place: &MaybeUninit<u64>) -> V {
    assert!(const { is_small::<V>() });
    // SAFETY: the caller says that a value of this type is there; it fits in size and in alignment.
    unsafe { place.as_ptr().cast::<V>().read() }
}

/// By how many bits a hash has to be shifted to give an index below `slots`, which is a power of two above one.
fn shift_of(slots: usize) -> u32 {
    u64::BITS - slots.trailing_zeros()
}

/// The first sixteen bytes of a key as two words. If the key is shorter, the rest is zero. `readable` begins with the
/// key and may contain more bytes behind the key.
#[inline(always)]
fn front_of(readable: &[u8], length: usize) -> [u64; 2] {
    let Some(bytes) = readable.first_chunk::<FRONT_BYTES>() else { return short_front(&readable[..length]) };
    let whole = u128::from_le_bytes(*bytes);
    let (low, high) = (whole as u64, (whole >> 64) as u64);
    // The bytes behind the end of the key are masked, without a branch.
    let length = length as u32;
    let (low_bytes, high_bytes) = (length.min(8), length.clamp(8, 16).wrapping_sub(8));
    [low & ones(low_bytes), high & ones(high_bytes)]
}

/// A mask of the lowest `bytes` bytes of a word, at most eight.
#[inline(always)]
fn ones(bytes: u32) -> u64 {
    // Two shifts, because one shift by all 64 bits would leave the word unchanged.
    let half = bytes.wrapping_mul(4);
    !u64::MAX.wrapping_shl(half).wrapping_shl(half)
}

/// As `front_of`, for a key at the end of the readable bytes.
#[cold]
#[inline(never)]
fn short_front(key: &[u8]) -> [u64; 2] {
    let mut bytes = [0; FRONT_BYTES];
    bytes[..key.len()].copy_from_slice(key);
    let whole = u128::from_le_bytes(bytes);
    [whole as u64, (whole >> 64) as u64]
}

/// The bytes of a front.
#[inline(always)]
fn bytes_of([low, high]: [u64; 2]) -> [u8; FRONT_BYTES] {
    (u128::from(low) | u128::from(high) << 64).to_le_bytes()
}

/// A hash for this table only. Its upper bits depend on all bytes of the key. The hash is not stable and must not be
/// stored.
#[inline(always)]
fn hash_of([low, high]: [u64; 2], readable: &[u8], length: usize) -> u64 {
    const FIRST: u64 = 0x9e37_79b9_7f4a_7c15;
    const SECOND: u64 = 0xff51_afd7_ed55_8ccd;
    let hash = (low ^ length as u64).wrapping_mul(FIRST);
    let hash = (hash ^ hash >> 32 ^ high).wrapping_mul(SECOND);
    if length <= FRONT_BYTES { hash } else { hash_rest(hash, &readable[..length]) }
}

/// Continues the hash of a key with the bytes behind the front.
#[inline(never)]
fn hash_rest(hash: u64, key: &[u8]) -> u64 {
    const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
    let word = |at: usize| key[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
    let last = key.len() - size_of::<u64>();
    let words = (FRONT_BYTES..last).step_by(size_of::<u64>()).chain([last]);
    words.fold(hash, |hash, at| {
        let hash = (hash.rotate_left(23) ^ word(at)).wrapping_mul(SEED);
        hash ^ hash >> 32
    })
}

#[cfg(test)]
mod tests;
