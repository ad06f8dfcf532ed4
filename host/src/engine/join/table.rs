//! A hash table from keys to groups, which are numbered in the order in which their keys first appear.
//!
//! Owns no keys: it knows their hashes and the rows where they first appeared, and asks whether two rows have the same.

/// The number that stands for no row or group.
pub(super) const NONE: u32 = u32::MAX;

/// The keys of some rows, which it was made for.
pub(super) struct KeyTable {
    /// Groups by hash, or [`NONE`]; a power of two of them, at most half of them taken.
    slots: Vec<u32>,
    /// Takes a hash to its slot.
    shift: u32,
    groups: Vec<Group>,
}

struct Group {
    hash: u64,
    first: u32,
}

impl KeyTable {
    /// For at most `rows` rows.
    pub(super) fn new(rows: usize) -> Self {
        let bits = (rows.max(1) * 2).next_power_of_two().trailing_zeros();
        Self { slots: vec![NONE; 1 << bits], shift: u64::BITS - bits, groups: Vec::new() }
    }

    /// The slots that a hash may have, the most likely first. The upper 8 bits of all hashes of a partition are much the
    /// same, and so are the lower ones in a part.
    fn slots_of(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let mask = self.slots.len() - 1;
        let start = (hash.rotate_left(8) >> self.shift) as usize;
        (0..=mask).map(move |step| (start + step) & mask)
    }

    /// The row where a key with this hash first appeared. `same` says whether it is the key of a row.
    #[inline]
    pub(super) fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<u32> {
        for slot in self.slots_of(hash) {
            let group = self.slots[slot];
            let known = self.groups.get(group as usize)?;
            if known.hash == hash && same(known.first) {
                return Some(known.first);
            }
        }
        None
    }

    /// The group of the key of `row`, which is a new one if the key has none yet.
    #[inline]
    pub(super) fn add(&mut self, hash: u64, row: u32, same: impl Fn(u32) -> bool) -> u32 {
        for slot in self.slots_of(hash) {
            let group = self.slots[slot];
            match self.groups.get(group as usize) {
                Some(known) if known.hash == hash && same(known.first) => return group,
                Some(_) => {}
                None => {
                    // There are fewer groups than rows, and rows are counted by `u32`.
                    let group = self.groups.len() as u32;
                    self.slots[slot] = group;
                    self.groups.push(Group { hash, first: row });
                    return group;
                }
            }
        }
        NONE
    }

    /// The row where the key of each group first appeared, by group.
    pub(super) fn firsts(&self) -> impl Iterator<Item = u32> {
        self.groups.iter().map(|group| group.first)
    }
}
