//! [`Executor`](super::super::Executor): a started future runs to its end on every executor, and a panic ends only its
//! own future.

use super::super::Executor;
use super::{in_each_world, on};
use crate::time::{Duration, Time};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

#[test]
fn every_executor_starts_futures_on_every_executor() {
    in_each_world(async |world| {
        for (outer_name, outer) in world.executors() {
            for (inner_name, inner) in world.executors() {
                let found = on(&*outer, async move { on(&*inner, async { 7 }).await }).await;
                assert_eq!(found, Some(Some(7)), "{outer_name} starts {inner_name}");
            }
        }
    });
}

#[test]
fn futures_of_all_executors_talk_to_each_other() {
    in_each_world(async |world| {
        let (send, mut receive) = mpsc::channel(1);
        for (_, executor) in world.executors() {
            let send = send.clone();
            for number in 0..10 {
                let send = send.clone();
                executor.spawn("sender", Box::pin(async move { send.send(number).await.unwrap() }));
            }
        }
        drop(send);
        let mut sum = 0;
        while let Some(number) = receive.recv().await {
            sum += number;
        }
        assert_eq!(sum, 3 * 45);
    });
}

/// A future runs to its end even if nobody waits for its result any more.
#[test]
fn a_future_runs_on_when_nobody_waits_for_it() {
    in_each_world(async |world| {
        for (name, executor) in world.executors() {
            let (send, receive) = oneshot::channel();
            let clock = world.env.clock.clone();
            drop(on(&*executor, async {}));
            executor.spawn(
                "left alone",
                Box::pin(async move {
                    clock.sleep_until(clock.now() + Duration::from_millis(1)).await;
                    let _ = send.send(());
                }),
            );
            assert!(receive.await.is_ok(), "{name}");
        }
    });
}

/// A long computation on the engine, or a wait for a disk in the background, does not prevent actors from running.
#[test]
fn work_elsewhere_does_not_hold_up_the_actors() {
    in_each_world(async |world| {
        for executor in [world.env.engine.clone(), world.env.background.clone()] {
            let (tell, told) = oneshot::channel();
            let worker = on(&*executor, async move {
                // A computation: a future that does not return to its executor.
                let mut sum = 0u64;
                (0..100_000u64).for_each(|number| sum = std::hint::black_box(sum ^ number));
                let _ = tell.send(sum);
                sum
            });
            let (sum, told) = tokio::join!(worker, on(&*world.env.control, told));
            assert_eq!(sum, told.unwrap().ok());
        }
    });
}

fn panic_on(executor: &Arc<dyn Executor>, what: &'static str) {
    executor.spawn(what, Box::pin(async { panic!("on purpose") }));
}

/// A panic ends only its own future. The panic is recorded once, with its place and with the batch that runs.
#[test]
fn a_panic_is_recorded_and_the_executor_goes_on() {
    for at in 0..3 {
        in_each_world(move |world| async move {
            let (name, executor) = world.executors()[at].clone();
            assert_eq!(world.env.panics.found(), None);
            world.env.panics.works_on(Time::from_ms(7));
            panic_on(&executor, "careless");
            let panic = world.env.panics.first().await;
            assert_eq!((panic.what.as_str(), panic.batch), ("the actor `careless`", Some(Time::from_ms(7))), "{name}");
            assert!(panic.message.starts_with("at host/src/env/contract/executors.rs:"), "{}", panic.message);
            assert!(panic.message.ends_with(": on purpose"), "{}", panic.message);
            assert_eq!(on(&*executor, async { 1 }).await, Some(1), "{name}");
            panic_on(&executor, "another");
            world.pause(Duration::from_millis(1)).await;
            assert_eq!(world.env.panics.found(), Some(panic), "only the first one counts");
        });
    }
}
