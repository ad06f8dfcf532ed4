//! What a running job tells the service manager or the supervisor that has started its process.
//!
//! Owns which messages are sent, and when: that the job runs, that it stops, its progress in words, and signs of life.
//! Signs of life are sent only while the batch clock and the scheduler make progress or have nothing to do: see
//! `listener::Liveness`. Sending never waits; a message that cannot be sent is sent again, if it is one that counts.

use super::progress::Progress;
use super::reports::{ALIVE, OWNS_CHECKPOINTS, READY, STOPPING, status};
use crate::env::Clock;
use crate::listener::{Event, Liveness, StreamingListener};
use crate::lock::lock;
use crate::time::Duration;
use std::sync::{Arc, Mutex};

/// The shortest time between two messages with the progress of the job.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// The shortest time between two signs of life.
const SIGN_MIN: Duration = Duration::from_millis(1);

/// Sends one message. Returns false if it could not be sent.
type SendMessage = dyn Fn(&str) -> bool + Send + Sync;

/// The job, as its service manager sees it.
pub struct Service {
    send: Box<SendMessage>,
    clock: Arc<dyn Clock>,
    /// The time within which the service manager wants a sign of life. `None` if it wants none.
    watchdog: Option<Duration>,
    progress: Progress,
    state: Mutex<State>,
}

struct State {
    liveness: Liveness,
    is_running: bool,
    is_stopping: bool,
    /// Messages that could not be sent yet.
    unsent: Vec<String>,
    /// The last message with the progress, and when it was sent.
    told: Option<(String, Duration)>,
}

impl Service {
    /// The service of a job with this batch interval. `send` sends one message without waiting.
    pub fn new(
        send: impl Fn(&str) -> bool + Send + Sync + 'static,
        clock: Arc<dyn Clock>,
        watchdog: Option<Duration>,
        batch_interval: Duration,
    ) -> Arc<Self> {
        let state = State {
            liveness: Liveness::new(batch_interval),
            is_running: false,
            is_stopping: false,
            unsent: Vec::new(),
            told: None,
        };
        Arc::new(Self {
            send: Box::new(send),
            clock,
            watchdog,
            progress: Progress::default(),
            state: Mutex::new(state),
        })
    }

    /// Says that the job runs.
    pub fn running(&self) {
        let mut state = lock(&self.state);
        state.is_running = true;
        state.liveness.running(self.clock.now());
        self.say(&mut state, READY);
        self.say_progress(&mut state);
    }

    /// Says that the job stops, as somebody wants it.
    pub fn stopping(&self) {
        let mut state = lock(&self.state);
        if !std::mem::replace(&mut state.is_stopping, true) {
            self.say(&mut state, &format!("{STOPPING}\n{}", status("stopping")));
        }
    }

    /// Sends signs of life and the progress of the job, as long as the process lives.
    pub async fn report(self: Arc<Self>) {
        // After four silent rounds the service manager gives up the job.
        let round = self.watchdog.map_or(STATUS_EVERY, |watchdog| (watchdog / 4).clamp(SIGN_MIN, STATUS_EVERY));
        loop {
            self.clock.sleep(round).await;
            let mut state = lock(&self.state);
            for message in std::mem::take(&mut state.unsent) {
                self.say(&mut state, &message);
            }
            if !state.is_running {
                continue;
            }
            let is_alive = state.liveness.is_alive(self.clock.now());
            // A stop is bounded by a time of its own: see `stopper`.
            if self.watchdog.is_some() && (is_alive || state.is_stopping) {
                (self.send)(ALIVE);
            }
            self.say_progress(&mut state);
        }
    }

    /// Sends a message that counts.
    fn say(&self, state: &mut State, message: &str) {
        if !(self.send)(message) {
            state.unsent.push(message.to_owned());
        }
    }

    /// Sends the progress, if it has changed and was not sent just now.
    fn say_progress(&self, state: &mut State) {
        let (text, now) = (self.progress.text(), self.clock.monotonic());
        let is_new =
            state.told.as_ref().is_none_or(|(told, at)| *told != text && now.saturating_sub(*at) >= STATUS_EVERY);
        if is_new && !state.is_stopping {
            (self.send)(&status(&text));
            state.told = Some((text, now));
        }
    }
}

impl StreamingListener for Service {
    fn on_event(&self, event: &Event) {
        self.progress.on_event(event);
        let mut state = lock(&self.state);
        state.liveness.hear(self.clock.now(), event);
        if let Event::CheckpointOpened { .. } = event {
            self.say(&mut state, OWNS_CHECKPOINTS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Simulation;
    use crate::listener::BatchInfo;
    use crate::time::Time;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn batch(ms: u64) -> BatchInfo {
        BatchInfo {
            batch_time: Time::from_ms(ms),
            inputs: BTreeMap::new(),
            submission_time: Time::from_ms(ms),
            processing_start_time: None,
            processing_end_time: None,
            scheduling_delay: None,
            processing_delay: None,
            output_operations: BTreeMap::new(),
        }
    }

    /// The service manager takes nothing at first. The scheduler hangs in the batch of 1100 ms, while the batch clock goes
    /// on.
    #[test]
    fn signs_of_life_end_with_the_progress_of_the_scheduler() {
        let simulation = Simulation::new(1, Time::from_ms(0));
        let (env, note) = (simulation.env(), simulation.note());
        let main = async move {
            let refusals = AtomicUsize::new(2);
            let send = move |text: &str| {
                let is_refused =
                    refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
                if !is_refused {
                    note(text);
                }
                !is_refused
            };
            let service =
                Service::new(send, env.clock.clone(), Some(Duration::from_millis(400)), Duration::from_millis(100));
            env.control.spawn("service", Box::pin(service.clone().report()));
            service.running();
            for ms in (100..3000).step_by(100) {
                env.clock.sleep_until(Time::from_ms(ms + 50)).await;
                service.on_event(&Event::BatchSubmitted(batch(ms)));
                if ms <= 1100 {
                    service.on_event(&Event::BatchStarted(batch(ms)));
                }
                if ms < 1100 {
                    service.on_event(&Event::BatchCompleted(batch(ms)));
                }
            }
            service.stopping();
            env.clock.sleep_until(Time::from_ms(3250)).await;
        };
        simulation.run(main).unwrap();
        let log = simulation.log();
        let told = |message: &str| -> Vec<u64> {
            let lines = log.iter().filter(|line| line.contains(message));
            lines.map(|line| line.split(' ').next().and_then(|ms| ms.parse().ok()).unwrap()).collect()
        };
        assert_eq!(told(READY), [100], "{log:?}");
        assert_eq!(told(STOPPING), [2950]);
        let alive: Vec<u64> = (100..=1200).step_by(100).chain((3000..=3200).step_by(100)).collect();
        assert_eq!(told(ALIVE), alive);
    }
}
