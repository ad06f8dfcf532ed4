//! The stage graph: the graph cut at shuffles and at shared nodes. It is what runs, and what a checkpoint will hold.
//!
//! Owns the stages and their jobs as plain data; `cut.rs` makes them of a graph. A stage reads rows in partitions, passes them through the plugin's fused steps, and
//! writes them to a shuffle, to a data set, or to the output.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod cut;

use super::node::Node;
use crate::ids::{NodeId, StageId};
use crate::time::{Duration, Time};

/// What a step does with the rows, as `wit/task.wit` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The node's own function on each row.
    Apply,
    /// Pre-aggregation before the shuffle.
    Combine,
    /// Aggregation after the shuffle.
    Reduce,
}

impl Role {
    /// The name that crosses the plugin boundary.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Combine => "combine",
            Self::Reduce => "reduce",
        }
    }
}

/// One thing to do with the rows, and for which node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The node.
    pub node: NodeId,
    /// What to do.
    pub role: Role,
    /// The branch of the stage at which the node's own partitions begin.
    pub first: usize,
}

/// Where rows of a stage come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageInput {
    /// The batch's blocks of a source; a partition each.
    Source {
        /// The source's node.
        node: NodeId,
    },
    /// What another stage wrote to its shuffle.
    Shuffle {
        /// The stage that wrote.
        stage: StageId,
        /// The node that aggregates.
        node: NodeId,
    },
    /// The shuffles that other stages wrote for the parents of a join: see [`StageGraph::writers`].
    Shuffles {
        /// The node that joins.
        node: NodeId,
    },
    /// The data sets of the last batches.
    Window {
        /// The window's node.
        node: NodeId,
        /// The node whose rows they hold.
        parent: NodeId,
        /// How far back they reach.
        length: Duration,
    },
    /// The files that a driver function loads.
    Load {
        /// The node that stands for their rows.
        node: NodeId,
    },
    /// A data set of an earlier batch, or of this.
    Slice {
        /// The node that stands for it.
        node: NodeId,
        /// The node whose rows it holds.
        of: NodeId,
        /// The batch.
        time: Time,
    },
    /// A data set that another stage wrote.
    DataSet {
        /// The node whose rows it holds.
        node: NodeId,
    },
    /// A data set that another stage wrote, in fewer partitions: neighbours are put together.
    Coalesced {
        /// The node that puts them together.
        node: NodeId,
        /// The node whose rows the data set holds.
        of: NodeId,
        /// The most partitions.
        partitions: u32,
    },
}

/// How a shuffle decides which bucket a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// By the key group of its key.
    Key,
    /// In turn.
    Turn,
}

/// Where a stage's rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageOutput {
    /// Into this many buckets.
    Shuffle {
        /// The node that reads the buckets.
        node: NodeId,
        /// The number of buckets.
        partitions: u32,
        /// Which row goes into which.
        by: Distribution,
    },
    /// Into the data-set store, for several readers.
    DataSet {
        /// The node whose rows they are.
        node: NodeId,
    },
    /// To the output operation.
    Result,
}

/// One way into a stage: its partitions come before those of the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Where its rows come from.
    pub input: StageInput,
    /// What the plugin does with them. None at all if they pass as they are.
    pub steps: Vec<Step>,
}

/// What happens to rows between two cuts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Its position in the stage graph.
    pub id: StageId,
    /// The ways into it: several if it unites streams.
    pub branches: Vec<Branch>,
    /// Where its rows go.
    pub output: StageOutput,
    /// The node whose rows it writes, or exchanges if it writes to a shuffle of its own.
    pub node: NodeId,
}

/// An output operation, or a node whose rows are kept, and the stages it needs, each after the ones it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputJob {
    /// The node.
    pub output: NodeId,
    /// The stages. The last one gives the output its rows, or keeps them.
    pub stages: Vec<StageId>,
}

/// All stages of a graph, and the jobs of a batch in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageGraph {
    /// The stages, by position.
    pub stages: Vec<Stage>,
    /// One job for each output, in order of definition.
    pub jobs: Vec<OutputJob>,
    /// What makes the data sets that later windows read, whether an output reads them now or not.
    pub kept: Vec<OutputJob>,
}

impl StageGraph {
    /// The stage that writes the data set of a node.
    pub fn data_set_stage(&self, node: NodeId) -> Option<StageId> {
        data_set_stage(&self.stages, node)
    }

    /// The stages that write the shuffles of `join`, one for each of its parents, in their order. A join of a stream with
    /// itself reads one shuffle twice.
    pub fn writers(&self, join: &Node) -> Option<Vec<StageId>> {
        let writer = |parent: &NodeId| {
            let writes = |stage: &&Stage| {
                let reader = matches!(stage.output, StageOutput::Shuffle { node, .. } if node == join.id);
                reader && stage.node == *parent
            };
            self.stages.iter().find(writes).map(|stage| stage.id)
        };
        join.parents.iter().map(writer).collect()
    }

    /// The stage with this id.
    pub fn stage(&self, id: StageId) -> Option<&Stage> {
        self.stages.get(id.0 as usize)
    }
}

/// The stage that writes the data set of a node.
fn data_set_stage(stages: &[Stage], node: NodeId) -> Option<StageId> {
    stages.iter().find(|stage| stage.output == StageOutput::DataSet { node }).map(|stage| stage.id)
}

#[cfg(test)]
mod tests;
