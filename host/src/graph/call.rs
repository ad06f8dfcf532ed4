//! Calls of driver functions: the nodes that they add to the graph of a batch.
//!
//! Owns the rules for such nodes. They come after all other nodes. They read the parents of the function's own node, or
//! nodes of the same call. They are checked in the same way as the nodes of the job. The job's own graph never changes.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::described::DescribedNode;
use super::error::GraphError;
use super::node::Node;
use super::operation::Operation;
use super::program::{Call, Graph};
use super::validate::check_made;
use crate::data::schema::RecordType;
use crate::ids::NodeId;

/// The largest number of nodes that one call may make.
const NODES_MAX: usize = 2000;

/// Why the nodes of a driver function are not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The node has no driver function, or the function was not called.
    #[error("node {0} has no driver function")]
    NoFunction(NodeId),
    /// The function made too many nodes.
    #[error("it made more than {NODES_MAX} data sets")]
    TooMany,
    /// One node is invalid in itself.
    #[error(transparent)]
    Node(#[from] GraphError),
    /// The function names a data set that does not belong to it.
    #[error("it names node {0}, which is neither a data set that it got nor one that it made")]
    Unknown(NodeId),
    /// A `transform` returned no data set, or a `foreach_rdd` returned one.
    #[error("it returned {}", if *.0 { "no data set" } else { "a data set, but only a `transform` may return one" })]
    Answer(bool),
    /// A slice of a node that is not a stream of the program.
    #[error("it names node {0}, which is not a stream of the program")]
    NoStream(NodeId),
    /// The returned rows have another type than the graph says.
    #[error("it returned rows of type {found}, not {expected}")]
    Type {
        /// The type of the returned rows.
        found: String,
        /// The type that the graph describes.
        expected: String,
    },
}

fn mismatch(found: Option<&RecordType>, expected: Option<&RecordType>) -> CallError {
    let show = |ty: Option<&RecordType>| ty.map_or("none".to_owned(), ToString::to_string);
    CallError::Type { found: show(found), expected: show(expected) }
}

impl Graph {
    /// The calls so far, in order.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// The call that made this node; `None` if no call made it.
    pub fn call_of(&self, id: NodeId) -> Option<&Call> {
        self.calls.iter().find(|call| call.has_made(id))
    }

    /// The `transform`s that this node needs, directly or through other nodes, in an order in which they can run.
    pub fn transforms_before(&self, id: NodeId) -> Vec<NodeId> {
        let mut needed = vec![false; self.nodes.len()];
        if let Some(needed) = needed.get_mut(id.0 as usize) {
            *needed = true;
        }
        let mut found = Vec::new();
        for node in self.order().into_iter().rev().filter_map(|id| self.node(id)) {
            if needed[node.id.0 as usize] {
                node.parents.iter().for_each(|parent| needed[parent.0 as usize] = true);
                if node.operation == Operation::Transform && node.id != id {
                    found.push(node.id);
                }
            }
        }
        found.reverse();
        found
    }

    /// All nodes, each after the nodes that it reads. The nodes of a call come before the node whose function was
    /// called.
    pub fn order(&self) -> Vec<NodeId> {
        let of_job = self.calls.first().map_or(self.nodes.len(), |call| call.first.0 as usize);
        let mut order = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes[..of_job] {
            for call in self.calls.iter().filter(|call| call.node == node.id) {
                order.extend((0..call.made).map(|at| NodeId(call.first.0.saturating_add(at))));
            }
            order.push(node.id);
        }
        order
    }

    /// Whether the rows of this node are kept, because several nodes or a driver function read them.
    pub(super) fn is_shared(&self, id: NodeId) -> bool {
        let for_driver = |node: &Node| node.operation.is_driver() && node.parents.contains(&id);
        self.consumers(id) > 1
            || self.nodes.iter().any(for_driver)
            || self.calls.iter().any(|call| call.parents.contains(&id))
    }

    /// Begins a call of the function of `node` and returns the id of the first node that it makes.
    ///
    /// # Errors
    /// If the node has no driver function.
    pub fn begin_call(&mut self, node: NodeId) -> Result<NodeId, CallError> {
        let first = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        let driver = self.node(node).filter(|node| node.operation.is_driver()).ok_or(CallError::NoFunction(node))?;
        let call = Call { node, first, parents: driver.parents.clone(), made: 0 };
        self.calls.push(call);
        Ok(first)
    }

    /// Checks and adds the nodes that the last call has made.
    ///
    /// # Errors
    /// The first problem. Nodes before the problem stay in the graph.
    pub fn extend(&mut self, made: &[DescribedNode]) -> Result<(), CallError> {
        for described in made {
            let call = self.calls.last().ok_or(CallError::TooMany)?;
            if call.made as usize >= NODES_MAX {
                return Err(CallError::TooMany);
            }
            let before = |id: u32| {
                let id = NodeId(id);
                call.may_read(id).then(|| self.node(id))
            };
            let node = check_made(self.nodes.len(), described, &before)?;
            if let Operation::Slice { of, .. } = node.operation {
                let stream = self.stream(of)?;
                if stream.rows != node.rows {
                    return Err(mismatch(node.rows.as_ref(), stream.rows.as_ref()));
                }
            }
            self.nodes.push(node);
            if let Some(call) = self.calls.last_mut() {
                call.made = call.made.saturating_add(1);
            }
        }
        Ok(())
    }

    /// The stream of the program with this id.
    ///
    /// # Errors
    /// If there is no such node, or if the node is an output or was made by a driver function.
    pub fn stream(&self, id: NodeId) -> Result<&Node, CallError> {
        let of_program = self.calls.first().is_none_or(|call| id < call.first);
        self.node(id).filter(|node| of_program && node.rows.is_some()).ok_or(CallError::NoStream(id))
    }

    /// Checks that the last call may name this node as a result.
    ///
    /// # Errors
    /// If the call may not name the node.
    pub fn check_wanted(&self, id: NodeId) -> Result<(), CallError> {
        match self.calls.last() {
            Some(call) if call.may_read(id) => Ok(()),
            _ => Err(CallError::Unknown(id)),
        }
    }

    /// Ends the last call. From here on, the node of a `transform` stands for the data set that its function returned.
    ///
    /// # Errors
    /// If the function returned a node that it may not return.
    pub fn end_call(&mut self, answer: Option<NodeId>) -> Result<(), CallError> {
        let Some(call) = self.calls.last() else { return Err(CallError::TooMany) };
        let node = self.node(call.node).ok_or(CallError::NoFunction(call.node))?;
        let answer = match (&node.operation, answer) {
            (Operation::Transform, Some(answer)) => answer,
            (Operation::Transform, None) => return Err(CallError::Answer(true)),
            (_, Some(_)) => return Err(CallError::Answer(false)),
            (_, None) => return Ok(()),
        };
        self.check_wanted(answer)?;
        let found = self.node(answer).and_then(|node| node.rows.as_ref());
        if found != node.rows.as_ref() {
            return Err(mismatch(found, node.rows.as_ref()));
        }
        let at = call.node.0 as usize;
        self.nodes[at].operation = Operation::Union;
        self.nodes[at].parents = vec![answer];
        Ok(())
    }
}
