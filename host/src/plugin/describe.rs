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

/// What a plugin says of its program.
pub struct Description {
    /// The nodes of the graph.
    pub nodes: Vec<DescribedNode>,
    /// The arguments that the program has read; `None` if the plugin does not say it.
    pub arguments_read: Option<Vec<String>>,
}

impl Plugin {
    /// Calls `describe` with the job's arguments, within the limits of a task.
    ///
    /// # Errors
    /// If plugin code fails or refuses the call.
    pub fn describe(&self, arguments: &[(String, String)]) -> Result<Description, Failure> {
        let mut instance = Instance::new(self, TaskState::new(&self.runtime, self.cancel(), None))?;
        let described =
            instance.call(|bindings, store| bindings.millstream_plugin_program().call_describe(store, arguments))?;
        match described {
            Ok(graph) => {
                let nodes = graph.nodes.into_iter().map(node).collect();
                Ok(Description { nodes, arguments_read: instance.state().arguments_read.take() })
            }
            Err(program::DescribeError::Argument((name, why))) => {
                Err(Failure::Argument { name: foreign(&name), why: foreign(&why) })
            }
            Err(program::DescribeError::Invalid(why)) => Err(Failure::Refused(foreign(&why))),
        }
    }
}
