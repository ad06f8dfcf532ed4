//! Compares the rows of both sides in order, and finds the first row that differs.

use super::reason::NotCompared;
use arrow::array::RecordBatch;

/// The first row that differs: its position, and a batch of each side with only this row.
pub(super) struct FirstDifference {
    pub(super) row: u64,
    pub(super) old: RecordBatch,
    pub(super) new: RecordBatch,
}

/// Rows that come in pieces.
struct Pieces<I> {
    pieces: I,
    /// The rest of the current piece.
    rest: Option<RecordBatch>,
}

impl<I: Iterator<Item = Result<RecordBatch, NotCompared>>> Pieces<I> {
    const fn new(pieces: I) -> Self {
        Self { pieces, rest: None }
    }

    /// The next rows; `None` at the end.
    fn rows(&mut self) -> Result<Option<&RecordBatch>, NotCompared> {
        while self.rest.as_ref().is_none_or(|rest| rest.num_rows() == 0) {
            self.rest = match self.pieces.next() {
                Some(piece) => Some(piece?),
                None => return Ok(None),
            };
        }
        Ok(self.rest.as_ref())
    }

    fn skip(&mut self, rows: usize) {
        let skip = |rest: RecordBatch| rest.slice(rows, rest.num_rows().saturating_sub(rows));
        self.rest = self.rest.take().map(skip);
    }
}

/// The first row that differs. `None` if the rows are equal as far as both sides have rows. `tick` is called for each
/// step, and may end the comparison.
pub(super) fn first_difference(
    old: impl Iterator<Item = Result<RecordBatch, NotCompared>>,
    new: impl Iterator<Item = Result<RecordBatch, NotCompared>>,
    tick: &mut dyn FnMut() -> Result<(), NotCompared>,
) -> Result<Option<FirstDifference>, NotCompared> {
    let (mut old, mut new) = (Pieces::new(old), Pieces::new(new));
    let mut position: u64 = 0;
    loop {
        tick()?;
        let (Some(old_rows), Some(new_rows)) = (old.rows()?, new.rows()?) else { return Ok(None) };
        let count = old_rows.num_rows().min(new_rows.num_rows());
        if are_equal(old_rows, new_rows, count) {
            position += count as u64;
            old.skip(count);
            new.skip(count);
            continue;
        }
        // The first `low` rows are equal, and the first `high` rows are not.
        let (mut low, mut high) = (0, count);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if are_equal(old_rows, new_rows, middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        let (old, new) = (old_rows.slice(low, 1), new_rows.slice(low, 1));
        return Ok(Some(FirstDifference { row: position + low as u64, old, new }));
    }
}

/// Whether the first `count` rows of both are equal, bit by bit.
fn are_equal(old: &RecordBatch, new: &RecordBatch, count: usize) -> bool {
    old.slice(0, count).columns() == new.slice(0, count).columns()
}
