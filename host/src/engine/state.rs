//! The plan node that runs a stateful operation on one partition: it brings new values to the state of their keys,
//! calls the plugin, and makes the partition's next state.
//!
//! Owns which keys the plugin sees, in which order. Never decides which state counts: see `host/src/state`.

mod call;
mod keys;
mod migrate;
mod pages;
mod partitions;
mod parts;
mod records;
mod rows;
mod window;

pub(super) use parts::{KeyTooLarge, StateRoom};
pub(super) use window::Slide;

use self::call::PluginCall;
use self::pages::PageReader;
use self::parts::{Part, Parts};
use super::node::{Execution, PlanNode, Rows, Work};
use super::plugin_exec::run;
use super::plugin_task::{LoadedPlugin, PluginTask};
use super::updates::UpdatesOfNode;
use super::{external, internal};
use crate::block::{RowStorage, RowsWriter, SpillError};
use crate::data::schema::RecordType;
use crate::graph::{StateForm, StateTypes};
use crate::ids::NodeId;
use crate::plugin::TaskProgram;
use crate::state::{Layout, PartitionState, PartitionWriter, StateError, StateStore, Touched, is_of_partition};
use crate::time::Duration;
use arrow::array::{ArrayRef, RecordBatch, UInt32Array, UInt64Array};
use arrow::compute::{take, take_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion_common::{DataFusionError, Result};
use datafusion_execution::SendableRecordBatchStream;
use datafusion_physical_plan::ExecutionPlan;
use futures::stream::{StreamExt as _, TryStreamExt as _};
use std::fmt;
use std::sync::Arc;

/// A stateful operation on one partition.
#[derive(Clone, Debug)]
pub(super) struct StateWork {
    /// The stateful node.
    pub node: NodeId,
    /// How the function of the operation is called.
    pub form: StateForm,
    /// The program that calls the function.
    pub program: TaskProgram,
    /// The program that makes the initial state. `None` if there is no initial state.
    pub initial: Option<TaskProgram>,
    /// The task that migrates states of an earlier version of the plugin. `None` if the node migrates none.
    pub migrate: Option<TaskProgram>,
    /// The types of the rows between host and plugin.
    pub types: StateTypes,
    /// The type of the pairs of key and state.
    pub pair: RecordType,
    /// The type of the rows that the operation reads.
    pub read: RecordType,
    /// After which time without data a key times out.
    pub timeout: Option<Duration>,
    /// The number of partitions of the state.
    pub partitions: u32,
    /// Whether the states before a window do not count.
    pub is_anew: bool,
    /// The updates of accumulators that the programs have made.
    pub updates: UpdatesOfNode,
}

/// The plan node that runs a stateful operation.
pub(super) type StateExec = PlanNode<StateWork>;

impl StateExec {
    /// Makes a node. The children give the values that enter; before them, for a window, the values that leave.
    pub(super) fn new(children: Vec<Arc<dyn ExecutionPlan>>, rows: SchemaRef, work: StateWork) -> Self {
        Self::of(work, children, rows, 1)
    }
}

impl Work for StateWork {
    const NAME: &'static str = "StateExec";

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.program.steps)
    }

    fn run(&self, execution: Execution<'_>) -> Result<Rows> {
        let plugin = execution.extension::<LoadedPlugin>("plugin")?;
        let store = execution.extension::<StateStore>("state")?;
        let inputs = execution.inputs()?;
        let room = *execution.extension::<StateRoom>("room for parts of state")?;
        let run = StateRun::new(self.clone(), plugin, &store, room)?.run(store, inputs);
        Ok(futures::stream::once(run).try_flatten().boxed())
    }
}

/// The memory for a row's hash, its place in the order of keys, and its place in lists of values.
const ROW_BYTES: usize = 32;

/// A stateful operation that runs on one partition.
struct StateRun {
    work: StateWork,
    layout: Arc<Layout>,
    storage: RowStorage,
    plugin: Arc<LoadedPlugin>,
    room: StateRoom,
    /// The rows of the node so far.
    emitted: RowsWriter,
    /// The partition's state before the batch.
    before: PartitionState,
    /// The partition's state after the batch so far.
    after: PartitionWriter,
    /// The time of the batch.
    now_ms: u64,
}

impl StateRun {
    fn new(work: StateWork, plugin: Arc<LoadedPlugin>, store: &StateStore, room: StateRoom) -> Result<Self> {
        let layout = store.layout(work.node, &work.pair).ok_or_else(|| internal("state is pairs"))?;
        let storage = store.storage().clone();
        let after = PartitionWriter::new(&storage, &layout, store.saved(work.node).as_ms());
        let now_ms = work.program.batch.as_ms();
        let emitted = storage.writer(1);
        Ok(Self { work, layout, storage, plugin, room, emitted, before: PartitionState::default(), after, now_ms })
    }

    async fn run(mut self, store: Arc<StateStore>, inputs: Vec<SendableRecordBatchStream>) -> Result<Rows> {
        let partition = self.work.program.partition;
        let earlier = store.earlier(self.work.node).zip(self.work.migrate.clone());
        self.before = match (store.version(self.work.node), earlier, self.work.initial.clone()) {
            (Some(version), ..) => version.partitions.get(partition as usize).cloned().unwrap_or_default(),
            (None, Some((earlier, program)), _) => self.migrated(program, &earlier)?,
            (None, None, Some(program)) => self.initial(program).await?,
            (None, None, None) => PartitionState::default(),
        };
        match self.work.form {
            StateForm::Keys => self.update_keys(inputs).await?,
            StateForm::Partitions => self.update_partition(inputs).await?,
            StateForm::Records => self.map_records(inputs).await?,
            StateForm::Window => self.slide_window(inputs).await?,
        }
        let (node, batch) = (self.work.node, self.work.program.batch);
        store.put(node, batch, partition, self.after.finish());
        let rows = self.emitted.finish().read(0).map(|rows| rows.map_err(external));
        Ok(futures::stream::iter(rows).boxed())
    }

    /// The initial state of the partition. If a key has several initial states, the last one counts.
    async fn initial(&self, program: TaskProgram) -> Result<PartitionState> {
        let (partition, partitions) = (program.partition, self.work.partitions);
        let mut rows = run(self.plugin.clone(), program, futures::stream::empty().boxed(), self.work.updates.clone());
        let (mut pairs, mut hashes) = (self.storage.writer(1), Vec::new());
        while let Some(batch) = rows.next().await.transpose()? {
            self.layout.encoder().hash_column(batch.column(0), &mut hashes).map_err(external)?;
            let of_partition = (0..).zip(&hashes).filter(|(_, hash)| is_of_partition(**hash, partition, partitions));
            let of_partition: UInt64Array = of_partition.map(|(row, _): (u64, _)| row).collect();
            if !of_partition.is_empty() {
                pairs.append(0, take_record_batch(&batch, &of_partition)?).map_err(external)?;
            }
        }
        let mut initial = PartitionWriter::new(&self.storage, &self.layout, 0);
        let mut parts = self.parts(&self.work.pair).of_rows(&pairs.finish());
        while let Some(part) = parts.next().await? {
            initial.piece(self.initial_rows(&part)?, true)?;
        }
        initial.end_page(None, 0)?;
        Ok(initial.finish())
    }

    /// The rows of state of initial pairs, one for each key.
    fn initial_rows(&self, pairs: &Part) -> Result<RecordBatch> {
        let touched = self.touched(&pairs.rows)?;
        let last = (0..touched.len()).map(|key| touched.rows_of(key).last().copied().unwrap_or_default());
        let pairs = take_record_batch(&pairs.rows, &last.collect::<UInt32Array>())?;
        let hashes: UInt64Array = touched.hashes().to_vec().into();
        let times = UInt64Array::from_value(self.now_ms, hashes.len());
        Ok(self.layout.rows(hashes, times, None, pairs.column(0).clone(), pairs.column(1).clone())?)
    }

    /// A reader of the pages of the state before the batch.
    fn reader(&self) -> PageReader {
        PageReader::new(&self.layout, self.after.forgotten_ms())
    }

    /// Parts of rows of this type.
    fn parts(&self, rows: &RecordType) -> Parts {
        let partition = (self.work.program.partition, self.work.partitions);
        Parts::new(&self.storage, self.layout.encoder(), rows, self.room, partition)
    }

    /// The different keys of rows.
    fn touched(&self, rows: &RecordBatch) -> Result<Touched> {
        let (partition, partitions) = (self.work.program.partition, self.work.partitions);
        Touched::of(&self.layout, rows.column(0), partition, partitions).map_err(external)
    }

    /// A task of the plugin, which is not open.
    fn call(&self) -> Result<PluginCall> {
        let task = PluginTask::new(self.plugin.clone(), self.work.program.clone(), self.work.updates.clone());
        let key = self.work.pair.pair().map(|(key, _)| key).ok_or_else(|| internal("state is pairs"))?;
        Ok(PluginCall::new(task, key, self.work.form == StateForm::Records))
    }

    /// Emits rows of the node.
    fn emit(&mut self, rows: RecordBatch) -> Result<(), SpillError> {
        if rows.num_rows() > 0 { self.emitted.append(0, rows) } else { Ok(()) }
    }
}

/// The bytes of rows and of their order by key.
fn bytes_of(rows: &RecordBatch) -> usize {
    usize::try_from(crate::block::value_bytes(rows)).unwrap_or(usize::MAX) + ROW_BYTES * rows.num_rows()
}

/// Takes values by position.
fn taken(values: &ArrayRef, rows: impl Iterator<Item = u32>) -> Result<ArrayRef> {
    Ok(take(values, &rows.collect::<UInt32Array>(), None)?)
}

impl From<StateError> for DataFusionError {
    fn from(error: StateError) -> Self {
        match error {
            // Failures of the storage decide whether the task is tried again.
            StateError::Spill(error) => external(error),
            error => external(error),
        }
    }
}

#[cfg(test)]
mod tests;
