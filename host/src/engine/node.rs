//! [`PlanNode`]: a node of a DataFusion plan. The [`Work`] of a node is what differs from other nodes.

use super::internal;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion_common::Result;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_expr::EquivalenceProperties;
use datafusion_physical_plan::execution_plan::{Boundedness, ChildrenPropertiesMode, EmissionType};
use datafusion_physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties, ReplaceChildrenOptions,
};
use futures::stream::BoxStream;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// A stream of rows.
pub(super) type Rows = BoxStream<'static, Result<RecordBatch>>;

/// The work that a node of a plan does.
pub(super) trait Work: fmt::Debug + Send + Sync + 'static {
    /// The name of the nodes that do this work.
    const NAME: &'static str;

    /// Writes the details that follow the name when a plan is printed.
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// Makes the rows of one partition.
    ///
    /// # Errors
    /// Returns an error if the context of the task lacks something that the work needs.
    fn run(&self, execution: Execution<'_>) -> Result<Rows>;
}

/// The execution of a node on one partition.
pub(super) struct Execution<'a> {
    /// The partition.
    pub(super) partition: usize,
    /// The context of the task.
    pub(super) context: Arc<TaskContext>,
    /// The columns of the rows that the node makes.
    pub(super) schema: SchemaRef,
    /// Metrics that count the rows.
    pub(super) metrics: &'a ExecutionPlanMetricsSet,
    children: &'a [Arc<dyn ExecutionPlan>],
}

impl Execution<'_> {
    /// An extension that the engine has put into the context of the task.
    ///
    /// # Errors
    /// Returns an error if there is no such extension. `what` names the extension in the error.
    pub(super) fn extension<T: Any + Send + Sync>(&self, what: &str) -> Result<Arc<T>> {
        let found = self.context.session_config().get_extension::<T>();
        found.ok_or_else(|| internal(&format!("the task context has no {what}")))
    }

    /// The rows of each child, in order.
    ///
    /// # Errors
    /// Returns an error if a child cannot be executed.
    pub(super) fn inputs(&self) -> Result<Vec<SendableRecordBatchStream>> {
        self.children.iter().map(|child| child.execute(self.partition, self.context.clone())).collect()
    }

    /// The rows of the only child.
    ///
    /// # Errors
    /// Returns an error if there is not exactly one child, or if the child cannot be executed.
    pub(super) fn input(&self) -> Result<SendableRecordBatchStream> {
        match self.children {
            [child] => child.execute(self.partition, self.context.clone()),
            _ => Err(internal("the node has one child")),
        }
    }
}

/// A node of a DataFusion plan. Its partitions are independent and finite.
#[derive(Debug)]
pub(super) struct PlanNode<W> {
    work: Arc<W>,
    children: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl<W: Work> PlanNode<W> {
    /// Makes a node that does `work` and makes rows with the columns of `schema`, in `partitions` partitions.
    pub(super) fn of(work: W, children: Vec<Arc<dyn ExecutionPlan>>, schema: SchemaRef, partitions: usize) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            work: Arc::new(work),
            children,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The work that the node does.
    pub(super) fn work(&self) -> &W {
        &self.work
    }
}

impl<W: Work> DisplayAs for PlanNode<W> {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", W::NAME)?;
        self.work.describe(f)
    }
}

impl<W: Work> ExecutionPlan for PlanNode<W> {
    fn name(&self) -> &'static str {
        W::NAME
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
            return Err(internal(&format!("{} keeps the number of its children", W::NAME)));
        }
        let (work, properties) = (self.work.clone(), self.properties.clone());
        Ok(Arc::new(Self { work, children, properties, metrics: ExecutionPlanMetricsSet::new() }))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let (metrics, children) = (&self.metrics, self.children.as_slice());
        let rows = self.work.run(Execution { partition, context, schema: schema.clone(), metrics, children })?;
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
