//! [`Clock`](super::super::Clock): time passes, and futures that wait for a time are woken on every executor.

use super::{in_each_world, on};
use crate::time::Duration;

const PAUSE: Duration = Duration::from_millis(3);

#[test]
fn every_executor_can_wait_for_the_clock() {
    in_each_world(async |world| {
        for (name, executor) in world.executors() {
            let clock = world.env.clock.clone();
            let woke = on(&*executor, async move {
                let until = clock.now() + PAUSE;
                clock.sleep_until(until).await;
                clock.now() >= until
            });
            assert_eq!(woke.await, Some(true), "{name}");
        }
        assert_eq!(world.env.panics.found(), None);
    });
}

#[test]
fn every_executor_can_wait_for_a_span() {
    in_each_world(async |world| {
        for (name, executor) in world.executors() {
            let clock = world.env.clock.clone();
            let waited = on(&*executor, async move {
                let before = clock.monotonic();
                clock.sleep(PAUSE).await;
                clock.monotonic() >= before + PAUSE - Duration::from_millis(1)
            });
            assert_eq!(waited.await, Some(true), "{name}");
        }
    });
}

#[test]
fn a_time_that_has_passed_is_not_waited_for() {
    in_each_world(async |world| {
        let clock = world.env.clock.clone();
        clock.sleep_until(clock.now()).await;
        clock.sleep_until(crate::time::Time::from_ms(1)).await;
    });
}

/// A sleep that is dropped wakes no future, and other sleeps continue.
#[test]
fn the_shorter_of_two_sleeps_ends_first_and_the_other_can_be_dropped() {
    in_each_world(async |world| {
        for (name, executor) in world.executors() {
            let clock = world.env.clock.clone();
            let first = on(&*executor, async move {
                let now = clock.now();
                tokio::select! {
                    biased;
                    () = clock.sleep_until(now + Duration::from_secs(3600)) => "the hour",
                    () = clock.sleep_until(now + PAUSE) => "the pause",
                }
            });
            assert_eq!(first.await, Some("the pause"), "{name}");
        }
    });
}

#[test]
fn the_monotonic_clock_never_goes_back() {
    in_each_world(async |world| {
        let clock = &world.env.clock;
        let before = clock.monotonic();
        world.pause(PAUSE).await;
        // The wall clock is rounded down to whole milliseconds.
        assert!(clock.monotonic() >= before + PAUSE - Duration::from_millis(1));
    });
}
