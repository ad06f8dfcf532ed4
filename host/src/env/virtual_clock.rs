//! Virtual time, which passes only when no future can run.
//!
//! Owns two clocks and the timers. The wall clock, which the host reads, can be set. Setting it does not change the
//! undisturbed clock. The scripts of servers and files follow the undisturbed clock, as the outside world does.

use super::Clock;
use crate::lock::lock;
use crate::time::{Duration, Time};
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// The clocks of a simulated world.
#[derive(Clone)]
pub(super) struct VirtualClock {
    start: Time,
    state: Arc<Mutex<State>>,
}

struct State {
    wall: Time,
    undisturbed: Time,
    timers: BTreeMap<Timer, Waker>,
    timer_count: u64,
    /// When the wall clock is set, by the undisturbed clock, and the time to which it is set.
    jumps: BTreeMap<Time, Time>,
}

/// A timer: the clock that it follows, the time at which it ends, and a number that distinguishes it from other timers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Timer {
    by: By,
    until: Time,
    number: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    Wall,
    Undisturbed,
}

impl State {
    fn now(&self, by: By) -> Time {
        match by {
            By::Wall => self.wall,
            By::Undisturbed => self.undisturbed,
        }
    }

    /// How long it is until the next timer of a clock ends. `None` if there is no timer.
    fn wait(&self, by: By) -> Option<Duration> {
        let first = self.timers.keys().find(|timer| timer.by == by)?;
        Some(first.until.since(self.now(by)))
    }
}

impl VirtualClock {
    pub(super) fn new(start: Time) -> Self {
        let state =
            State { wall: start, undisturbed: start, timers: BTreeMap::new(), timer_count: 0, jumps: BTreeMap::new() };
        Self { start, state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The time of the clock that is never set.
    pub(super) fn undisturbed(&self) -> Time {
        self.state().undisturbed
    }

    pub(super) fn jump(&self, at: Time, to: Time) {
        self.state().jumps.insert(at, to);
    }

    /// Waits for a span of time, even if the wall clock is set meanwhile.
    pub(super) fn sleep(&self, time: Duration) -> Sleep {
        Sleep { clock: self.clone(), by: By::Undisturbed, until: self.undisturbed() + time, timer: None }
    }

    /// Moves the time to the end of the next timer, or to the next time at which the wall clock is set. Wakes the
    /// futures whose time has come. Returns false if no future waits for a time.
    pub(super) fn pass(&self) -> bool {
        let mut state = self.state();
        let waits = [state.wait(By::Wall), state.wait(By::Undisturbed)];
        let Some(mut wait) = waits.into_iter().flatten().min() else { return false };
        let jump = state.jumps.first_key_value().map(|(at, to)| (at.since(state.undisturbed), *to));
        let jump = jump.filter(|(until, _)| *until <= wait);
        if let Some((until, _)) = jump {
            wait = until;
        }
        state.undisturbed = state.undisturbed + wait;
        state.wall = state.wall + wait;
        if let Some((_, to)) = jump {
            state.jumps.pop_first();
            state.wall = to;
        }
        let (wall, undisturbed) = (state.wall, state.undisturbed);
        let is_due =
            |timer: &Timer, _: &mut Waker| timer.until <= if timer.by == By::Wall { wall } else { undisturbed };
        state.timers.extract_if(.., is_due).for_each(|(_, waker)| waker.wake());
        true
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Time {
        self.state().wall
    }

    fn monotonic(&self) -> Duration {
        self.undisturbed().since(self.start)
    }

    fn sleep_until(&self, time: Time) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { clock: self.clone(), by: By::Wall, until: time, timer: None })
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(Self::sleep(self, span))
    }
}

/// Waits for a time. Dropping it removes its timer.
pub(super) struct Sleep {
    clock: VirtualClock,
    by: By,
    until: Time,
    timer: Option<Timer>,
}

impl Future for Sleep {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let mut state = this.clock.state();
        if state.now(this.by) >= this.until {
            return Poll::Ready(());
        }
        let timer = *this.timer.get_or_insert_with(|| {
            state.timer_count += 1;
            Timer { by: this.by, until: this.until, number: state.timer_count }
        });
        state.timers.insert(timer, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = &self.timer {
            self.clock.state().timers.remove(timer);
        }
    }
}
