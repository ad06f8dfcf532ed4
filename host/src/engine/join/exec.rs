//! The plan node that joins: a leaf for each parent below it.

use super::input::Input;
use super::run::Run;
use super::{Join, internal};
use crate::block::Storage;
use crate::engine::leaf::plan_properties;
use crate::memory::MemoryBudget;
use datafusion_common::Result;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_execution::memory_pool::MemoryConsumer;
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_plan::execution_plan::ChildrenPropertiesMode;
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties, ReplaceChildrenOptions,
};
use std::fmt;
use std::sync::Arc;

/// The least and the most that a part may take.
const PART_BYTES_MIN: usize = 64 * 1024;
const PART_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a join takes in any case, so that it goes on where stored rows have all the memory: a part of the least size.
pub(super) const UNCOUNTED_BYTES: usize = 2 * PART_BYTES_MIN;

/// Where joins keep rows: an extension of the task context.
pub(in crate::engine) struct JoinRoom {
    /// Where parts are.
    pub(in crate::engine) storage: Storage,
    /// What a part may take of the memory.
    pub(super) part_bytes: usize,
}

impl JoinRoom {
    /// A part takes at most 8 MiB, and less where `slots` tasks would take more than half of what is left beside the
    /// stored rows.
    pub(in crate::engine) fn new(storage: Storage, budget: &MemoryBudget, slots: usize) -> Self {
        let part_bytes = (budget.for_data() / 8 / slots.max(1)).clamp(PART_BYTES_MIN, PART_BYTES_MAX);
        Self { storage, part_bytes }
    }
}

/// Joins the rows of its children.
#[derive(Debug)]
pub(in crate::engine) struct JoinExec {
    children: Vec<Arc<dyn ExecutionPlan>>,
    join: Arc<Join>,
    properties: Arc<PlanProperties>,
}

impl JoinExec {
    pub(in crate::engine) fn new(children: Vec<Arc<dyn ExecutionPlan>>, join: Arc<Join>) -> Self {
        let properties = Arc::new(plan_properties(join.schema.clone(), 1));
        Self { children, join, properties }
    }
}

impl DisplayAs for JoinExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinExec: {:?}", self.join.kind)
    }
}

impl ExecutionPlan for JoinExec {
    fn name(&self) -> &'static str {
        "JoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.children.iter().collect()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.len() != self.children.len() {
            return Err(internal("a join keeps the number of its children"));
        }
        Ok(Arc::new(Self::new(children, self.join.clone())))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let room = context
            .session_config()
            .get_extension::<JoinRoom>()
            .ok_or_else(|| internal("the task context has no room for joins"))?;
        let reservation = MemoryConsumer::new(self.join.kind.name()).register(context.memory_pool());
        let input = |child: &Arc<dyn ExecutionPlan>| {
            Ok(Input::stream(child.execute(partition, context.clone())?, room.part_bytes))
        };
        let inputs = self.children.iter().map(input).collect::<Result<_>>()?;
        let run = Run::new(self.join.clone(), room.clone(), reservation, inputs);
        let stream =
            futures::stream::try_unfold(run, |mut run| async move { Ok(run.next().await?.map(|batch| (batch, run))) });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }
}
