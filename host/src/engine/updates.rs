//! The updates of accumulators that the instances of a node of a plan have made.
//!
//! Owns where the updates wait until the attempt is known to have succeeded: in the nodes that run plugin code. A plan
//! is made anew for each attempt, so the updates of an attempt that fails go away with its plan.

use crate::lock::lock;
use crate::variables::{SharedVariables, Updates, VariableError};
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

    /// Takes the updates.
    pub(super) fn take(&self) -> Updates {
        std::mem::take(&mut lock(&self.0))
    }
}
