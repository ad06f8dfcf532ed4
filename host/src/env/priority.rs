//! The priority of the tasks of a run, which can change while the run goes on.
//!
//! Owns the choice between the two executors of tasks, and when a task of low priority may begin: while no task of normal
//! priority of another run is under way, so that the two do not share processors, caches and memory. A task that runs
//! keeps its priority; the next task gets the new one.

use super::{Clock, Env, Executor};
use crate::time::Duration;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// How long a task of low priority waits at most. So a run of low priority goes on, slowly, if the other run never rests.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The tasks of normal priority that are under way. Clones count the same tasks.
#[derive(Clone, Debug, Default)]
pub struct Precedence {
    counted: Arc<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    tasks: AtomicUsize,
    ended: Notify,
}

impl Precedence {
    /// Counts a task, in all and in `own`, until the result is dropped.
    fn begin(&self, own: &Arc<AtomicUsize>) -> UnderWay {
        own.fetch_add(1, Ordering::SeqCst);
        self.counted.tasks.fetch_add(1, Ordering::SeqCst);
        UnderWay { all: self.counted.clone(), own: own.clone() }
    }

    /// Resolves when no task of normal priority is under way, or after [`WAIT_MAX`].
    pub async fn free(&self, clock: &dyn Clock) {
        self.free_of_others(&AtomicUsize::new(0), clock).await;
    }

    /// Resolves when only `own` tasks of normal priority are under way, or after [`WAIT_MAX`]. A run whose priority has
    /// become low in the middle of a batch still has such tasks, and they wait for its new tasks.
    async fn free_of_others(&self, own: &AtomicUsize, clock: &dyn Clock) {
        let patience = clock.sleep(WAIT_MAX);
        tokio::pin!(patience);
        loop {
            let ended = self.counted.ended.notified();
            tokio::pin!(ended);
            // From here on, the end of a task is noticed.
            ended.as_mut().enable();
            if self.counted.tasks.load(Ordering::SeqCst) <= own.load(Ordering::SeqCst) {
                return;
            }
            tokio::select! {
                biased;
                () = ended => {}
                () = &mut patience => return,
            }
        }
    }
}

struct UnderWay {
    all: Arc<Counted>,
    own: Arc<AtomicUsize>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.all.tasks.fetch_sub(1, Ordering::SeqCst);
        self.own.fetch_sub(1, Ordering::SeqCst);
        self.all.ended.notify_waiters();
    }
}

/// The priority of the tasks of a run. Clones change the same priority. At first, tasks have the priority of the program.
#[derive(Clone, Debug, Default)]
pub struct Priority {
    is_low: Arc<AtomicBool>,
    precedence: Precedence,
    /// The tasks of the run that are under way with normal priority.
    own: Arc<AtomicUsize>,
}

impl Priority {
    /// Makes the priority of a run beside other runs, which use the same `precedence`.
    pub fn beside(precedence: &Precedence) -> Self {
        Self { precedence: precedence.clone(), ..Self::default() }
    }

    /// With `true`, the next tasks leave the processors to all other threads, and each begins when no task of normal
    /// priority of another run is under way.
    pub fn set_low(&self, is_low: bool) {
        self.is_low.store(is_low, Ordering::Relaxed);
    }

    /// The tasks of all runs that use the same processors.
    pub fn precedence(&self) -> &Precedence {
        &self.precedence
    }
}

/// Runs tasks with the present priority.
struct Prioritised {
    priority: Priority,
    clock: Arc<dyn Clock>,
    normal: Arc<dyn Executor>,
    low: Arc<dyn Executor>,
}

impl Executor for Prioritised {
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        if self.priority.is_low.load(Ordering::Relaxed) {
            let (priority, clock) = (self.priority.clone(), self.clock.clone());
            let task = async move {
                priority.precedence.free_of_others(&priority.own, &*clock).await;
                future.await;
            };
            self.low.spawn(name, Box::pin(task));
        } else {
            let under_way = self.priority.precedence.begin(&self.priority.own);
            let task = async move {
                future.await;
                drop(under_way);
            };
            self.normal.spawn(name, Box::pin(task));
        }
    }
}

impl Env {
    /// The same world, but tasks run with this priority.
    #[must_use]
    pub fn with_priority(&self, priority: &Priority) -> Self {
        let (clock, normal, low) = (self.clock.clone(), self.engine.clone(), self.low_engine.clone());
        Self { engine: Arc::new(Prioritised { priority: priority.clone(), clock, normal, low }), ..self.clone() }
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
    struct Spawned(Mutex<u32>);

    impl Executor for Spawned {
        fn spawn(&self, _: &'static str, _: BoxFuture<'static, ()>) {
            *self.0.lock().unwrap() += 1;
        }
    }

    #[test]
    fn each_task_begins_with_the_priority_of_its_time() {
        let (normal, low) = (Arc::new(Spawned::default()), Arc::new(Spawned::default()));
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

    /// A task of low priority begins when the last task of normal priority has ended.
    #[test]
    fn a_task_of_low_priority_waits_for_the_others() {
        let simulation = Simulation::new(1, Time::default());
        let env = simulation.env();
        let normal = Priority::default();
        let low = Priority::beside(normal.precedence());
        low.set_low(true);
        let (first, second) = (env.with_priority(&normal), env.with_priority(&low));
        let ended = Arc::new(Mutex::new(Vec::new()));
        let task = |name: &'static str, ms: u64| {
            let (ended, clock) = (ended.clone(), env.clock.clone());
            Box::pin(async move {
                clock.sleep(Duration::from_millis(ms)).await;
                ended.lock().unwrap().push((name, clock.now().as_ms()));
            })
        };
        first.engine.spawn("task", task("short", 100));
        first.engine.spawn("task", task("long", 300));
        second.engine.spawn("task", task("low", 50));
        let clock = env.clock.clone();
        simulation.run(async move { clock.sleep(Duration::from_millis(400)).await }).unwrap();
        assert_eq!(*ended.lock().unwrap(), [("short", 100), ("long", 300), ("low", 350)]);
    }

    /// A batch that began with normal priority ends with low priority, without waiting for itself.
    #[test]
    fn a_run_does_not_wait_for_its_own_tasks() {
        let simulation = Simulation::new(1, Time::default());
        let env = simulation.env();
        let priority = Priority::default();
        let of_run = env.with_priority(&priority);
        let (end, ended) = tokio::sync::oneshot::channel();
        let (inner, clock) = (of_run.clone(), env.clock.clone());
        let batch = async move {
            priority.set_low(true);
            let (done, task) = tokio::sync::oneshot::channel();
            inner.engine.spawn("task", Box::pin(async move { done.send(()).unwrap() }));
            task.await.unwrap();
            end.send(clock.now()).unwrap();
        };
        of_run.engine.spawn("batch", Box::pin(batch));
        assert_eq!(simulation.run(ended).unwrap(), Ok(Time::default()));
    }

    #[test]
    fn a_task_of_low_priority_does_not_wait_for_ever() {
        let simulation = Simulation::new(1, Time::default());
        let env = simulation.env();
        let precedence = Precedence::default();
        let _under_way = precedence.begin(&Arc::default());
        let waited = precedence.clone();
        let now = simulation.run(async move {
            waited.free(&*env.clock).await;
            env.clock.now()
        });
        assert_eq!(now.unwrap(), Time::default() + WAIT_MAX);
    }
}
