//! The priority of the tasks of a run, which can change while the run goes on.
//!
//! Owns the choice between the two executors of tasks. A task that runs keeps its priority; the next task gets the new
//! one.

use super::{Env, Executor};
use futures::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The priority of the tasks of a run. Clones change the same priority. At first, tasks have the priority of the program.
#[derive(Clone, Debug, Default)]
pub struct Priority {
    is_low: Arc<AtomicBool>,
}

impl Priority {
    /// With `true`, the next tasks leave the processors to all other threads.
    pub fn set_low(&self, is_low: bool) {
        self.is_low.store(is_low, Ordering::Relaxed);
    }
}

/// Runs tasks with the present priority.
struct Prioritised {
    priority: Priority,
    normal: Arc<dyn Executor>,
    low: Arc<dyn Executor>,
}

impl Executor for Prioritised {
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        let is_low = self.priority.is_low.load(Ordering::Relaxed);
        let executor = if is_low { &self.low } else { &self.normal };
        executor.spawn(name, future);
    }
}

impl Env {
    /// The same world, but tasks run with this priority.
    #[must_use]
    pub fn with_priority(&self, priority: &Priority) -> Self {
        let (normal, low) = (self.engine.clone(), self.low_engine.clone());
        Self { engine: Arc::new(Prioritised { priority: priority.clone(), normal, low }), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Simulation;
    use super::*;
    use crate::time::Time;
    use std::sync::Mutex;

    /// Runs nothing, and counts.
    #[derive(Default)]
    struct Counted(Mutex<u32>);

    impl Executor for Counted {
        fn spawn(&self, _: &'static str, _: BoxFuture<'static, ()>) {
            *self.0.lock().unwrap() += 1;
        }
    }

    #[test]
    fn each_task_begins_with_the_priority_of_its_time() {
        let (normal, low) = (Arc::new(Counted::default()), Arc::new(Counted::default()));
        let env = Simulation::new(1, Time::default()).env();
        let priority = Priority::default();
        let env = Env { engine: normal.clone(), low_engine: low.clone(), ..env }.with_priority(&priority);
        let spawned = |is_low| {
            priority.set_low(is_low);
            env.engine.spawn("task", Box::pin(async {}));
            (*normal.0.lock().unwrap(), *low.0.lock().unwrap())
        };
        assert_eq!([spawned(false), spawned(true), spawned(true), spawned(false)], [(1, 0), (1, 1), (1, 2), (2, 2)]);
    }
}
