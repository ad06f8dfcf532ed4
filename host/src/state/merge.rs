//! Merges sorted rows of state: of several rows of a key, the newest one counts.

use super::error::StateError;
use super::layout::{Layout, Open, REMOVED};
use crate::data::key::EncodedKeys;
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{filter_record_batch, interleave};
use arrow::error::ArrowError;
use std::cmp::Ordering;
use std::sync::Arc;

/// Rows of state with the encodings of their keys.
struct Leaf<'a> {
    hashes: &'a [u64],
    keys: &'a EncodedKeys,
}

impl<'a> Leaf<'a> {
    fn of(open: &'a Open) -> Result<Self, StateError> {
        Ok(Self { hashes: open.hashes.values(), keys: open.keys()? })
    }
}

/// Merges sorted rows of state. `leaves` are in order of age, the oldest first. Of each key, the row of the youngest
/// leaf counts. Rows of keys that were removed at `forgotten_ms` or before are left out.
///
/// # Errors
/// Returns an error if Arrow cannot make the columns.
pub fn newest(leaves: &[Open], forgotten_ms: u64) -> Result<RecordBatch, StateError> {
    let merged = match leaves {
        [] => return Err(ArrowError::InvalidArgumentError("no rows".to_owned()).into()),
        [only] => only.rows.clone(),
        [oldest, younger @ ..] => {
            let younger = younger.iter().map(Leaf::of).collect::<Result<Vec<_>, _>>()?;
            gather(leaves, &positions(&Leaf::of(oldest)?, &younger))?
        }
    };
    let (removed, times) = (super::layout::removed(&merged), super::layout::times(&merged));
    if removed.true_count() == 0 {
        return Ok(merged);
    }
    let is_needed: BooleanArray = removed
        .iter()
        .zip(times.values())
        .map(|(removed, time)| Some(removed != Some(true) || *time > forgotten_ms))
        .collect();
    if is_needed.true_count() == merged.num_rows() { Ok(merged) } else { Ok(filter_record_batch(&merged, &is_needed)?) }
}

/// The rows at these positions, as leaf and row.
fn gather(leaves: &[Open], positions: &[(usize, usize)]) -> Result<RecordBatch, StateError> {
    let column = |at: usize| {
        if at == REMOVED {
            // Hardly any key is removed, and single bits are slow to copy.
            let is_removed = |(leaf, row): (usize, usize)| leaves[leaf].removed.value(row);
            let is_any = leaves.iter().any(|leaf| leaf.removed.true_count() > 0);
            let bits = BooleanBuffer::collect_bool(positions.len(), |at| is_any && is_removed(positions[at]));
            return Ok(Arc::new(BooleanArray::new(bits, None)) as ArrayRef);
        }
        let columns: Vec<&dyn Array> = leaves.iter().map(|leaf| &**leaf.rows.column(at)).collect();
        interleave(&columns, positions)
    };
    let columns = (0..leaves[0].rows.num_columns()).map(column).collect::<Result<_, _>>()?;
    Ok(RecordBatch::try_new(leaves[0].rows.schema(), columns)?)
}

/// A row of a younger leaf.
#[derive(Clone, Copy)]
struct Change {
    hash: u64,
    leaf: u32,
    row: u32,
}

/// The positions of the rows that count, as leaf and row, sorted.
fn positions(oldest: &Leaf<'_>, younger: &[Leaf<'_>]) -> Vec<(usize, usize)> {
    // The younger leaves are small. Their rows are sorted together, and then merged with those of the oldest leaf.
    let rows = |(leaf, of): (u32, &Leaf<'_>)| {
        let rows: Vec<Change> = (0..).zip(of.hashes).map(|(row, hash)| Change { hash: *hash, leaf, row }).collect();
        rows
    };
    let mut changes: Vec<Change> = (0..).zip(younger).flat_map(rows).collect();
    // The sort finds that each leaf is sorted already.
    changes.sort_by_key(|change| change.hash);
    let key = |change: &Change| (&younger[change.leaf as usize], change.row as usize);
    let order = |a: &Change, b: &Change| {
        let ((a, row), (b, other)) = (key(a), key(b));
        a.keys.compare(row, b.keys, other)
    };
    for same_hash in changes.chunk_by_mut(|a, b| a.hash == b.hash).filter(|group| group.len() > 1) {
        same_hash.sort_by(|a, b| order(a, b).then(b.leaf.cmp(&a.leaf)));
    }
    changes.dedup_by(|later, first| later.hash == first.hash && order(later, first).is_eq());
    let mut positions = Vec::with_capacity(oldest.hashes.len() + changes.len());
    let mut row = 0;
    for change in changes {
        while let Some(hash) = oldest.hashes.get(row) {
            if *hash >= change.hash {
                break;
            }
            positions.push((0, row));
            row += 1;
        }
        let (leaf, changed) = key(&change);
        while oldest.hashes.get(row) == Some(&change.hash) {
            match oldest.keys.compare(row, leaf.keys, changed) {
                Ordering::Less => positions.push((0, row)),
                Ordering::Equal => {
                    row += 1;
                    break;
                }
                Ordering::Greater => break,
            }
            row += 1;
        }
        positions.push((change.leaf as usize + 1, changed));
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
