//! The leaf of every plan: reads rows from a store. The rows are named by descriptors.
//!
//! A leaf holds no rows, only the names of what it reads. So a task can be built anywhere from the same descriptors.

use super::node::{Execution, PlanNode, Rows, Work};
use super::plugin_task::unless_cancelled;
use super::shuffle::ShuffleStore;
use super::split_reads::SplitReads;
use super::stage_info::BYTES_READ;
use crate::block::{
    BlockStore, CheckedSplit, DataSetStore, FileSplit, Gone, InputPartition, LinePlace, LoadedPart, LogRange,
    RangeError, RangeReaders, RangeRows, RowStorage, RowsReader, SplitError, SplitReader, value_bytes,
};
use crate::data::lines::BadLines;
use crate::data::schema::RecordType;
use crate::encoding::Encoding;
use crate::env::Disk;
use crate::error::Error;
use crate::ids::{NodeId, StageId};
use crate::listener::{Event, GivenUpInfo, LinesInfo, ListenerBus};
use crate::memory::MemoryBudget;
use crate::plugin::Cancel;
use crate::shown::{Shown as _, counted};
use crate::state::{Page, StateStore, live};
use crate::time::Time;
use arrow::array::RecordBatch;
use datafusion_common::{DataFusionError, Result};
use datafusion_physical_plan::metrics::MetricBuilder;
use futures::TryStreamExt as _;
use futures::stream::{BoxStream, StreamExt as _};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Rows that a partition of a leaf reads. A partition may read several pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum InputPiece {
    /// A received block, a part of a file, or a range of a log.
    Input(InputPartition),
    /// A part of a file that a driver function loads.
    Loaded(LoadedPart),
    /// The buckets of one reduce partition, of all `maps` map partitions in order.
    Buckets { stage: StageId, maps: u32, reduce: u32 },
    /// The keys and states of a partition of a stateful node, after this batch.
    State { node: NodeId, partition: u32 },
    /// A partition of a data set, of this batch or of an earlier one.
    DataSet { node: NodeId, batch: Time, partition: u32 },
}

/// The stores in which leaves find their rows. An extension of the task context.
pub(super) struct LeafStores {
    pub storage: RowStorage,
    pub blocks: BlockStore,
    pub data_sets: DataSetStore,
    pub shuffles: ShuffleStore,
    pub state: StateStore,
    pub disk: Arc<dyn Disk>,
    /// The memory budget from which the decompression of files takes memory.
    pub budget: MemoryBudget,
    /// For each source, the encoding of its files that have no byte order mark. UTF-8 if a source is not in the map.
    pub encodings: BTreeMap<String, Encoding>,
    /// The readers of the sources that are read by ranges.
    pub ranges: RangeReaders,
    pub listeners: ListenerBus,
    pub splits: SplitReads,
    /// Says whether the run is to stop at once.
    pub cancel: Cancel,
}

/// The error of a part of a file, or a range of a log, that a batch could not read.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub(super) struct InputError(pub Error);

impl InputError {
    fn split(source: &str, batch: Time, error: &SplitError) -> DataFusionError {
        DataFusionError::External(Box::new(Self(error.explain(source, batch))))
    }

    fn range(range: &LogRange, batch: Time, error: &RangeError) -> DataFusionError {
        DataFusionError::External(Box::new(Self(error.explain(&range.source, batch))))
    }
}

impl LeafStores {
    fn read(
        self: &Arc<Self>,
        batch: Time,
        piece: &InputPiece,
        ty: &RecordType,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        match piece {
            InputPiece::Input(InputPartition::Split(split)) => return self.clone().read_split(batch, split.clone()),
            InputPiece::Input(InputPartition::Range(range)) => return self.clone().read_range(batch, range.clone()),
            InputPiece::Loaded(part) => return self.clone().read_loaded(part, ty),
            InputPiece::State { node, partition } => return self.read_state(*node, *partition, batch),
            _ => {}
        }
        let readers = self.readers(batch, piece)?;
        let external = |error| DataFusionError::External(Box::new(error));
        Ok(futures::stream::iter(readers.into_iter().flatten().map(move |rows| rows.map_err(external))).boxed())
    }

    /// The keys and states of a partition.
    fn read_state(&self, node: NodeId, partition: u32, batch: Time) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let lost = || DataFusionError::Execution(format!("the state of node {node} after batch {batch} is gone"));
        let version = self.state.version(node).filter(|version| version.batch == batch).ok_or_else(lost)?;
        let state = version.partitions.get(partition as usize).cloned().ok_or_else(lost)?;
        let layout = version.layout;
        let pages: Vec<_> = state.pages().filter_map(|at| at.page.cloned()).collect();
        let pairs = move |page: Arc<Page>| Ok(layout.pairs(&live(&page.open(&layout)?.newest(u64::MAX)?)?)?);
        Ok(futures::stream::iter(pages.into_iter().map(pairs)).boxed())
    }

    fn read_split(self: Arc<Self>, batch: Time, split: FileSplit) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let source = split.source.clone();
        let failed = move |error| InputError::split(&source, batch, &error);
        let split = self.splits.as_read_before(batch, split);
        if self.splits.is_left_out(batch, &split) {
            return Ok(futures::stream::empty().boxed());
        }
        let opened = CheckedSplit::open(split.clone(), &self.disk, self.encoding_of(&split), &self.budget);
        let reader = match opened {
            Err(SplitError::Gone { .. }) if self.splits.leave_out(batch, &split) => {
                return Ok(futures::stream::empty().boxed());
            }
            opened => opened.map_err(&failed)?,
        };
        let chunks = futures::stream::try_unfold((reader, 0, self, split), move |(mut reader, rows, stores, split)| {
            let next = reader.next_chunk().map(|chunk| match chunk {
                Some(chunk) => {
                    let rows = rows + chunk.num_rows() as u64;
                    Some((chunk, (reader, rows, stores, split)))
                }
                None => {
                    stores.split_ended(batch, &split, rows, &reader);
                    None
                }
            });
            futures::future::ready(next.map_err(&failed))
        });
        Ok(chunks.boxed())
    }

    fn read_range(self: Arc<Self>, batch: Time, range: LogRange) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let range = self.splits.range_as_read_before(batch, range);
        if range.is_empty() {
            return Ok(futures::stream::empty().boxed());
        }
        let Some(reader) = self.ranges.get(&range.source) else {
            return Err(DataFusionError::Internal(format!("source {} has no ranges", range.source.shown())));
        };
        let rows = reader.open(&range).map_err(|error| InputError::range(&range, batch, &error))?;
        let chunks =
            futures::stream::try_unfold((rows, 0, self, range), move |(mut rows, count, stores, range)| async move {
                match rows.next_chunk().await {
                    Ok(Some(chunk)) => {
                        let count = count + chunk.num_rows() as u64;
                        Ok(Some((chunk, (rows, count, stores, range))))
                    }
                    Ok(None) => {
                        stores.range_ended(batch, &range, count, &*rows);
                        Ok(None)
                    }
                    Err(error) => Err(InputError::range(&range, batch, &error)),
                }
            });
        Ok(chunks.boxed())
    }

    /// Records that a range was read to its end. A range that is read again is counted once.
    fn range_ended(&self, batch: Time, range: &LogRange, count: u64, rows: &dyn RangeRows) {
        let (faults, source) = (rows.faults(), range.source.clone());
        let lines = |bad: BadLines| {
            let place = LinePlace { line: bad.first, after_byte: faults.after_byte };
            lines_info(bad.count, &faults.file, place)
        };
        if faults.dropped.count > 0 {
            self.listeners.post(&Event::LinesDropped { source: source.clone(), lines: lines(faults.dropped) });
        }
        if faults.replaced.count > 0 {
            let (source, encoding) = (Some(source), faults.encoding.to_string());
            self.listeners.post(&Event::TextReplaced { source, encoding, lines: lines(faults.replaced) });
        }
        if let Some(refused) = faults.refused {
            self.listeners.post(&Event::MessagesGivenUp(GivenUpInfo {
                source: range.source.clone(),
                stream: range.partition.clone(),
                messages: refused.messages,
                first_sequence: refused.first.unsigned_abs(),
                problem: refused.problem,
            }));
        }
        if let Some(Gone { from, until, start, end }) = faults.gone {
            self.listeners.post(&Event::DataLost {
                source: range.source.clone(),
                partition: range.partition.clone(),
                position: from,
                problem: format!(
                    "offsets {from} to {until} ({}) are gone; the partition has {start} to {end}",
                    counted(until.abs_diff(from), "offset")
                ),
            });
        }
        self.splits.range_ended(batch, range, count, rows.checksum());
    }

    fn open(&self, split: &FileSplit) -> io::Result<SplitReader> {
        split.read(&*self.disk, self.encoding_of(split), &self.budget)
    }

    fn encoding_of(&self, split: &FileSplit) -> Encoding {
        self.encodings.get(&split.source).copied().unwrap_or_default()
    }

    fn read_loaded(
        self: Arc<Self>,
        part: &LoadedPart,
        ty: &RecordType,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let external = |error| DataFusionError::External(Box::new(error));
        let reader = part.read(&self.disk, &self.budget, ty).map_err(external)?;
        let chunks = futures::stream::try_unfold((reader, self), move |(mut reader, stores)| {
            let next = reader.next_chunk().map(|chunk| match chunk {
                Some(chunk) => Some((chunk, (reader, stores))),
                None => {
                    if let Some((count, encoding, place)) = reader.replaced_lines() {
                        let lines = lines_info(count, reader.path(), place);
                        let encoding = encoding.to_string();
                        stores.listeners.post(&Event::TextReplaced { source: None, encoding, lines });
                    }
                    None
                }
            });
            futures::future::ready(next.map_err(external))
        });
        Ok(chunks.boxed())
    }

    /// The line of the file, counted from 1, that is the `number`th record of a split. `None` if lines before it were
    /// dropped, or if the file cannot be read any more.
    pub(super) fn line_of(&self, split: &FileSplit, number: u64) -> Option<u64> {
        let mut reader = self.open(split).ok()?;
        let mut rows = 0;
        while rows <= number {
            rows += reader.next_chunk().ok()??.num_rows() as u64;
        }
        (reader.faults().dropped.count == 0).then_some(split.lines_before(&*self.disk).ok()? + number + 1)
    }

    /// Records that a split was read to its end. A split that is read again is counted once.
    fn split_ended(&self, batch: Time, split: &FileSplit, rows: u64, reader: &CheckedSplit) {
        let (faults, source) = (reader.faults(), split.source.clone());
        let lines = |bad: BadLines| lines_info(bad.count, &split.path, split.place(bad, &*self.disk));
        if faults.dropped.count > 0 {
            self.listeners.post(&Event::LinesDropped { source: source.clone(), lines: lines(faults.dropped) });
        }
        if faults.replaced.count > 0 {
            let (source, encoding) = (Some(source), reader.encoding().to_string());
            self.listeners.post(&Event::TextReplaced { source, encoding, lines: lines(faults.replaced) });
        }
        self.splits.ended(batch, split, rows, reader.checksum());
    }

    /// The readers of the stored rows of a piece, in the order in which they are to be read.
    fn readers(&self, batch: Time, piece: &InputPiece) -> Result<Vec<RowsReader>> {
        let lost = |what: String| DataFusionError::Execution(format!("{what} of batch {batch} is gone"));
        match piece {
            InputPiece::Input(InputPartition::Block { id, .. }) => {
                let block = self.blocks.get(id).ok_or_else(|| lost(format!("block {id}")))?;
                Ok(vec![block.read(0)])
            }
            InputPiece::Input(InputPartition::Split(_) | InputPartition::Range(_))
            | InputPiece::Loaded(_)
            | InputPiece::State { .. } => Ok(Vec::new()),
            InputPiece::DataSet { node, batch, partition } => {
                let rows = self.data_sets.get(*node, *batch, *partition);
                let lost = || format!("partition {partition} of the data set of node {node} of batch {batch} is gone");
                let rows = rows.ok_or_else(|| DataFusionError::Execution(lost()))?;
                Ok(vec![rows.read(0)])
            }
            InputPiece::Buckets { stage, maps, reduce } => {
                let buckets = self.shuffles.bucket(batch, *stage, *maps, *reduce);
                let buckets = buckets.map_err(|map| lost(format!("the shuffle of stage {stage}, partition {map},")))?;
                Ok(buckets.iter().map(|rows| rows.read(*reduce as usize)).collect())
            }
        }
    }
}

/// The form in which events describe lines of a file.
fn lines_info(lines: u64, file: &Path, place: LinePlace) -> LinesInfo {
    let file = Some(file.shown().into_owned());
    let after_byte = (place.after_byte > 0).then_some(place.after_byte);
    LinesInfo { lines, file, first_line: place.line, after_byte }
}

/// Reads pieces one after the other. A leaf has one partition.
#[derive(Debug)]
pub(super) struct Leaf {
    batch: Time,
    pieces: Vec<InputPiece>,
    /// The type of the rows.
    ty: RecordType,
}

/// The plan node that reads stored rows.
pub(super) type LeafExec = PlanNode<Leaf>;

impl LeafExec {
    pub(super) fn new(batch: Time, pieces: Vec<InputPiece>, ty: &RecordType) -> Self {
        Self::of(Leaf { batch, pieces, ty: ty.clone() }, Vec::new(), ty.arrow().clone(), 1)
    }
}

impl Work for Leaf {
    const NAME: &'static str = "LeafExec";

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pieces", self.pieces.len())
    }

    fn run(&self, execution: Execution<'_>) -> Result<Rows> {
        let stores = execution.extension::<LeafStores>("stores")?;
        let partition = execution.partition;
        if partition > 0 {
            return Err(DataFusionError::Internal(format!("a leaf has no partition {partition}")));
        }
        let count = MetricBuilder::new(execution.metrics).output_rows(partition);
        let bytes = MetricBuilder::new(execution.metrics).counter(BYTES_READ, partition);
        let (batch, ty) = (self.batch, self.ty.clone());
        let cancel = stores.cancel.clone();
        let streams = futures::stream::iter(self.pieces.clone()).map(move |piece| stores.read(batch, &piece, &ty));
        let rows = streams.try_flatten().map(move |rows| {
            unless_cancelled(&cancel)?;
            let rows: RecordBatch = rows?;
            count.add(rows.num_rows());
            bytes.add(usize::try_from(value_bytes(&rows)).unwrap_or(usize::MAX));
            Ok(rows)
        });
        Ok(rows.boxed())
    }
}
