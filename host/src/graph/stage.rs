//! The stage graph: the graph cut at shuffles and at shared nodes. It is what runs, and what a checkpoint will hold.
//!
//! Owns the cut, as a pure function. A stage reads rows in partitions, passes them through the plugin's fused steps, and
//! writes them to a shuffle, to a data set, or to the output.

use super::node::{Graph, Operation};
use crate::ids::{NodeId, StageId};

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
}

/// Where a stage's rows come from.
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
    /// A data set that another stage wrote.
    DataSet {
        /// The node whose rows it holds.
        node: NodeId,
    },
}

/// Where a stage's rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageOutput {
    /// Into this many buckets, by key.
    Shuffle {
        /// The node that will aggregate.
        node: NodeId,
        /// The number of buckets.
        partitions: u32,
    },
    /// Into the data-set store, for several readers.
    DataSet {
        /// The node whose rows they are.
        node: NodeId,
    },
    /// To the output operation.
    Result,
}

/// A run of steps between two cuts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Its position in the stage graph.
    pub id: StageId,
    /// Where its rows come from.
    pub input: StageInput,
    /// What the plugin does with them. None at all if they pass as they are.
    pub steps: Vec<Step>,
    /// Where they go.
    pub output: StageOutput,
    /// The node whose rows it writes, or exchanges if it writes to a shuffle.
    pub node: NodeId,
}

/// An output operation and the stages it needs, each after the ones it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputJob {
    /// The output's node.
    pub output: NodeId,
    /// The stages. The last one gives the output its rows.
    pub stages: Vec<StageId>,
}

/// All stages of a graph, and the jobs of a batch in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageGraph {
    /// The stages, by position.
    pub stages: Vec<Stage>,
    /// One job for each output, in order of definition.
    pub jobs: Vec<OutputJob>,
}

impl StageGraph {
    /// Cuts `graph`. A shuffle that does not say how many partitions it makes gets `default_partitions`.
    pub fn cut(graph: &Graph, default_partitions: u32) -> Self {
        let mut cutter = Cutter { graph, default_partitions, stages: Vec::new() };
        let mut jobs = Vec::new();
        for output in graph.outputs() {
            let mut needed = Vec::new();
            if let Some(&parent) = output.parents.first() {
                cutter.stage(parent, StageOutput::Result, &mut needed);
            }
            jobs.push(OutputJob { output: output.id, stages: needed });
        }
        Self { stages: cutter.stages, jobs }
    }

    /// The stage with this id.
    pub fn stage(&self, id: StageId) -> Option<&Stage> {
        self.stages.get(id.0 as usize)
    }
}

struct Cutter<'a> {
    graph: &'a Graph,
    default_partitions: u32,
    stages: Vec<Stage>,
}

impl Cutter<'_> {
    /// The stage that writes the rows of `node` to `output`, made if it does not exist, with all it needs before it in
    /// `needed`.
    fn stage(&mut self, node: NodeId, output: StageOutput, needed: &mut Vec<StageId>) -> StageId {
        let shared = self.graph.consumers(node) > 1;
        let is_source = matches!(self.operation(node), Some(Operation::Source { .. }));
        let (input, mut steps) = if shared && !is_source && output != (StageOutput::DataSet { node }) {
            self.stage(node, StageOutput::DataSet { node }, needed);
            (StageInput::DataSet { node }, Vec::new())
        } else {
            self.chain(node, needed)
        };
        if let StageOutput::Shuffle { node, .. } = output {
            steps.push(Step { node, role: Role::Combine });
        }
        let node = if let StageOutput::Shuffle { node, .. } = output { node } else { node };
        let known = self
            .stages
            .iter()
            .find(|stage| stage.output == output && stage.node == node && stage.input == input && stage.steps == steps);
        let id = match known {
            Some(stage) => stage.id,
            None => {
                let id = StageId(u32::try_from(self.stages.len()).unwrap_or(u32::MAX));
                self.stages.push(Stage { id, input, steps, output, node });
                id
            }
        };
        if !needed.contains(&id) {
            needed.push(id);
        }
        id
    }

    /// The steps that make the rows of `node`, back to the nearest cut, and what is read there.
    fn chain(&mut self, node: NodeId, needed: &mut Vec<StageId>) -> (StageInput, Vec<Step>) {
        let mut steps = Vec::new();
        let mut at = node;
        let input = loop {
            let parent = self.graph.node(at).and_then(|node| node.parents.first().copied());
            match (self.operation(at), parent) {
                (Some(Operation::Reduce { partitions }), Some(parent)) => {
                    let partitions = partitions.unwrap_or(self.default_partitions);
                    let stage = self.stage(parent, StageOutput::Shuffle { node: at, partitions }, needed);
                    steps.push(Step { node: at, role: Role::Reduce });
                    break StageInput::Shuffle { stage, node: at };
                }
                (Some(Operation::Narrow), Some(parent)) => {
                    steps.push(Step { node: at, role: Role::Apply });
                    let is_source = matches!(self.operation(parent), Some(Operation::Source { .. }));
                    if self.graph.consumers(parent) > 1 && !is_source {
                        self.stage(parent, StageOutput::DataSet { node: parent }, needed);
                        break StageInput::DataSet { node: parent };
                    }
                    at = parent;
                }
                _ => break StageInput::Source { node: at },
            }
        };
        steps.reverse();
        (input, steps)
    }

    fn operation(&self, node: NodeId) -> Option<Operation> {
        self.graph.node(node).map(|node| node.operation.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::validate::tests::{node, pair, text};
    use super::*;
    use proptest::prelude::*;

    fn cut(described: &[super::super::DescribedNode]) -> StageGraph {
        StageGraph::cut(&Graph::from_described(described).unwrap(), 2)
    }

    fn steps(stage: &Stage) -> Vec<(u32, &'static str)> {
        stage.steps.iter().map(|step| (step.node.0, step.role.name())).collect()
    }

    #[test]
    fn word_count_is_two_stages() {
        let graph = cut(&[
            node("source", &[], text()),
            node("flat_map", &[0], text()),
            node("map", &[1], pair()),
            node("reduce_by_key", &[2], pair()),
            node("print", &[3], Vec::new()),
        ]);
        assert_eq!(graph.stages.len(), 2);
        assert_eq!(graph.stages[0].input, StageInput::Source { node: NodeId(0) });
        assert_eq!(steps(&graph.stages[0]), [(1, "apply"), (2, "apply"), (3, "combine")]);
        assert_eq!(graph.stages[0].output, StageOutput::Shuffle { node: NodeId(3), partitions: 2 });
        assert_eq!(graph.stages[1].input, StageInput::Shuffle { stage: StageId(0), node: NodeId(3) });
        assert_eq!(steps(&graph.stages[1]), [(3, "reduce")]);
        assert_eq!(graph.jobs[0].stages, [StageId(0), StageId(1)]);
    }

    #[test]
    fn a_shared_node_is_computed_once_and_read_twice() {
        let graph = cut(&[
            node("source", &[], text()),
            node("flat_map", &[0], text()),
            node("map", &[1], pair()),
            node("reduce_by_key", &[2], pair()),
            node("print", &[3], Vec::new()),
            node("print", &[1], Vec::new()),
        ]);
        let writers: Vec<_> = graph.stages.iter().filter(|stage| stage.node == NodeId(1)).map(|s| s.output).collect();
        assert_eq!(writers, [StageOutput::DataSet { node: NodeId(1) }, StageOutput::Result]);
        assert_eq!(graph.jobs[1].stages.first(), graph.jobs[0].stages.first());
        assert!(steps(&graph.stages[graph.jobs[1].stages[1].0 as usize]).is_empty());
    }

    #[test]
    fn a_shared_source_is_read_again_from_its_blocks() {
        let graph = cut(&[
            node("source", &[], text()),
            node("print", &[0], Vec::new()),
            node("map", &[0], text()),
            node("print", &[2], Vec::new()),
        ]);
        assert!(graph.stages.iter().all(|stage| stage.input == StageInput::Source { node: NodeId(0) }));
    }

    proptest! {
        /// Whatever the graph: a job lists each stage once and after the stages it reads, and a step stands in one stage.
        #[test]
        fn stages_come_after_what_they_read(choices in prop::collection::vec((0u32..3, any::<prop::sample::Index>()), 1..25)) {
            let mut described = vec![node("source", &[], pair())];
            for (kind, parent) in choices {
                let streams: Vec<u32> = (0..described.len() as u32).filter(|at| described[*at as usize].kind != "print").collect();
                let parent = [*parent.get(&streams)];
                described.push(match kind {
                    0 => node("map", &parent, pair()),
                    1 => node("reduce_by_key", &parent, pair()),
                    _ => node("print", &parent, Vec::new()),
                });
            }
            described.push(node("print", &[0], Vec::new()));
            let graph = Graph::from_described(&described).unwrap();
            let stages = StageGraph::cut(&graph, 2);
            prop_assert_eq!(stages.jobs.len(), graph.outputs().count());
            for job in &stages.jobs {
                for (at, id) in job.stages.iter().enumerate() {
                    prop_assert!(!job.stages[..at].contains(id));
                    let written_before = |wanted: &dyn Fn(&Stage) -> bool| {
                        job.stages[..at].iter().any(|id| wanted(stages.stage(*id).unwrap()))
                    };
                    match stages.stage(*id).unwrap().input {
                        StageInput::Source { .. } => {}
                        StageInput::Shuffle { stage, .. } => prop_assert!(written_before(&|s| s.id == stage)),
                        StageInput::DataSet { node } => {
                            let wanted = StageOutput::DataSet { node };
                            prop_assert!(written_before(&|stage| stage.output == wanted));
                        }
                    }
                }
            }
            for node in graph.nodes() {
                let runs = stages.stages.iter().flat_map(|s| &s.steps).filter(|s| s.node == node.id && s.role != Role::Combine);
                prop_assert!(runs.count() <= 1, "node {} is computed more than once", node.id);
            }
        }
    }
}
