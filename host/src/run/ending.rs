//! Decides how long a run may take to stop.
//!
//! Owns the time after which a graceful stop becomes a stop at once, and the time after which nobody waits for a run
//! any more.

use super::stop_took_too_long;
use crate::config::LiveSettings;
use crate::env::{Clock, Panics, catch_panic};
use crate::error::Error;
use crate::ingest::StopRequest;
use crate::plugin::Cancel;
use crate::time::Duration;
use futures::FutureExt as _;
use std::sync::{Arc, Weak};
use tokio::sync::watch;

/// How long a run that is to stop at once may take to end by itself. A run that waits for a pipe or a disk may never
/// end.
const AT_ONCE: Duration = Duration::from_millis(500);
/// The same time after a panic. It is longer, because nobody is in a hurry. It is limited, because code that waits for
/// an actor that has panicked never ends.
const AFTER_PANIC: Duration = Duration::from_secs(10);

/// How a run has ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// The result with which the run ends.
    pub outcome: Result<(), Error>,
    /// Whether code of the run may still be running.
    pub is_abandoned: bool,
}

/// Ends a run that does not end in time.
pub(super) struct Deadline {
    /// The requests to stop the run. A weak reference does not keep the channel open.
    pub stop: Weak<watch::Sender<StopRequest>>,
    /// The receiver of these requests.
    pub stopping: watch::Receiver<StopRequest>,
    /// Interrupts computations.
    pub cancel: Cancel,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The settings that can change while the job runs. They say how long a graceful stop may take.
    pub live: Arc<LiveSettings>,
    /// Whether the job has checkpoints.
    pub has_checkpoints: bool,
    /// Knows whether host code has panicked. A run ends after a panic.
    pub panics: Panics,
}

impl Deadline {
    /// Waits for the end of `run`, but not longer than `run` may take.
    pub(super) async fn keep(self, run: impl Future<Output = Result<(), Error>>) -> Ended {
        // A panic is caught here and not by the executor, so that the end of the run is reported.
        let run = catch_panic("the actor `job scheduler`", None, run);
        let run = run.map(|ended| {
            ended.unwrap_or_else(|panic| {
                self.panics.report(panic);
                Ok(())
            })
        });
        tokio::pin!(run);
        let (error, patience) = tokio::select! {
            biased;
            outcome = &mut run => return Ended { outcome, is_abandoned: false },
            () = asked(self.stopping.clone(), StopRequest::Now) => (None, AT_ONCE),
            timeout = self.is_over() => (Some(stop_took_too_long(timeout, self.has_checkpoints)), AT_ONCE),
            _ = self.panics.first() => (None, AFTER_PANIC),
        };
        self.cancel.cancel();
        if let Some(stop) = self.stop.upgrade() {
            stop.send_replace(StopRequest::Now);
        }
        tokio::select! {
            biased;
            // The work of the run was interrupted. If the reason is that a graceful stop took too long, that error is
            // returned: the error of the run would not say more.
            outcome = &mut run => Ended { outcome: error.map_or(outcome, Err), is_abandoned: false },
            () = self.clock.sleep(patience) => {
                Ended { outcome: error.map_or(Ok(()), Err), is_abandoned: true }
            }
        }
    }

    /// Resolves when a graceful stop has taken too long. Returns how long it may take.
    async fn is_over(&self) -> Duration {
        asked(self.stopping.clone(), StopRequest::Graceful).await;
        let timeout = self.live.stop_timeout();
        self.clock.sleep_until(self.clock.now() + timeout).await;
        timeout
    }
}

/// Resolves when the run is asked for this stop, or for a stronger one.
async fn asked(mut stopping: watch::Receiver<StopRequest>, request: StopRequest) {
    if stopping.wait_for(|stop| *stop >= request).await.is_err() {
        // Nobody can send a request any more.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Simulation;
    use crate::time::Time;

    const TIMEOUT: Duration = Duration::from_secs(5);

    fn late() -> Error {
        stop_took_too_long(TIMEOUT, false)
    }

    /// Runs a simulation in which a run ends this many milliseconds after the request, if it ends by itself.
    fn ended(request: StopRequest, ends_after_ms: Option<u64>) -> (Ended, u64, bool) {
        let simulation = Simulation::new(1, Time::from_ms(1000));
        let clock = simulation.env().clock;
        simulation
            .run(async move {
                let (stop, stopping) = watch::channel(request);
                let stop = Arc::new(stop);
                let cancel = Cancel::default();
                let job = "[job]\nname = \"a\"\nplugin = \"p.wasm\"\nstop_timeout = \"5s\"\n";
                let settings = crate::config::load(job, "job.toml".as_ref(), &[], &crate::config::Facts { cpus: 1 });
                let live = Arc::new(LiveSettings::new(&settings.unwrap()));
                let deadline = Deadline {
                    stop: Arc::downgrade(&stop),
                    stopping,
                    cancel: cancel.clone(),
                    clock: clock.clone(),
                    live,
                    has_checkpoints: false,
                    panics: Panics::default(),
                };
                let run = async {
                    match ends_after_ms {
                        Some(ms) => clock.sleep_until(clock.now() + Duration::from_millis(ms)).await,
                        None => std::future::pending().await,
                    }
                    Ok(())
                };
                let ended = deadline.keep(run).await;
                (ended, clock.now().as_ms() - 1000, cancel.is_cancelled())
            })
            .unwrap()
    }

    #[test]
    fn a_run_that_does_not_end_in_time_is_left_alone() {
        let with = |outcome, is_abandoned| Ended { outcome, is_abandoned };
        assert_eq!(ended(StopRequest::Graceful, Some(4999)), (with(Ok(()), false), 4999, false));
        assert_eq!(ended(StopRequest::Graceful, Some(5400)), (with(Err(late()), false), 5400, true));
        assert_eq!(ended(StopRequest::Graceful, None), (with(Err(late()), true), 5500, true));
        assert_eq!(ended(StopRequest::Now, Some(400)), (with(Ok(()), false), 400, true));
        assert_eq!(ended(StopRequest::Now, None), (with(Ok(()), true), 500, true));
        assert_eq!(ended(StopRequest::None, Some(99_999)), (with(Ok(()), false), 99_999, false));
    }
}
