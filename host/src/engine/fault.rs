//! The moments at which a test can make a task fail, as if its machine had failed.

use crate::ids::TaskId;

/// A moment in the life of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultPoint {
    /// Before the task reads anything.
    Begin,
    /// After the rows of the task are computed, before they are handed over.
    BeforeCommit,
}

/// Decides whether a task fails.
pub trait FaultInjector: Send + Sync {
    /// Returns true if the task is to fail at this moment. `attempt` counts from 0.
    fn fails(&self, task: TaskId, attempt: u32, point: FaultPoint) -> bool;
}

/// Makes no task fail.
pub struct NoFaults;

impl FaultInjector for NoFaults {
    fn fails(&self, _: TaskId, _: u32, _: FaultPoint) -> bool {
        false
    }
}
