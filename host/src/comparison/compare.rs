//! Compares the rows of one batch of one output.

use super::groups::{DifferentRanges, EachHash, GroupDifference, Passes};
use super::hashes::{RowHash, RowHasher};
use super::in_order::{FirstDifference, first_difference};
use super::reason::NotCompared;
use super::recorded::Recorded;
use super::result::{Outcome, RowCounts, Sample, SampleKind};
use super::samples::{Chosen, row_text};
use super::{Limits, Side};
use crate::block::Scratch;
use crate::data::chunk;
use crate::data::schema::RecordType;
use arrow::array::RecordBatch;

/// Rows are hashed in slices of at most this many.
const SLICE_ROWS: usize = 1024;
/// About how many times as many bytes as the rows themselves take their encodings take.
const ENCODED_FACTOR: usize = 4;
/// About how many bytes an encoded row takes besides its values.
const ENCODED_ROW_BYTES: usize = 64;

/// The rows of a batch, on both sides.
pub(super) struct Rows<'a> {
    pub(super) old: &'a Recorded,
    pub(super) new: &'a Recorded,
    /// The type of the rows on both sides.
    pub(super) ty: &'a RecordType,
}

/// The differences of a batch.
#[derive(Debug, Default)]
pub(super) struct Differences {
    pub(super) outcome: Outcome,
    pub(super) counts: RowCounts,
    pub(super) samples: Vec<Sample>,
}

/// Compares the rows. `wanted` says how many samples of a kind are of use. The memory for encoded rows comes from `scratch`. `tick` is
/// called often, and may end the comparison.
pub(super) fn compare(
    rows: &Rows<'_>,
    limits: &Limits,
    wanted: &dyn Fn(SampleKind) -> usize,
    scratch: &mut Scratch,
    tick: &mut dyn FnMut() -> Result<(), NotCompared>,
) -> Result<Differences, NotCompared> {
    let (rows_old, rows_new) = (rows.old.row_count(), rows.new.row_count());
    let mut counts = RowCounts { rows_old, rows_new, ..RowCounts::default() };
    let mut first = None;
    if rows_old == rows_new {
        first = first_difference(rows.old.read(), rows.new.read(), tick)?;
        if first.is_none() {
            return Ok(Differences { outcome: Outcome::Equal, counts, samples: Vec::new() });
        }
    }
    let is_pair = rows.ty.is_pair();
    let mut reading = Reading { rows, hasher: RowHasher::new(rows.ty)?, hashes: Vec::new(), scratch, tick };
    let ranges = DifferentRanges::find(&mut reading.hashes_only())?;
    if ranges.is_empty() {
        let first = first.filter(|_| wanted(SampleKind::Order) > 0);
        let samples = first.map(|first| order_sample(rows.ty, &first)).into_iter().collect();
        return Ok(Differences { outcome: Outcome::OrderDiffers, counts, samples });
    }
    let mut chosen = Chosen::new(rows.ty);
    let passes = Passes { groups_max: limits.groups, passes_max: limits.passes, is_pair };
    passes.count(&ranges, &mut reading.hashes_only(), &mut counts, &mut |group, difference| {
        let kind = match difference {
            GroupDifference::OnlyOld(_) => SampleKind::OnlyOld,
            GroupDifference::OnlyNew(_) => SampleKind::OnlyNew,
            GroupDifference::Changed => SampleKind::Changed,
        };
        chosen.choose(kind, group, wanted(kind));
    })?;
    if !chosen.is_empty() {
        for side in [Side::Old, Side::New] {
            reading.each(side, &mut |slice, hashes| chosen.see(side, slice, hashes))?;
        }
    }
    Ok(Differences { outcome: Outcome::RowsDiffer, counts, samples: chosen.into_samples() })
}

fn order_sample(ty: &RecordType, first: &FirstDifference) -> Sample {
    let text = |row: &RecordBatch| Some(row_text(ty, row, 0));
    Sample {
        kind: SampleKind::Order,
        row: Some(first.row),
        old: text(&first.old),
        new: text(&first.new),
        ..Sample::default()
    }
}

/// Reads the rows of both sides again and again.
struct Reading<'a, 'b> {
    rows: &'a Rows<'b>,
    hasher: RowHasher,
    hashes: Vec<RowHash>,
    scratch: &'a mut Scratch,
    tick: &'a mut dyn FnMut() -> Result<(), NotCompared>,
}

impl Reading<'_, '_> {
    /// Calls `with` for all rows of a side, in slices, with the hashes of the rows.
    fn each(&mut self, side: Side, with: &mut dyn FnMut(&RecordBatch, &[RowHash])) -> Result<(), NotCompared> {
        let recorded = match side {
            Side::Old => self.rows.old,
            Side::New => self.rows.new,
        };
        for piece in recorded.read() {
            let piece = piece?;
            for start in (0..piece.num_rows()).step_by(SLICE_ROWS) {
                (self.tick)()?;
                let rows = SLICE_ROWS.min(piece.num_rows() - start);
                let bytes = chunk::row_bytes(&piece, start..start + rows).saturating_mul(ENCODED_FACTOR);
                let bytes = bytes.saturating_add(rows * ENCODED_ROW_BYTES);
                self.scratch.resize(bytes)?;
                let slice = piece.slice(start, rows);
                self.hasher.hash(&slice, &mut self.hashes)?;
                with(&slice, &self.hashes);
            }
        }
        Ok(())
    }

    fn hashes_only(&mut self) -> Box<EachHash<'_>> {
        Box::new(move |side, with| self.each(side, &mut |_, hashes| with(hashes)))
    }
}
