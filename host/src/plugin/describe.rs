//! Asks a plugin for its graph.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::bindings::exports::millstream::plugin::program;
use super::failure::Failure;
use super::instance::Instance;
use super::linked::Plugin;
use super::nodes::node;
use super::state::TaskState;
use super::words::foreign;
use crate::graph::DescribedNode;

impl Plugin {
    /// Calls `describe` with the job's arguments, within the limits of a task.
    ///
    /// # Errors
    /// If plugin code fails or refuses the call.
    pub fn describe(&self, arguments: &[(String, String)]) -> Result<Vec<DescribedNode>, Failure> {
        let mut instance = Instance::new(self, TaskState::new(&self.runtime, self.cancel(), None))?;
        let described =
            instance.call(|bindings, store| bindings.millstream_plugin_program().call_describe(store, arguments))?;
        match described {
            Ok(graph) => Ok(graph.nodes.into_iter().map(node).collect()),
            Err(program::DescribeError::Argument((name, why))) => {
                Err(Failure::Refused(foreign(&format!("argument `{name}`: {why}"))))
            }
            Err(program::DescribeError::Invalid(why)) => Err(Failure::Refused(foreign(&why))),
        }
    }
}
