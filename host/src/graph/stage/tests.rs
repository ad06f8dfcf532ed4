//! The cut of small graphs, and of any graph.

use super::super::described::DescribedNode;
use super::super::program::Graph;
use super::super::validate::tests::{cogrouped, node, pair, text};
use super::*;
use proptest::prelude::*;

fn cut(described: &[DescribedNode]) -> StageGraph {
    StageGraph::cut(&Graph::from_described(described).unwrap(), 2)
}

fn steps(stage: &Stage) -> Vec<(u32, &'static str)> {
    assert_eq!(stage.branches.len(), 1);
    stage.branches[0].steps.iter().map(|step| (step.node.0, step.role.name())).collect()
}

/// A stream is united with itself, again and again. Each union is computed once: a stage does not have 2^60 branches.
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
    assert_eq!(graph.stages[0].output, StageOutput::Shuffle { node: NodeId(3), partitions: 2, by: Distribution::Key });
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
    (0..1998).for_each(|parent| described.push(node(["map", "reduce_by_key"][parent as usize % 2], &[parent], pair())));
    described.push(node("print", &[1998], Vec::new()));
    assert_eq!(cut(&described).stages.len(), 1000);
}

proptest! {
    /// For any graph: a job lists each stage once, and after the stages that the stage reads. A step is in one stage.
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
                        StageInput::Source { .. }
                        | StageInput::Load { .. }
                        | StageInput::Slice { .. }
                        | StageInput::Empty { .. } => {}
                        StageInput::Shuffle { stage, .. } => prop_assert!(written_before(&|s| s.id == stage)),
                        StageInput::Shuffles { node } => {
                            for writer in stages.writers(graph.node(node).unwrap()).unwrap() {
                                prop_assert!(written_before(&|stage| stage.id == writer));
                            }
                        }
                        StageInput::DataSet { node }
                        | StageInput::State { of: node, .. }
                        | StageInput::Sliding { parent: node, .. }
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
