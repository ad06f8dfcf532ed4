//! Makes the DataFusion plan of a task: a leaf, and the plugin's steps on its rows.

use super::JobPlan;
use super::join::{Join, JoinExec};
use super::leaf::{InputPiece, LeafExec};
use super::plugin_exec::PluginExec;
use super::reduce::ReduceExec;
use super::sort::SortExec;
use super::state::{StateExec, StateWork};
use super::updates::UpdatesOfNode;
use crate::data::schema::RecordType;
use crate::graph::{
    Branch, Distribution, Graph, Node, Operation, Role, Stage, StageInput, StageOutput, StateForm, StateTypes, Step,
    StorageLevel,
};
use crate::ids::{NodeId, TaskId};
use crate::plugin::{RecordId, TaskProgram, TaskStep};
use datafusion_physical_plan::ExecutionPlan;
use std::sync::Arc;

/// The inputs of one task of a stage, and the branch of the stage that it runs.
#[derive(Clone, Debug)]
pub(super) struct TaskInput {
    pub branch: usize,
    /// The pieces that the task reads one after the other. In a join, there is one piece of each parent.
    pub pieces: Vec<InputPiece>,
    /// How many of the pieces leave a window. Zero if the task does not move a window forward.
    pub leaving: usize,
    /// Whether a window is made of the pieces alone, and not of the window before.
    pub is_anew: bool,
    /// The number of partitions of the branch.
    pub partitions: u32,
    /// The number of the first partition of each branch of the stage.
    pub starts: Arc<[u32]>,
}

fn leaf(task: TaskId, pieces: Vec<InputPiece>, rows: &RecordType) -> Arc<dyn ExecutionPlan> {
    Arc::new(LeafExec::new(task.batch, pieces, rows))
}

/// How a task is run: whether its records are traced, and whether it reduces in parts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AttemptMode {
    /// Whether the plugin reports each record before it processes the record.
    pub traced: bool,
    /// Whether the reduction at the beginning of the task is done in parts.
    pub in_parts: bool,
}

/// Whether tasks of this branch begin with a reduction.
pub(super) fn reduces(branch: &Branch) -> bool {
    branch.steps.first().is_some_and(|step| step.role == Role::Reduce)
}

/// The job facts that all plans of a run have in common.
pub(super) struct Planner {
    pub job: String,
    pub arguments: Arc<[(String, String)]>,
}

/// Whether the data set that a stage writes goes to files only, and is not kept in memory.
pub(super) fn only_files(graph: &Graph, stage: &Stage) -> bool {
    graph.node(stage.node).is_some_and(|node| node.storage == Some(StorageLevel::DiskOnly))
}

/// The type of the keys that a stage sends through a shuffle. `None` if the stage sends no rows through a shuffle with
/// keys.
pub(super) fn key_type(graph: &Graph, stage: &Stage) -> Option<RecordType> {
    match stage.output {
        StageOutput::Shuffle { node, by: Distribution::Key, .. } => Some(exchanged(graph, stage, node)?.pair()?.0),
        _ => None,
    }
}

/// The type of the rows that a stage sends to `reader` through a shuffle: the exchanged type of `reader`, or the type
/// of the stage's own rows.
fn exchanged(graph: &Graph, stage: &Stage, reader: NodeId) -> Option<RecordType> {
    let exchanged = graph.node(reader)?.exchanged.clone();
    exchanged.or_else(|| graph.node(stage.node)?.rows.clone())
}

/// Makes the plan node that joins the pieces of the parents of `node`.
fn join(graph: &Graph, task: TaskId, node: NodeId, pieces: &[InputPiece]) -> Option<Arc<dyn ExecutionPlan>> {
    let node = graph.node(node)?;
    let Operation::Join { kind, .. } = node.operation else { return None };
    let mut key = None;
    let mut leaves = Vec::new();
    for (parent, piece) in node.parents.iter().zip(pieces) {
        let rows = graph.node(*parent)?.rows.as_ref()?;
        key = rows.pair().map(|(key, _)| key);
        leaves.push(leaf(task, vec![piece.clone()], rows));
    }
    let join = Join::new(kind, &key?, node.rows.as_ref()?);
    Some(Arc::new(JoinExec::new(leaves, Arc::new(join))))
}

/// Makes the plan of a program that begins with a reduction. The reduction is done in parts. The rest of the program
/// runs on the reduced rows, which it sees as one partition.
fn in_parts(graph: &Graph, rows: Arc<dyn ExecutionPlan>, program: TaskProgram) -> Option<Arc<dyn ExecutionPlan>> {
    let (first, rest) = program.steps.split_first()?;
    let (key, _) = program.input_type.pair()?;
    let reduced = graph.node(first.node)?.rows.clone()?;
    let steps: Arc<[TaskStep]> = [*first].into();
    let reduce = TaskProgram { steps, output_type: reduced.clone(), ..program.clone() };
    let rows = Arc::new(ReduceExec::new(rows, reduce, key));
    if rest.is_empty() {
        return Some(rows);
    }
    let rest = TaskProgram { input: first.node, input_type: reduced, steps: rest.into(), ..program };
    Some(Arc::new(PluginExec::new(rows, rest)))
}

fn input(graph: &Graph, branch: &Branch) -> Option<(NodeId, RecordType)> {
    match branch.input {
        StageInput::Source { node }
        | StageInput::Load { node }
        | StageInput::DataSet { node }
        | StageInput::Coalesced { node, .. }
        | StageInput::Window { node, .. }
        | StageInput::Slice { node, .. }
        | StageInput::Empty { node }
        | StageInput::State { node, .. }
        | StageInput::Shuffles { node } => Some((node, graph.node(node)?.rows.clone()?)),
        StageInput::Shuffle { node, .. } | StageInput::Sliding { node, .. } => {
            Some((node, graph.node(node)?.exchanged.clone()?))
        }
    }
}

/// The operators of a branch, with their names as the graph shows them.
fn operators(graph: &Graph, branch: &Branch) -> Arc<[(NodeId, String)]> {
    let operator = |step: &Step| Some((step.node, graph.node(step.node)?.to_string()));
    branch.steps.iter().filter_map(operator).collect()
}

/// The operators of a branch of a stage, in words, for messages.
pub(super) fn describe(graph: &Graph, stage: &Stage, branch: usize) -> String {
    let mut operators: Vec<String> = Vec::new();
    if let Some(StageInput::Shuffles { node }) = stage.branches.get(branch).map(|branch| branch.input) {
        operators.extend(graph.node(node).map(ToString::to_string));
    }
    for step in stage.branches.get(branch).into_iter().flat_map(|branch| &branch.steps) {
        if let Some(node) = graph.node(step.node) {
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

/// The records of the driver functions whose closures a branch needs.
fn calls_for(plan: &JobPlan, branch: &Branch) -> Arc<[RecordId]> {
    // Most plans have no driver functions.
    if plan.calls.is_empty() {
        return Arc::default();
    }
    let needed = |call: &&RecordId| {
        let made = plan.graph.calls().iter().find(|made| made.first == call.first);
        let has_made = |node| made.is_some_and(|made| made.has_made(node));
        // A stage may begin with the rows of a node that a driver function made, such as a sort.
        let reads = input(&plan.graph, branch).is_some_and(|(node, _)| has_made(node));
        reads || branch.steps.iter().any(|step| has_made(step.node))
    };
    plan.calls.iter().filter(needed).copied().collect()
}

impl Planner {
    /// Makes the plan of a task. `None` if the graph lacks a node that the stage names.
    pub(super) fn plan(
        &self,
        plan: &JobPlan,
        stage: &Stage,
        task: TaskId,
        task_input: &TaskInput,
        mode: AttemptMode,
    ) -> Option<Arc<dyn ExecutionPlan>> {
        let graph = &*plan.graph;
        let branch = stage.branches.get(task_input.branch)?;
        let (input, _) = input(graph, branch)?;
        let output_type = match stage.output {
            StageOutput::Shuffle { node, .. } => exchanged(graph, stage, node)?,
            _ => graph.node(stage.node)?.rows.clone()?,
        };
        if let [Step { role: Role::State(form), .. }] = branch.steps.as_slice() {
            return self.state_plan(graph, task, task_input, branch, *form, mode);
        }
        let (rows, input_type) = self.input_rows(plan, stage, task, task_input)?;
        if branch.steps.is_empty() {
            return Some(rows);
        }
        let step = |step: &Step| {
            let start = task_input.starts.get(step.first).copied().unwrap_or(0);
            TaskStep { node: step.node, role: step.role.name(), partition: task.partition.saturating_sub(start) }
        };
        let program = TaskProgram {
            batch: task.batch,
            partition: task.partition,
            arguments: self.arguments.clone(),
            seed: self.seed(graph, branch)?,
            input,
            input_type,
            more_inputs: Vec::new(),
            steps: branch.steps.iter().map(step).collect(),
            operators: operators(graph, branch),
            output_type,
            state_type: None,
            traced: mode.traced,
            is_quiet: branch.steps.iter().all(|step| graph.node(step.node).is_some_and(Node::is_quiet_without_data)),
            replays: calls_for(plan, branch),
        };
        if mode.in_parts && reduces(branch) {
            return in_parts(graph, rows, program);
        }
        Some(Arc::new(PluginExec::new(rows, program)))
    }

    /// Makes the plan of a task that changes state.
    fn state_plan(
        &self,
        graph: &Graph,
        task: TaskId,
        task_input: &TaskInput,
        branch: &Branch,
        form: StateForm,
        mode: AttemptMode,
    ) -> Option<Arc<dyn ExecutionPlan>> {
        let (id, read) = input(graph, branch)?;
        let node = graph.node(id)?;
        let (stateful, pair, rows) = (node.operation.stateful()?, node.state.clone()?, node.rows.clone()?);
        let ((key, value), (_, state)) = (read.pair()?, pair.pair()?);
        let types = StateTypes::of(&key, &state, &value).ok()?;
        let (input_type, output_type) = match form {
            StateForm::Keys => (&types.update, &types.state),
            StateForm::Partitions => (&types.update, &pair),
            StateForm::Records => (&types.record, &rows),
            StateForm::Window => (&types.window, &types.state),
        };
        let is_records = form == StateForm::Records;
        let of_role = |role: Role, output_type: &RecordType| TaskProgram {
            batch: task.batch,
            partition: task.partition,
            arguments: self.arguments.clone(),
            seed: self.seed(graph, branch).unwrap_or_default(),
            input: id,
            input_type: input_type.clone(),
            more_inputs: if is_records { vec![types.state.clone(), pair.clone()] } else { Vec::new() },
            steps: [TaskStep { node: id, role: role.name(), partition: task.partition }].into(),
            operators: operators(graph, branch),
            output_type: output_type.clone(),
            state_type: is_records.then(|| types.change.clone()),
            traced: mode.traced,
            is_quiet: false,
            replays: Arc::default(),
        };
        let (leaving, entering) = task_input.pieces.split_at_checked(task_input.leaving)?;
        let children = match form {
            StateForm::Window => vec![leaf(task, leaving.to_vec(), &read), leaf(task, entering.to_vec(), &read)],
            _ => vec![leaf(task, entering.to_vec(), &read)],
        };
        let migrate = node.earlier_state.clone().map(|earlier| TaskProgram {
            input_type: earlier,
            more_inputs: Vec::new(),
            state_type: None,
            ..of_role(Role::Migrate, &types.state)
        });
        let work = StateWork {
            node: id,
            form,
            program: of_role(Role::State(form), output_type),
            initial: stateful.has_initial.then(|| of_role(Role::Initial, &pair)),
            migrate,
            timeout: stateful.timeout,
            partitions: task_input.partitions,
            is_anew: task_input.is_anew,
            types: types.clone(),
            pair: pair.clone(),
            read,
            updates: UpdatesOfNode::default(),
        };
        Some(Arc::new(StateExec::new(children, rows.arrow().clone(), work)))
    }

    /// The rows that the steps of a task read, in the order in which records are counted, and the type of the rows.
    pub(super) fn input_rows(
        &self,
        plan: &JobPlan,
        stage: &Stage,
        task: TaskId,
        task_input: &TaskInput,
    ) -> Option<(Arc<dyn ExecutionPlan>, RecordType)> {
        let graph = &*plan.graph;
        let branch = stage.branches.get(task_input.branch)?;
        let (input, input_type) = input(graph, branch)?;
        let rows: Arc<dyn ExecutionPlan> = match (branch.input, graph.node(input).map(|node| &node.operation)) {
            (StageInput::Shuffles { .. }, _) => join(graph, task, input, &task_input.pieces)?,
            (StageInput::Shuffle { .. }, Some(Operation::Sort { descending })) => {
                Arc::new(SortExec::new(leaf(task, task_input.pieces.clone(), &input_type), *descending))
            }
            _ => leaf(task, task_input.pieces.clone(), &input_type),
        };
        Some((rows, input_type))
    }

    /// The seed of random numbers in a task. The seed follows from the job, the operator at the end of the stage and
    /// the work of that operator.
    fn seed(&self, graph: &Graph, branch: &Branch) -> Option<u64> {
        let last = branch.steps.last()?;
        let node = graph.node(last.node)?;
        let operator = match (&node.name, graph.call_of(node.id)) {
            (Some(name), _) => name.clone(),
            (None, None) => format!("{}/{}", node.kind, node.id),
            (None, Some(call)) => format!("{}/{}/{}", call.node, node.kind, node.id.0 - call.first.0),
        };
        Some(crate::data::key::hash(format!("{}\0{operator}\0{}", self.job, last.role.name()).as_bytes()))
    }
}
