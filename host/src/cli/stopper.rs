//! Stops a run when signals or clients request it, and ensures that the process ends, whatever hangs.
//!
//! Owns how long a stop may take before the process is ended without the run. All code here runs on the thread that
//! receives signals, or on the thread that serves clients, and never waits.

use super::wishes::{Decision, ONE_WISH, Wishes};
use crate::config::{LiveSettings, Settings};
use crate::env::{Clock, Env, LastResort, hear_stop_signals};
use crate::error::Error;
use crate::ingest::StopRequest;
use crate::listener::StatusListener;
use crate::lock::lock;
use crate::run::stop_took_too_long;
use crate::time::Duration;
use std::io;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// How long an immediate stop may take until a separate thread ends the process. Together with the last message, this
/// is less than the promised two seconds.
const AT_ONCE_MAX: Duration = Duration::from_millis(1500);
/// The exit code of a stop at once.
pub const STOPPED_AT_ONCE: u8 = 130;

/// Collects all requests to stop a run.
pub struct Stopper {
    wishes: Mutex<Wishes>,
    clock: Arc<dyn Clock>,
    last_resort: LastResort,
    /// The settings that can change while the job runs. They say how long a graceful stop may take.
    live: Arc<LiveSettings>,
    has_checkpoints: bool,
    /// Makes the printed text of an error.
    words: Box<dyn Fn(&Error) -> String + Send + Sync>,
    status: Arc<StatusListener>,
    stop: watch::Sender<StopRequest>,
}

impl Stopper {
    /// Receives signals from here on. The receiver that is returned gets the requests for the run. `words` makes the
    /// printed text of an error.
    ///
    /// # Errors
    /// Returns an error if the system refuses a handler or a thread.
    pub fn start(
        env: &Env,
        (settings, live): (&Settings, Arc<LiveSettings>),
        status: Arc<StatusListener>,
        words: impl Fn(&Error) -> String + Send + Sync + 'static,
    ) -> io::Result<(Arc<Self>, watch::Receiver<StopRequest>)> {
        let (stop, stops) = watch::channel(StopRequest::None);
        let stopper = Arc::new(Self {
            wishes: Mutex::default(),
            clock: env.clock.clone(),
            last_resort: LastResort::start()?,
            live,
            has_checkpoints: settings.job.checkpoint.is_some(),
            words: Box::new(words),
            status,
            stop,
        });
        let heard = stopper.clone();
        hear_stop_signals(move || heard.decide("a signal", Wishes::signal))?;
        Ok((stopper, stops))
    }

    /// Handles a request of a client to stop. `who` names the client in the log.
    pub fn request(&self, who: &str, request: StopRequest) {
        self.decide(who, |wishes, at| wishes.request(request, at));
    }

    /// Whether an immediate stop was requested.
    pub fn is_at_once(&self) -> bool {
        lock(&self.wishes).strongest() == StopRequest::Now
    }

    fn decide(&self, who: &str, wish: impl FnOnce(&mut Wishes, Duration) -> Decision) {
        let now = self.clock.monotonic();
        let decision = wish(&mut lock(&self.wishes), now);
        match decision {
            Decision::Nothing => tracing::debug!("{who} asks for what is being done already"),
            Decision::Graceful => {
                let timeout = self.live.stop_timeout();
                let overdue = stop_took_too_long(timeout, self.has_checkpoints);
                let limit = timeout.saturating_add(AT_ONCE_MAX);
                self.last_resort.end_after(limit, overdue.kind.exit_code(), (self.words)(&overdue));
                self.status.stopping();
                // The run may end the process as soon as it hears of the request.
                let seconds = ONE_WISH.as_secs();
                tracing::info!(
                    "stopping, as {who} wants it: what was received is processed first; a signal after {seconds} s or \
                     more stops at once"
                );
                self.stop.send_replace(StopRequest::Graceful);
            }
            Decision::Now(after) => {
                let words = "the host was ended by force: it waited for something that hangs\n";
                self.last_resort.end_after(AT_ONCE_MAX, STOPPED_AT_ONCE, words);
                self.status.stopping();
                let after = after.map(|after| format!(", {:.1} s after the first wish to stop", after.as_secs_f64()));
                tracing::warn!(
                    "stopping at once, as {who} wants it{}: what was received is not processed",
                    after.unwrap_or_default()
                );
                self.stop.send_replace(StopRequest::Now);
            }
        }
    }
}
