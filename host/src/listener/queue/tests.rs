//! The queue in simulated time, and with listeners that never return.

use super::*;
use crate::env::Simulation;
use crate::listener::ListenerBus;
use crate::lock::lock;
use proptest::prelude::*;
use std::sync::Mutex;

/// Records all events that it gets.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(u64, Event)>>>);

impl Heard {
    fn all(&self) -> Vec<(u64, Event)> {
        lock(&self.0).clone()
    }
}

impl QueuedListener for Heard {
    fn on_event(&mut self, at: Time, _: RunId, event: &Event) {
        lock(&self.0).push((at.as_ms(), event.clone()));
    }
}

fn event(number: u64) -> Event {
    Event::DataSpilled { batch: Time::from_ms(0), bytes: number }
}

/// Posts the numbers of each burst at once, with a second between bursts, and then drains the queue. Returns the
/// received events, with their times.
fn heard(seed: u64, capacity: usize, bursts: &[u64]) -> Vec<(u64, Event)> {
    let simulation = Simulation::new(seed, Time::from_ms(0));
    let env = simulation.env();
    let (heard, bursts) = (Heard::default(), bursts.to_vec());
    let listener = heard.clone();
    let main = async move {
        let queue = EventQueue::start(&env, "a test", capacity, Box::new(listener));
        let bus = ListenerBus::default().with_queues(vec![queue]);
        let mut next = 0;
        for burst in bursts {
            for _ in 0..burst {
                bus.post(&event(next));
                next += 1;
            }
            env.clock.sleep_until(env.clock.now() + Duration::from_secs(1)).await;
        }
        bus.drain().await;
    };
    simulation.run(main).unwrap();
    heard.all()
}

#[test]
fn what_does_not_fit_is_dropped_counted_and_told_at_most_once_a_minute() {
    // The first burst loses 3 events, the second 1, the third none. A minute later, one event is lost again.
    let quiet = [0; 60];
    let bursts: Vec<u64> = [5, 3, 1].iter().chain(&quiet).chain(&[3, 1]).copied().collect();
    let dropped = |heard: Vec<(u64, Event)>| -> Vec<(u64, u64)> {
        let count = |(at, event)| if let Event::EventsDropped { count } = event { Some((at, count)) } else { None };
        heard.into_iter().filter_map(count).collect()
    };
    assert_eq!(dropped(heard(0, 2, &bursts)), [(0, 3), (63_000, 2)]);
    assert_eq!(dropped(heard(0, 2, &[2, 2])), []);
    // At the end, all lost events are reported.
    assert_eq!(dropped(heard(0, 2, &[3, 4])), [(0, 1), (2000, 2)]);
}

/// Records when it gets each of the events that it wants.
struct Timed {
    clock: Arc<dyn Clock>,
    heard: Arc<Mutex<Vec<(u64, u64)>>>,
}

impl QueuedListener for Timed {
    fn on_event(&mut self, at: Time, _: RunId, _: &Event) {
        lock(&self.heard).push((at.as_ms(), self.clock.now().as_ms()));
    }

    fn filter(&self) -> fn(&Event) -> bool {
        |event| matches!(event, Event::DataSpilled { bytes, .. } if *bytes > 0)
    }
}

/// Posts events a millisecond apart, through a queue of this capacity, and drains the queue at the end. Returns the times
/// at which the events were posted and heard, and the time of the end.
fn timed(capacity: usize, events: &[u64]) -> (Vec<(u64, u64)>, u64) {
    let simulation = Simulation::new(1, Time::from_ms(0));
    let env = simulation.env();
    let (heard, events) = (Arc::<Mutex<Vec<_>>>::default(), events.to_vec());
    let listener = Timed { clock: env.clock.clone(), heard: heard.clone() };
    let main = async move {
        let queue = EventQueue::start(&env, "a test", capacity, Box::new(listener));
        let bus = ListenerBus::default().with_queues(vec![queue]);
        for number in events {
            bus.post(&event(number));
            env.clock.sleep_until(env.clock.now() + Duration::from_millis(1)).await;
        }
        bus.drain().await;
        env.clock.now().as_ms()
    };
    let end = simulation.run(main).unwrap();
    (lock(&heard).clone(), end)
}

#[test]
fn the_first_event_comes_at_once_and_the_next_ones_together() {
    let posted: Vec<u64> = (0..7).collect();
    let together = [(0, 0), (1, 5), (2, 5), (3, 5), (4, 5)];
    let (heard, _) = timed(100, &[1; 7]);
    assert_eq!(heard[..5], together);
    assert_eq!(heard.iter().map(|(at, _)| *at).collect::<Vec<_>>(), posted);
    // The end of a run does not wait for a listener that rests.
    assert_eq!(timed(100, &[1, 1]), (vec![(0, 0), (1, 2)], 2));
}

#[test]
fn a_queue_that_fills_up_does_not_wait() {
    let (heard, _) = timed(4, &[1; 6]);
    assert_eq!(heard.len(), 6, "none is lost: {heard:?}");
    assert!(heard.iter().all(|(at, now)| now - at <= 3), "{heard:?}");
}

#[test]
fn a_listener_gets_only_what_it_wants() {
    let (heard, _) = timed(100, &[0, 1, 0]);
    assert_eq!(heard, [(1, 1)]);
}

/// A listener that never finishes handling an event.
struct Stuck(mpsc::Sender<()>);

impl QueuedListener for Stuck {
    fn on_event(&mut self, _: Time, _: RunId, _: &Event) {
        let _ = self.0.try_send(());
        panic!("it is as good as stuck");
    }
}

#[test]
fn a_listener_that_is_gone_holds_up_nobody() {
    let executors = crate::env::RealExecutors::start(1).unwrap();
    let env = crate::env::real(&executors);
    let (send, mut called) = mpsc::channel(1);
    executors.block_on(async {
        let queue = EventQueue::start(&env, "a test", 2, Box::new(Stuck(send)));
        let bus = ListenerBus::default().with_queues(vec![queue]);
        bus.post(&event(0));
        called.recv().await;
        (1..10).for_each(|number| bus.post(&event(number)));
        bus.drain().await;
    });
    executors.shutdown();
}

#[test]
fn the_end_waits_for_a_listener_in_vain_for_five_seconds() {
    let simulation = Simulation::new(1, Time::from_ms(0));
    let mut env = simulation.env();
    // No executor runs the worker.
    struct Nowhere;
    impl crate::env::Executor for Nowhere {
        fn spawn(&self, _: &'static str, future: futures::future::BoxFuture<'static, ()>) {
            std::mem::forget(future);
        }
    }
    env.background = Arc::new(Nowhere);
    let ended = simulation.run(async move {
        let queue = EventQueue::start(&env, "a test", 2, Box::new(Heard::default()));
        let bus = ListenerBus::default().with_queues(vec![queue]);
        bus.post(&event(0));
        bus.drain().await;
        env.clock.now().as_ms()
    });
    assert_eq!(ended.unwrap(), 5000);
}

proptest! {
    /// For any events, times, capacity and schedule: events come in order and at most once, and events that do not come
    /// are reported by the end.
    #[test]
    fn each_event_is_heard_in_order_or_counted(
        seed in any::<u64>(),
        capacity in 1usize..6,
        bursts in prop::collection::vec(0u64..10, 0..12),
    ) {
        let heard = heard(seed, capacity, &bursts);
        let numbers: Vec<u64> =
            heard.iter().filter_map(|(_, e)| if let Event::DataSpilled { bytes, .. } = e { Some(*bytes) } else { None }).collect();
        prop_assert!(numbers.is_sorted_by(|earlier, later| earlier < later));
        let counts = heard.iter().filter_map(|(_, e)| if let Event::EventsDropped { count } = e { Some(*count) } else { None });
        prop_assert_eq!(numbers.len() as u64 + counts.sum::<u64>(), bursts.iter().sum::<u64>());
        prop_assert!(heard.is_sorted_by_key(|(at, _)| *at));
    }
}
