//! Divides rows that do not fit into memory into parts, by the hash of their keys.
//!
//! Owns the choice of the part for each row. Parts are stored where shuffles are stored.

use super::external;
use super::input::{Input, weight};
use crate::block::{RowStorage, RowsWriter, StoredRows};
use crate::data::chunk;
use crate::data::key::KeyEncoder;
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use datafusion_common::Result;

/// How many parts a division makes. Each level of division uses other bits of the hash, from the lowest bits up.
pub(in crate::engine) const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 4;
/// The most levels of division by bits. All hashes in a part of the last level have the same lower 24 bits.
pub(in crate::engine) const LEVELS_MAX: u32 = 6;

/// Small pieces are concatenated up to about this many bytes before they are divided.
const GATHERED_BYTES: usize = 128 * 1024;

/// How a division chooses the part of a row by the hash of its key.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) enum Division {
    /// By bits of the hash. Each level takes other bits.
    Bits { level: u32 },
    /// By ranges of hashes, so that the parts are in the order of hashes. The first range begins at `first`, and each
    /// range has `width` hashes.
    Ranges { first: u64, width: u64 },
}

impl Division {
    fn part(self, hash: u64) -> usize {
        match self {
            Self::Bits { level } => (hash >> (level * PART_BITS)) as usize % PARTS,
            // A hash behind the last range belongs to the last part.
            Self::Ranges { first, width } => (hash.saturating_sub(first) / width.max(1)).min(PARTS as u64 - 1) as usize,
        }
    }
}

/// Divides the rows of one parent of a join, of a reduction, or of a stateful operation.
pub(in crate::engine) struct Divider<'a> {
    keys: &'a KeyEncoder,
    division: Division,
    writer: RowsWriter,
    gathered: Vec<RecordBatch>,
    gathered_bytes: usize,
    hashes: Vec<u64>,
    rows: Vec<Vec<u32>>,
    parts: Vec<PartFacts>,
}

/// The facts about one parent's rows in a part.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine) struct PartFacts {
    pub weight: usize,
    /// The smallest and the largest hash. `None` if there are no rows.
    hashes: Option<(u64, u64)>,
}

impl PartFacts {
    /// Whether all keys have the same hash, so that dividing does not help.
    pub(in crate::engine) fn one_hash(&self) -> bool {
        self.hashes.is_none_or(|(least, greatest)| least == greatest)
    }

    /// The facts about the rows of both together.
    pub(in crate::engine) fn and(self, other: Self) -> Self {
        let hashes = match (self.hashes, other.hashes) {
            (Some(mine), Some(theirs)) => Some((mine.0.min(theirs.0), mine.1.max(theirs.1))),
            (mine, theirs) => mine.or(theirs),
        };
        Self { weight: self.weight + other.weight, hashes }
    }
}

impl<'a> Divider<'a> {
    pub(in crate::engine) fn new(storage: &RowStorage, keys: &'a KeyEncoder, division: Division) -> Self {
        Self {
            keys,
            division,
            writer: storage.writer(PARTS),
            gathered: Vec::new(),
            gathered_bytes: 0,
            hashes: Vec::new(),
            rows: vec![Vec::new(); PARTS],
            parts: vec![PartFacts::default(); PARTS],
        }
    }

    /// Divides rows: `first`, which are in memory, and `rest`, which are still to be read.
    pub(in crate::engine) async fn divide(
        mut self,
        first: Vec<RecordBatch>,
        rest: &mut Input,
    ) -> Result<(StoredRows, Vec<PartFacts>)> {
        for rows in first {
            self.gather(rows)?;
        }
        while let Some(rows) = rest.next().await? {
            self.gather(rows)?;
        }
        self.scatter()?;
        Ok((self.writer.finish(), self.parts))
    }

    fn gather(&mut self, rows: RecordBatch) -> Result<()> {
        self.gathered_bytes += chunk::row_bytes(&rows, 0..rows.num_rows());
        self.gathered.push(rows);
        if self.gathered_bytes >= GATHERED_BYTES { self.scatter() } else { Ok(()) }
    }

    fn scatter(&mut self) -> Result<()> {
        let Some(first) = self.gathered.first() else { return Ok(()) };
        let batch =
            if self.gathered.len() == 1 { first.clone() } else { concat_batches(&first.schema(), &self.gathered)? };
        self.gathered.clear();
        self.gathered_bytes = 0;
        self.keys.hash_column(batch.column(0), &mut self.hashes).map_err(external)?;
        self.rows.iter_mut().for_each(Vec::clear);
        for (row, hash) in (0u32..).zip(&self.hashes) {
            let part = self.division.part(*hash);
            self.rows[part].push(row);
            let (least, greatest) = self.parts[part].hashes.get_or_insert((*hash, *hash));
            (*least, *greatest) = ((*least).min(*hash), (*greatest).max(*hash));
        }
        for (part, rows) in self.rows.iter_mut().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            let rows = take_record_batch(&batch, &UInt32Array::from(std::mem::take(rows)))?;
            self.parts[part].weight += weight(&rows);
            self.writer.append(part, rows).map_err(external)?;
        }
        Ok(())
    }
}
