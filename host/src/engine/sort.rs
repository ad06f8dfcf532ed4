//! Sorts the rows of a partition by their key: in memory, or in sorted runs that are merged.
//!
//! Owns where rows with equal keys stand: as they came in. The order of keys is that of [`KeyOrder`]. Each row gets one
//! column of bytes more, its key as bytes and its number, so that there are no two equal ones and the result depends on the
//! input alone.

use super::internal;
use super::leaf::{Stores, plan_properties};
use super::merge::{self, SortedRuns, add_order, with_order, without_order};
use crate::data::chunk;
use crate::data::key::KeyOrder;
use arrow::array::{BinaryBuilder, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion_common::Result;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_plan::execution_plan::ChildrenPropertiesMode;
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties, ReplaceChildrenOptions,
};
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use std::fmt;
use std::sync::Arc;

/// A run is at most about this long.
const RUN_BYTES: usize = 32 * 1024 * 1024;
/// What a sort takes in any case, so that it goes on where stored rows have all the memory.
const UNCOUNTED_BYTES: usize = 1024 * 1024;
/// How often rows are in memory at a time: as they came, and sorted.
const COPIES: usize = 2;

/// Sorts what its child gives by its first column.
#[derive(Debug)]
pub(super) struct SortExec {
    child: Arc<dyn ExecutionPlan>,
    descending: bool,
    properties: Arc<PlanProperties>,
}

impl SortExec {
    pub(super) fn new(child: Arc<dyn ExecutionPlan>, descending: bool) -> Self {
        let properties = Arc::new(plan_properties(child.schema(), 1));
        Self { child, descending, properties }
    }
}

impl DisplayAs for SortExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SortExec: descending {}", self.descending)
    }
}

impl ExecutionPlan for SortExec {
    fn name(&self) -> &'static str {
        "SortExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.child]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(child), true) => Ok(Arc::new(Self::new(child, self.descending))),
            _ => Err(internal("SortExec has one child")),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let stores = context.session_config().get_extension::<Stores>();
        let stores = stores.ok_or_else(|| internal("the task context has no stores"))?;
        let sort = Sort {
            schema: self.schema(),
            numbering: Numbering::new(&self.schema(), self.descending)?,
            reservation: MemoryConsumer::new("sort").register(context.memory_pool()),
            runs: SortedRuns::new(&stores.storage),
            rows: Vec::new(),
            bytes: 0,
        };
        let input = self.child.execute(partition, context)?;
        let sorted = futures::stream::once(sort.run(input)).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), sorted)))
    }
}

/// A sort in progress.
struct Sort {
    schema: SchemaRef,
    numbering: Numbering,
    reservation: MemoryReservation,
    runs: SortedRuns,
    /// The rows of the next run, and what they take.
    rows: Vec<RecordBatch>,
    bytes: usize,
}

impl Sort {
    async fn run(mut self, mut input: SendableRecordBatchStream) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        while let Some(rows) = input.next().await.transpose()? {
            // A piece that is read again may be larger than what a sort can take.
            for rows in chunk::chunks(&rows, UNCOUNTED_BYTES) {
                self.add(&rows)?;
            }
        }
        let Self { schema, reservation, mut runs, rows, .. } = self;
        let schema_of_out = schema.clone();
        let plain = move |rows: Result<RecordBatch>| without_order(&rows?, &schema_of_out);
        if runs.is_empty() {
            let mut sorted = Vec::new();
            merge::sort(&rows, |piece| {
                sorted.push(Ok(piece));
                Ok(())
            })?;
            // They stay reserved until the last one is handed on.
            let sorted = futures::stream::iter(sorted).map(plain).inspect(move |_| {
                let _ = &reservation;
            });
            return Ok(sorted.boxed());
        }
        runs.add_sorting(&rows)?;
        drop((rows, reservation));
        Ok(futures::stream::iter(runs.merge()?).map(plain).boxed())
    }

    /// Takes rows in. If there is no room for more, those so far become a run.
    fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let rows = self.numbering.add(rows)?;
        self.bytes += COPIES * chunk::row_bytes(&rows, 0..rows.num_rows());
        self.rows.push(rows);
        let is_large = self.bytes > UNCOUNTED_BYTES;
        let has_room = || self.reservation.try_resize(self.bytes - UNCOUNTED_BYTES).is_ok();
        if is_large && (self.bytes >= RUN_BYTES || !has_room()) {
            self.runs.add_sorting(&std::mem::take(&mut self.rows))?;
            self.bytes = 0;
            self.reservation.free();
        }
        Ok(())
    }
}

/// Numbers rows, and writes their keys so that bytes compare as keys do.
struct Numbering {
    keys: KeyOrder,
    schema: SchemaRef,
    next: u64,
}

impl Numbering {
    fn new(schema: &Schema, descending: bool) -> Result<Self> {
        let key = schema.fields().first().ok_or_else(|| internal("rows without a key"))?;
        Ok(Self { keys: KeyOrder::new(key.data_type(), descending)?, schema: with_order(schema), next: 0 })
    }

    fn add(&mut self, rows: &RecordBatch) -> Result<RecordBatch> {
        let keys = rows.columns().first().ok_or_else(|| internal("rows without a key"))?;
        let keys = self.keys.bytes(keys)?;
        let mut order = BinaryBuilder::new();
        let mut bytes = Vec::new();
        for key in &keys {
            bytes.clear();
            bytes.extend_from_slice(key.as_ref());
            bytes.extend_from_slice(&self.next.to_be_bytes());
            order.append_value(&bytes);
            self.next += 1;
        }
        add_order(rows, &self.schema, order.finish())
    }
}
