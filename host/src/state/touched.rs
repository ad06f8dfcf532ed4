//! [`Touched`]: the different keys of rows, sorted as state is.

use super::error::StateError;
use super::is_of_partition;
use super::layout::{Layout, Open};
use crate::data::key::EncodedKeys;
use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use std::cmp::Ordering;
use std::ops::Range;

/// The different keys of rows, sorted by hash and then by encoding, and the rows of each key in order.
pub struct Touched {
    keys: ArrayRef,
    encoded: EncodedKeys,
    /// The hash of each different key.
    hashes: Vec<u64>,
    /// Where the rows of each key begin in `order`, and where those of the last key end.
    starts: Vec<u32>,
    /// The rows, sorted by key and then by position.
    order: Vec<u32>,
}

impl Touched {
    /// Finds the different keys of a key column that belongs to a partition, of `partitions`. The column has at most
    /// 4,294,967,295 rows.
    ///
    /// # Errors
    /// Returns an error if the keys do not have the type of the layout, or if a key belongs to another partition.
    pub fn of(layout: &Layout, keys: &ArrayRef, partition: u32, partitions: u32) -> Result<Self, StateError> {
        let encoder = layout.encoder();
        let encoded = encoder.encode_column(keys)?;
        let mut hashes = Vec::new();
        encoder.hash_column(keys, &mut hashes)?;
        if !hashes.iter().all(|hash| is_of_partition(*hash, partition, partitions)) {
            return Err(StateError::Partition { partition });
        }
        let mut rows: Vec<(u64, u32)> = hashes.into_iter().zip(0..).collect();
        rows.sort_unstable();
        order_equal_hashes(&mut rows, &encoded);
        let (mut hashes, mut starts) = (Vec::new(), Vec::new());
        let mut last: Option<(u64, u32)> = None;
        for (at, (hash, row)) in (0..).zip(&rows) {
            let is_same = last.is_some_and(|(other, before)| {
                other == *hash && encoded.same(before as usize, &encoded, *row as usize)
            });
            if !is_same {
                hashes.push(*hash);
                starts.push(at);
            }
            last = Some((*hash, *row));
        }
        starts.push(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        let order = rows.into_iter().map(|(_, row)| row).collect();
        Ok(Self { keys: keys.clone(), encoded, hashes, starts, order })
    }

    /// The number of different keys.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The column that holds the keys.
    pub fn column(&self) -> &ArrayRef {
        &self.keys
    }

    /// The hash of a key.
    pub fn hash(&self, key: usize) -> u64 {
        self.hashes[key]
    }

    /// The hashes of all keys.
    pub fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    /// The first row of a key.
    pub fn first_row(&self, key: usize) -> usize {
        self.order[self.starts[key] as usize] as usize
    }

    /// The rows of a key, in order.
    pub fn rows_of(&self, key: usize) -> &[u32] {
        &self.order[self.starts[key] as usize..self.starts[key + 1] as usize]
    }

    /// For each row, the number of its key.
    pub fn numbers(&self) -> UInt32Array {
        let mut numbers = vec![0; self.order.len()];
        for (number, key) in (0..).zip(0..self.len()) {
            self.rows_of(key).iter().for_each(|row| numbers[*row as usize] = number);
        }
        numbers.into()
    }

    /// The keys whose hashes are at least `first` and below `end`. If `end` is `None`, all keys whose hashes are at
    /// least `first`.
    pub fn range(&self, first: u64, end: Option<u64>) -> Range<usize> {
        let start = self.hashes.partition_point(|hash| *hash < first);
        start..end.map_or(self.len(), |end| self.hashes.partition_point(|hash| *hash < end))
    }

    /// The place of each of some keys in sorted rows of state: `Ok` with the row of the key, or `Err` with the row
    /// before which the key belongs.
    ///
    /// # Errors
    /// Returns an error if the keys of the rows cannot be encoded.
    pub fn places(
        &self,
        layout: &Layout,
        rows: &RecordBatch,
        keys: Range<usize>,
    ) -> Result<Vec<Result<usize, usize>>, StateError> {
        let open = layout.open(rows.clone());
        let mut from = 0;
        let place = |key| {
            let place = self.place(&open, from, key)?;
            from = place.unwrap_or_else(|before| before);
            Ok(place)
        };
        keys.map(place).collect()
    }

    /// For each key without a row in `rows`, finds the row of the key and adds it to `rows`.
    pub(super) fn find_each<R>(
        &self,
        open: &Open,
        keys: Range<usize>,
        rows: &mut [Option<R>],
        found: impl Fn(usize) -> R,
    ) -> Result<(), StateError> {
        let mut from = 0;
        for (key, row) in keys.zip(rows).filter(|(_, row)| row.is_none()) {
            match self.place(open, from, key)? {
                Ok(at) => {
                    *row = Some(found(at));
                    from = at + 1;
                }
                Err(before) => from = before,
            }
        }
        Ok(())
    }

    /// The row of a key in rows of state, from the row `from` on: `Ok` if the key has a row, else `Err` with the row
    /// before which the key belongs.
    #[inline]
    fn place(&self, open: &Open, from: usize, key: usize) -> Result<Result<usize, usize>, StateError> {
        let (hashes, hash) = (open.hashes.values(), self.hashes[key]);
        let mut row = first_from(hashes, from, hash);
        // Different keys hardly ever have the same hash.
        while hashes.get(row) == Some(&hash) {
            let (keys, first_row) = (open.keys()?, self.first_row(key));
            if keys.same(row, &self.encoded, first_row) {
                return Ok(Ok(row));
            }
            match keys.compare(row, &self.encoded, first_row) {
                Ordering::Less => row += 1,
                Ordering::Equal => return Ok(Ok(row)),
                Ordering::Greater => break,
            }
        }
        Ok(Err(row))
    }
}

/// The first position from `from` on whose hash is not smaller than `hash`. Near positions are found fast.
#[inline]
fn first_from(hashes: &[u64], from: usize, hash: u64) -> usize {
    /// This many positions are looked at one after the other.
    const NEAR: usize = 16;
    let near = hashes.get(from..).unwrap_or_default();
    // Four positions at a time: whether one of four is the position is hard to predict, and which one needs no branch.
    for (group, four) in near.chunks_exact(4).take(NEAR / 4).enumerate() {
        let smaller = four.iter().map(|other| usize::from(*other < hash)).sum::<usize>();
        if smaller < 4 {
            return from + 4 * group + smaller;
        }
    }
    if near.len() < NEAR {
        return from + near.partition_point(|other| *other < hash);
    }
    // The distance doubles until the hash is passed.
    let (mut low, mut step) = (from + NEAR, NEAR);
    while let Some(other) = hashes.get(low + step)
        && *other < hash
    {
        low += step;
        step *= 2;
    }
    let end = hashes.len().min(low + step + 1);
    low + hashes.get(low..end).unwrap_or_default().partition_point(|other| *other < hash)
}

/// Sorts rows with equal hashes by key, and then by position. Different keys hardly ever have the same hash.
fn order_equal_hashes(rows: &mut [(u64, u32)], encoded: &EncodedKeys) {
    for group in rows.chunk_by_mut(|a, b| a.0 == b.0) {
        let Some((_, first)) = group.first().copied() else { continue };
        if group.iter().any(|(_, row)| !encoded.same(first as usize, encoded, *row as usize)) {
            group.sort_by(|a, b| encoded.compare(a.1 as usize, encoded, b.1 as usize).then(a.1.cmp(&b.1)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::first_from;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_position_is_found(
            mut hashes in prop::collection::vec(0u64..300, 0..120), from in 0usize..40, hash in 0u64..301,
        ) {
            hashes.sort_unstable();
            let from = from.min(hashes.partition_point(|other| *other < hash));
            prop_assert_eq!(first_from(&hashes, from, hash), hashes.partition_point(|other| *other < hash));
        }
    }
}
