//! [`Plugin`]: a component that is ready to be instantiated.

use super::bindings;
use super::driver::DriverPlugin;
use super::limits::Limits;
use super::runtime::{Cancel, Runtime};
use super::state::TaskState;
use crate::variables::SharedVariables;
use std::sync::Arc;

/// A component that has been checked, compiled and linked.
pub struct Plugin {
    pub(super) pre: bindings::PluginPre<TaskState>,
    pub(super) driver: DriverPlugin,
    pub(super) runtime: Arc<Runtime>,
    /// Stops the plugin code of the run that this value belongs to.
    pub(super) cancel: Cancel,
    pub(super) digest: String,
    /// The shared variables of the run. `None` if the plugin has no run.
    pub(super) variables: Option<Arc<SharedVariables>>,
}

impl Plugin {
    /// The SHA-256 digest of the component, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Returns the same plugin for another run. The plugin code of that run stops when `cancel` is used, and shares
    /// `variables`. Other runs of the plugin do not matter to it.
    #[must_use]
    pub fn for_run(&self, cancel: Cancel, variables: Arc<SharedVariables>) -> Self {
        let Self { pre, driver, runtime, digest, .. } = self;
        let (pre, driver, runtime, digest) = (pre.clone(), driver.clone(), runtime.clone(), digest.clone());
        Self { pre, driver, runtime, digest, cancel, variables: Some(variables) }
    }

    /// The object that stops all plugin code of this plugin's run.
    pub fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    /// The limits of one task of this plugin.
    pub fn limits(&self) -> &Limits {
        &self.runtime.limits
    }
}
