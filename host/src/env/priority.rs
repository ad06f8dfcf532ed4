//! The priority of the tasks of a run, which can change while the run goes on.
//!
//! Owns the choice between the two executors of tasks, and when a batch or a task of low priority may begin or go on: while
//! no batch of normal priority is under way, so that the two do not share processors, caches and memory. All waits of a
//! batch of low priority and its tasks are bounded together, so that a run of low priority goes on beside a run that never
//! rests. A task that runs keeps its thread; the next task gets the new priority.

use super::{Clock, Env, Executor};
use crate::time::Duration;
use futures::future::BoxFuture;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::Notify;

tokio::task_local! {
    /// For how long the present task has given way.
    static GAVE_WAY: Cell<Duration>;
}

/// Runs a task. Returns also the time that the task took, without the time for which it gave way.
pub async fn timed<T>(clock: &dyn Clock, task: impl Future<Output = T>) -> (T, Duration) {
    let timed = async {
        let started = clock.monotonic();
        let outcome = task.await;
        let waited = GAVE_WAY.try_with(Cell::get).unwrap_or_default();
        (outcome, clock.monotonic().saturating_sub(started).saturating_sub(waited))
    };
    GAVE_WAY.scope(Cell::new(Duration::ZERO), timed).await
}

/// The batches of normal priority that are under way. Clones count the same batches.
#[derive(Clone, Debug, Default)]
pub struct Precedence {
    counted: Arc<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    batches: AtomicUsize,
    ended: Notify,
}

impl Precedence {
    fn begin(&self) -> UnderWay {
        self.counted.batches.fetch_add(1, Ordering::SeqCst);
        UnderWay { counted: self.counted.clone() }
    }

    /// Resolves when no batch of normal priority is under way, or after `patience`.
    pub async fn free(&self, clock: &dyn Clock, patience: Duration) {
        let patience = clock.sleep(patience);
        tokio::pin!(patience);
        loop {
            let ended = self.counted.ended.notified();
            tokio::pin!(ended);
            // From here on, the end of a batch is noticed.
            ended.as_mut().enable();
            if self.counted.batches.load(Ordering::SeqCst) == 0 {
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

/// A batch of normal priority, as long as the value exists.
pub struct UnderWay {
    counted: Arc<Counted>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.counted.batches.fetch_sub(1, Ordering::SeqCst);
        self.counted.ended.notify_waiters();
    }
}

/// The priority of the tasks of a run. Clones change the same priority. At first, tasks have the priority of the program.
#[derive(Clone, Debug, Default)]
pub struct Priority {
    is_low: Arc<AtomicBool>,
    precedence: Precedence,
    /// How long the present batch may still wait for batches of normal priority. Locked by the task that waits; the others
    /// wait for that task.
    patience: Arc<tokio::sync::Mutex<Duration>>,
}

impl Priority {
    /// Makes the priority of a run beside other runs, which use the same `precedence`.
    pub fn beside(precedence: &Precedence) -> Self {
        Self { precedence: precedence.clone(), ..Self::default() }
    }

    /// With `true`, the next tasks leave the processors to all other threads, and the next batches and their tasks begin when
    /// no batch of normal priority is under way.
    pub fn set_low(&self, is_low: bool) {
        self.is_low.store(is_low, Ordering::Relaxed);
    }

    /// The batches of all runs that use the same processors.
    pub fn precedence(&self) -> &Precedence {
        &self.precedence
    }

    /// Waits until a batch may begin. A batch of low priority and its tasks wait at most for `patience` in all. A batch of
    /// normal priority does not wait, and is under way until the result is dropped.
    pub async fn turn(&self, clock: &dyn Clock, patience: Duration) -> Option<UnderWay> {
        let is_low = self.is_low.load(Ordering::Relaxed);
        // If the priority becomes low in the middle of a batch, the tasks of this batch do not wait for their own batch.
        *self.patience.lock().await = if is_low { patience } else { Duration::ZERO };
        if is_low {
            self.wait(clock).await;
            return None;
        }
        Some(self.precedence.begin())
    }

    /// Lets batches of normal priority go first. A task of low priority calls this between two pieces of work.
    pub async fn give_way(&self, clock: &dyn Clock) {
        if !self.is_low.load(Ordering::Relaxed) || self.precedence.counted.batches.load(Ordering::SeqCst) == 0 {
            return;
        }
        let started = clock.monotonic();
        self.wait(clock).await;
        let waited = clock.monotonic().saturating_sub(started);
        // Outside of `timed`, nobody asks for the time.
        let _ = GAVE_WAY.try_with(|so_far| so_far.set(so_far.get() + waited));
    }

    /// Waits until no batch of normal priority is under way, or until the patience of the present batch is used up.
    async fn wait(&self, clock: &dyn Clock) {
        let mut patience = self.patience.lock().await;
        if patience.is_zero() {
            return;
        }
        let started = clock.monotonic();
        self.precedence.free(clock, *patience).await;
        *patience = patience.saturating_sub(clock.monotonic().saturating_sub(started));
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
        if !self.priority.is_low.load(Ordering::Relaxed) {
            return self.normal.spawn(name, future);
        }
        let (priority, clock) = (self.priority.clone(), self.clock.clone());
        let task = async move {
            priority.wait(&*clock).await;
            future.await;
        };
        self.low.spawn(name, Box::pin(task));
    }
}

impl Env {
    /// The same world, but tasks run with this priority.
    #[must_use]
    pub fn with_priority(&self, priority: &Priority) -> Self {
        let (clock, normal, low) = (self.clock.clone(), self.engine.clone(), self.low_engine.clone());
        let engine = Arc::new(Prioritised { priority: priority.clone(), clock, normal, low });
        Self { engine, priority: priority.clone(), ..self.clone() }
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

    fn world() -> (Simulation, Env) {
        let simulation = Simulation::new(1, Time::default());
        let env = simulation.env();
        (simulation, env)
    }

    /// The priorities of two runs that use the same processors: a normal one and a low one.
    fn two_runs() -> (Priority, Priority) {
        let normal = Priority::default();
        let low = Priority::beside(normal.precedence());
        low.set_low(true);
        (normal, low)
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

    /// A batch of low priority begins when the last batch of normal priority has ended, or after a while.
    #[test]
    fn a_batch_of_low_priority_waits_for_the_others() {
        let (simulation, env) = world();
        let (normal, low) = two_runs();
        let ms = Duration::from_millis;
        let begun = simulation.run(async move {
            let clock = &*env.clock;
            let (first, second) = (normal.turn(clock, ms(10)).await, normal.turn(clock, ms(10)).await);
            assert!(first.is_some() && second.is_some());
            let ends = async {
                clock.sleep(ms(100)).await;
                drop(first);
                clock.sleep(ms(200)).await;
                drop(second);
            };
            let begins = async {
                low.turn(clock, ms(50)).await;
                let impatient = clock.now().as_ms();
                low.turn(clock, ms(1000)).await;
                (impatient, clock.now().as_ms())
            };
            let ((), begun) = tokio::join!(ends, begins);
            begun
        });
        assert_eq!(begun.unwrap(), (50, 300));
    }

    /// The tasks of a batch share its patience, and a task that begins late in the batch waits as well.
    #[test]
    fn all_tasks_of_a_batch_wait_for_the_same_time_in_all() {
        let (simulation, env) = world();
        let (normal, low) = two_runs();
        let of_low = env.with_priority(&low);
        let ms = Duration::from_millis;
        let begun = simulation.run(async move {
            let clock = env.clock.clone();
            // The batch itself does not wait.
            assert!(low.turn(&*clock, ms(100)).await.is_none());
            let mut begun = Vec::new();
            for busy_ms in [30, 50, 400, 400] {
                let under_way = normal.turn(&*clock, ms(1)).await;
                let started = clock.now();
                let tasks = [(); 2].map(|()| {
                    let (begin, begins) = tokio::sync::oneshot::channel();
                    let clock = clock.clone();
                    of_low.engine.spawn("task", Box::pin(async move { begin.send(clock.now()).unwrap() }));
                    begins
                });
                clock.sleep(ms(busy_ms)).await;
                drop(under_way);
                for task in tasks {
                    begun.push(task.await.unwrap().since(started).as_millis());
                }
            }
            begun
        });
        assert_eq!(begun.unwrap(), [30, 30, 50, 50, 20, 20, 0, 0]);
    }

    /// A task of low priority gives way between two pieces of its work, and its time is counted without that.
    #[test]
    fn a_task_gives_way_in_its_middle() {
        let (simulation, env) = world();
        let (normal, low) = two_runs();
        let ms = Duration::from_millis;
        let times = simulation.run(async move {
            let clock = &*env.clock;
            assert!(low.turn(clock, ms(100)).await.is_none());
            let task = async {
                clock.sleep(ms(5)).await;
                low.give_way(clock).await;
                clock.now().as_ms()
            };
            let batch = async {
                let _under_way = normal.turn(clock, ms(1)).await;
                clock.sleep(ms(40)).await;
            };
            let ((gone_on, took), ()) = tokio::join!(timed(clock, task), batch);
            (gone_on, took)
        });
        assert_eq!(times.unwrap(), (40, ms(5)));
    }

    /// A batch that began with normal priority ends with low priority, without waiting for itself.
    #[test]
    fn a_batch_does_not_wait_for_itself() {
        let (simulation, env) = world();
        let priority = Priority::default();
        let of_run = env.with_priority(&priority);
        let begun = simulation.run(async move {
            let _under_way = priority.turn(&*env.clock, Duration::from_millis(100)).await;
            priority.set_low(true);
            let (begin, begins) = tokio::sync::oneshot::channel();
            let clock = env.clock.clone();
            of_run.engine.spawn("task", Box::pin(async move { begin.send(clock.now()).unwrap() }));
            begins.await.unwrap()
        });
        assert_eq!(begun.unwrap(), Time::default());
    }
}
