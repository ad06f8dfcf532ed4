//! Sorts the rows of a partition by their key, with DataFusion's sort, which spills.
//!
//! Owns the order: keys as Arrow's row format orders them, absent values first, equal keys as they came in. Each row gets
//! one column of bytes more, its key in that format and its number, so that there are no two equal ones and the result
//! depends on the input alone.

use super::leaf::plan_properties;
use arrow::array::{ArrayRef, BinaryBuilder, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_common::{DataFusionError, Result};
use datafusion_execution::memory_pool::FairSpillPool;
use datafusion_execution::runtime_env::RuntimeEnvBuilder;
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion_physical_plan::sorts::sort::SortExec;
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PhysicalExpr, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::StreamExt as _;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The name of the column that rows are sorted by.
const ORDER: &str = "order";

/// What a sort may take before it spills. It is there in any case, beside the budget of stored rows, so that a sort goes
/// on where those have all the memory.
const SORT_BYTES: usize = 32 * 1024 * 1024;
/// The part of it that merging what was spilled takes.
const MERGE_BYTES: usize = 8 * 1024 * 1024;

/// A plan that sorts what `child` gives by its first column.
pub(super) fn sort_by_key(child: Arc<dyn ExecutionPlan>, descending: bool) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = child.schema();
    let numbered: Arc<dyn ExecutionPlan> = Arc::new(OrderExec::new(child, Change::Add { descending })?);
    let by = PhysicalSortExpr::new_default(Arc::new(Column::new(ORDER, schema.fields().len())));
    let ordering = LexOrdering::new([by]).ok_or_else(|| DataFusionError::Internal("nothing to sort by".to_owned()))?;
    let sorted = Arc::new(SortExec::new(ordering, numbered).with_preserve_partitioning(true));
    Ok(Arc::new(OrderExec::new(sorted, Change::Remove)?))
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Add { descending: bool },
    Remove,
}

/// Adds or removes the column that rows are sorted by.
#[derive(Debug)]
struct OrderExec {
    child: Arc<dyn ExecutionPlan>,
    change: Change,
    properties: Arc<PlanProperties>,
}

impl OrderExec {
    fn new(child: Arc<dyn ExecutionPlan>, change: Change) -> Result<Self> {
        let schema = child.schema();
        let schema: SchemaRef = match change {
            Change::Add { .. } => {
                let order = Arc::new(Field::new(ORDER, DataType::Binary, false));
                Arc::new(Schema::new(schema.fields().iter().cloned().chain([order]).collect::<Vec<_>>()))
            }
            Change::Remove => {
                let columns: Vec<usize> = (0..schema.fields().len().saturating_sub(1)).collect();
                Arc::new(schema.project(&columns)?)
            }
        };
        let properties = Arc::new(plan_properties(schema, child.output_partitioning().partition_count()));
        Ok(Self { child, change, properties })
    }
}

impl DisplayAs for OrderExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrderExec: {:?}", self.change)
    }
}

impl ExecutionPlan for OrderExec {
    fn name(&self) -> &'static str {
        "OrderExec"
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
            (Some(child), true) => Ok(Arc::new(Self::new(child, self.change)?)),
            _ => Err(DataFusionError::Internal("OrderExec has one child".to_owned())),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        use datafusion_physical_plan::execution_plan::ChildrenPropertiesMode;
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let context = match self.change {
            Change::Add { .. } => context,
            Change::Remove => with_sort_memory(&context)?,
        };
        let input = self.child.execute(partition, context)?;
        let schema = self.schema();
        let rows = match self.change {
            Change::Add { descending } => {
                let mut numbering = Numbering::new(&self.child.schema(), descending)?;
                input.map(move |rows| numbering.add(&rows?, &schema)).boxed()
            }
            Change::Remove => input.map(move |rows| remove(&rows?, &schema)).boxed(),
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}

/// The same context with memory of its own for a sort.
fn with_sort_memory(context: &TaskContext) -> Result<Arc<TaskContext>> {
    let pool = Arc::new(FairSpillPool::new(SORT_BYTES));
    let runtime = RuntimeEnvBuilder::from_runtime_env(&context.runtime_env()).with_memory_pool(pool).build_arc()?;
    let config = context.session_config().clone().with_sort_spill_reservation_bytes(MERGE_BYTES);
    Ok(Arc::new(TaskContext::new(
        None,
        context.session_id(),
        config,
        HashMap::new(),
        HashMap::new(),
        HashMap::new(),
        HashMap::new(),
        runtime,
    )))
}

fn remove(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = rows.columns()[..schema.fields().len()].to_vec();
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// Numbers rows, and writes their keys so that bytes compare as keys do.
struct Numbering {
    converter: RowConverter,
    next: u64,
}

impl Numbering {
    fn new(schema: &Schema, descending: bool) -> Result<Self> {
        let key = schema.fields().first().ok_or_else(|| DataFusionError::Internal("rows without a key".to_owned()))?;
        let options = arrow::compute::SortOptions { descending, nulls_first: !descending };
        let field = SortField::new_with_options(key.data_type().clone(), options);
        Ok(Self { converter: RowConverter::new(vec![field])?, next: 0 })
    }

    fn add(&mut self, rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
        let keys = self.converter.convert_columns(&rows.columns()[..1])?;
        let mut order = BinaryBuilder::new();
        let mut bytes = Vec::new();
        for key in &keys {
            bytes.clear();
            bytes.extend_from_slice(key.as_ref());
            // The encoding of a key is never the beginning of another's.
            bytes.extend_from_slice(&self.next.to_be_bytes());
            order.append_value(&bytes);
            self.next += 1;
        }
        let order: ArrayRef = Arc::new(order.finish());
        Ok(RecordBatch::try_new(schema.clone(), rows.columns().iter().cloned().chain([order]).collect())?)
    }
}
