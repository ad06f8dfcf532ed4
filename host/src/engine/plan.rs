//! A stage of a batch as a DataFusion plan: a leaf, and the plugin's steps on it.

use super::leaf::{LeafExec, Piece};
use super::plugin_exec::PluginExec;
use crate::data::schema::RecordType;
use crate::graph::{Graph, Role, Stage, StageInput, StageOutput};
use crate::ids::NodeId;
use crate::plugin::TaskProgram;
use crate::time::Time;
use datafusion_physical_plan::ExecutionPlan;
use std::sync::Arc;

/// What all plans of a run share.
pub(super) struct Planner {
    pub graph: Arc<Graph>,
    pub job: String,
    pub arguments: Arc<[(String, String)]>,
}

impl Planner {
    /// The plan of `stage` over `pieces`. Nothing if the graph does not have what the stage names.
    pub(super) fn plan(
        &self,
        stage: &Stage,
        batch: Time,
        pieces: Vec<Piece>,
        traced: bool,
    ) -> Option<Arc<dyn ExecutionPlan>> {
        let (input, input_type) = self.input(stage)?;
        let output_type = match stage.output {
            StageOutput::Shuffle { node, .. } => self.graph.node(node)?.exchanged.clone()?,
            _ => self.graph.node(stage.node)?.rows.clone()?,
        };
        let leaf = Arc::new(LeafExec::new(batch, pieces, input_type.arrow().clone()));
        if stage.steps.is_empty() {
            return Some(leaf);
        }
        let program = TaskProgram {
            batch,
            partition: 0,
            arguments: self.arguments.clone(),
            seed: self.seed(stage)?,
            input,
            input_type,
            steps: stage.steps.iter().map(|step| (step.node, step.role.name())).collect(),
            output_type,
            traced,
        };
        Some(Arc::new(PluginExec::new(leaf, program)))
    }

    /// The type of the keys that a stage sends through a shuffle, if it does.
    pub(super) fn key_type(&self, stage: &Stage) -> Option<RecordType> {
        match stage.output {
            StageOutput::Shuffle { node, .. } => Some(self.graph.node(node)?.exchanged.as_ref()?.pair()?.0),
            _ => None,
        }
    }

    fn input(&self, stage: &Stage) -> Option<(NodeId, RecordType)> {
        match stage.input {
            StageInput::Source { node } | StageInput::DataSet { node } => {
                Some((node, self.graph.node(node)?.rows.clone()?))
            }
            StageInput::Shuffle { node, .. } => Some((node, self.graph.node(node)?.exchanged.clone()?)),
        }
    }

    /// Random numbers in a task follow from the job, the operator at the stage's end and what it does there.
    fn seed(&self, stage: &Stage) -> Option<u64> {
        let last = stage.steps.last()?;
        let node = self.graph.node(last.node)?;
        let operator = node.name.clone().unwrap_or_else(|| format!("{}/{}", node.kind, node.id));
        Some(crate::data::key::hash(format!("{}\0{operator}\0{}", self.job, last.role.name()).as_bytes()))
    }

    /// The operators of a stage, for messages.
    pub(super) fn describe(&self, stage: &Stage) -> String {
        let mut operators: Vec<String> = Vec::new();
        for step in &stage.steps {
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
