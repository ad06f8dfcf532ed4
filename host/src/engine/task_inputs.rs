//! Which pieces each task of a stage reads.
//!
//! Owns the division of a stage's input among tasks. Never reads a row.

use super::JobRequest;
use super::embedded::Shared;
use super::failure::{internal, not_kept, window_gap};
use super::leaf::InputPiece;
use super::plan::TaskInput;
use super::state::Slide;
use crate::error::{Error, ErrorKind};
use crate::graph::{Stage, StageInput, StageOutput, window_times};
use crate::ids::{NodeId, StageId};
use crate::time::{Duration, Time};
use std::sync::Arc;

/// The most partitions of a stage. The partitions of a union are the sum of those of its parents, so unions of unions
/// can have very many.
const PARTITIONS_MAX: usize = 100_000;

/// The most rows that are merged into one partition of a window. A single piece may have more.
const ROWS_OF_A_PARTITION: u64 = 1024 * 1024;

/// Merges the pieces of a window, which may be many and small, into about `parallelism` partitions. There are more
/// partitions if the rows are very many. Which pieces are merged depends on the data alone.
fn merge_pieces(
    pieces: Vec<InputPiece>,
    row_count: impl Fn(&InputPiece) -> u64,
    parallelism: u32,
) -> Vec<Vec<InputPiece>> {
    let total: u64 = pieces.iter().map(&row_count).sum();
    let share = total.div_ceil(u64::from(parallelism.max(1))).clamp(1, ROWS_OF_A_PARTITION);
    let mut merged: Vec<Vec<InputPiece>> = Vec::new();
    let mut rows = share;
    for piece in pieces {
        if rows >= share {
            merged.push(Vec::new());
            rows = 0;
        }
        rows += row_count(&piece);
        merged.last_mut().into_iter().for_each(|open| open.push(piece.clone()));
    }
    merged
}

impl Shared {
    /// The inputs of each task of a stage: the tasks of the first branch, then those of the next branch.
    pub(super) fn task_inputs(&self, stage: &Stage, request: &JobRequest) -> Result<Vec<TaskInput>, Error> {
        let (mut task_inputs, mut starts) = (Vec::new(), Vec::new());
        for (branch, way) in stage.branches.iter().enumerate() {
            starts.push(u32::try_from(task_inputs.len()).unwrap_or(u32::MAX));
            let pieces = self.pieces(stage.id, way.input, request)?;
            let partitions = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
            task_inputs.extend(pieces.into_iter().map(|pieces| (branch, partitions, pieces)));
        }
        if task_inputs.len() > PARTITIONS_MAX {
            let message = format!("stage {} of batch {} has {} partitions", stage.id, request.batch, task_inputs.len());
            return Err(Error::new(ErrorKind::User, format!("{message}, which is more than {PARTITIONS_MAX}"))
                .help("unite fewer streams, or repartition them before"));
        }
        let starts: Arc<[u32]> = starts.into();
        let with_starts = |(branch, partitions, pieces): (usize, u32, Vec<InputPiece>)| {
            let (leaving, is_anew) = match stage.branches.get(branch).map(|branch| branch.input) {
                Some(StageInput::Sliding { node, parent, length }) => {
                    let slide = self.slide(node, parent, length, request);
                    let leaves = |piece: &&InputPiece| matches!(piece, InputPiece::DataSet { batch, .. } if slide.leaves(*batch));
                    (pieces.iter().take_while(leaves).count(), slide.is_anew())
                }
                _ => (0, false),
            };
            TaskInput { branch, pieces, leaving, is_anew, partitions, starts: starts.clone() }
        };
        Ok(task_inputs.into_iter().map(with_starts).collect())
    }

    /// The pieces of each partition of an input.
    fn pieces(&self, reader: StageId, input: StageInput, request: &JobRequest) -> Result<Vec<Vec<InputPiece>>, Error> {
        let batch = request.batch;
        let data_set = |node: NodeId, time: Time| self.lock().data_sets.get(&(time, node)).copied();
        let one_each = |pieces: &mut dyn Iterator<Item = InputPiece>| Ok(pieces.map(|piece| vec![piece]).collect());
        let buckets = |writer: StageId| {
            let maps = self.lock().stages.get(&(batch, writer)).copied().ok_or_else(|| internal(reader))?;
            match request.plan.stages.stage(writer).map(|stage| stage.output) {
                Some(StageOutput::Shuffle { partitions, .. }) => {
                    Ok((0..partitions).map(move |reduce| InputPiece::Buckets { stage: writer, maps, reduce }))
                }
                _ => Err(internal(writer)),
            }
        };
        match input {
            StageInput::Source { node } => {
                let partitions = request.input.get(&node).cloned().unwrap_or_default();
                one_each(&mut partitions.into_iter().map(InputPiece::Input))
            }
            StageInput::Load { node } => {
                let parts = request.plan.loaded.get(&node).cloned().ok_or_else(|| internal(reader))?;
                one_each(&mut parts.into_iter().map(InputPiece::Loaded))
            }
            StageInput::Shuffle { stage: writer, .. } => one_each(&mut buckets(writer)?),
            StageInput::Shuffles { node } => {
                let writers = request.plan.graph.node(node).and_then(|join| request.plan.stages.writers(join));
                let writers = writers.ok_or_else(|| internal(reader))?;
                let mut parents = writers.into_iter().map(buckets).collect::<Result<Vec<_>, _>>()?;
                let partition = || parents.iter_mut().map(Iterator::next).collect();
                Ok(std::iter::from_fn(partition).collect())
            }
            StageInput::DataSet { node } => {
                let partitions = data_set(node, batch).ok_or_else(|| internal(reader))?;
                one_each(&mut (0..partitions).map(|partition| InputPiece::DataSet { node, batch, partition }))
            }
            StageInput::Slice { node, of, time } => {
                let partitions = data_set(of, time).ok_or_else(|| not_kept(request, node, of, time))?;
                one_each(&mut (0..partitions).map(|partition| InputPiece::DataSet { node: of, batch: time, partition }))
            }
            StageInput::Empty { .. } => Ok(vec![Vec::new()]),
            StageInput::Coalesced { of: node, partitions: wanted, .. } => {
                let partitions = data_set(node, batch).ok_or_else(|| internal(reader))?;
                let wanted = wanted.clamp(1, partitions.max(1));
                let start = |at: u32| (u64::from(at) * u64::from(partitions) / u64::from(wanted)) as u32;
                let piece = |partition| InputPiece::DataSet { node, batch, partition };
                let merged = |at: u32| (start(at)..start(at + 1)).map(piece).collect();
                Ok((0..wanted.min(partitions)).map(merged).collect())
            }
            StageInput::State { of, .. } => {
                let version = self.stores.state.version(of).filter(|version| version.batch == batch);
                let partitions = version.ok_or_else(|| internal(reader))?.partitions.len();
                let partitions = u32::try_from(partitions).unwrap_or(u32::MAX);
                one_each(&mut (0..partitions).map(|partition| InputPiece::State { node: of, partition }))
            }
            StageInput::Sliding { node, parent, length } => {
                let stateful = request.plan.graph.node(node).and_then(|node| node.operation.stateful());
                let partitions = stateful.ok_or_else(|| internal(reader))?.partitions.unwrap_or(self.parallelism);
                let mut pieces = vec![Vec::new(); partitions as usize];
                for time in self.slide(node, parent, length, request).times() {
                    let there = data_set(parent, time).ok_or_else(|| window_gap(request, node, time))?;
                    // A batch without data may have no partitions.
                    for (partition, pieces) in (0..there).zip(&mut pieces) {
                        pieces.push(InputPiece::DataSet { node: parent, batch: time, partition });
                    }
                }
                Ok(pieces)
            }
            StageInput::Window { node, parent, length } => {
                let mut pieces = Vec::new();
                for time in window_times(length, self.intervals.slide(parent), batch, request.data_after) {
                    let partitions = data_set(parent, time).ok_or_else(|| window_gap(request, node, time))?;
                    let piece = |partition| InputPiece::DataSet { node: parent, batch: time, partition };
                    pieces.extend((0..partitions).map(piece));
                }
                Ok(merge_pieces(pieces, |piece| self.row_count(piece), self.parallelism))
            }
        }
    }

    /// How a window moves on to the batch.
    fn slide(&self, node: NodeId, parent: NodeId, length: Duration, request: &JobRequest) -> Slide {
        let (slide, of_parent) = (self.intervals.slide(node), self.intervals.slide(parent));
        let before = self.stores.state.version(node).map(|version| version.batch);
        Slide { length, slide, of_parent, batch: request.batch, data_after: request.data_after, before }
    }

    fn row_count(&self, piece: &InputPiece) -> u64 {
        match piece {
            InputPiece::DataSet { node, batch, partition } => {
                self.stores.data_sets.get(*node, *batch, *partition).map_or(0, |rows| rows.row_count())
            }
            _ => 0,
        }
    }

    /// Whether the input of a reduction is too large to be given to one plugin instance at once. The answer depends on
    /// the size of the rows alone. It does not depend on whether the rows are in memory or on disk.
    pub(super) fn is_large(&self, batch: Time, task_input: &TaskInput) -> bool {
        let bytes = |piece: &InputPiece| match piece {
            InputPiece::Buckets { stage, maps, reduce } => {
                let buckets = self.stores.shuffles.bucket(batch, *stage, *maps, *reduce).unwrap_or_default();
                buckets.iter().map(|rows| rows.bucket_size(*reduce as usize).bytes).sum()
            }
            _ => 0,
        };
        task_input.pieces.iter().map(bytes).sum::<u64>() > self.large_bytes
    }
}
