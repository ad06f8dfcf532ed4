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
    pub(super) digest: String,
}

impl Plugin {
    /// SHA-256 of the component, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Stops all code of this plugin when used.
    pub fn cancel(&self) -> Cancel {
        self.runtime.cancel()
    }

    /// What one task of this plugin may use.
    pub fn limits(&self) -> &Limits {
        &self.runtime.limits
    }
}
