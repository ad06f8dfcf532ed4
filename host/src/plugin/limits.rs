//! What plugin code may use, and the counters that enforce it.

use crate::time::Duration;
use std::time::Instant;
use wasmtime::ResourceLimiter;

/// The most table elements an instance may have. A Rust component has a few hundred.
const TABLE_ELEMENTS_MAX: usize = 100_000;
/// The most core instances, tables and memories of one component instance.
const PARTS_MAX: usize = 64;

/// What one task may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of an instance, in bytes.
    pub memory_bytes: u64,
    /// Time in plugin code.
    pub task_time: Duration,
    /// All rows that a task emits, in bytes.
    pub result_bytes: u64,
    /// The size of the component itself, in bytes.
    pub plugin_bytes: u64,
}

/// Refuses growth beyond the limits, and remembers that it did.
#[derive(Debug)]
pub(super) struct MemoryLimiter {
    max: usize,
    /// The most bytes that were asked for and refused.
    pub(super) refused: Option<usize>,
    /// All memories together, in bytes. They never shrink.
    granted: usize,
}

impl MemoryLimiter {
    /// The linear memory in use, in bytes.
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
    left: Duration,
    running_since: Option<Instant>,
}

impl Stopwatch {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { left: limits.task_time, running_since: None }
    }

    pub(super) fn start(&mut self) {
        self.running_since = Some(now());
    }

    pub(super) fn stop(&mut self) {
        if let Some(since) = self.running_since.take() {
            self.left = self.left.saturating_sub(now().duration_since(since));
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.running_since.is_some_and(|since| now().duration_since(since) >= self.left)
    }
}

/// A limit on computing has to be real even where the host's time is simulated.
#[expect(clippy::disallowed_methods, reason = "limits on plugin code are enforced in real time")]
fn now() -> Instant {
    Instant::now()
}
