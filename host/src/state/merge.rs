//! Merges sorted rows of state: of several rows of a key, the newest one counts.

use super::error::StateError;
use super::layout::{Layout, Open};
use crate::data::key::EncodedKeys;
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, interleave_record_batch};
use std::cmp::Ordering;

/// Rows of state with the encodings of their keys.
struct Leaf<'a> {
    hashes: &'a [u64],
    keys: &'a EncodedKeys,
}

impl<'a> Leaf<'a> {
    fn of(open: &'a Open) -> Result<Self, StateError> {
        Ok(Self { hashes: open.hashes.values(), keys: open.keys()? })
    }

    /// Compares two rows by hash, and then by key.
    #[inline]
    fn compare(&self, row: usize, other: &Self, other_row: usize) -> Ordering {
        let order = self.hashes[row].cmp(&other.hashes[other_row]);
        order.then_with(|| self.keys.compare(row, other.keys, other_row))
    }
}

/// Merges sorted rows of state. `leaves` are in order of age, the oldest first. Of each key, the row of the youngest leaf
/// counts. Rows of keys that were removed at `forgotten_ms` or before are left out.
///
/// # Errors
/// Returns an error if Arrow cannot make the columns.
pub fn newest(leaves: &[Open], forgotten_ms: u64) -> Result<RecordBatch, StateError> {
    let merged = match leaves {
        [] => return Err(StateError::Columns(arrow::error::ArrowError::InvalidArgumentError("no rows".to_owned()))),
        [only] => only.rows.clone(),
        [oldest, younger @ ..] => {
            let batches: Vec<&RecordBatch> = leaves.iter().map(|leaf| &leaf.rows).collect();
            let younger = younger.iter().map(Leaf::of).collect::<Result<Vec<_>, _>>()?;
            interleave_record_batch(&batches, &positions(&Leaf::of(oldest)?, &younger))?
        }
    };
    let (removed, times) = (super::layout::removed(&merged), super::layout::times(&merged));
    if removed.true_count() == 0 {
        return Ok(merged);
    }
    let is_needed: BooleanArray =
        removed.iter().zip(times.values()).map(|(removed, time)| Some(removed != Some(true) || *time > forgotten_ms)).collect();
    if is_needed.true_count() == merged.num_rows() { Ok(merged) } else { Ok(filter_record_batch(&merged, &is_needed)?) }
}

/// The positions of the rows that count, as leaf and row, sorted.
fn positions(oldest: &Leaf<'_>, younger: &[Leaf<'_>]) -> Vec<(usize, usize)> {
    // The younger leaves are small. Their rows are sorted together, and then merged with those of the oldest leaf.
    let mut changes: Vec<(usize, usize)> =
        younger.iter().enumerate().flat_map(|(leaf, open)| (0..open.hashes.len()).map(move |row| (leaf, row))).collect();
    let order = |a: &(usize, usize), b: &(usize, usize)| younger[a.0].compare(a.1, &younger[b.0], b.1);
    changes.sort_by(|a, b| order(a, b).then(b.0.cmp(&a.0)));
    changes.dedup_by(|later, first| order(later, first).is_eq());
    let mut positions = Vec::with_capacity(oldest.hashes.len() + changes.len());
    let mut row = 0;
    for (leaf, change) in changes {
        while row < oldest.hashes.len() {
            match oldest.compare(row, &younger[leaf], change) {
                Ordering::Less => positions.push((0, row)),
                Ordering::Equal => {
                    row += 1;
                    break;
                }
                Ordering::Greater => break,
            }
            row += 1;
        }
        positions.push((leaf + 1, change));
    }
    positions.extend((row..oldest.hashes.len()).map(|row| (0, row)));
    positions
}

/// Merges sorted rows of state with changes, which count more.
///
/// # Errors
/// Returns an error if Arrow cannot make the columns.
pub fn merged(
    layout: &Layout,
    rows: RecordBatch,
    changes: RecordBatch,
    forgotten_ms: u64,
) -> Result<RecordBatch, StateError> {
    newest(&[layout.open(rows), layout.open(changes)], forgotten_ms)
}
