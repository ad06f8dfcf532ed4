//! The limits of plugin code, and the counters that enforce them.

use crate::time::Duration;
use std::time::Instant;
use wasmtime::ResourceLimiter;

/// The most table elements of an instance. A Rust component has a few hundred.
const TABLE_ELEMENTS_MAX: usize = 100_000;
/// The most core instances, tables and memories of one component instance.
const PARTS_MAX: usize = 64;

/// The limits of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest linear memory of an instance, in bytes.
    pub memory_bytes: u64,
    /// The longest time in plugin code.
    pub task_time: Duration,
    /// The most bytes of all rows that a task emits.
    pub result_bytes: u64,
    /// The largest size of the component itself, in bytes.
    pub plugin_bytes: u64,
}

/// Refuses growth beyond the limits, and remembers that it has refused.
#[derive(Debug)]
pub(super) struct MemoryLimiter {
    max: usize,
    /// The largest number of bytes that was refused. `None` if nothing was refused.
    pub(super) refused: Option<usize>,
    /// The bytes of all linear memories together. A linear memory never shrinks.
    granted: usize,
}

impl MemoryLimiter {
    /// The bytes of linear memory that the instance has.
    pub(super) fn granted(&self) -> usize {
        self.granted
    }

    pub(super) fn new(limits: &Limits) -> Self {
        Self { max: usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX), refused: None, granted: 0 }
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.granted.saturating_add(desired.saturating_sub(current));
        if total > self.max {
            self.refused = self.refused.max(Some(total));
            return Ok(false);
        }
        self.granted = total;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        PARTS_MAX
    }

    fn tables(&self) -> usize {
        PARTS_MAX
    }

    fn memories(&self) -> usize {
        PARTS_MAX
    }
}

/// Counts the time spent in plugin code, over several calls.
#[derive(Debug)]
pub(super) struct Stopwatch {
    limit: Duration,
    left: Duration,
    running_since: Option<Moment>,
}

impl Stopwatch {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { limit: limits.task_time, left: limits.task_time, running_since: None }
    }

    /// Allows at most this time.
    pub(super) fn allow_at_most(&mut self, time: Duration) {
        self.limit = self.limit.min(time);
        self.left = self.left.min(time);
    }

    pub(super) fn start(&mut self) {
        self.running_since = Some(Moment::now());
    }

    pub(super) fn stop(&mut self) {
        if let Some(since) = self.running_since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
    }

    /// The time that was counted so far, at most the limit.
    pub(super) fn counted(&self) -> Duration {
        self.limit.saturating_sub(self.left)
    }

    pub(super) fn is_over(&self) -> bool {
        self.running_since.is_some_and(|since| since.elapsed() >= self.left)
    }
}

/// A moment in real time. A limit on computing has to hold in real time, even if the host's time is simulated, and so does a
/// measured time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(Instant);

impl Moment {
    #[expect(clippy::disallowed_methods, reason = "plugin code is limited and timed in real time")]
    pub(super) fn now() -> Self {
        Self(Instant::now())
    }

    /// The time since then.
    pub(super) fn elapsed(self) -> Duration {
        Self::now().0.duration_since(self.0)
    }
}
