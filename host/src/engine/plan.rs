//! A stage of a batch as a DataFusion plan: a leaf, and the plugin's steps on it.

use super::join::{Join, JoinExec};
use super::leaf::{LeafExec, Piece};
use super::plugin_exec::PluginExec;
use crate::data::schema::RecordType;
use crate::graph::{
    Branch, Distribution, Graph, Operation, Role, Stage, StageInput, StageOutput, Step, StorageLevel,
};
use crate::ids::{NodeId, TaskId};
use crate::plugin::TaskProgram;
use datafusion_physical_plan::ExecutionPlan;
use std::sync::Arc;

/// What one task of a stage reads, and which way it goes.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub branch: usize,
    /// Read one after the other; in a join one of each parent.
    pub pieces: Vec<Piece>,
}

fn leaf(task: TaskId, pieces: Vec<Piece>, rows: &RecordType) -> Arc<dyn ExecutionPlan> {
    Arc::new(LeafExec::new(task.batch, pieces, rows.arrow().clone()))
}

/// What all plans of a run share.
pub(super) struct Planner {
    pub graph: Arc<Graph>,
    pub job: String,
    pub arguments: Arc<[(String, String)]>,
}

impl Planner {
    /// The plan of a task: a branch of `stage` over one piece. Nothing if the graph does not have what they name.
    pub(super) fn plan(
        &self,
        stage: &Stage,
        task: TaskId,
        share: &Share,
        traced: bool,
    ) -> Option<Arc<dyn ExecutionPlan>> {
        let branch = stage.branches.get(share.branch)?;
        let (input, input_type) = self.input(branch)?;
        let output_type = match stage.output {
            StageOutput::Shuffle { node, .. } => self.exchanged(stage, node)?,
            _ => self.graph.node(stage.node)?.rows.clone()?,
        };
        let rows = match branch.input {
            StageInput::Shuffles { .. } => self.join(task, input, &share.pieces)?,
            _ => leaf(task, share.pieces.clone(), &input_type),
        };
        if branch.steps.is_empty() {
            return Some(rows);
        }
        let program = TaskProgram {
            batch: task.batch,
            partition: task.partition,
            arguments: self.arguments.clone(),
            seed: self.seed(branch)?,
            input,
            input_type,
            steps: branch.steps.iter().map(|step| (step.node, step.role.name())).collect(),
            operators: self.operators(branch),
            output_type,
            traced,
        };
        Some(Arc::new(PluginExec::new(rows, program)))
    }

    /// Whether the data set that a stage writes is to be kept on disk.
    pub(super) fn only_files(&self, stage: &Stage) -> bool {
        self.graph.node(stage.node).is_some_and(|node| node.storage == Some(StorageLevel::DiskOnly))
    }

    /// The type of the keys that a stage sends through a shuffle, if it does.
    pub(super) fn key_type(&self, stage: &Stage) -> Option<RecordType> {
        match stage.output {
            StageOutput::Shuffle { node, by: Distribution::Key, .. } => Some(self.exchanged(stage, node)?.pair()?.0),
            _ => None,
        }
    }

    /// The rows that a stage sends to `reader` through a shuffle: what that exchanges, or the stage's own rows.
    fn exchanged(&self, stage: &Stage, reader: NodeId) -> Option<RecordType> {
        let exchanged = self.graph.node(reader)?.exchanged.clone();
        exchanged.or_else(|| self.graph.node(stage.node)?.rows.clone())
    }

    /// The join of the pieces of the parents of `node`.
    fn join(&self, task: TaskId, node: NodeId, pieces: &[Piece]) -> Option<Arc<dyn ExecutionPlan>> {
        let node = self.graph.node(node)?;
        let Operation::Join { kind, .. } = node.operation else { return None };
        let mut key = None;
        let mut leaves = Vec::new();
        for (parent, piece) in node.parents.iter().zip(pieces) {
            let rows = self.graph.node(*parent)?.rows.as_ref()?;
            key = rows.pair().map(|(key, _)| key);
            leaves.push(leaf(task, vec![piece.clone()], rows));
        }
        let join = Join::new(kind, &key?, node.rows.as_ref()?);
        Some(Arc::new(JoinExec::new(leaves, Arc::new(join))))
    }

    fn input(&self, branch: &Branch) -> Option<(NodeId, RecordType)> {
        match branch.input {
            StageInput::Source { node }
            | StageInput::DataSet { node }
            | StageInput::Window { node, .. }
            | StageInput::Shuffles { node } => Some((node, self.graph.node(node)?.rows.clone()?)),
            StageInput::Shuffle { node, .. } => Some((node, self.graph.node(node)?.exchanged.clone()?)),
        }
    }

    /// Random numbers in a task follow from the job, the operator at the stage's end and what it does there.
    fn seed(&self, branch: &Branch) -> Option<u64> {
        let last = branch.steps.last()?;
        let node = self.graph.node(last.node)?;
        let operator = node.name.clone().unwrap_or_else(|| format!("{}/{}", node.kind, node.id));
        Some(crate::data::key::hash(format!("{}\0{operator}\0{}", self.job, last.role.name()).as_bytes()))
    }

    /// The operators of a branch, as the graph shows them.
    fn operators(&self, branch: &Branch) -> Arc<[(NodeId, String)]> {
        let operator = |step: &Step| Some((step.node, self.graph.node(step.node)?.to_string()));
        branch.steps.iter().filter_map(operator).collect()
    }

    /// The operators of a branch of a stage, for messages.
    pub(super) fn describe(&self, stage: &Stage, branch: usize) -> String {
        let mut operators: Vec<String> = Vec::new();
        if let Some(StageInput::Shuffles { node }) = stage.branches.get(branch).map(|branch| branch.input) {
            operators.extend(self.graph.node(node).map(ToString::to_string));
        }
        for step in stage.branches.get(branch).into_iter().flat_map(|branch| &branch.steps) {
            if let Some(node) = self.graph.node(step.node) {
                let after = if step.role == Role::Combine { " before its shuffle" } else { "" };
                operators.push(format!("{node}{after}"));
            }
        }
        match operators.as_slice() {
            [] => format!("stage {}", stage.id),
            [one] => format!("operator {one}"),
            many => format!("one of the operators {}", many.join(", ")),
        }
    }
}
