//! The updates of accumulators that an attempt at a task has made.
//!
//! Owns where the updates wait until the attempt is known to have succeeded: in the nodes of its plan that run plugin code. A
//! plan is made anew for each attempt, so the updates of an attempt that fails go away with its plan.

use super::JobRequest;
use super::embedded::Shared;
use super::plugin_exec::PluginExec;
use super::reduce::ReduceExec;
use crate::error::{Error, ErrorKind};
use crate::graph::Stage;
use crate::lock::lock;
use crate::variables::{SharedVariables, Updates, VariableError};
use datafusion_physical_plan::ExecutionPlan;
use std::sync::{Arc, Mutex};

/// The updates of the instances that have run for one node of a plan. Clones are the same updates.
#[derive(Clone, Debug, Default)]
pub(super) struct UpdatesOfNode(Arc<Mutex<Updates>>);

impl UpdatesOfNode {
    /// Adds the updates of an instance that has finished.
    ///
    /// # Errors
    /// If the updates do not fit those of the instances before.
    pub(super) fn add(&self, variables: &SharedVariables, updates: Updates) -> Result<(), VariableError> {
        if updates.is_empty() { Ok(()) } else { variables.collect(&mut lock(&self.0), updates) }
    }

    fn take(&self) -> Updates {
        std::mem::take(&mut lock(&self.0))
    }
}

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
    let node: &dyn ExecutionPlan = &**plan;
    let own = node.downcast_ref::<PluginExec>().map(|node| node.work().updates.take());
    let own = own.or_else(|| node.downcast_ref::<ReduceExec>().map(|node| node.work().updates.take()));
    variables.collect(&mut all, own.unwrap_or_default())?;
    Ok(all)
}

impl Shared {
    /// Adds the updates of a task to those of its stage. Tasks are taken in the order of partitions.
    ///
    /// # Errors
    /// If the updates do not fit those of the tasks before.
    pub(super) fn collect(
        &self,
        request: &JobRequest,
        stage: &Stage,
        all: &mut Updates,
        task: Updates,
    ) -> Result<(), Error> {
        self.variables.collect(all, task).map_err(|error| not_counted(request, stage, &error))
    }

    /// Counts the updates of a stage whose tasks have all succeeded.
    ///
    /// # Errors
    /// If an update does not fit its accumulator.
    pub(super) fn count(&self, request: &JobRequest, stage: &Stage, updates: Updates) -> Result<(), Error> {
        if updates.is_empty() {
            return Ok(());
        }
        self.variables.count(updates).map_err(|error| not_counted(request, stage, &error))
    }
}

/// The error of updates that cannot be counted.
fn not_counted(request: &JobRequest, stage: &Stage, error: &VariableError) -> Error {
    let node = request.plan.graph.node(stage.node).map_or_else(|| format!("node {}", stage.node), ToString::to_string);
    let message =
        format!("the updates of accumulators up to {node} cannot be counted on batch {}: {error}", request.batch);
    let kind = match error {
        VariableError::NotKept { .. } => ErrorKind::Unavailable,
        _ => ErrorKind::Plugin,
    };
    Error::new(kind, message).help("fix the plugin, or set job.on_error = \"continue\" to go on with the next batch")
}
