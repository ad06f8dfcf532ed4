//! The error messages of the engine: operator, batch, partition, record or key, and what the user can do.
//!
//! Owns the text of these errors. Never decides whether a task is tried again.

use super::plan::describe;
use super::retry::Cause;
use super::task::{AttemptError, Outside};
use super::{JobPlan, JobRequest};
use crate::error::{Error, ErrorKind};
use crate::graph::Stage;
use crate::ids::{NodeId, StageId, TaskId};
use crate::memory::NoRoom;
use crate::time::Time;

/// The error of a stage that is in the plan and not in the graph.
pub(super) fn internal(stage: StageId) -> Error {
    Error::new(ErrorKind::Internal, format!("stage {stage} is not in the stage graph")).help("please report this")
}

/// The error of a stage whose tasks do not fit into memory. None of the tasks has run.
pub(super) fn too_many_tasks(request: &JobRequest, stage: &Stage, tasks: usize, error: &NoRoom) -> Error {
    let what = describe(&request.plan.graph, stage, 0);
    let message = format!("{what} failed on batch {}: its {tasks} tasks: {error}", request.batch);
    Error::new(ErrorKind::User, message).help("raise engine.memory, or use fewer partitions")
}

/// The error of a data set of an earlier batch that is not kept any more.
pub(super) fn not_kept(request: &JobRequest, slice: NodeId, of: NodeId, time: Time) -> Error {
    let name = |node: NodeId| request.plan.graph.node(node).map(ToString::to_string).unwrap_or_default();
    let (slice, of) = (name(slice), name(of));
    let message =
        format!("{slice} failed on batch {}: the data set of {of} of batch {time} is not there", request.batch);
    Error::new(ErrorKind::User, message).help(
        "keep the stream's data sets: `cache()` it and call `remember` on the context; a batch that failed, or that \
         lies before the start, has no data set",
    )
}

/// The error of a window that contains a batch that failed.
pub(super) fn window_gap(request: &JobRequest, window: NodeId, missing: Time) -> Error {
    let window = request.plan.graph.node(window).map(ToString::to_string).unwrap_or_default();
    let message = format!("{window} failed on batch {}: it reads batch {missing}, which failed", request.batch);
    Error::new(ErrorKind::Unavailable, message).help("windows work again when they no longer reach back to that batch")
}

/// The error of a task that waited for its next attempt when the run was stopped.
pub(super) fn stopped(job: &JobPlan, task: TaskId, stage: &Stage, branch: usize) -> Error {
    let message = format!("{}: the run was stopped", subject(job, task, stage, branch));
    Error::new(ErrorKind::Unavailable, message).help(HELP_STOPPED)
}

const HELP_STOPPED: &str = "the run was stopped before the batch was done";

/// The facts about a final failure of a task.
pub(super) struct Failed {
    pub error: AttemptError,
    /// The record at which plugin code failed.
    pub record: Option<String>,
    /// How many attempts failed by transient causes outside the plugin.
    pub tries: u32,
}

/// The task that failed, in words.
fn subject(job: &JobPlan, task: TaskId, stage: &Stage, branch: usize) -> String {
    let TaskId { batch, partition, .. } = task;
    format!("{} failed on batch {batch}, partition {partition}", describe(&job.graph, stage, branch))
}

/// The error of a task that failed for good: it names operator, batch, partition and record.
pub(super) fn explain(job: &JobPlan, task: TaskId, stage: &Stage, branch: usize, failed: &Failed) -> Error {
    let Failed { error, record, tries } = failed;
    let TaskId { batch, partition, .. } = task;
    let tried = |help: &str| match tries {
        0 | 1 => help.to_owned(),
        tries => format!("{help}; the host has tried {tries} times: the warnings above tell of each attempt"),
    };
    match error.outside.as_deref() {
        Some(Outside::Output(output)) => {
            let message = format!("{} (partition {partition})", output.message);
            let help = output.help.as_deref().map(tried);
            return Error { message, help, ..output.clone() };
        }
        Some(Outside::File(file)) => {
            let message = format!("{}: {}", subject(job, task, stage, branch), file.message);
            let help = file.help.as_deref().map(tried);
            return Error { message, help, ..file.clone() };
        }
        None => {}
    }
    let operator = |node: NodeId| job.graph.node(node).map(|node| format!("operator {node}"));
    let place = error.place.and_then(|place| Some((operator(place.operator)?, place.record)));
    let subject = match &place {
        Some((operator, record)) => {
            format!("{operator} failed on batch {batch}, partition {partition}, record {record}")
        }
        None => subject(job, task, stage, branch),
    };
    let subject = match &error.key {
        Some(key) => format!("{subject}, key {key}"),
        None => subject,
    };
    let (kind, help) = match error.cause {
        Cause::Plugin if error.key.is_some() => {
            (ErrorKind::Plugin, "what belongs to one key has to fit into an instance: raise limits.memory".to_owned())
        }
        Cause::Plugin if error.is_out_of_memory => {
            (ErrorKind::Plugin, "raise limits.memory, or make the plugin hold less at a time".to_owned())
        }
        Cause::Plugin => (
            ErrorKind::Plugin,
            "fix the plugin, or set job.on_error = \"continue\" to go on with the next batch".to_owned(),
        ),
        Cause::Transient => {
            let help = "set job.on_error = \"continue\" to go on with the next batch when this happens";
            (ErrorKind::Unavailable, tried(help))
        }
        Cause::Permanent => (
            ErrorKind::Unavailable,
            "trying again would not help; job.on_error = \"continue\" goes on with the next batch".to_owned(),
        ),
        Cause::Cancelled => (ErrorKind::Unavailable, HELP_STOPPED.to_owned()),
    };
    let record = record.as_ref().map(|record| format!("\n  {record}")).unwrap_or_default();
    Error::new(kind, format!("{subject}: {}{record}", error.message)).help(help)
}
