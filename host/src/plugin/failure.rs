//! Why plugin code failed, and where in the data.

use crate::ids::NodeId;
use crate::time::Duration;

/// How far a traced run had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The operator that was about to see the record.
    pub operator: NodeId,
    /// The record of the task's input, from 0.
    pub record: u64,
}

/// Why a call of plugin code failed. Says nothing about which task it was: the caller knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The plugin's own code gave up, with its message.
    #[error("{0}")]
    Panicked(String),
    /// A trap that is not one of the others.
    #[error("it trapped: {0}")]
    Trapped(String),
    /// It computed for too long.
    #[error("it ran longer than limits.task_time = {}", seconds(.0))]
    TimedOut(Duration),
    /// A driver function took too long, with all that it asked the host for.
    #[error("it took longer than limits.driver_time = {}, with its actions and files", seconds(.0))]
    DriverTimedOut(Duration),
    /// It asked for more memory than it may have.
    #[error("it asked for {asked} bytes of memory, and limits.memory = {limit} bytes")]
    OutOfMemory {
        /// What it asked for.
        asked: u64,
        /// What it may have.
        limit: u64,
    },
    /// It used up its stack.
    #[error("it used up its stack: recursion without end?")]
    StackOverflow,
    /// It emitted too much.
    #[error("it emitted more than limits.result_size = {0} bytes")]
    ResultTooLarge(u64),
    /// It gave the host too much in one call.
    #[error("it handed more than limits.result_size = {0} bytes to the host at once")]
    HandedTooMuch(u64),
    /// A driver function asked for too many rows.
    #[error("an action returned more than limits.result_size = {0} bytes")]
    AnswerTooLarge(u64),
    /// A driver function wrote too large a file.
    #[error("the file `{path}` would have more than limits.result_size = {limit} bytes")]
    FileTooLarge {
        /// What the function calls it.
        path: String,
        /// What a file may have.
        limit: u64,
    },
    /// What it emitted or described is not valid.
    #[error("it returned broken data: {0}")]
    BrokenData(String),
    /// There is no room for what it emitted, in memory and on the disk: the plugin is not to blame.
    #[error("what it emitted cannot be kept: {0}")]
    NotKept(String),
    /// It refused, by the interface's own errors.
    #[error("{0}")]
    Refused(String),
    /// A data set that a driver function asked for could not be computed.
    #[error("{0}")]
    Action(String),
    /// A driver function that ran again did something else than the first time.
    #[error("driver function is not deterministic: {0}")]
    NotDeterministic(String),
    /// The run is being stopped.
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
