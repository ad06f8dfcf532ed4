//! A join in progress: part by part, with one part in memory at a time.
//!
//! Owns the choice between joining a part and dividing it, and the memory that is reserved for the current part.

use super::input::{Input, Taken};
use super::pairs::Pairs;
use super::parts::{Divider, Division, LEVELS_MAX, PARTS, PartFacts};
use super::room::{JoinRoom, UNCOUNTED_BYTES};
use super::{Join, external, internal};
use crate::data::chunk;
use crate::graph::JoinKind;
use arrow::array::RecordBatch;
use datafusion_common::Result;
use datafusion_execution::memory_pool::MemoryReservation;
use std::collections::VecDeque;
use std::sync::Arc;

/// Cogrouped rows come out in batches of about this many bytes. A batch has at least one row.
const OUT_BYTES: usize = 1024 * 1024;
/// A cogroup of a part that cannot be divided reads rows in steps of this many bytes.
const STEP_BYTES: usize = 1024 * 1024;
/// The most bytes of values that a cogroup can concatenate: the offsets of lists and texts cannot be larger.
const GROUPED_BYTES_MAX: usize = i32::MAX as usize;

/// The rows of one key, or of a few keys, do not fit into memory.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum JoinError {
    #[error("there is no room for {bytes} more bytes: raise engine.memory")]
    NoRoom { bytes: usize },
    #[error("the values of a key take more than 2 GiB: join instead, or aggregate them first")]
    GroupTooLarge,
}

/// A join in progress.
pub(super) struct Run {
    join: Arc<Join>,
    room: Arc<JoinRoom>,
    reservation: MemoryReservation,
    /// The parts that are still to be joined. The next part is the last in the list.
    parts: Vec<Part>,
    pairs: Option<Pairs>,
    ready: VecDeque<RecordBatch>,
}

/// Rows of each parent, with all rows of their keys.
struct Part {
    inputs: Vec<Input>,
    /// How many divisions led to this part.
    level: u32,
    /// Whether dividing this part helps.
    divisible: bool,
}

impl Run {
    pub(super) fn new(
        join: Arc<Join>,
        room: Arc<JoinRoom>,
        reservation: MemoryReservation,
        inputs: Vec<Input>,
    ) -> Self {
        let parts = vec![Part { inputs, level: 0, divisible: true }];
        Self { join, room, reservation, parts, pairs: None, ready: VecDeque::new() }
    }

    /// The next joined rows. `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if let Some(pairs) = &mut self.pairs {
                if let Some(batch) = pairs.next(&self.join, self.room.part_bytes).await? {
                    return Ok(Some(batch));
                }
                self.pairs = None;
            }
            self.reservation.free();
            let Some(part) = self.parts.pop() else { return Ok(None) };
            match self.join.kind {
                JoinKind::CoGroup => self.cogroup(part).await?,
                _ => self.join(part).await?,
            }
        }
    }

    fn reserve(&mut self, bytes: usize) -> Result<()> {
        self.reservation
            .try_resize(bytes.saturating_sub(UNCOUNTED_BYTES))
            .map_err(|_| external(JoinError::NoRoom { bytes }))
    }

    /// Begins to join a part, or divides it.
    async fn join(&mut self, part: Part) -> Result<()> {
        let Part { inputs, level, divisible } = part;
        let Ok([left, mut right]) = <[Input; 2]>::try_from(inputs) else {
            return Err(internal("a join has two parents"));
        };
        let mut block = Taken::default();
        let ended = right.take(self.room.part_bytes, &mut block).await?;
        self.reserve(block.weight)?;
        if ended || !divisible {
            self.pairs = Some(Pairs::new(&self.join, left, right, block, ended)?);
            return Ok(());
        }
        self.divide(vec![(Vec::new(), left), (block.rows, right)], level).await
    }

    /// Cogroups a part, or divides it.
    async fn cogroup(&mut self, part: Part) -> Result<()> {
        let Part { mut inputs, level, divisible } = part;
        let limit = self.room.part_bytes;
        let mut sides = Vec::new();
        let mut weight = 0;
        for input in &mut inputs {
            let mut side = Taken::default();
            loop {
                let step = if divisible { limit.saturating_sub(weight) } else { side.weight + STEP_BYTES };
                let ended = input.take(step, &mut side).await?;
                self.reserve(weight + side.weight)?;
                if ended || divisible {
                    break;
                }
            }
            weight += side.weight;
            sides.push(side.rows);
        }
        if divisible && weight >= limit {
            return self.divide(sides.into_iter().zip(inputs).collect(), level).await;
        }
        let bytes = |rows: &RecordBatch| chunk::row_bytes(rows, 0..rows.num_rows());
        if sides.iter().flatten().map(bytes).sum::<usize>() > GROUPED_BYTES_MAX {
            return Err(external(JoinError::GroupTooLarge));
        }
        if let Some(groups) = self.join.groups(&sides)? {
            self.ready.extend(chunk::chunks(&groups, OUT_BYTES));
        }
        Ok(())
    }

    /// Divides the rows of all sides: the rows in memory, and the rows that are still to be read.
    async fn divide(&mut self, sides: Vec<(Vec<RecordBatch>, Input)>, level: u32) -> Result<()> {
        let mut divided = Vec::new();
        for (first, mut rest) in sides {
            let divider = Divider::new(&self.room.storage, &self.join.keys, Division::Bits { level });
            let (rows, facts) = divider.divide(first, &mut rest).await?;
            divided.push((rest, rows, facts));
        }
        self.reservation.free();
        // The sides that have to fit into memory decide whether a part is divided again.
        let sides_in_memory = match self.join.kind {
            JoinKind::CoGroup => divided.as_slice(),
            _ => &divided[1..],
        };
        let facts: Vec<PartFacts> = (0..PARTS)
            .map(|part| {
                sides_in_memory.iter().map(|(.., facts)| facts[part]).reduce(PartFacts::and).unwrap_or_default()
            })
            .collect();
        let all: usize = facts.iter().map(|facts| facts.weight).sum();
        for part in (0..PARTS).rev() {
            let is_empty = |side: usize| divided.get(side).is_none_or(|(.., facts)| facts[part].weight == 0);
            let skipped = match self.join.kind {
                JoinKind::CoGroup => facts[part].weight == 0,
                _ => (is_empty(1) && !self.join.keeps_left()) || (is_empty(0) && !self.join.keeps_right()),
            };
            if skipped {
                continue;
            }
            // If one large key has most of the rows, a join goes block by block. Dividing would write the rows of that
            // key again and again.
            let helps = self.join.kind == JoinKind::CoGroup || facts[part].weight <= all / 2;
            let divisible = helps && !facts[part].one_hash() && level + 1 < LEVELS_MAX;
            let inputs = divided.iter().map(|(input, rows, _)| input.stored(rows, part)).collect();
            self.parts.push(Part { inputs, level: level + 1, divisible });
        }
        Ok(())
    }
}
