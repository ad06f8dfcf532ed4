//! [`Plugin`]: a component that is ready to be instantiated.

use super::bindings;
use super::driver::DriverPlugin;
use super::limits::Limits;
use super::runtime::{Cancel, Runtime};
use super::state::TaskState;
use std::sync::Arc;

/// A component that was checked, compiled and linked.
pub struct Plugin {
    pub(super) pre: bindings::PluginPre<TaskState>,
    pub(super) driver: DriverPlugin,
    pub(super) runtime: Arc<Runtime>,
    /// Stops the code of the run that this is for.
    pub(super) cancel: Cancel,
    pub(super) digest: String,
}

impl Plugin {
    /// SHA-256 of the component, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The same plugin for a run of its own: its code stops when that run's `cancel` is used, whatever becomes of other runs
    /// of the plugin.
    #[must_use]
    pub fn for_run(&self, cancel: Cancel) -> Self {
        let Self { pre, driver, runtime, digest, .. } = self;
        Self { pre: pre.clone(), driver: driver.clone(), runtime: runtime.clone(), digest: digest.clone(), cancel }
    }

    /// Stops all plugin code of this plugin's run when used.
    pub fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    /// What one task of this plugin may use.
    pub fn limits(&self) -> &Limits {
        &self.runtime.limits
    }
}
