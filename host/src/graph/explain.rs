//! A graph and its stages in a form for people and for scripts.
//!
//! Owns [`Explanation`]: plain data made by pure functions, shown as text by `Display` and as JSON by serde. Names and
//! types come from a plugin, so the text shows control characters in them as escapes.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::described::{DescribedNode, ParameterValue};
use super::node::Node;
use super::program::Graph;
use super::stage::{Branch, Distribution, OutputJob, Role, Stage, StageGraph, StageInput, StageOutput};
use crate::data::schema::RecordType;
use crate::ids::NodeId;
use crate::shown::escape_control;
use crate::time::whole_ms;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// Columns are aligned unless they are wider than this.
const COLUMN_WIDTH_MAX: usize = 40;

/// A graph node by node, the stages that it is cut into, and the stages that each output needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The nodes, by position.
    pub nodes: Vec<ExplainedNode>,
    /// The stages, by position.
    pub stages: Vec<ExplainedStage>,
    /// The outputs, in the order in which they run.
    pub outputs: Vec<ExplainedOutput>,
}

/// A node of the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedNode {
    /// The position of the node.
    pub node: u32,
    /// The name that the plugin's author gave the node; `None` if there is none.
    pub name: Option<String>,
    /// The kind of the node.
    pub kind: String,
    /// The nodes that this node reads.
    pub reads: Vec<u32>,
    /// The parameters of the node.
    pub parameters: BTreeMap<String, Parameter>,
    /// The type of the node's rows; `None` for an output.
    pub rows: Option<String>,
    /// The type of the rows that the node sends through a shuffle; `None` if it has no shuffle.
    pub exchanges: Option<String>,
    /// The type of the pairs of key and state; `None` if the node has no state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The types themselves, which say more than their texts.
    #[serde(skip)]
    pub(super) types: NodeTypes,
}

/// The types of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeTypes {
    pub(super) rows: Option<RecordType>,
    pub(super) exchanged: Option<RecordType>,
    pub(super) state: Option<RecordType>,
    /// The type of the earlier states that the node migrates.
    pub(super) earlier_state: Option<RecordType>,
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Parameter {
    /// A number.
    Integer(i64),
    /// A boolean.
    Flag(bool),
    /// A string, or a span of time as in `500ms`.
    Text(String),
}

/// A stage of the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedStage {
    /// The position of the stage.
    pub stage: u32,
    /// The branches of the stage. There are several if the stage unites streams.
    pub branches: Vec<ExplainedBranch>,
    /// Where the rows of the stage go.
    pub writes: Writes,
}

/// A branch of a stage: one input of the stage, with its own steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedBranch {
    /// Where the rows of the branch come from.
    pub reads: Reads,
    /// The steps that the plugin runs on the rows.
    pub steps: Vec<ExplainedStep>,
}

/// One operation of a stage on its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedStep {
    /// The role of the step: the node's own function, or a part of its aggregation.
    pub role: &'static str,
    /// The node of the step.
    pub node: u32,
}

/// Where the rows of a stage come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Reads {
    /// From a source.
    Source {
        /// The node of the source.
        node: u32,
    },
    /// From the shuffle that another stage writes.
    Shuffle {
        /// The stage that writes the shuffle.
        stage: u32,
    },
    /// From the shuffles that stages write for the parents of a join.
    Shuffles {
        /// The join node.
        node: u32,
        /// The stages that write the shuffles, in the order of the parents.
        stages: Vec<u32>,
    },
    /// From the rows of the last batches, which were kept.
    Window {
        /// The node that made the rows.
        node: u32,
        /// The length of the window.
        length_ms: u64,
    },
    /// From the state of a node.
    State {
        /// The stateful node.
        node: u32,
    },
    /// From rows that were kept because several readers need them.
    DataSet {
        /// The node that made the rows.
        node: u32,
    },
    /// From rows that were kept. Neighbouring partitions are put together.
    Coalesced {
        /// The node that made the rows.
        node: u32,
        /// The largest number of partitions after that.
        partitions: u32,
    },
}

/// Where the rows of a stage go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "to", rename_all = "snake_case")]
pub enum Writes {
    /// Into a shuffle.
    Shuffle {
        /// The node that reads the shuffle.
        node: u32,
        /// The number of partitions of the shuffle.
        partitions: u32,
        /// How the partition of a row is chosen: by the row's `key`, or in `turn`.
        by: &'static str,
    },
    /// Into a data set for several readers.
    DataSet {
        /// The node that made the rows.
        node: u32,
    },
    /// To the output.
    Output,
}

/// An output and the stages that it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedOutput {
    /// The node of the output.
    pub node: u32,
    /// The stages that run for the output, in this order. A stage that has run for an earlier output does not run
    /// again.
    pub stages: Vec<u32>,
    /// Where the output saves the files of a batch. `None` if it saves no files, or if the job does not grant the
    /// place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Explanation {
    /// Explains `graph`, which was made from `described`. The stages are cut for a job whose `parallelism` has this
    /// value: it is the number of partitions of all shuffles that do not set their own.
    pub fn new(described: &[DescribedNode], graph: &Graph, parallelism: u32) -> Self {
        let cut = StageGraph::cut(graph, parallelism);
        let output = |job: &OutputJob| ExplainedOutput {
            node: job.output.0,
            stages: job.stages.iter().map(|stage| stage.0).collect(),
            path: None,
        };
        Self {
            nodes: graph.nodes().iter().zip(described).map(|(node, described)| explain_node(node, described)).collect(),
            stages: cut.stages.iter().map(|stage| explain_stage(graph, &cut, stage)).collect(),
            outputs: cut.jobs.iter().map(output).collect(),
        }
    }

    /// Adds the places at which outputs save files, by the nodes of the outputs.
    #[must_use]
    pub fn with_paths(mut self, paths: &BTreeMap<NodeId, String>) -> Self {
        for output in &mut self.outputs {
            output.path = paths.get(&NodeId(output.node)).cloned();
        }
        self
    }

    fn write_branch(&self, f: &mut fmt::Formatter<'_>, branch: &ExplainedBranch) -> fmt::Result {
        match &branch.reads {
            Reads::Source { node } => writeln!(f, "  reads   {}", self.label(*node))?,
            Reads::Shuffle { stage } => writeln!(f, "  reads   the shuffle of stage {stage}")?,
            Reads::Shuffles { node, stages } => {
                let stages: Vec<String> = stages.iter().map(ToString::to_string).collect();
                writeln!(f, "  reads   the shuffles of stages {}", stages.join(", "))?;
                writeln!(f, "  joins   {}", self.label(*node))?;
            }
            Reads::DataSet { node } => writeln!(f, "  reads   the data set of {}", self.label(*node))?,
            Reads::State { node } => writeln!(f, "  reads   the state of {}", self.label(*node))?,
            Reads::Coalesced { node, partitions } => {
                writeln!(f, "  reads   the data set of {} in {partitions} partitions", self.label(*node))?;
            }
            Reads::Window { node, length_ms } => {
                writeln!(f, "  reads   the data sets of {} of the last {length_ms}ms", self.label(*node))?;
            }
        }
        for (at, step) in branch.steps.iter().enumerate() {
            let heading = if at == 0 { "runs" } else { "" };
            let part = if step.role == Role::Apply.name() { String::new() } else { format!(": {}", step.role) };
            writeln!(f, "  {heading:6}  {}{part}", self.label(step.node))?;
        }
        Ok(())
    }

    fn label(&self, node: u32) -> String {
        self.nodes.get(node as usize).map_or_else(|| format!("node {node}"), ExplainedNode::to_string)
    }
}

fn explain_node(node: &Node, described: &DescribedNode) -> ExplainedNode {
    let parameter = |value: &ParameterValue| match value {
        ParameterValue::Integer(number) => Parameter::Integer(*number),
        ParameterValue::Flag(flag) => Parameter::Flag(*flag),
        ParameterValue::Text(text) => Parameter::Text(text.clone()),
        ParameterValue::DurationMs(ms) => Parameter::Text(format!("{ms}ms")),
    };
    ExplainedNode {
        node: node.id.0,
        name: node.name.clone(),
        kind: node.kind.clone(),
        reads: node.parents.iter().map(|parent| parent.0).collect(),
        parameters: described.parameters.iter().map(|(name, value)| (name.clone(), parameter(value))).collect(),
        rows: node.rows.as_ref().map(ToString::to_string),
        exchanges: node.exchanged.as_ref().map(ToString::to_string),
        state: node.state.as_ref().map(ToString::to_string),
        types: NodeTypes {
            rows: node.rows.clone(),
            exchanged: node.exchanged.clone(),
            state: node.state.clone(),
            earlier_state: node.earlier_state.clone(),
        },
    }
}

fn explain_stage(graph: &Graph, cut: &StageGraph, stage: &Stage) -> ExplainedStage {
    let shuffles = |node: NodeId| {
        let stages = graph.node(node).and_then(|join| cut.writers(join)).unwrap_or_default();
        Reads::Shuffles { node: node.0, stages: stages.iter().map(|stage| stage.0).collect() }
    };
    let branch = |branch: &Branch| ExplainedBranch {
        reads: match branch.input {
            StageInput::Source { node } | StageInput::Load { node } | StageInput::Empty { node } => {
                Reads::Source { node: node.0 }
            }
            StageInput::Shuffle { stage, .. } => Reads::Shuffle { stage: stage.0 },
            StageInput::Shuffles { node } => shuffles(node),
            StageInput::DataSet { node } | StageInput::Slice { of: node, .. } => Reads::DataSet { node: node.0 },
            StageInput::Coalesced { of, partitions, .. } => Reads::Coalesced { node: of.0, partitions },
            StageInput::State { of, .. } => Reads::State { node: of.0 },
            StageInput::Window { parent, length, .. } | StageInput::Sliding { parent, length, .. } => {
                Reads::Window { node: parent.0, length_ms: whole_ms(length) }
            }
        },
        steps: branch.steps.iter().map(|step| ExplainedStep { role: step.role.name(), node: step.node.0 }).collect(),
    };
    ExplainedStage {
        stage: stage.id.0,
        branches: stage.branches.iter().map(branch).collect(),
        writes: match stage.output {
            StageOutput::Shuffle { node, partitions, by } => {
                let by = match by {
                    Distribution::Key => "key",
                    Distribution::Turn => "turn",
                };
                Writes::Shuffle { node: node.0, partitions, by }
            }
            StageOutput::DataSet { node } => Writes::DataSet { node: node.0 },
            StageOutput::Result => Writes::Output,
        },
    }
}

/// Shows a value as `500`, `true` or `"text"`.
impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Text(text) => write!(f, "\"{}\"", escape_control(text)),
        }
    }
}

/// Shows a node as other messages do: `` `counts` (reduce_by_key, node 3) `` or `` `map` (node 2) ``.
impl fmt::Display for ExplainedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = escape_control(&self.kind);
        match &self.name {
            Some(name) => write!(f, "`{}` ({kind}, node {})", escape_control(name), self.node),
            None => write!(f, "`{kind}` (node {})", self.node),
        }
    }
}

/// Shows a table of the nodes, then the stages and the outputs.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = ["node", "name", "kind", "reads", "parameters", "rows"].map(str::to_owned);
        let rows: Vec<_> = std::iter::once(heading).chain(self.nodes.iter().map(cells)).collect();
        write_table(f, &rows)?;
        for stage in &self.stages {
            writeln!(f, "\nstage {}", stage.stage)?;
            for branch in &stage.branches {
                self.write_branch(f, branch)?;
            }
            match stage.writes {
                Writes::Shuffle { node, partitions, by } => {
                    let s = if partitions == 1 { "" } else { "s" };
                    writeln!(f, "  writes  a shuffle by {by} into {partitions} partition{s} for {}", self.label(node))?;
                }
                Writes::DataSet { node } => writeln!(f, "  writes  the data set of {}", self.label(node))?,
                Writes::Output => writeln!(f, "  writes  the rows of an output")?,
            }
        }
        writeln!(f)?;
        for output in &self.outputs {
            let stages: Vec<String> = output.stages.iter().map(ToString::to_string).collect();
            let s = if stages.len() == 1 { "" } else { "s" };
            write!(f, "output {} needs stage{s} {}", self.label(output.node), stages.join(", "))?;
            output.path.iter().try_for_each(|path| write!(f, ", saves to {}", escape_control(path)))?;
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The cells of a node's row in the table.
fn cells(node: &ExplainedNode) -> [String; 6] {
    let or_none = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let reads: Vec<String> = node.reads.iter().map(ToString::to_string).collect();
    let parameters: Vec<String> =
        node.parameters.iter().map(|(name, value)| format!("{}={value}", escape_control(name))).collect();
    let mut rows = or_none(node.rows.clone().unwrap_or_default());
    if let Some(exchanges) = node.exchanges.as_ref().filter(|exchanges| Some(*exchanges) != node.rows.as_ref()) {
        rows = format!("{rows}, shuffles {exchanges}");
    }
    [
        node.node.to_string(),
        escape_control(node.name.as_deref().unwrap_or("-")).into_owned(),
        escape_control(&node.kind).into_owned(),
        or_none(reads.join(",")),
        or_none(parameters.join(" ")),
        escape_control(&rows).into_owned(),
    ]
}

fn write_table(f: &mut fmt::Formatter<'_>, rows: &[[String; 6]]) -> fmt::Result {
    let mut widths = [0; 6];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width).min(COLUMN_WIDTH_MAX);
        }
    }
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests;
