//! Why plugin code failed, and where in the data.

use crate::ids::NodeId;
use crate::time::Duration;
use crate::variables::VariableError;

/// The progress of a traced run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TracedPlace {
    /// The operator that was about to see the record.
    pub operator: NodeId,
    /// The number of the record in the task's input, from 0.
    pub record: u64,
}

/// Why a call of plugin code failed. The failure does not say which task it was: the caller knows the task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The plugin's own code returned an error, with this message.
    #[error("{0}")]
    Panicked(String),
    /// The code trapped, for none of the reasons below.
    #[error("it trapped: {0}")]
    Trapped(String),
    /// The code ran for too long.
    #[error("it ran longer than limits.task_time = {}", seconds(.0))]
    TimedOut(Duration),
    /// A driver function took too long, with everything that it asked the host for.
    #[error("it took longer than limits.driver_time = {}, with its actions and files", seconds(.0))]
    DriverTimedOut(Duration),
    /// The plugin asked for more memory than the limit.
    #[error("it asked for {asked} bytes of memory, and limits.memory = {limit} bytes")]
    OutOfMemory {
        /// The memory that the plugin asked for, in bytes.
        asked: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The code used up its stack.
    #[error("it used up its stack: recursion without end?")]
    StackOverflow,
    /// The task emitted too many rows.
    #[error("it emitted more than limits.result_size = {0} bytes")]
    ResultTooLarge(u64),
    /// The plugin passed too much data to the host in one call.
    #[error("it handed more than limits.result_size = {0} bytes to the host at once")]
    HandedTooMuch(u64),
    /// An action of a driver function would have returned too many rows.
    #[error("an action returned more than limits.result_size = {0} bytes")]
    AnswerTooLarge(u64),
    /// A driver function wrote too large a file.
    #[error("the file `{path}` would have more than limits.result_size = {limit} bytes")]
    FileTooLarge {
        /// The path by which the function names the file.
        path: String,
        /// The largest size of a file, in bytes.
        limit: u64,
    },
    /// The rows that the plugin emitted, or the graph that it described, are not valid.
    #[error("it returned broken data: {0}")]
    BrokenData(String),
    /// There is no room for the emitted rows, in memory or on the disk. This is not the fault of the plugin.
    #[error("what it emitted cannot be kept: {0}")]
    NotKept(String),
    /// The plugin refused the call with an error of the interface.
    #[error("{0}")]
    Refused(String),
    /// The plugin cannot use an argument of the job.
    #[error("argument `{name}`: {why}")]
    Argument {
        /// The name of the argument.
        name: String,
        /// Why the plugin cannot use the value.
        why: String,
    },
    /// A data set that a driver function asked for could not be computed.
    #[error("{0}")]
    Action(String),
    /// A driver function that ran again did not do the same as the first time.
    #[error("driver function is not deterministic: {0}")]
    NotDeterministic(String),
    /// An accumulator or a broadcast variable cannot be used in this way.
    #[error(transparent)]
    Variable(Box<VariableError>),
    /// A function was called that only driver functions can call, or that only they and tasks can call.
    #[error("{0}")]
    OutOfPlace(String),
    /// The run is being cancelled.
    #[error("it was stopped")]
    Cancelled,
}

fn seconds(duration: &Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}

impl From<VariableError> for Failure {
    fn from(error: VariableError) -> Self {
        match error {
            VariableError::NotKept { .. } => Self::NotKept(error.to_string()),
            error => Self::Variable(Box::new(error)),
        }
    }
}
