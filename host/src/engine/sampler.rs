//! Times the operators of a few tasks.
//!
//! Operators run as one loop, whose time only a traced run can divide. Owns which tasks are sampled: of each stage, one task
//! in each interval. Before such a task begins, a copy of the task runs, traced and on the first rows only, in an instance of
//! its own whose rows, log lines and updates are dropped. So a sample changes no result, and takes a bounded time and memory.

use crate::env::Clock;
use crate::ids::NodeId;
use crate::listener::{Event, ListenerBus, OperatorSample, SampleInfo};
use crate::lock::lock;
use crate::plugin::{Plugin, TaskInstance, TaskProgram};
use crate::time::Duration;
use arrow::array::RecordBatch;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The most rows of a sample.
const ROWS_MAX: usize = 1024;
/// The longest time of a sample in code of the plugin, from the making of the instance to the end.
const TIME_MAX: Duration = Duration::from_millis(100);

/// Decides which tasks are sampled, and samples them.
pub(super) struct Sampler {
    interval: Duration,
    clock: Arc<dyn Clock>,
    listeners: ListenerBus,
    /// When the tasks that begin with a step were last sampled.
    last: Mutex<BTreeMap<(NodeId, &'static str), Duration>>,
}

impl Sampler {
    /// A sampler that samples each stage once in each interval.
    pub(super) fn new(interval: Duration, clock: Arc<dyn Clock>, listeners: ListenerBus) -> Self {
        Self { interval, clock, listeners, last: Mutex::default() }
    }

    /// Whether a task of the program is to be sampled now. If so, the next one is due after an interval.
    fn is_due(&self, program: &TaskProgram) -> bool {
        let Some(first) = program.steps.first() else { return false };
        let now = self.clock.monotonic();
        let mut last = lock(&self.last);
        match last.get_mut(&(first.node, first.role)) {
            Some(last) if now.saturating_sub(*last) < self.interval => false,
            Some(last) => {
                *last = now;
                true
            }
            None => {
                last.insert((first.node, first.role), now);
                true
            }
        }
    }

    /// Samples a task that is about to begin with these rows of an input, if that is due. A sample that takes too long tells of
    /// the rows that it has begun. A sample that fails tells nothing: the task itself fails with its reason.
    pub(super) fn sample(&self, plugin: &Plugin, program: &TaskProgram, input: u32, rows: &RecordBatch) {
        if rows.num_rows() == 0 || !self.is_due(program) {
            return;
        }
        let rows = rows.slice(0, rows.num_rows().min(ROWS_MAX));
        let Ok((rows, times)) = TaskInstance::sample(plugin, program, (input, &rows), TIME_MAX) else { return };
        let role = |node: NodeId| program.steps.iter().find(|step| step.node == node).map(|step| step.role);
        let operators = times
            .into_iter()
            .filter_map(|(node, time)| Some(OperatorSample { node, role: role(node)?, time }))
            .collect::<Vec<_>>();
        if !operators.is_empty() {
            self.listeners.post(&Event::OperatorsSampled(SampleInfo {
                batch_time: program.batch,
                partition: program.partition,
                rows,
                operators,
            }));
        }
    }
}
