//! What a graph and its stages look like to people and to scripts, and what two graphs have in common.
//!
//! Owns [`Explanation`] and [`Comparison`]: plain data made by pure functions, as text by `Display`, as JSON by serde.
//! Names and types come from a plugin; the text shows their control characters by code. Code in closures is not seen.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod compare;

pub use compare::Comparison;

use super::described::{DescribedNode, ParameterValue};
use super::node::Node;
use super::program::Graph;
use super::stage::{Branch, Distribution, OutputJob, Role, Stage, StageGraph, StageInput, StageOutput};
use crate::ids::NodeId;
use crate::shown::escape_control;
use crate::time::whole_ms;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// Columns are lined up as long as they are not wider than this.
const COLUMN_WIDTH_MAX: usize = 40;

/// A graph, node by node, the stages it is cut into, and which of them each output needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The nodes, by position.
    pub nodes: Vec<ExplainedNode>,
    /// The stages, by position.
    pub stages: Vec<ExplainedStage>,
    /// The outputs, in the order in which they run.
    pub outputs: Vec<ExplainedOutput>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedNode {
    /// Its position.
    pub node: u32,
    /// The name its author gave it.
    pub name: Option<String>,
    /// What it does.
    pub kind: String,
    /// The nodes it reads.
    pub reads: Vec<u32>,
    /// What the kind needs.
    pub parameters: BTreeMap<String, Parameter>,
    /// The type of its rows; absent for an output.
    pub rows: Option<String>,
    /// The type of the rows that it shuffles.
    pub exchanges: Option<String>,
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Parameter {
    /// A number.
    Integer(i64),
    /// A switch.
    Flag(bool),
    /// A text, or a span of time as in `500ms`.
    Text(String),
}

/// A stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedStage {
    /// Its position.
    pub stage: u32,
    /// The ways into it: several if it unites streams.
    pub branches: Vec<ExplainedBranch>,
    /// Where its rows go.
    pub writes: Writes,
}

/// One way into a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedBranch {
    /// Where its rows come from.
    pub reads: Reads,
    /// What the plugin does with them.
    pub steps: Vec<ExplainedStep>,
}

/// One thing that a stage does with its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedStep {
    /// What is done: the node's own function, or a part of its aggregation.
    pub role: &'static str,
    /// For which node.
    pub node: u32,
}

/// Where a stage's rows come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Reads {
    /// From a source.
    Source {
        /// The source's node.
        node: u32,
    },
    /// From the shuffle that a stage writes.
    Shuffle {
        /// That stage.
        stage: u32,
    },
    /// From the shuffles that stages write for the parents of a join.
    Shuffles {
        /// The node that joins.
        node: u32,
        /// Those stages, in the order of the parents.
        stages: Vec<u32>,
    },
    /// From the rows that were kept of the last batches.
    Window {
        /// The node that made them.
        node: u32,
        /// How far back they reach.
        length_ms: u64,
    },
    /// From rows that were kept for several readers.
    DataSet {
        /// The node that made them.
        node: u32,
    },
    /// From rows that were kept, neighbouring partitions put together.
    Coalesced {
        /// The node that made them.
        node: u32,
        /// The most partitions there are then.
        partitions: u32,
    },
}

/// Where a stage's rows go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "to", rename_all = "snake_case")]
pub enum Writes {
    /// Into a shuffle.
    Shuffle {
        /// The node that reads it.
        node: u32,
        /// Its partitions.
        partitions: u32,
        /// What decides into which of them a row goes: its `key`, or its `turn`.
        by: &'static str,
    },
    /// Into a data set for several readers.
    DataSet {
        /// The node whose rows they are.
        node: u32,
    },
    /// To the output.
    Output,
}

/// An output and what it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedOutput {
    /// Its node.
    pub node: u32,
    /// The stages that run for it, in this order, unless an earlier output has run them.
    pub stages: Vec<u32>,
    /// Where it saves the files of a batch, if it does and the job grants it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Explanation {
    /// Explains `graph`, which was made from `described`, as it is cut if shuffles have `parallelism` partitions unless
    /// they say otherwise.
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

    /// Adds where outputs save files, by their nodes.
    #[must_use]
    pub fn with_paths(mut self, paths: &BTreeMap<NodeId, String>) -> Self {
        for output in &mut self.outputs {
            output.path = paths.get(&NodeId(output.node)).cloned();
        }
        self
    }

    /// What changes when `after` takes the place of this graph.
    pub fn compare(&self, after: &Self) -> Comparison {
        compare::compare(&self.nodes, &after.nodes)
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
    }
}

fn explain_stage(graph: &Graph, cut: &StageGraph, stage: &Stage) -> ExplainedStage {
    let shuffles = |node: NodeId| {
        let stages = graph.node(node).and_then(|join| cut.writers(join)).unwrap_or_default();
        Reads::Shuffles { node: node.0, stages: stages.iter().map(|stage| stage.0).collect() }
    };
    let branch = |branch: &Branch| ExplainedBranch {
        reads: match branch.input {
            StageInput::Source { node } | StageInput::Load { node } => Reads::Source { node: node.0 },
            StageInput::Shuffle { stage, .. } => Reads::Shuffle { stage: stage.0 },
            StageInput::Shuffles { node } => shuffles(node),
            StageInput::DataSet { node } | StageInput::Slice { of: node, .. } => Reads::DataSet { node: node.0 },
            StageInput::Coalesced { of, partitions, .. } => Reads::Coalesced { node: of.0, partitions },
            StageInput::Window { parent, length, .. } => Reads::Window { node: parent.0, length_ms: whole_ms(length) },
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

/// `500`, `true`, `"text"`.
impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Text(text) => write!(f, "\"{}\"", escape_control(text)),
        }
    }
}

/// As other messages name a node: `` `counts` (reduce_by_key, node 3) `` or `` `map` (node 2) ``.
impl fmt::Display for ExplainedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = escape_control(&self.kind);
        match &self.name {
            Some(name) => write!(f, "`{}` ({kind}, node {})", escape_control(name), self.node),
            None => write!(f, "`{kind}` (node {})", self.node),
        }
    }
}

/// A table of the nodes, then the stages and the outputs.
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

/// A node as a row of the table.
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
mod tests;
