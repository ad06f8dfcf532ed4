//! Where a test can make a task fail, as if its machine had.

use crate::ids::TaskId;

/// A moment in the life of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultPoint {
    /// Before it reads anything.
    Begin,
    /// When its rows are computed, before they are handed over.
    BeforeCommit,
}

/// Decides whether a task fails.
pub trait FaultInjector: Send + Sync {
    /// True if the task is to fail here. `attempt` counts from 0.
    fn fails(&self, task: TaskId, attempt: u32, point: FaultPoint) -> bool;
}

/// No task fails.
pub struct NoFaults;

impl FaultInjector for NoFaults {
    fn fails(&self, _: TaskId, _: u32, _: FaultPoint) -> bool {
        false
    }
}
