//! A hash table from keys to groups, which are numbered in the order in which their keys first appear.
//!
//! Stores no keys. It stores the hash of each key and the row in which the key first appeared, and calls a function to
//! find out whether two rows have the same key.

/// This number stands for no row or no group.
pub(super) const NONE: u32 = u32::MAX;

/// The groups of the keys of some rows.
pub(super) struct KeyTable {
    /// The group in each slot, or [`NONE`]. The number of slots is a power of two, and at most half of the slots are
    /// used.
    slots: Vec<u32>,
    /// The shift that turns a hash into the number of its slot.
    shift: u32,
    groups: Vec<Group>,
}

struct Group {
    hash: u64,
    first: u32,
}

impl KeyTable {
    /// Makes a table for at most `rows` rows.
    pub(super) fn new(rows: usize) -> Self {
        let bits = (rows.max(1) * 2).next_power_of_two().trailing_zeros();
        Self { slots: vec![NONE; 1 << bits], shift: u64::BITS - bits, groups: Vec::new() }
    }

    /// The slots in which a hash may be, the most likely first. The upper 8 bits of the hash are not used first,
    /// because they are similar for all keys of a partition. The lower bits are not used first either, because they are
    /// equal in a part.
    fn slots_of(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let mask = self.slots.len() - 1;
        let start = (hash.rotate_left(8) >> self.shift) as usize;
        (0..=mask).map(move |step| (start + step) & mask)
    }

    /// The row in which a key with this hash first appeared. `same` says whether the key is the one in the given row.
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

    /// The group of the key of `row`. Makes a new group if the key has none yet.
    #[inline]
    pub(super) fn add(&mut self, hash: u64, row: u32, same: impl Fn(u32) -> bool) -> u32 {
        for slot in self.slots_of(hash) {
            let group = self.slots[slot];
            match self.groups.get(group as usize) {
                Some(known) if known.hash == hash && same(known.first) => return group,
                Some(_) => {}
                None => {
                    // There are at most as many groups as rows, and the number of rows fits into `u32`.
                    let group = self.groups.len() as u32;
                    self.slots[slot] = group;
                    self.groups.push(Group { hash, first: row });
                    return group;
                }
            }
        }
        NONE
    }

    /// For each group, the row in which its key first appeared.
    pub(super) fn firsts(&self) -> impl Iterator<Item = u32> {
        self.groups.iter().map(|group| group.first)
    }
}
