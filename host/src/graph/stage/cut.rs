//! The cut of a graph into stages, at shuffles and at shared nodes: a pure function.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::super::node::Node;
use super::super::operation::Operation;
use super::super::program::Graph;
use super::{Branch, Distribution, OutputJob, Role, Stage, StageGraph, StageInput, StageOutput, Step, data_set_stage};
use crate::ids::{NodeId, StageId};
use std::collections::{BTreeMap, BTreeSet};

impl StageGraph {
    /// Cuts `graph` to show its stages. A shuffle that does not set its number of partitions gets `default_partitions`.
    ///
    /// The rows of a `transform` are a data set that no stage writes. The job of a `foreach_rdd` ends with the data set
    /// that its function gets.
    pub fn cut(graph: &Graph, default_partitions: u32) -> Self {
        Self::cut_without(graph, &BTreeSet::new(), default_partitions)
    }

    /// Cuts the stages that can be cut before a batch has run its `transform`s. A job that needs a `transform` has no
    /// stages yet.
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
        // Each node comes after the nodes that it reads. So one pass without recursion finds every parent already done.
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

    /// Cuts the stages that the rows of `wanted` need, in the graph of a batch. The rows are for `output`; if `output`
    /// is `None`, they are kept for later windows. The new stages are added to those of `self`, which keep their ids,
    /// so that a stage that has already run need not run again. The last stage of an output's job is always a new one.
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
}

/// The wanted nodes, and the nodes that they read, directly or through other nodes.
fn needed_nodes(graph: &Graph, wanted: impl IntoIterator<Item = NodeId>) -> BTreeSet<NodeId> {
    let mut needed: BTreeSet<NodeId> = wanted.into_iter().collect();
    for node in graph.order().into_iter().rev().filter_map(|id| graph.node(id)) {
        if needed.contains(&node.id) {
            needed.extend(&node.parents);
        }
    }
    needed
}

/// The nodes whose data sets are made in each batch in which they are due, whether or not an output reads them. These
/// are all nodes that are remembered. Of the nodes that an output needs, these are also the nodes that have state, and
/// the nodes that windows read.
fn kept_nodes(graph: &Graph) -> BTreeSet<NodeId> {
    let remembered: BTreeSet<NodeId> =
        graph.nodes().iter().filter(|node| node.remember.is_some()).map(|node| node.id).collect();
    let wanted = graph.outputs().map(|output| output.id).chain(remembered.iter().copied());
    let needed = needed_nodes(graph, wanted);
    let is_window = |node: &&Node| match &node.operation {
        Operation::Window { .. } => true,
        operation => operation.stateful().is_some_and(|stateful| stateful.window.is_some()),
    };
    let wanted = || graph.nodes().iter().filter(|node| needed.contains(&node.id));
    let parents = wanted().filter(is_window).flat_map(|window| &window.parents).copied();
    let stateful = wanted().filter(|node| node.operation.stateful().is_some()).map(|node| node.id);
    parents.chain(stateful).chain(remembered).collect()
}

/// A stage and all stages that it reads, directly or through other stages, in an order in which they can run.
fn needed_stages(stages: &[Stage], last: StageId) -> Vec<StageId> {
    let mut needed = BTreeSet::from([last]);
    // Each stage comes after the stages that it reads.
    for stage in stages.iter().rev().filter(|stage| stage.id <= last) {
        if needed.contains(&stage.id) {
            needed.extend(stage.branches.iter().flat_map(|branch| read_by(stages, branch.input)));
        }
    }
    needed.into_iter().collect()
}

/// The stages that write the rows of an input.
fn read_by(stages: &[Stage], input: StageInput) -> Vec<StageId> {
    match input {
        StageInput::Source { .. } | StageInput::Load { .. } | StageInput::Slice { .. } | StageInput::Empty { .. } => {
            Vec::new()
        }
        StageInput::Shuffle { stage, .. } => vec![stage],
        StageInput::Shuffles { node } => {
            let writes = |stage: &&Stage| matches!(stage.output, StageOutput::Shuffle { node: to, .. } if to == node);
            stages.iter().filter(writes).map(|stage| stage.id).collect()
        }
        StageInput::DataSet { node }
        | StageInput::State { of: node, .. }
        | StageInput::Sliding { parent: node, .. }
        | StageInput::Coalesced { of: node, .. }
        | StageInput::Window { parent: node, .. } => data_set_stage(stages, node).into_iter().collect(),
    }
}

struct Cutter<'a> {
    graph: &'a Graph,
    default_partitions: u32,
    /// The nodes whose data sets are read by later batches.
    kept: BTreeSet<NodeId>,
    stages: Vec<Stage>,
    /// For each node so far: the branches through which its rows reach its readers.
    made: BTreeMap<NodeId, Vec<Branch>>,
}

impl Cutter<'_> {
    /// Finds the branches that make the rows of a node, and adds the stages that the node needs.
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
            (Operation::State(stateful), [parent]) => {
                let input = match stateful.window {
                    Some((length, _)) => StageInput::Sliding { node, parent: *parent, length },
                    None => {
                        let partitions = stateful.partitions.unwrap_or(self.default_partitions);
                        let output = StageOutput::Shuffle { node, partitions, by: Distribution::Key };
                        StageInput::Shuffle { stage: self.stage(self.feed(*parent), output, node), node }
                    }
                };
                vec![Branch { input, steps: vec![Step { node, role: Role::State(stateful.form), first: 0 }] }]
            }
            (Operation::StateSnapshots, [parent]) => {
                vec![Branch { input: StageInput::State { node, of: *parent }, steps: Vec::new() }]
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
            (Operation::Empty, _) => vec![Branch { input: StageInput::Empty { node }, steps: Vec::new() }],
            (Operation::Cache, [parent]) => self.feed(*parent),
            (Operation::Transform, _) => vec![Branch { input: StageInput::DataSet { node }, steps: Vec::new() }],
            _ => vec![Branch { input: StageInput::Source { node }, steps: Vec::new() }],
        };
        let is_persisted = self.graph.node(node).is_some_and(|node| node.storage.is_some());
        let is_kept = self.kept.contains(&node);
        let has_data_set = match operation {
            Operation::Source { .. } => is_persisted,
            Operation::Transform => false,
            Operation::Cache | Operation::State(_) => true,
            _ => is_kept || is_persisted || self.graph.is_shared(node),
        };
        if is_kept && matches!(operation, Operation::Source { .. }) {
            // Windows read the kept data set. Other readers read the source again.
            self.stage(branches.clone(), StageOutput::DataSet { node }, node);
        }
        if has_data_set {
            // There are several readers, so the rows are computed once, and each reader reads the data set.
            self.stage(branches, StageOutput::DataSet { node }, node);
            self.made.insert(node, vec![Branch { input: StageInput::DataSet { node }, steps: Vec::new() }]);
        } else {
            self.made.insert(node, branches);
        }
    }

    /// The branches through which the rows of an earlier node reach its readers.
    fn feed(&self, node: NodeId) -> Vec<Branch> {
        self.made.get(&node).cloned().unwrap_or_default()
    }

    fn stage(&mut self, branches: Vec<Branch>, output: StageOutput, node: NodeId) -> StageId {
        // Two outputs of the same rows share their last stage.
        let known = self.stages.iter().find(|stage| stage.output == output && stage.node == node);
        known.map(|stage| stage.id).unwrap_or_else(|| self.add(branches, output, node))
    }

    fn add(&mut self, branches: Vec<Branch>, output: StageOutput, node: NodeId) -> StageId {
        let id = StageId(u32::try_from(self.stages.len()).unwrap_or(u32::MAX));
        self.stages.push(Stage { id, branches, output, node });
        id
    }
}
