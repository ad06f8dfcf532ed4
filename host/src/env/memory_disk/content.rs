//! The content of one file, in two versions: as programs see it, and as it would survive if the machine went down.
//!
//! Owns what a crash does to bytes that were not synced. Knows no names: see [`super::names`].

use crate::time::Time;
use rand::{Rng, RngExt as _};

/// A file, whatever its name is.
#[derive(Default)]
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    pub(super) modified: Time,
    /// The number of the file. No other file of this disk ever has the same number.
    pub(super) number: u64,
    /// The guard that holds the lock on the file. `None` if the file is not locked.
    pub(super) holder: Option<u64>,
    durable: Vec<u8>,
    /// The edits that lead from `durable` to `bytes`, in order.
    pending: Vec<Edit>,
    /// Whether a sync has failed. Then it is not known which bytes are on the disk, and a later sync does not change
    /// that.
    is_spoiled: bool,
}

enum Edit {
    Empty,
    Append(Vec<u8>),
}

impl Content {
    /// Makes a file whose content is on the disk already.
    pub(super) fn durable(number: u64, bytes: Vec<u8>, modified: Time) -> Self {
        Self { durable: bytes.clone(), bytes, modified, number, ..Self::default() }
    }

    pub(super) fn append(&mut self, bytes: &[u8], now: Time) {
        self.bytes.extend_from_slice(bytes);
        self.pending.push(Edit::Append(bytes.to_vec()));
        self.modified = now;
    }

    /// Removes all bytes. Bytes that a failed sync has left in an unknown state are removed, too.
    pub(super) fn empty(&mut self, now: Time) {
        self.bytes.clear();
        self.pending.push(Edit::Empty);
        self.modified = now;
        self.is_spoiled = false;
    }

    pub(super) fn sync(&mut self) {
        if self.is_spoiled {
            return;
        }
        for edit in self.pending.drain(..) {
            match edit {
                Edit::Empty => self.durable.clear(),
                Edit::Append(bytes) => self.durable.extend(bytes),
            }
        }
    }

    pub(super) fn fail_sync(&mut self) {
        self.is_spoiled = true;
    }

    /// Loses a part of the bytes that were not synced. The remaining bytes are on the disk.
    ///
    /// Each piece of a write survives or is lost on its own, so that a later write can survive without an earlier one.
    /// Missing bytes before the end are read as zeros. The end of the file lies anywhere between the synced end and the
    /// last written end.
    pub(super) fn crash(&mut self, rng: &mut impl Rng) {
        let empties = self.pending.iter().filter(|edit| matches!(edit, Edit::Empty)).count();
        let survivors = rng.random_range(0..=empties);
        let mut seen = 0;
        let mut kept = std::mem::take(&mut self.durable);
        let mut appended = Vec::new();
        for edit in self.pending.drain(..) {
            match edit {
                Edit::Empty if seen == survivors => break,
                Edit::Empty => {
                    seen += 1;
                    kept.clear();
                    appended.clear();
                }
                Edit::Append(bytes) => appended.push(bytes),
            }
        }
        // In most crashes, all pieces survive or none. So these cases get a chance of their own.
        let chance = [0.0, 0.5, 0.5, 1.0][rng.random_range(0..4)];
        let mut rest = Vec::new();
        for mut bytes in appended {
            let mut start = 0;
            while start < bytes.len() {
                let end = rng.random_range(start..bytes.len()) + 1;
                if !rng.random_bool(chance) {
                    bytes[start..end].fill(0);
                }
                start = end;
            }
            rest.extend(bytes);
        }
        let count = match rng.random_range(0..4) {
            0 => 0,
            1 => rest.len(),
            _ => rng.random_range(0..=rest.len()),
        };
        let is_complete = chance == 1.0 && rng.random_bool(0.5);
        rest.truncate(if is_complete { rest.len() } else { count });
        kept.extend(rest);
        *self = Self::durable(self.number, kept, self.modified);
    }
}
