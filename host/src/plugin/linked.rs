//! [`Plugin`]: a component that is ready to be instantiated.

use super::bindings;
use super::driver::DriverPlugin;
use super::limits::Limits;
use super::runtime::{Cancel, Runtime};
use super::state::TaskState;
use std::sync::Arc;

/// A component that has been checked, compiled and linked.
pub struct Plugin {
    pub(super) pre: bindings::PluginPre<TaskState>,
    pub(super) driver: DriverPlugin,
    pub(super) runtime: Arc<Runtime>,
    /// Stops the plugin code of the run that this value belongs to.
    pub(super) cancel: Cancel,
    pub(super) digest: String,
}

impl Plugin {
    /// The SHA-256 digest of the component, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Returns the same plugin for another run. The plugin code of that run stops when `cancel` is used. Other runs of
    /// the plugin do not matter to it.
    #[must_use]
    pub fn for_run(&self, cancel: Cancel) -> Self {
        let Self { pre, driver, runtime, digest, .. } = self;
        Self { pre: pre.clone(), driver: driver.clone(), runtime: runtime.clone(), digest: digest.clone(), cancel }
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
