//! The stage graph: the graph cut at shuffles and at shared nodes. The engine runs the stage graph.
//!
//! Owns the stages and their jobs as plain data; `cut.rs` makes them from a graph. A stage reads rows in partitions,
//! passes them through the plugin's fused steps, and writes them to a shuffle, to a data set, or to the output.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod cut;

use super::node::Node;
use super::operation::StateForm;
use crate::ids::{NodeId, StageId};
use crate::time::{Duration, Time};

/// What a step does with the rows. The names are those of `wit/task.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The node's own function on each row.
    Apply,
    /// Pre-aggregation before the shuffle.
    Combine,
    /// Aggregation after the shuffle.
    Reduce,
    /// The initial state of a stateful node.
    Initial,
    /// Converts states that an earlier version of the plugin has left.
    Migrate,
    /// The change of state by new values.
    State(StateForm),
}

impl Role {
    /// The name in the plugin interface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Combine => "combine",
            Self::Reduce => "reduce",
            Self::Initial => "initial",
            Self::Migrate => "migrate",
            Self::State(StateForm::Keys) => "update",
            Self::State(StateForm::Partitions) => "update_partition",
            Self::State(StateForm::Records) => "map_with_state",
            Self::State(StateForm::Window) => "inverse",
        }
    }
}

/// One operation of a stage, and the node that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The node.
    pub node: NodeId,
    /// The role of the step.
    pub role: Role,
    /// The branch of the stage at which the partitions of the node begin.
    pub first: usize,
}

/// Where the rows of a stage come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageInput {
    /// The batch's blocks of a source. Each block is a partition.
    Source {
        /// The node of the source.
        node: NodeId,
    },
    /// The rows that another stage wrote to its shuffle.
    Shuffle {
        /// The stage that wrote the shuffle.
        stage: StageId,
        /// The node that aggregates.
        node: NodeId,
    },
    /// The shuffles that other stages wrote for the parents of a join: see [`StageGraph::writers`].
    Shuffles {
        /// The join node.
        node: NodeId,
    },
    /// The data sets of the last batches.
    Window {
        /// The node of the window.
        node: NodeId,
        /// The node whose rows the data sets hold.
        parent: NodeId,
        /// The length of the window.
        length: Duration,
    },
    /// The data sets of the last batches that leave and enter a window, by key: see [`StateForm::Window`].
    Sliding {
        /// The stateful node.
        node: NodeId,
        /// The node whose rows the data sets hold.
        parent: NodeId,
        /// The length of the window.
        length: Duration,
    },
    /// All keys and states of a stateful node, whose stage has run in this batch.
    State {
        /// The node that stands for the keys and states.
        node: NodeId,
        /// The stateful node.
        of: NodeId,
    },
    /// Files that a driver function loads.
    Load {
        /// The node that stands for the rows of the files.
        node: NodeId,
    },
    /// A data set of an earlier batch or of the current batch.
    Slice {
        /// The node that stands for the data set.
        node: NodeId,
        /// The node whose rows the data set holds.
        of: NodeId,
        /// The batch.
        time: Time,
    },
    /// One partition without rows.
    Empty {
        /// The node that stands for the partition.
        node: NodeId,
    },
    /// A data set that another stage wrote.
    DataSet {
        /// The node whose rows the data set holds.
        node: NodeId,
    },
    /// A data set that another stage wrote, in fewer partitions: neighbouring partitions are put together.
    Coalesced {
        /// The node that puts the partitions together.
        node: NodeId,
        /// The node whose rows the data set holds.
        of: NodeId,
        /// The largest number of partitions.
        partitions: u32,
    },
}

/// How a shuffle chooses the bucket of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// By the key group of the row's key.
    Key,
    /// Each row goes to the next bucket, in turn.
    Turn,
}

/// Where the rows of a stage go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageOutput {
    /// Into the buckets of a shuffle.
    Shuffle {
        /// The node that reads the buckets.
        node: NodeId,
        /// The number of buckets.
        partitions: u32,
        /// How the bucket of a row is chosen.
        by: Distribution,
    },
    /// Into the data-set store, for several readers.
    DataSet {
        /// The node that made the rows.
        node: NodeId,
    },
    /// To the output operation.
    Result,
}

/// One input of a stage, with its steps. The partitions of a branch come before those of the next branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Where the rows of the branch come from.
    pub input: StageInput,
    /// The steps that the plugin runs on the rows. Empty if the rows pass unchanged.
    pub steps: Vec<Step>,
}

/// A stage: the work on rows between two cuts of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The position of the stage in the stage graph.
    pub id: StageId,
    /// The branches of the stage. There are several if the stage unites streams.
    pub branches: Vec<Branch>,
    /// Where the rows of the stage go.
    pub output: StageOutput,
    /// The node whose rows the stage writes. If the stage writes to its own shuffle: the node that the shuffle belongs
    /// to.
    pub node: NodeId,
}

/// A job: an output operation, or a node whose rows are kept, with the stages that it needs. Each stage comes after the
/// stages that it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputJob {
    /// The node of the output, or the node whose rows are kept.
    pub output: NodeId,
    /// The stages. The last stage gives the output its rows, or keeps the rows.
    pub stages: Vec<StageId>,
}

/// All stages of a graph, and the jobs of a batch in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageGraph {
    /// The stages, by position.
    pub stages: Vec<Stage>,
    /// One job for each output, in order of definition.
    pub jobs: Vec<OutputJob>,
    /// The jobs that make the data sets that later windows read, whether or not an output reads them now.
    pub kept: Vec<OutputJob>,
}

impl Stage {
    /// The stateful node whose state the stage changes. `None` if the stage changes no state.
    pub fn stateful(&self) -> Option<NodeId> {
        let steps = self.branches.iter().filter_map(|branch| branch.steps.first());
        steps.filter(|step| matches!(step.role, Role::State(_))).map(|step| step.node).next()
    }
}

impl StageGraph {
    /// The stage that writes the data set of a node; `None` if there is none.
    pub fn data_set_stage(&self, node: NodeId) -> Option<StageId> {
        data_set_stage(&self.stages, node)
    }

    /// The stages that write the shuffles of `join`, one for each of its parents, in the order of the parents. If a
    /// stream is joined with itself, the same stage appears twice.
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

/// The stage that writes the data set of a node; `None` if there is none.
fn data_set_stage(stages: &[Stage], node: NodeId) -> Option<StageId> {
    stages.iter().find(|stage| stage.output == StageOutput::DataSet { node }).map(|stage| stage.id)
}

#[cfg(test)]
mod tests;
