//! Wakes futures at points in time, with a precision of a small part of a millisecond.
//!
//! Owns the thread that waits. The timers of the runtime count whole milliseconds and round up twice, so that batches
//! of one millisecond would be late by one or two intervals. Never waits for long: long waits are left to the runtime.

use crate::lock::{lock, unpoisoned};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The futures that wait, and the times at which they have to be woken.
#[derive(Default)]
struct Waiting {
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    /// The wakers, by the number of the future. A future that was dropped has no entry.
    wakers: BTreeMap<u64, Waker>,
    last_number: u64,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }
}

/// A thread that wakes futures. The thread ends within [`IDLE`] of the alarm and the last [`Sleep`].
pub(super) struct Alarm {
    /// The state that is shared with the thread. `None` if the system refused the thread.
    shared: Option<Arc<Shared>>,
}

impl Alarm {
    /// Starts the thread.
    pub(super) fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let watched = Arc::downgrade(&shared);
        let started = std::thread::Builder::new().name("alarm".to_owned()).spawn(move || run(&watched));
        if let Err(error) = &started {
            tracing::warn!(
                "cannot start a thread for short waits, so that batches come late by a millisecond: {error}"
            );
        }
        Self { shared: started.is_ok().then_some(shared) }
    }

    /// Makes a future that ends when a span of time has passed. `None` if there is no thread to wake it.
    pub(super) fn sleep(&self, span: Duration) -> Option<Sleep> {
        let shared = self.shared.clone()?;
        #[expect(clippy::disallowed_methods, reason = "this is a part of the real clock")]
        let until = Instant::now().checked_add(span)?;
        Some(Sleep { shared, until, number: None })
    }
}

/// If no future waits, the thread wakes up after this time and checks whether the alarm still exists.
const IDLE: Duration = Duration::from_secs(1);

fn run(watched: &Weak<Shared>) {
    while let Some(shared) = watched.upgrade() {
        let mut waiting = shared.lock();
        #[expect(clippy::disallowed_methods, reason = "this is a part of the real clock")]
        let now = Instant::now();
        let mut woken = Vec::new();
        while let Some(Reverse((due, number))) = waiting.due.peek().copied() {
            if due > now {
                break;
            }
            waiting.due.pop();
            woken.extend(waiting.wakers.remove(&number));
        }
        if woken.is_empty() {
            let left = waiting.due.peek().map_or(IDLE, |Reverse((due, _))| due.saturating_duration_since(now));
            drop(unpoisoned(shared.changed.wait_timeout(waiting, left.min(IDLE))));
        } else {
            drop(waiting);
            woken.into_iter().for_each(Waker::wake);
        }
    }
}

/// A future that ends at a point in time. Made by [`Alarm::sleep`].
pub(super) struct Sleep {
    shared: Arc<Shared>,
    until: Instant,
    number: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        #[expect(clippy::disallowed_methods, reason = "this is a part of the real clock")]
        if Instant::now() >= self.until {
            return Poll::Ready(());
        }
        let shared = self.shared.clone();
        let mut waiting = shared.lock();
        let number = match self.number.filter(|number| waiting.wakers.contains_key(number)) {
            Some(number) => number,
            None => {
                waiting.last_number = waiting.last_number.wrapping_add(1);
                let number = waiting.last_number;
                waiting.due.push(Reverse((self.until, number)));
                number
            }
        };
        self.number = Some(number);
        waiting.wakers.insert(number, context.waker().clone());
        let is_first = waiting.due.peek().is_some_and(|Reverse((_, first))| *first == number);
        drop(waiting);
        if is_first {
            shared.changed.notify_all();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.shared.lock().wakers.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use futures::future::join_all;

    #[test]
    fn sleeps_end_and_none_before_its_time() {
        let alarm = Alarm::start();
        #[expect(clippy::disallowed_methods, reason = "the test is about the real clock")]
        let ended = |span: Duration| {
            let begun = Instant::now();
            let sleep = alarm.sleep(span).expect("there is a thread");
            async move {
                sleep.await;
                assert!(begun.elapsed() >= span);
            }
        };
        block_on(join_all([3, 0, 1, 2, 1].map(|ms| ended(Duration::from_millis(ms)))));
    }

    #[test]
    fn a_sleep_that_is_dropped_leaves_nothing() {
        let alarm = Alarm::start();
        let shared = alarm.shared.clone().expect("there is a thread");
        let mut sleep = Box::pin(alarm.sleep(Duration::from_secs(3600)).expect("there is a thread"));
        assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(shared.lock().wakers.len(), 1);
        drop(sleep);
        assert_eq!(shared.lock().wakers.len(), 0);
    }
}
