//! Counts the updates of accumulators: those of an attempt, of its task, and of its stage.
//!
//! Owns which updates count, and in which order they count. The updates of the attempts that succeeded count, in the
//! order of partitions, when all tasks of their stage have succeeded.

use super::JobRequest;
use super::plugin_exec::PluginExec;
use super::reduce::ReduceExec;
use super::state::StateExec;
use super::updates::UpdatesOfNode;
use crate::error::{Error, ErrorKind};
use crate::graph::Stage;
use crate::listener::PluginUse;
use crate::variables::{SharedVariables, Updates, VariableError};
use datafusion_physical_plan::ExecutionPlan;
use std::sync::Arc;

/// Takes the updates that the nodes of a plan hold, those of the first nodes first.
///
/// # Errors
/// If the updates of two nodes do not fit together.
pub(super) fn take_updates(
    plan: &Arc<dyn ExecutionPlan>,
    variables: &SharedVariables,
) -> Result<Updates, VariableError> {
    let mut all = Updates::default();
    for child in plan.children() {
        variables.collect(&mut all, take_updates(child, variables)?)?;
    }
    variables.collect(&mut all, of_node(plan).map(UpdatesOfNode::take).unwrap_or_default())?;
    Ok(all)
}

/// What the instances of all nodes of a plan have used.
pub(super) fn plugin_use(plan: &Arc<dyn ExecutionPlan>) -> PluginUse {
    let mut all = of_node(plan).map(UpdatesOfNode::used).unwrap_or_default();
    plan.children().into_iter().for_each(|child| all.add(plugin_use(child)));
    all
}

/// What a node of a plan holds; `None` if the node runs no code of the plugin.
fn of_node(plan: &Arc<dyn ExecutionPlan>) -> Option<&UpdatesOfNode> {
    let node: &dyn ExecutionPlan = &**plan;
    let own = node.downcast_ref::<PluginExec>().map(|node| &node.work().updates);
    let own = own.or_else(|| node.downcast_ref::<ReduceExec>().map(|node| &node.work().updates));
    own.or_else(|| node.downcast_ref::<StateExec>().map(|node| &node.work().updates))
}

/// The updates of the tasks of a stage.
pub(super) struct StageUpdates<'a> {
    variables: &'a SharedVariables,
    request: &'a JobRequest,
    stage: &'a Stage,
    updates: Updates,
}

impl<'a> StageUpdates<'a> {
    pub(super) fn new(variables: &'a SharedVariables, request: &'a JobRequest, stage: &'a Stage) -> Self {
        Self { variables, request, stage, updates: Updates::default() }
    }

    /// Adds the updates of a task. Tasks are added in the order of partitions.
    ///
    /// # Errors
    /// If the updates do not fit those of the tasks before.
    pub(super) fn add(&mut self, task: Updates) -> Result<(), Error> {
        self.variables.collect(&mut self.updates, task).map_err(|error| self.not_counted(&error))
    }

    /// Counts the updates of the stage, whose tasks have all succeeded.
    ///
    /// # Errors
    /// If an update does not fit its accumulator.
    pub(super) fn count(&mut self) -> Result<(), Error> {
        let updates = std::mem::take(&mut self.updates);
        if updates.is_empty() {
            return Ok(());
        }
        self.variables.count(updates).map_err(|error| self.not_counted(&error))
    }

    fn not_counted(&self, error: &VariableError) -> Error {
        let node = self.stage.node;
        let node = self.request.plan.graph.node(node).map_or_else(|| format!("node {node}"), ToString::to_string);
        let batch = self.request.batch;
        let message = format!("the updates of accumulators up to {node} cannot be counted on batch {batch}: {error}");
        let kind = match error {
            VariableError::NotKept { .. } => ErrorKind::Unavailable,
            _ => ErrorKind::Plugin,
        };
        Error::new(kind, message)
            .help("fix the plugin, or set job.on_error = \"continue\" to go on with the next batch")
    }
}
