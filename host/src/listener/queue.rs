//! Queues in front of listeners that may have to wait, for a disk, a pipe or a terminal.
//!
//! Owns one bounded queue for each such listener. Posting an event never waits: when a queue is full, its listener
//! misses events, which are counted and reported. The end of a run waits for the queues, for a bounded time. A listener
//! is woken for many events at once if events come quickly: waking a thread costs more than most events do.

use super::Event;
use crate::env::{Clock, Env};
use crate::ids::RunId;
use crate::shown::counted;
use crate::time::{Duration, Time};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Notify, mpsc, oneshot};

/// The most events that wait in a queue, as in Spark.
pub const QUEUED_EVENTS_MAX: usize = 10_000;
/// The shortest time between two reports to a listener that it missed events.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// How long the end of a run waits for a queue.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// How long events that follow an event may wait. No listener is woken more often, unless its queue is half full.
const REST: Duration = Duration::from_millis(5);

/// A listener that gets events through a queue, in order, and may wait.
pub trait QueuedListener: Send {
    /// Called for each event, with the time of the event and its run. Events of the job, and not of one run, have the
    /// run [`RunId::FIRST`]. [`Event::EventsDropped`] says that this listener missed earlier events.
    fn on_event(&mut self, at: Time, run: RunId, event: &Event);

    /// Returns the function that says which events the listener gets. The code that posts an event calls the function,
    /// so that events without effect wake no thread.
    fn filter(&self) -> fn(&Event) -> bool {
        |_| true
    }
}

enum Entry {
    Event(Time, RunId, Arc<Event>),
    /// The worker answers after it has handled all entries before this one.
    Drain(oneshot::Sender<()>),
}

/// The sending end of a listener's queue. Clones send to the same queue.
#[derive(Clone)]
pub struct EventQueue {
    name: &'static str,
    clock: Arc<dyn Clock>,
    filter: fn(&Event) -> bool,
    entries: mpsc::Sender<Entry>,
    dropped: Arc<AtomicU64>,
    /// Ends the rest of the worker.
    hurry: Arc<Notify>,
}

impl EventQueue {
    /// Starts a queue of at most `capacity` events to a listener; `name` is for logs.
    pub fn start(env: &Env, name: &'static str, capacity: usize, listener: Box<dyn QueuedListener>) -> Self {
        let (entries, inbox) = mpsc::channel(capacity.max(1));
        let (filter, clock) = (listener.filter(), env.clock.clone());
        let queue =
            Self { name, clock: clock.clone(), filter, entries, dropped: Arc::default(), hurry: Arc::default() };
        let (dropped, hurry) = (queue.dropped.clone(), queue.hurry.clone());
        let worker = Worker { name, clock, listener, dropped, hurry, told: None, is_draining: false };
        env.background.spawn(name, Box::pin(worker.run(inbox)));
        queue
    }

    /// Whether the listener gets this event.
    pub(super) fn takes(&self, event: &Event) -> bool {
        (self.filter)(event)
    }

    /// Puts an event of a run into the queue, or counts it as dropped.
    pub(super) fn post(&self, run: RunId, event: Arc<Event>) {
        if self.entries.try_send(Entry::Event(self.clock.now(), run, event)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        if self.entries.capacity() < self.entries.max_capacity() / 2 {
            self.hurry.notify_one();
        }
    }

    /// Waits until the listener has handled all events in the queue, at most for [`DRAIN_MAX`].
    pub(super) async fn drain(&self) {
        let (reply, drained) = oneshot::channel();
        let handled = async {
            // An error means that the listener is gone: there is nothing to wait for.
            self.hurry.notify_one();
            let _ = self.entries.send(Entry::Drain(reply)).await;
            self.hurry.notify_one();
            let _ = drained.await;
        };
        tokio::select! {
            biased;
            () = handled => {}
            () = self.clock.sleep_until(self.clock.now() + DRAIN_MAX) => {
                let left = self.entries.max_capacity() - self.entries.capacity();
                tracing::warn!("{} is too slow: up to {} are lost at the end", self.name, counted(left as u64, "event"));
            }
        }
    }
}

/// The actor at the receiving end of the queue.
struct Worker {
    name: &'static str,
    clock: Arc<dyn Clock>,
    listener: Box<dyn QueuedListener>,
    dropped: Arc<AtomicU64>,
    hurry: Arc<Notify>,
    /// When the listener last got a report that it missed events.
    told: Option<Time>,
    /// Whether somebody has waited for the queue to be empty, as the end of a job does. From then on the listener does not
    /// rest: the clock may be gone.
    is_draining: bool,
}

impl Worker {
    async fn run(mut self, mut inbox: mpsc::Receiver<Entry>) {
        while let Some(entry) = inbox.recv().await {
            self.handle(entry);
            while let Ok(entry) = inbox.try_recv() {
                self.handle(entry);
            }
            if self.is_draining {
                continue;
            }
            tokio::select! {
                biased;
                () = self.hurry.notified() => {}
                () = self.clock.sleep(REST) => {}
            }
        }
    }

    fn handle(&mut self, entry: Entry) {
        match entry {
            Entry::Event(at, run, event) => {
                if self.told.is_none_or(|told| at.since(told) >= TOLD_EVERY) {
                    self.tell_dropped(at);
                }
                self.listener.on_event(at, run, &event);
            }
            Entry::Drain(reply) => {
                self.is_draining = true;
                self.tell_dropped(self.clock.now());
                // An error means that nobody waits any more, because handling took too long.
                let _ = reply.send(());
            }
        }
    }

    fn tell_dropped(&mut self, now: Time) {
        let count = self.dropped.swap(0, Ordering::Relaxed);
        if count > 0 {
            self.told = Some(now);
            tracing::warn!("{} is too slow: dropped {}", self.name, counted(count, "event"));
            self.listener.on_event(now, RunId::FIRST, &Event::EventsDropped { count });
        }
    }
}

#[cfg(test)]
mod tests;
