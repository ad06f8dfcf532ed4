//! The record of a driver function's run: its steps and the answers to them.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::answer::Answer;
use super::bindings::exports::millstream::plugin::tasks;
use crate::block::OffsetRange;
use crate::graph::DescribedNode;
use crate::ids::NodeId;
use crate::time::Time;
use crate::variables::VariableAnswer;
use std::sync::Arc;

/// The record of one call of a driver function.
#[derive(Clone, Debug)]
pub struct RecordedCall {
    /// The node whose function was called.
    pub node: NodeId,
    /// The id of the first node that the function makes.
    pub first: NodeId,
    /// The seed of random numbers in the function.
    pub seed: u64,
    /// The steps of the function, in order: everything that it asked the host for.
    pub steps: Vec<RecordedStep>,
    /// How the function ended. `None` if it still runs.
    pub end: Option<RecordedEnd>,
}

/// Identifies the record of a call in a batch. Together with the batch, it identifies the record among all records of a
/// run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordId {
    /// The node whose function was called.
    pub node: NodeId,
    /// The id of the first node that the function makes.
    pub first: NodeId,
}

impl RecordedCall {
    /// The id of this record.
    pub const fn id(&self) -> RecordId {
        RecordId { node: self.node, first: self.first }
    }
}

impl RecordId {
    pub(super) const fn request(self) -> tasks::Replay {
        tasks::Replay { node: self.node.0, first: self.first.0 }
    }
}

/// The memory of a step besides its content.
const STEP_BYTES: usize = 256;
/// The memory of a node besides its texts: in the record, in the graph and in its plan.
const NODE_BYTES: usize = 2048;

/// About how much memory nodes take that a function has made.
pub fn made_bytes(made: &[DescribedNode]) -> usize {
    let fields = |node: &DescribedNode| {
        let others = [&node.exchanged, &node.state].into_iter().flatten().map(Vec::len);
        others.fold(node.rows.len(), usize::saturating_add)
    };
    made.iter()
        .map(|node| {
            let parts = fields(node).saturating_add(node.parameters.len());
            NODE_BYTES.saturating_add(STEP_BYTES.saturating_mul(parts))
        })
        .sum()
}

/// A step: something that a driver function asked the host for.
#[derive(Clone, Debug)]
pub enum RecordedStep {
    /// An action.
    Action(RecordedAction),
    /// The data sets of a stream in an interval.
    Slice {
        /// The node of the stream.
        of: NodeId,
        /// The first time of the interval.
        first: Time,
        /// The last time of the interval.
        last: Time,
        /// The times of the data sets.
        times: Vec<Time>,
    },
    /// A file that the function wrote.
    Write {
        /// The path by which the function names the file.
        path: String,
        /// The hash of the file's content.
        hash: u64,
    },
    /// A file that the function read.
    Read {
        /// The path by which the function names the file.
        path: String,
        /// The content of the file; `None` if the file did not exist.
        content: Option<Arc<[u8]>>,
    },
    /// The ranges that the batch reads from a source.
    Ranges {
        /// The source.
        source: String,
        /// The ranges.
        ranges: Vec<OffsetRange>,
    },
    /// Ranges of which the function told the consumer group of a source.
    Commit {
        /// The source.
        source: String,
        /// The ranges.
        ranges: Vec<OffsetRange>,
    },
    /// A call for a shared variable.
    Variable {
        /// What the function asked for, in words.
        asked: String,
        /// A hash of the request.
        hash: u64,
        /// The answer.
        answer: VariableAnswer,
    },
}

impl RecordedStep {
    /// About how much memory the record of the step takes. The rows of an answer are not counted, because they are in
    /// the storage.
    pub fn bytes(&self) -> usize {
        let bytes = match self {
            Self::Action(action) => made_bytes(&action.made),
            Self::Slice { times, .. } => size_of_val(times.as_slice()),
            Self::Write { path, .. } => path.len(),
            Self::Ranges { source, ranges } | Self::Commit { source, ranges } => {
                let topics = ranges.iter().map(|range| range.topic.len().saturating_add(size_of::<OffsetRange>()));
                topics.fold(source.len(), usize::saturating_add)
            }
            Self::Variable { asked, .. } => asked.len(),
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
            Self::Ranges { source, .. } => format!("the ranges of source `{source}`"),
            Self::Commit { source, .. } => format!("a commit of offsets of source `{source}`"),
            Self::Variable { asked, .. } => asked.clone(),
        }
    }
}

/// A data set that a driver function asked for.
#[derive(Clone, Debug)]
pub struct RecordedAction {
    /// The nodes that the function had made since its last step.
    pub made: Vec<DescribedNode>,
    /// The node of the data set.
    pub wanted: NodeId,
    /// The number of rows that the function asked for; `None` means all.
    pub limit: Option<u64>,
    /// The answer: the rows, or `Some(None)` if the node is an output. `None` while the data set is computed.
    pub answer: Option<Option<Arc<Answer>>>,
}

/// The end of a driver function.
#[derive(Clone, Debug)]
pub struct RecordedEnd {
    /// The nodes that the function had made since its last step.
    pub made: Vec<DescribedNode>,
    /// The data set that the function returned. `None` if it returned none.
    pub answer: Option<NodeId>,
}
