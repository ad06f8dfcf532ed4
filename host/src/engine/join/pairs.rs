//! Joins one part: left rows, as they are read, with a block of right rows that is in memory.
//!
//! Owns the order of joined rows in a part, and how many of them are made at a time. Even if a key has very many pairs,
//! only one batch of them is in memory.

use super::assemble::Picked;
use super::input::{Input, Taken};
use super::table::{KeyTable, NONE};
use super::{Join, external, internal};
use crate::data::chunk;
use crate::data::key::EncodedKeys;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use datafusion_common::Result;

/// Joined rows come out in batches of at most this many rows, and of little more than [`OUT_BYTES`] bytes.
const OUT_ROWS: usize = 8192;
const OUT_BYTES: usize = 1024 * 1024;

/// A part that is being joined.
pub(super) struct Pairs {
    left: Input,
    right: Input,
    /// Whether the current block is the last one.
    right_ended: bool,
    /// Whether the current block is the only one.
    one_block: bool,
    block: Block,
    phase: Phase,
    probe: Option<Probe>,
    /// The number of left rows before the current ones.
    left_rows: usize,
    /// For each left row, whether a right row has matched it so far. Empty if there is only one block: then the answer
    /// is known at once.
    left_matched: Vec<bool>,
}

enum Phase {
    /// Left rows are joined with the current block.
    Probe,
    /// Rows of the block without a left row come out, beginning with this row of the block.
    RightTail(usize),
    /// Left rows without a right row in any block come out.
    LeftTail,
    Done,
}

impl Pairs {
    /// Makes a join of `left` with `block`, the first block of right rows. If `right` has not ended, `left` is joined
    /// with the rest of `right` after that.
    pub(super) fn new(join: &Join, left: Input, right: Input, block: Taken, right_ended: bool) -> Result<Self> {
        let block = Block::new(join, block)?;
        let has_rows = block.rows.is_some() || join.keeps_left();
        let phase = if has_rows { Phase::Probe } else { Phase::Done };
        let (probe, left_rows, left_matched) = (None, 0, Vec::new());
        let one_block = right_ended;
        Ok(Self { left, right, right_ended, one_block, block, phase, probe, left_rows, left_matched })
    }

    /// The next joined rows. `None` at the end. A block takes at most about `limit` bytes.
    pub(super) async fn next(&mut self, join: &Join, limit: usize) -> Result<Option<RecordBatch>> {
        loop {
            match self.phase {
                Phase::Probe => match &self.probe {
                    Some(_) => {
                        let batch = self.probe(join)?;
                        if batch.num_rows() > 0 {
                            return Ok(Some(batch));
                        }
                    }
                    None => match self.left.next().await? {
                        Some(rows) => self.probe = Some(Probe::new(join, rows)?),
                        None => self.phase = Phase::RightTail(0),
                    },
                },
                Phase::RightTail(from) => {
                    let rows = if join.keeps_right() { self.block.unmatched(from) } else { Vec::new() };
                    match (rows.last(), &self.block.rows) {
                        (Some(last), Some(batch)) => {
                            self.phase = Phase::RightTail(*last as usize + 1);
                            return join.pairs(None, Some(Picked { batch, rows })).map(Some);
                        }
                        _ => self.next_block(join, limit).await?,
                    }
                }
                Phase::LeftTail => {
                    let Some(batch) = self.left.next().await? else {
                        self.phase = Phase::Done;
                        continue;
                    };
                    let had = |row: &u32| self.left_matched.get(self.left_rows + *row as usize) == Some(&true);
                    let rows: Vec<u32> = (0u32..).take(batch.num_rows()).filter(|row| !had(row)).collect();
                    self.left_rows += batch.num_rows();
                    if !rows.is_empty() {
                        return join.pairs(Some(Picked { batch: &batch, rows }), None).map(Some);
                    }
                }
                Phase::Done => return Ok(None),
            }
        }
    }

    /// Goes on to the next block of right rows, or to the end if there is none.
    async fn next_block(&mut self, join: &Join, limit: usize) -> Result<()> {
        if self.right_ended && (self.one_block || !join.keeps_left()) {
            self.phase = Phase::Done;
            return Ok(());
        }
        self.left = self.left.again().ok_or_else(|| internal("left rows cannot be read again"))?;
        self.left_rows = 0;
        if self.right_ended {
            self.phase = Phase::LeftTail;
            return Ok(());
        }
        // The current block is freed before the next one is read.
        self.block = Block::new(join, Taken::default())?;
        let mut block = Taken::default();
        self.right_ended = self.right.take(limit, &mut block).await?;
        self.block = Block::new(join, block)?;
        self.phase = Phase::Probe;
        Ok(())
    }

    /// Joins the current left rows, up to one batch. Returns an empty batch if the left rows are used up.
    fn probe(&mut self, join: &Join) -> Result<RecordBatch> {
        let Some(probe) = &mut self.probe else { return Ok(RecordBatch::new_empty(join.schema.clone())) };
        let keep_left = join.keeps_left() && self.one_block;
        let (left, right) = probe.fill(&mut self.block, keep_left, |row| {
            if !self.one_block && join.keeps_left() {
                let at = self.left_rows + row;
                if self.left_matched.len() <= at {
                    self.left_matched.resize(at + 1, false);
                }
                self.left_matched[at] = true;
            }
        });
        let batch = if left.is_empty() {
            RecordBatch::new_empty(join.schema.clone())
        } else {
            let right = self.block.rows.as_ref().map(|batch| Picked { batch, rows: right });
            join.pairs(Some(Picked { batch: &probe.rows, rows: left }), right)?
        };
        if probe.row >= probe.rows.num_rows() {
            self.left_rows += probe.rows.num_rows();
            self.probe = None;
        }
        Ok(batch)
    }
}

/// Right rows in memory, with a table of their keys.
struct Block {
    /// `None` if the block has no rows.
    rows: Option<RecordBatch>,
    keys: Option<EncodedKeys>,
    table: KeyTable,
    /// For each row, the next row with the same key.
    next: Vec<u32>,
    /// For each row, whether a left row has matched it so far.
    matched: Vec<bool>,
    sizes: Sizes,
}

impl Block {
    fn new(join: &Join, taken: Taken) -> Result<Self> {
        let Some(schema) = taken.rows.first().map(RecordBatch::schema) else {
            let table = KeyTable::new(0);
            return Ok(Self { rows: None, keys: None, table, next: vec![], matched: vec![], sizes: Sizes::Each(0) });
        };
        let rows = concat_batches(&schema, &taken.rows)?;
        drop(taken);
        let keys = join.keys.encode_column(rows.column(0)).map_err(external)?;
        let mut hashes = Vec::new();
        join.keys.hash_column(rows.column(0), &mut hashes).map_err(external)?;
        let mut table = KeyTable::new(rows.num_rows());
        let mut next = vec![NONE; rows.num_rows()];
        let mut last: Vec<u32> = Vec::new();
        for (row, hash) in (0u32..).zip(&hashes) {
            let group = table.add(*hash, row, |first| keys.same(row as usize, &keys, first as usize)) as usize;
            match last.get_mut(group) {
                Some(last) => next[std::mem::replace(last, row) as usize] = row,
                None => last.push(row),
            }
        }
        let matched = if join.keeps_right() { vec![false; rows.num_rows()] } else { Vec::new() };
        let sizes = Sizes::of(&rows);
        Ok(Self { rows: Some(rows), keys: Some(keys), table, next, matched, sizes })
    }

    /// The rows of the block without a left row, beginning with row `from`, up to one batch.
    fn unmatched(&self, from: usize) -> Vec<u32> {
        let mut bytes = 0;
        let rows = (0u32..).zip(&self.matched).skip(from).filter(|(_, matched)| !**matched).map(|(row, _)| row);
        let fits = |row: &u32| {
            let before = bytes;
            bytes += self.sizes.of_row(*row);
            before < OUT_BYTES
        };
        rows.take(OUT_ROWS).take_while(fits).collect()
    }
}

/// Left rows that are joined with the block.
struct Probe {
    rows: RecordBatch,
    keys: EncodedKeys,
    hashes: Vec<u64>,
    sizes: Sizes,
    /// The current left row. If it was joined with some right rows already, `right` is the next right row.
    row: usize,
    right: Option<u32>,
}

impl Probe {
    fn new(join: &Join, rows: RecordBatch) -> Result<Self> {
        let keys = join.keys.encode_column(rows.column(0)).map_err(external)?;
        let mut hashes = Vec::new();
        join.keys.hash_column(rows.column(0), &mut hashes).map_err(external)?;
        let sizes = Sizes::of(&rows);
        Ok(Self { rows, keys, hashes, sizes, row: 0, right: None })
    }

    /// Makes pairs of a left and a right row, up to one batch. With `keep`, a left row without a right row is paired
    /// with [`NONE`]. Calls `matched` for each left row that has a right row.
    fn fill(&mut self, block: &mut Block, keep: bool, mut matched: impl FnMut(usize)) -> (Vec<u32>, Vec<u32>) {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        while let Some(hash) = self.hashes.get(self.row)
            && left.len() < OUT_ROWS
            && bytes < OUT_BYTES
        {
            // The number of rows of a batch fits into `u32`: see `Input`.
            let row = self.row as u32;
            let first = self.right.take().or_else(|| {
                let keys = block.keys.as_ref()?;
                block.table.find(*hash, |first| keys.same(first as usize, &self.keys, self.row))
            });
            let Some(mut at) = first else {
                if keep {
                    left.push(row);
                    right.push(NONE);
                    bytes += self.sizes.of_row(row);
                }
                self.row += 1;
                continue;
            };
            matched(self.row);
            while at != NONE {
                if left.len() >= OUT_ROWS || bytes >= OUT_BYTES {
                    self.right = Some(at);
                    return (left, right);
                }
                left.push(row);
                right.push(at);
                bytes += self.sizes.of_row(row) + block.sizes.of_row(at);
                if let Some(matched) = block.matched.get_mut(at as usize) {
                    *matched = true;
                }
                at = block.next.get(at as usize).copied().unwrap_or(NONE);
            }
            self.row += 1;
        }
        (left, right)
    }
}

/// The sizes of rows, in bytes.
enum Sizes {
    /// All rows have the same size.
    Each(usize),
    ByRow(Vec<u32>),
}

impl Sizes {
    fn of(rows: &RecordBatch) -> Self {
        if rows.columns().iter().all(|column| is_fixed(column.data_type())) {
            return Self::Each(chunk::row_bytes(rows, 0..1));
        }
        let bytes = |row| u32::try_from(chunk::row_bytes(rows, row..row + 1)).unwrap_or(u32::MAX);
        Self::ByRow((0..rows.num_rows()).map(bytes).collect())
    }

    #[inline]
    fn of_row(&self, row: u32) -> usize {
        match self {
            Self::Each(bytes) => *bytes,
            Self::ByRow(bytes) => bytes.get(row as usize).map_or(0, |bytes| *bytes as usize),
        }
    }
}

fn is_fixed(ty: &DataType) -> bool {
    match ty {
        DataType::Struct(fields) => fields.iter().all(|field| is_fixed(field.data_type())),
        other => other.is_primitive() || *other == DataType::Boolean,
    }
}
