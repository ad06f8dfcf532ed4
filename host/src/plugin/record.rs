//! The record of what driver functions did: their steps, and the answers.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::answer::Answer;
use super::bindings::exports::millstream::plugin::tasks;
use crate::graph::DescribedNode;
use crate::ids::NodeId;
use crate::time::Time;
use std::sync::Arc;

/// What a driver function did.
#[derive(Clone, Debug)]
pub struct RecordedCall {
    /// The node whose function was called.
    pub node: NodeId,
    /// The id of the first node that it makes.
    pub first: NodeId,
    /// Seeded random numbers in the function.
    pub seed: u64,
    /// What it asked for, in order.
    pub steps: Vec<RecordedStep>,
    /// How it ended, if it has.
    pub end: Option<RecordedEnd>,
}

/// Names what a driver function did in a batch. With the batch, it names the record among all of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordId {
    /// The node whose function was called.
    pub node: NodeId,
    /// The id of the first node that it makes.
    pub first: NodeId,
}

impl RecordedCall {
    /// Its name.
    pub const fn id(&self) -> RecordId {
        RecordId { node: self.node, first: self.first }
    }
}

impl RecordId {
    pub(super) const fn request(self) -> tasks::Replay {
        tasks::Replay { node: self.node.0, first: self.first.0 }
    }
}

/// What a step takes beside what it holds.
const STEP_BYTES: usize = 256;
/// What a node takes in the record, in the graph and in its plan, beside its texts.
const NODE_BYTES: usize = 2048;

/// What nodes that a function made take in memory, about.
pub fn made_bytes(made: &[DescribedNode]) -> usize {
    let fields = |node: &DescribedNode| node.rows.len().saturating_add(node.exchanged.as_ref().map_or(0, Vec::len));
    made.iter()
        .map(|node| {
            let parts = fields(node).saturating_add(node.parameters.len());
            NODE_BYTES.saturating_add(STEP_BYTES.saturating_mul(parts))
        })
        .sum()
}

/// Something that a driver function asked for.
#[derive(Clone, Debug)]
pub enum RecordedStep {
    /// An action.
    Action(RecordedAction),
    /// The data sets of a stream in an interval.
    Slice {
        /// The stream.
        of: NodeId,
        /// Where the interval begins.
        first: Time,
        /// Where it ends.
        last: Time,
        /// The times of the data sets.
        times: Vec<Time>,
    },
    /// A file that it wrote.
    Write {
        /// What the function calls it.
        path: String,
        /// The hash of its content.
        hash: u64,
    },
    /// A file that it read.
    Read {
        /// What the function calls it.
        path: String,
        /// What it held, if it was there.
        content: Option<Arc<[u8]>>,
    },
}

impl RecordedStep {
    /// What the record of it takes in memory, about, but for the rows of an answer, which are stored.
    pub fn bytes(&self) -> usize {
        let bytes = match self {
            Self::Action(action) => made_bytes(&action.made),
            Self::Slice { times, .. } => size_of_val(times.as_slice()),
            Self::Write { path, .. } => path.len(),
            Self::Read { path, content } => {
                path.len().saturating_add(content.as_ref().map_or(0, |content| content.len()))
            }
        };
        bytes.saturating_add(STEP_BYTES)
    }

    pub(super) fn made(&self) -> usize {
        match self {
            Self::Action(action) => action.made.len(),
            _ => 0,
        }
    }

    pub(super) fn to_words(&self) -> String {
        match self {
            Self::Action(action) => format!("the rows of node {}", action.wanted),
            Self::Slice { of, .. } => format!("a slice of node {of}"),
            Self::Write { path, .. } => format!("a write to `{path}`"),
            Self::Read { path, .. } => format!("a read of `{path}`"),
        }
    }
}

/// A data set that a driver function asked for.
#[derive(Clone, Debug)]
pub struct RecordedAction {
    /// What it had made since it asked before.
    pub made: Vec<DescribedNode>,
    /// The data set.
    pub wanted: NodeId,
    /// How many of its rows.
    pub limit: Option<u64>,
    /// The answer: the rows, or none if it was an output. Absent while the data set is computed.
    pub answer: Option<Option<Arc<Answer>>>,
}

/// The end of a driver function.
#[derive(Clone, Debug)]
pub struct RecordedEnd {
    /// What it had made since it asked before.
    pub made: Vec<DescribedNode>,
    /// The data set that it returned.
    pub answer: Option<NodeId>,
}
