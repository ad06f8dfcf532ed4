//! What a failure of the engine is to its reader: operator, batch, partition, record or key, and what to do.
//!
//! Owns the words of these errors. Never decides what is tried again.

use super::plan::describe;
use super::retry::Cause;
use super::task::AttemptError;
use super::{JobPlan, JobRequest};
use crate::error::{Error, ErrorKind};
use crate::graph::Stage;
use crate::ids::{NodeId, StageId, TaskId};
use crate::time::Time;

/// A stage that the plan speaks of and the graph does not have.
pub(super) fn internal(stage: StageId) -> Error {
    Error::new(ErrorKind::Internal, format!("stage {stage} is not in the stage graph")).help("please report this")
}

/// A data set of an earlier batch that is not there any more.
pub(super) fn not_kept(request: &JobRequest, slice: NodeId, of: NodeId, time: Time) -> Error {
    let name = |node: NodeId| request.plan.graph.node(node).map(ToString::to_string).unwrap_or_default();
    let (slice, of) = (name(slice), name(of));
    let message =
        format!("{slice} failed on batch {}: the data set of {of} of batch {time} is not there", request.batch);
    Error::new(ErrorKind::User, message).help(
        "keep the stream's data sets: `cache()` it and call `remember` on the context; there is none of a batch that \
         failed, nor of one before the start",
    )
}

/// A window over a batch that failed.
pub(super) fn window_gap(request: &JobRequest, window: NodeId, missing: Time) -> Error {
    let window = request.plan.graph.node(window).map(ToString::to_string).unwrap_or_default();
    let message = format!("{window} failed on batch {}: it reads batch {missing}, which failed", request.batch);
    Error::new(ErrorKind::Unavailable, message).help("windows work again when they no longer reach back to that batch")
}

/// A task's failure as its reader sees it: operator, batch, partition and record.
pub(super) fn explain(job: &JobPlan, task: TaskId, stage: &Stage, branch: usize, error: &AttemptError) -> Error {
    let TaskId { batch, partition, .. } = task;
    if let Some(output) = &error.output {
        let message = format!("{} (partition {partition})", output.message);
        return Error { message, ..(**output).clone() };
    }
    let operator = |node: NodeId| job.graph.node(node).map(|node| format!("operator {node}"));
    let place = error.place.and_then(|place| Some((operator(place.operator)?, place.record)));
    let subject = match &place {
        Some((operator, record)) => {
            format!("{operator} failed on batch {batch}, partition {partition}, record {record}")
        }
        None => format!("{} failed on batch {batch}, partition {partition}", describe(&job.graph, stage, branch)),
    };
    let subject = match &error.key {
        Some(key) => format!("{subject}, key {key}"),
        None => subject,
    };
    let (kind, help) = match error.cause {
        Cause::Plugin if error.key.is_some() => {
            (ErrorKind::Plugin, "what belongs to one key has to fit into an instance: raise limits.memory")
        }
        Cause::Plugin if error.is_out_of_memory => {
            (ErrorKind::Plugin, "raise limits.memory, or make the plugin hold less at a time")
        }
        Cause::Plugin => {
            (ErrorKind::Plugin, "fix the plugin, or set job.on_error = \"continue\" to go on with the next batch")
        }
        Cause::Outside => (ErrorKind::Unavailable, "see the warnings above for each attempt"),
        Cause::Cancelled => (ErrorKind::Unavailable, "the run was stopped before the batch was done"),
    };
    Error::new(kind, format!("{subject}: {}", error.message)).help(help)
}
