//! The stage graph: the graph cut at shuffles and at shared nodes. It is what runs, and what a checkpoint will hold.
//!
//! Owns the cut, as a pure function. A stage reads rows in partitions, passes them through the plugin's fused steps, and
//! writes them to a shuffle, to a data set, or to the output.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::node::{Graph, Node, Operation};
use crate::ids::{NodeId, StageId};
use crate::time::{Duration, Time};
use std::collections::{BTreeMap, BTreeSet};

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
    /// Cuts `graph`, to be shown. A shuffle that does not say how many partitions it makes gets `default_partitions`.
    ///
    /// The rows of a `transform` are a data set that no stage writes. The job of a `foreach_rdd` ends with the data set
    /// that its function gets.
    pub fn cut(graph: &Graph, default_partitions: u32) -> Self {
        Self::cut_without(graph, &BTreeSet::new(), default_partitions)
    }

    /// Cuts what can be cut before a batch has run its `transform`s. The job of an output, or of a node that is kept,
    /// which needs one has no stages.
    pub fn cut_ahead(graph: &Graph, default_partitions: u32) -> Self {
        let mut unknown = BTreeSet::new();
        for node in graph.nodes() {
            if node.operation == Operation::Transform || node.parents.iter().any(|parent| unknown.contains(parent)) {
                unknown.insert(node.id);
            }
        }
        Self::cut_without(graph, &unknown, default_partitions)
    }

    fn cut_without(graph: &Graph, unknown: &BTreeSet<NodeId>, default_partitions: u32) -> Self {
        let kept = kept_nodes(graph);
        let is_needed = needed_nodes(graph, graph.outputs().map(|output| output.id).chain(kept.iter().copied()));
        let mut cutter = Cutter { graph, default_partitions, kept, stages: Vec::new(), made: BTreeMap::new() };
        let mut jobs = Vec::new();
        // Nodes stand after the nodes they read, so one pass without recursion finds everything made before.
        for node in graph.nodes().iter().filter(|node| is_needed.contains(&node.id)) {
            match (&node.operation, node.parents.first()) {
                (operation, _) if unknown.contains(&node.id) => {
                    if operation.is_output() {
                        jobs.push(OutputJob { output: node.id, stages: Vec::new() });
                    }
                }
                (Operation::ForeachRdd, Some(parent)) => {
                    let last = data_set_stage(&cutter.stages, *parent);
                    let stages = last.map_or_else(Vec::new, |last| needed_stages(&cutter.stages, last));
                    jobs.push(OutputJob { output: node.id, stages });
                }
                (operation, Some(parent)) if operation.is_output() => {
                    let last = cutter.stage(cutter.feed(*parent), StageOutput::Result, *parent);
                    jobs.push(OutputJob { output: node.id, stages: needed_stages(&cutter.stages, last) });
                }
                _ => cutter.make(node.id, &node.operation, &node.parents),
            }
        }
        let kept = cutter.kept.iter().map(|&node| {
            let last = data_set_stage(&cutter.stages, node);
            let stages = last.map_or_else(Vec::new, |last| needed_stages(&cutter.stages, last));
            OutputJob { output: node, stages }
        });
        let kept = kept.collect();
        Self { stages: cutter.stages, jobs, kept }
    }

    /// The stage that writes the data set of a node.
    pub fn data_set_stage(&self, node: NodeId) -> Option<StageId> {
        data_set_stage(&self.stages, node)
    }

    /// Cuts what the rows of `wanted` need, in the graph of a batch: for `output`, or, if there is none, to be kept for
    /// later windows. The stages go on from those of `self`, which keep their ids: what has run already need not run
    /// again. The last stage of an output's job is always a new one.
    #[must_use]
    pub fn cut_for(
        &self,
        graph: &Graph,
        output: Option<NodeId>,
        wanted: NodeId,
        default_partitions: u32,
    ) -> (Self, OutputJob) {
        let (kept, stages) = (kept_nodes(graph), self.stages.clone());
        let mut cutter = Cutter { graph, default_partitions, kept, stages, made: BTreeMap::new() };
        let is_needed = needed_nodes(graph, [wanted]);
        for node in graph.order().into_iter().filter(|id| is_needed.contains(id)).filter_map(|id| graph.node(id)) {
            cutter.make(node.id, &node.operation, &node.parents);
        }
        let last = match output {
            Some(_) => cutter.add(cutter.feed(wanted), StageOutput::Result, wanted),
            None => cutter.stage(cutter.feed(wanted), StageOutput::DataSet { node: wanted }, wanted),
        };
        let job = OutputJob { output: output.unwrap_or(wanted), stages: needed_stages(&cutter.stages, last) };
        (Self { stages: cutter.stages, jobs: self.jobs.clone(), kept: self.kept.clone() }, job)
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

/// The wanted nodes, and those that they read, directly or through others.
fn needed_nodes(graph: &Graph, wanted: impl IntoIterator<Item = NodeId>) -> BTreeSet<NodeId> {
    let mut needed: BTreeSet<NodeId> = wanted.into_iter().collect();
    for node in graph.order().into_iter().rev().filter_map(|id| graph.node(id)) {
        if needed.contains(&node.id) {
            needed.extend(&node.parents);
        }
    }
    needed
}

/// The nodes that are remembered, and those that windows read which an output needs.
fn kept_nodes(graph: &Graph) -> BTreeSet<NodeId> {
    let remembered: BTreeSet<NodeId> =
        graph.nodes().iter().filter(|node| node.remember.is_some()).map(|node| node.id).collect();
    let wanted = graph.outputs().map(|output| output.id).chain(remembered.iter().copied());
    let needed = needed_nodes(graph, wanted);
    let windows = graph.nodes().iter().filter(|node| matches!(node.operation, Operation::Window { .. }));
    let parents = windows.filter(|window| needed.contains(&window.id)).flat_map(|window| &window.parents);
    parents.copied().chain(remembered).collect()
}

/// The stage that writes the data set of a node.
fn data_set_stage(stages: &[Stage], node: NodeId) -> Option<StageId> {
    stages.iter().find(|stage| stage.output == StageOutput::DataSet { node }).map(|stage| stage.id)
}

/// A stage and all that it reads, directly or through others, in the order in which they can run.
fn needed_stages(stages: &[Stage], last: StageId) -> Vec<StageId> {
    let mut needed = BTreeSet::from([last]);
    // A stage stands after the stages it reads.
    for stage in stages.iter().rev().filter(|stage| stage.id <= last) {
        if needed.contains(&stage.id) {
            needed.extend(stage.branches.iter().flat_map(|branch| read_by(stages, branch.input)));
        }
    }
    needed.into_iter().collect()
}

/// The stages that write what is read here.
fn read_by(stages: &[Stage], input: StageInput) -> Vec<StageId> {
    match input {
        StageInput::Source { .. } | StageInput::Load { .. } | StageInput::Slice { .. } => Vec::new(),
        StageInput::Shuffle { stage, .. } => vec![stage],
        StageInput::Shuffles { node } => {
            let writes = |stage: &&Stage| matches!(stage.output, StageOutput::Shuffle { node: to, .. } if to == node);
            stages.iter().filter(writes).map(|stage| stage.id).collect()
        }
        StageInput::DataSet { node }
        | StageInput::Coalesced { of: node, .. }
        | StageInput::Window { parent: node, .. } => data_set_stage(stages, node).into_iter().collect(),
    }
}

struct Cutter<'a> {
    graph: &'a Graph,
    default_partitions: u32,
    /// The nodes whose data sets later batches read.
    kept: BTreeSet<NodeId>,
    stages: Vec<Stage>,
    /// How the rows of each node so far reach whoever reads them.
    made: BTreeMap<NodeId, Vec<Branch>>,
}

impl Cutter<'_> {
    /// Finds out how the rows of a node are made, and adds the stages that it needs.
    fn make(&mut self, node: NodeId, operation: &Operation, parents: &[NodeId]) {
        let branches: Vec<Branch> = match (operation, parents) {
            (Operation::Aggregate { partitions }, [parent]) => {
                let partitions = partitions.unwrap_or(self.default_partitions);
                let mut branches = self.feed(*parent);
                branches.iter_mut().for_each(|branch| branch.steps.push(Step { node, role: Role::Combine, first: 0 }));
                let stage =
                    self.stage(branches, StageOutput::Shuffle { node, partitions, by: Distribution::Key }, node);
                let steps = vec![Step { node, role: Role::Reduce, first: 0 }];
                vec![Branch { input: StageInput::Shuffle { stage, node }, steps }]
            }
            (Operation::Repartition { partitions }, [parent]) => {
                let output = StageOutput::Shuffle { node, partitions: *partitions, by: Distribution::Turn };
                let stage = self.stage(self.feed(*parent), output, node);
                vec![Branch { input: StageInput::Shuffle { stage, node }, steps: Vec::new() }]
            }
            (Operation::Sort { .. }, [parent]) => {
                let output = StageOutput::Shuffle { node, partitions: 1, by: Distribution::Turn };
                let stage = self.stage(self.feed(*parent), output, node);
                vec![Branch { input: StageInput::Shuffle { stage, node }, steps: Vec::new() }]
            }
            (Operation::Join { partitions, .. }, parents) => {
                let partitions = partitions.unwrap_or(self.default_partitions);
                for parent in parents {
                    let output = StageOutput::Shuffle { node, partitions, by: Distribution::Key };
                    self.stage(self.feed(*parent), output, *parent);
                }
                vec![Branch { input: StageInput::Shuffles { node }, steps: Vec::new() }]
            }
            (Operation::Narrow, [parent]) => {
                let mut branches = self.feed(*parent);
                branches.iter_mut().for_each(|branch| branch.steps.push(Step { node, role: Role::Apply, first: 0 }));
                branches
            }
            (Operation::Window { length, .. }, [parent]) => {
                let input = StageInput::Window { node, parent: *parent, length: *length };
                vec![Branch { input, steps: Vec::new() }]
            }
            (Operation::Union, parents) => {
                let mut branches = Vec::new();
                for parent in parents {
                    let first = branches.len();
                    let mut feed = self.feed(*parent);
                    feed.iter_mut()
                        .flat_map(|branch| &mut branch.steps)
                        .for_each(|step| step.first = step.first.saturating_add(first));
                    branches.append(&mut feed);
                }
                branches
            }
            (Operation::Coalesce { partitions }, [parent]) => {
                let feed = self.feed(*parent);
                self.stage(feed, StageOutput::DataSet { node: *parent }, *parent);
                let input = StageInput::Coalesced { node, of: *parent, partitions: *partitions };
                vec![Branch { input, steps: Vec::new() }]
            }
            (Operation::Load { .. }, _) => vec![Branch { input: StageInput::Load { node }, steps: Vec::new() }],
            (Operation::Slice { of, time }, _) => {
                vec![Branch { input: StageInput::Slice { node, of: *of, time: *time }, steps: Vec::new() }]
            }
            (Operation::Cache, [parent]) => self.feed(*parent),
            (Operation::Transform, _) => vec![Branch { input: StageInput::DataSet { node }, steps: Vec::new() }],
            _ => vec![Branch { input: StageInput::Source { node }, steps: Vec::new() }],
        };
        let is_persisted = self.graph.node(node).is_some_and(|node| node.storage.is_some());
        let is_kept = self.kept.contains(&node);
        let has_data_set = match operation {
            Operation::Source { .. } => is_persisted,
            Operation::Transform => false,
            Operation::Cache => true,
            _ => is_kept || is_persisted || self.graph.is_shared(node),
        };
        if is_kept && matches!(operation, Operation::Source { .. }) {
            // Windows read what is kept of it; whoever else reads it, reads it again.
            self.stage(branches.clone(), StageOutput::DataSet { node }, node);
        }
        if has_data_set {
            // Several readers: it is computed once, and each reads its data set.
            self.stage(branches, StageOutput::DataSet { node }, node);
            self.made.insert(node, vec![Branch { input: StageInput::DataSet { node }, steps: Vec::new() }]);
        } else {
            self.made.insert(node, branches);
        }
    }

    /// How the rows of a node, which stands before, reach whoever reads them.
    fn feed(&self, node: NodeId) -> Vec<Branch> {
        self.made.get(&node).cloned().unwrap_or_default()
    }

    fn stage(&mut self, branches: Vec<Branch>, output: StageOutput, node: NodeId) -> StageId {
        // Two outputs of the same rows have the same last stage.
        let known = self.stages.iter().find(|stage| stage.output == output && stage.node == node);
        known.map(|stage| stage.id).unwrap_or_else(|| self.add(branches, output, node))
    }

    fn add(&mut self, branches: Vec<Branch>, output: StageOutput, node: NodeId) -> StageId {
        let id = StageId(u32::try_from(self.stages.len()).unwrap_or(u32::MAX));
        self.stages.push(Stage { id, branches, output, node });
        id
    }
}

#[cfg(test)]
mod tests {
    use super::super::validate::tests::{cogrouped, node, pair, text};
    use super::*;
    use proptest::prelude::*;

    fn cut(described: &[super::super::DescribedNode]) -> StageGraph {
        StageGraph::cut(&Graph::from_described(described).unwrap(), 2)
    }

    fn steps(stage: &Stage) -> Vec<(u32, &'static str)> {
        assert_eq!(stage.branches.len(), 1);
        stage.branches[0].steps.iter().map(|step| (step.node.0, step.role.name())).collect()
    }

    /// What unites a stream with itself, again and again, is computed once each: there are not 2^60 ways into a stage.
    #[test]
    fn unions_of_unions_do_not_multiply() {
        let mut described = vec![node("source", &[], text())];
        described.extend((0..60).map(|at| node("union", &[at, at], text())));
        described.push(node("print", &[60], Vec::new()));
        let stages = StageGraph::cut(&Graph::from_described(&described).unwrap(), 256);
        assert!(stages.stages.len() < 200 && stages.stages.iter().all(|stage| stage.branches.len() <= 2));
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
        assert_eq!(graph.stages[0].branches[0].input, StageInput::Source { node: NodeId(0) });
        assert_eq!(steps(&graph.stages[0]), [(1, "apply"), (2, "apply"), (3, "combine")]);
        assert_eq!(
            graph.stages[0].output,
            StageOutput::Shuffle { node: NodeId(3), partitions: 2, by: Distribution::Key }
        );
        assert_eq!(graph.stages[1].branches[0].input, StageInput::Shuffle { stage: StageId(0), node: NodeId(3) });
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
        assert!(graph.stages.iter().all(|stage| stage.branches[0].input == StageInput::Source { node: NodeId(0) }));
    }

    #[test]
    fn a_union_is_one_stage_with_a_branch_for_each_stream() {
        let graph = cut(&[
            node("source", &[], text()),
            node("map", &[0], text()),
            node("repartition", &[0], text()),
            node("union", &[1, 2], text()),
            node("union", &[3, 0], text()),
            node("map", &[4], text()),
            node("print", &[5], Vec::new()),
        ]);
        let last = &graph.stages[1];
        let inputs: Vec<_> = last.branches.iter().map(|branch| branch.input).collect();
        let source = StageInput::Source { node: NodeId(0) };
        assert_eq!(inputs, [source, StageInput::Shuffle { stage: StageId(0), node: NodeId(2) }, source]);
        let steps: Vec<usize> = last.branches.iter().map(|branch| branch.steps.len()).collect();
        assert_eq!(steps, [2, 1, 1]);
        assert!(graph.stages[0].branches[0].steps.is_empty());
    }

    #[test]
    fn a_join_reads_a_shuffle_of_each_parent_and_of_itself_only_one() {
        let graph = Graph::from_described(&[
            node("source", &[], pair()),
            node("map", &[0], pair()),
            node("cogroup", &[1, 0], cogrouped()),
            node("map", &[2], pair()),
            node("cogroup", &[3, 3], cogrouped()),
            node("print", &[4], Vec::new()),
        ])
        .unwrap();
        let stages = StageGraph::cut(&graph, 2);
        let writers = |join| stages.writers(graph.node(NodeId(join)).unwrap()).unwrap();
        assert_eq!(writers(2), [StageId(0), StageId(1)]);
        let output = |node| StageOutput::Shuffle { node: NodeId(node), partitions: 2, by: Distribution::Key };
        assert_eq!(stages.stages[..2].iter().map(|stage| stage.output).collect::<Vec<_>>(), [output(2), output(2)]);
        assert_eq!(stages.stages[2].branches[0].input, StageInput::Shuffles { node: NodeId(2) });
        assert_eq!(stages.stages[2].output, StageOutput::DataSet { node: NodeId(3) });
        assert_eq!(writers(4), [StageId(3), StageId(3)]);
        assert_eq!(stages.jobs[0].stages, (0..5).map(StageId).collect::<Vec<_>>());
    }

    #[test]
    fn a_graph_as_deep_as_can_be_is_cut() {
        let mut described = vec![node("source", &[], pair())];
        (0..1998)
            .for_each(|parent| described.push(node(["map", "reduce_by_key"][parent as usize % 2], &[parent], pair())));
        described.push(node("print", &[1998], Vec::new()));
        assert_eq!(cut(&described).stages.len(), 1000);
    }

    proptest! {
        /// Whatever the graph: a job lists each stage once and after the stages it reads, and a step stands in one stage.
        #[test]
        fn stages_come_after_what_they_read(choices in prop::collection::vec((0u32..7, any::<[prop::sample::Index; 2]>()), 1..25)) {
            let mut described = vec![node("source", &[], pair())];
            for (kind, parents) in choices {
                let is_pair = |at: &u32| described[*at as usize].rows == pair();
                let streams: Vec<u32> = (0..described.len() as u32).filter(is_pair).collect();
                let parents = parents.map(|parent| *parent.get(&streams));
                let parent = &parents[..1];
                described.push(match kind {
                    0 => node("map", parent, pair()),
                    1 => node("reduce_by_key", parent, pair()),
                    2 => node("union", &parents, pair()),
                    3 => node("repartition", parent, pair()),
                    4 => node("cogroup", &parents, cogrouped()),
                    5 => node("window", parent, pair()),
                    _ => node("print", parent, Vec::new()),
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
                    for branch in &stages.stage(*id).unwrap().branches {
                        match branch.input {
                            StageInput::Source { .. } | StageInput::Load { .. } | StageInput::Slice { .. } => {}
                            StageInput::Shuffle { stage, .. } => prop_assert!(written_before(&|s| s.id == stage)),
                            StageInput::Shuffles { node } => {
                                for writer in stages.writers(graph.node(node).unwrap()).unwrap() {
                                    prop_assert!(written_before(&|stage| stage.id == writer));
                                }
                            }
                            StageInput::DataSet { node }
                            | StageInput::Coalesced { of: node, .. }
                            | StageInput::Window { parent: node, .. } => {
                                let wanted = StageOutput::DataSet { node };
                                prop_assert!(written_before(&|stage| stage.output == wanted));
                            }
                        }
                    }
                }
            }
            // A node is computed in one stage only, in each branch at most once.
            for node in graph.nodes() {
                let computes = |branch: &Branch| {
                    branch.steps.iter().filter(|step| step.node == node.id && step.role != Role::Combine).count()
                };
                let in_stages = stages.stages.iter().filter(|stage| stage.branches.iter().any(|b| computes(b) > 0));
                prop_assert!(in_stages.count() <= 1, "node {} is computed in several stages", node.id);
                prop_assert!(stages.stages.iter().flat_map(|stage| &stage.branches).all(|b| computes(b) <= 1));
            }
        }
    }
}
