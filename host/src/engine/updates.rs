//! The updates of accumulators that the instances of a node of a plan have made, and what these instances have used.
//!
//! Owns where both wait until the attempt is known to have succeeded: in the nodes that run plugin code. A plan
//! is made anew for each attempt, so both go away with the plan of an attempt that fails.

use crate::listener::PluginUse;
use crate::lock::lock;
use crate::variables::{SharedVariables, Updates, VariableError};
use std::sync::{Arc, Mutex};

/// The updates of the instances that have run for one node of a plan. Clones are the same updates.
#[derive(Clone, Debug, Default)]
pub(super) struct UpdatesOfNode(Arc<Mutex<(Updates, PluginUse)>>);

impl UpdatesOfNode {
    /// Adds the updates of an instance that has finished, and what the instance has used.
    ///
    /// # Errors
    /// If the updates do not fit those of the instances before.
    pub(super) fn add(
        &self,
        variables: &SharedVariables,
        updates: Updates,
        used: PluginUse,
    ) -> Result<(), VariableError> {
        let mut held = lock(&self.0);
        let (all, of_all) = &mut *held;
        of_all.add(used);
        if updates.is_empty() { Ok(()) } else { variables.collect(all, updates) }
    }

    /// Takes the updates.
    pub(super) fn take(&self) -> Updates {
        std::mem::take(&mut lock(&self.0).0)
    }

    /// What the instances have used.
    pub(super) fn used(&self) -> PluginUse {
        lock(&self.0).1
    }
}
