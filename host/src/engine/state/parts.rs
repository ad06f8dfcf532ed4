//! [`Parts`]: the rows that a stateful operation reads, in parts by ranges of key hashes. One part is in memory at a time.
//!
//! Owns which rows are together in memory. State is in the order of hashes, and so are the parts: an operation that takes
//! part by part sees the same keys in the same order as one that has all rows at once.

use crate::block::{RowStorage, Scratch, SpillError, StoredRows};
use crate::data::key::KeyEncoder;
use crate::data::schema::RecordType;
use crate::engine::external;
use crate::engine::join::{Divider, Division, Input, PARTS, PartFacts, Taken};
use crate::engine::plugin_task::shown_value;
use crate::memory::MemoryBudget;
use crate::state::{self, PageRange, PartitionState, first_hash};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion_common::{DataFusionError, Result};
use datafusion_execution::SendableRecordBatchStream;

/// The memory that parts may take although the job has no memory for data, in bytes. It is a third of the memory that
/// work on rows takes without a reservation.
const FREE_BYTES: usize = 8 * 1024 * 1024;
/// The smallest and the largest memory of a part, in bytes.
const PART_BYTES_MIN: usize = 64 * 1024;
const PART_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A part that cannot be divided is read in steps of this many bytes.
const STEP_BYTES: usize = 1024 * 1024;

/// How much memory a part may take. An extension of the task context.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct StateRoom {
    part_bytes: usize,
}

impl StateRoom {
    /// Makes the room of `slots` tasks. Together, their parts take about an eighth of the memory for data.
    pub(in crate::engine) fn new(budget: &MemoryBudget, slots: usize) -> Self {
        let of_all = budget.for_data() / 8 + FREE_BYTES;
        Self { part_bytes: (of_all / slots.max(1)).clamp(PART_BYTES_MIN, PART_BYTES_MAX) }
    }

    /// A room of this many bytes.
    #[cfg(test)]
    pub(super) fn of(part_bytes: usize) -> Self {
        Self { part_bytes }
    }
}

/// The rows of one key, or of a few keys whose hash is the same, do not fit into memory.
#[derive(Debug, thiserror::Error)]
#[error("the new values of key {key} take at least {bytes} bytes of memory: {error}: raise engine.memory")]
pub(in crate::engine) struct KeyTooLarge {
    key: String,
    bytes: usize,
    error: SpillError,
}

/// All rows of some keys, in memory.
pub(super) struct Part {
    /// The rows, in order. Those that leave a window come first.
    pub rows: RecordBatch,
    /// How many of the rows leave a window.
    pub leaving: usize,
    /// The smallest hash of the part.
    pub first: u64,
    /// The smallest hash of the next part. `None` if there is no next part.
    pub end: Option<u64>,
    /// The memory of the rows, and of their order by key.
    _scratch: Scratch,
}

/// The keys of a page that are in a part.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    /// The page, with its own hashes.
    pub page: PageRange<'a>,
    /// The smallest hash of the piece.
    pub first: u64,
    /// The smallest hash behind the piece. `None` if there is none.
    pub end: Option<u64>,
}

/// Rows that are still to be read.
struct Rest {
    /// The rows that leave a window, if there are any, and those that enter or are new.
    inputs: Vec<Input>,
    first: u64,
    end: Option<u64>,
    /// Whether dividing these rows helps.
    is_divisible: bool,
}

/// The rows that a stateful operation reads.
pub(super) struct Parts {
    storage: RowStorage,
    keys: KeyEncoder,
    /// The type of the rows. The first column holds keys.
    read: RecordType,
    part_bytes: usize,
    /// The smallest and the largest hash of the partition.
    hashes: (u64, u64),
    /// The parts that are still to be read. The next part is the last in the list.
    rest: Vec<Rest>,
}

impl Parts {
    /// Makes parts of the rows of a partition, of `partitions`. For a window, the first input has the values that leave.
    pub(super) fn new(
        storage: &RowStorage,
        keys: &KeyEncoder,
        read: &RecordType,
        room: StateRoom,
        (partition, partitions): (u32, u32),
    ) -> Self {
        let first = first_hash(partition, partitions).unwrap_or_default();
        let next = first_hash(partition.saturating_add(1), partitions);
        let last = next.map_or(u64::MAX, |next| next.saturating_sub(1));
        Self {
            storage: storage.clone(),
            keys: keys.clone(),
            read: read.clone(),
            part_bytes: room.part_bytes,
            hashes: (first, last),
            rest: Vec::new(),
        }
    }

    /// Begins with rows that can be read once.
    pub(super) fn of_streams(self, rows: Vec<SendableRecordBatchStream>) -> Self {
        let part_bytes = self.part_bytes;
        self.of(rows.into_iter().map(|rows| Input::stream(rows, part_bytes)).collect())
    }

    /// Begins with stored rows.
    pub(super) fn of_rows(self, rows: &StoredRows) -> Self {
        self.of_each(std::slice::from_ref(rows))
    }

    /// Begins with the stored rows of each input.
    pub(super) fn of_each(self, rows: &[StoredRows]) -> Self {
        let part_bytes = self.part_bytes;
        self.of(rows.iter().map(|rows| Input::bucket(rows, 0, part_bytes)).collect())
    }

    fn of(mut self, inputs: Vec<Input>) -> Self {
        self.rest = vec![Rest { inputs, first: 0, end: None, is_divisible: true }];
        self
    }

    /// Reads the next part. The memory of the part before has to be free. `None` at the end. There is at least one part,
    /// and the parts together have all hashes.
    pub(super) async fn next(&mut self) -> Result<Option<Part>> {
        while let Some(mut rest) = self.rest.pop() {
            let (mut sides, mut weight, mut scratch) = (Vec::new(), 0, self.storage.scratch());
            let mut has_all = true;
            for input in &mut rest.inputs {
                let mut side = Taken::default();
                loop {
                    let most = if rest.is_divisible { self.part_bytes.saturating_sub(weight) } else { usize::MAX };
                    let ended = input.take(most.min(side.weight + STEP_BYTES), &mut side).await?;
                    scratch
                        .resize(weight + side.weight)
                        .map_err(|error| self.no_room(error, rest.is_divisible, &side))?;
                    if ended || side.weight >= most {
                        has_all &= ended;
                        break;
                    }
                }
                weight += side.weight;
                sides.push(side.rows);
            }
            if has_all {
                return self.part(&rest, &sides, scratch).map(Some);
            }
            self.divide(rest, sides).await?;
        }
        Ok(None)
    }

    fn part(&self, rest: &Rest, sides: &[Vec<RecordBatch>], scratch: Scratch) -> Result<Part> {
        let leaving = match sides {
            [leaving, _] => leaving.iter().map(RecordBatch::num_rows).sum(),
            _ => 0,
        };
        let rows = concat_batches(self.read.arrow(), sides.iter().flatten())?;
        Ok(Part { rows, leaving, first: rest.first, end: rest.end, _scratch: scratch })
    }

    /// Divides rows: those in memory, and those that are still to be read.
    async fn divide(&mut self, rest: Rest, sides: Vec<Vec<RecordBatch>>) -> Result<()> {
        let first = rest.first.max(self.hashes.0);
        let last = rest.end.map_or(self.hashes.1, |end| end.saturating_sub(1));
        let width = last.saturating_sub(first) / PARTS as u64 + 1;
        let (mut stored, mut facts) = (Vec::new(), vec![PartFacts::default(); PARTS]);
        for (first_rows, mut input) in sides.into_iter().zip(rest.inputs) {
            let divider = Divider::new(&self.storage, &self.keys, Division::Ranges { first, width });
            let (rows, of_input) = divider.divide(first_rows, &mut input).await?;
            facts.iter_mut().zip(of_input).for_each(|(facts, more)| *facts = facts.and(more));
            stored.push((input, rows));
        }
        // A range may begin behind the largest hash. Then neither this range nor a later one has rows.
        let start = |part: usize| first.checked_add(width.checked_mul(part as u64)?).filter(|start| *start <= last);
        for part in (0..PARTS).rev() {
            let Some(begin) = start(part) else { continue };
            self.rest.push(Rest {
                inputs: stored.iter().map(|(input, rows)| input.stored(rows, part)).collect(),
                first: if part == 0 { rest.first } else { begin },
                end: start(part + 1).filter(|_| part + 1 < PARTS).or(rest.end),
                is_divisible: !facts[part].one_hash(),
            });
        }
        Ok(())
    }

    /// The error of a part without room. If the part cannot be divided, the error names the key.
    fn no_room(&self, error: SpillError, is_divisible: bool, side: &Taken) -> DataFusionError {
        let row = side.rows.iter().find(|rows| rows.num_rows() > 0).filter(|_| !is_divisible);
        let key = self.read.pair().zip(row).and_then(|((ty, _), rows)| shown_value(&ty, rows.column(0), 0));
        match key {
            Some(key) => external(KeyTooLarge { key, bytes: side.weight, error }),
            None => external(error),
        }
    }
}

impl Part {
    /// The keys of pages that are in this part, in order.
    pub(super) fn pieces<'a>(&self, state: &'a PartitionState) -> impl Iterator<Item = Piece<'a>> + use<'a> {
        let (first, end) = (self.first, self.end);
        let is_before_end = move |hash: u64| end.is_none_or(|end| hash < end);
        let pages =
            state.pages().filter(move |page| page.end.is_none_or(|end| first < end) && is_before_end(page.first));
        pages.map(move |page| {
            let ends = page.end.into_iter().chain(end).min();
            Piece { page, first: page.first.max(first), end: ends }
        })
    }
}

impl Piece<'_> {
    /// Whether no later piece has keys of the page.
    pub(super) fn is_last(&self) -> bool {
        self.end == self.page.end
    }

    /// The rows of the page that are in this piece. `rows` are all rows of the page, sorted.
    pub(super) fn rows_of(&self, rows: &RecordBatch) -> RecordBatch {
        let hashes = state::hashes(rows).values();
        let start = hashes.partition_point(|hash| *hash < self.first);
        let end = self.end.map_or(hashes.len(), |end| hashes.partition_point(|hash| *hash < end));
        rows.slice(start, end.saturating_sub(start))
    }
}
