//! The moments at which a test can make a task fail or wait, as if its machine had failed or were slow.

use crate::ids::TaskId;
use crate::time::Duration;

/// A moment in the life of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultPoint {
    /// Before the task reads anything.
    Begin,
    /// After the rows of the task are computed, before they are handed over.
    BeforeCommit,
}

/// Decides whether a task fails, and how long it takes.
pub trait FaultInjector: Send + Sync {
    /// Returns true if the task is to fail at this moment. `attempt` counts from 0.
    fn fails(&self, task: TaskId, attempt: u32, point: FaultPoint) -> bool;

    /// How much longer a task takes that has read this many rows. In a simulation, the time of a task is only this.
    fn stalls(&self, _task: TaskId, _rows_read: u64) -> Duration {
        Duration::ZERO
    }
}

/// Makes no task fail.
pub struct NoFaults;

impl FaultInjector for NoFaults {
    fn fails(&self, _: TaskId, _: u32, _: FaultPoint) -> bool {
        false
    }
}
