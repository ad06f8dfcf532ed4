//! The upgrade of a running job: a new run beside the old one, its comparison, the hand-over, and the way back.
//!
//! Owns the steps of an upgrade and the effects of its decisions. The decisions are in `upgrade/decision.rs`. At any time,
//! the owner record on stable storage names exactly one run, and results are shown by that run only.

mod comparing;
mod hand_over;
mod prepare;
mod report;
mod set;
mod state;

pub(super) use self::prepare::is_of_ingest;

use self::comparing::Comparing;
use super::Running;
use super::beside::OtherRun;
use super::job::{JobParts, JobRun};
use crate::comparison::Side;
use crate::error::{Error, ErrorKind};
use crate::lock::lock;
use crate::plugin::PluginLoader;
use crate::shown::Shown as _;
use crate::time::{Duration, Time, times_in};
use crate::upgrade::{Decision, Facts, Phase, SetKey, UpgradeControl, UpgradeOptions, UpgradeStatus, decide};
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};

/// How many requests may wait. Further ones are refused.
const REQUESTS_MAX: usize = 16;
/// Why a request comes too late, and what can be done instead.
const HAS_TAKEN_OVER: (&str, &str) = ("the new run has taken the job over", "give the job back with `host rollback`");
/// The longest time between two looks at the facts.
const LOOK: Duration = Duration::from_millis(500);

/// What a user asks of an upgrade that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    /// Let the new run take the job over.
    Commit,
    /// End the new run.
    Abort,
    /// Let the old run take the job back.
    Rollback,
}

/// The upgrades of a running job. Clones are of the same job.
#[derive(Clone)]
pub struct Upgrades {
    shared: Arc<Shared>,
}

struct Shared {
    job: Arc<JobParts>,
    loader: PluginLoader,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The upgrade that goes on, or the last one.
    status: Option<UpgradeStatus>,
    /// Takes requests to the upgrade that goes on.
    requests: Option<mpsc::Sender<Request>>,
}

impl Running {
    /// The upgrades of this job. `loader` compiles new plugins.
    pub fn upgrades(&self, loader: PluginLoader) -> Upgrades {
        Upgrades { shared: Arc::new(Shared { job: self.job.clone(), loader, state: Mutex::default() }) }
    }
}

impl UpgradeControl for Upgrades {
    fn start(&self, options: UpgradeOptions) -> Result<UpgradeStatus, Error> {
        let job = &self.shared.job;
        let mut state = lock(&self.shared.state);
        if let Some(status) = state.status.as_ref().filter(|status| !status.phase.is_over()) {
            let name = &job.settings.job.name;
            let message = format!("job {name} is being upgraded to {} already: {}", status.plugin, status.phase);
            return Err(Error::new(ErrorKind::User, message)
                .help("look at it with `host upgrade status`, or end it with `host upgrade abort`"));
        }
        let status = UpgradeStatus {
            plugin: options.plugin.as_ref().unwrap_or(&job.settings.job.plugin).shown().into_owned(),
            options: options.clone(),
            started_ms: job.env.clock.now().as_ms(),
            ..UpgradeStatus::default()
        };
        let (requests, requested) = mpsc::channel(REQUESTS_MAX);
        *state = State { status: Some(status.clone()), requests: Some(requests) };
        let upgrade = Upgrade { shared: self.shared.clone(), options, requests: requested };
        // Files are read and written, and plugins compiled.
        job.env.background.spawn("upgrade", Box::pin(upgrade.run()));
        Ok(status)
    }

    fn status(&self) -> Result<UpgradeStatus, Error> {
        lock(&self.shared.state).status.clone().ok_or_else(|| self.none("there was no upgrade of job"))
    }

    fn commit(&self, force: bool) -> Result<UpgradeStatus, Error> {
        self.ask(Request::Commit, |phase| match phase {
            Phase::Ready => Ok(()),
            Phase::WarmingUp | Phase::Comparing if force => Ok(()),
            Phase::WarmingUp | Phase::Comparing => Err((
                "the new run is not ready",
                "wait until `host upgrade status` says that it is ready, or give --force",
            )),
            Phase::Preparing => {
                Err(("the new run has not begun", "wait until `host upgrade status` says that it is ready"))
            }
            Phase::HandingOver => {
                Err(("the new run takes the job over already", "look at it with `host upgrade status`"))
            }
            Phase::HandedOver | Phase::HandingBack => Err(HAS_TAKEN_OVER),
            _ => Err(("no new run waits for this", "begin an upgrade with `host upgrade JOB.TOML --plugin NEW.wasm`")),
        })
    }

    fn abort(&self) -> Result<UpgradeStatus, Error> {
        self.ask(Request::Abort, |phase| match phase {
            Phase::Preparing | Phase::HandingOver => Ok(()),
            phase if phase.is_before_hand_over() => Ok(()),
            Phase::HandedOver | Phase::HandingBack => Err(HAS_TAKEN_OVER),
            _ => Err(("there is no new run", "look at the last upgrade with `host upgrade status`")),
        })
    }

    fn rollback(&self) -> Result<UpgradeStatus, Error> {
        self.ask(Request::Rollback, |phase| match phase {
            Phase::HandedOver => Ok(()),
            Phase::Preparing | Phase::WarmingUp | Phase::Comparing | Phase::Ready | Phase::HandingOver => {
                Err(("the old run still shows results", "end the new run with `host upgrade abort`"))
            }
            Phase::HandingBack => {
                Err(("the old run takes the job back already", "look at it with `host upgrade status`"))
            }
            _ => Err(("no old run is kept", "upgrade to the old plugin: `host upgrade JOB.TOML --plugin OLD.wasm`")),
        })
    }

    fn set(&self, key: &str, value: &str) -> Result<SetKey, Error> {
        self.set_key(key, value)
    }
}

impl Upgrades {
    fn none(&self, what: &str) -> Error {
        let message = format!("{what} {} since its host was started", self.shared.job.settings.job.name);
        Error::new(ErrorKind::User, message).help("begin one with `host upgrade JOB.TOML --plugin NEW.wasm`")
    }

    /// Sends a request to the upgrade that goes on, if its phase allows the request.
    fn ask(
        &self,
        request: Request,
        may: impl FnOnce(Phase) -> Result<(), (&'static str, &'static str)>,
    ) -> Result<UpgradeStatus, Error> {
        let state = lock(&self.shared.state);
        let status = state.status.clone().ok_or_else(|| self.none("there was no upgrade of job"))?;
        may(status.phase).map_err(|(why, help)| {
            let message =
                format!("the upgrade of job {} is {}: {why}", self.shared.job.settings.job.name, status.phase);
            Error::new(ErrorKind::User, message).help(help)
        })?;
        let sent = state.requests.as_ref().is_some_and(|requests| requests.try_send(request).is_ok());
        if !sent {
            let message = format!("the upgrade of job {} does not answer", self.shared.job.settings.job.name);
            return Err(Error::new(ErrorKind::Unavailable, message).help("ask for its status, and try again"));
        }
        Ok(status)
    }
}

/// The end of an upgrade.
struct Over {
    phase: Phase,
    /// Why the upgrade has ended otherwise than asked for.
    reason: Option<Error>,
}

impl Over {
    fn withdrawn(reason: Error) -> Self {
        Self { phase: Phase::Withdrawn, reason: Some(reason) }
    }
}

/// An upgrade, as an actor.
struct Upgrade {
    shared: Arc<Shared>,
    options: UpgradeOptions,
    requests: mpsc::Receiver<Request>,
}

/// The two runs of an upgrade.
struct Pair {
    old: JobRun,
    /// A channel that closes when the old run has ended. `None` if it had ended before.
    old_is_over: Option<watch::Receiver<()>>,
    new: OtherRun,
    comparing: Comparing,
    full_from: Time,
}

impl Upgrade {
    async fn run(mut self) {
        let over = match self.upgrade().await {
            Ok(phase) => Over { phase, reason: None },
            Err(over) => over,
        };
        let Some(mut status) = lock(&self.shared.state).status.clone() else { return };
        status.phase = over.phase;
        status.kept_for = 0;
        if let Some(reason) = over.reason {
            status.reason = Some(reason.message);
            status.reason_kind = Some(reason.kind.name().to_owned());
            status.help = reason.help;
        }
        self.write_report(&mut status);
        // From now on, another upgrade may begin.
        *lock(&self.shared.state) = State { status: Some(status.clone()), requests: None };
        self.tell_of(status, None);
    }

    /// Changes the status, which users see.
    fn change(&self, change: impl FnOnce(&mut UpgradeStatus)) {
        if let Some(status) = &mut lock(&self.shared.state).status {
            change(status);
        }
    }

    /// Enters a phase, and reports that if it is a new one.
    fn enter(&self, phase: Phase, after: Option<Time>) {
        let mut is_new = false;
        self.change(|status| is_new = std::mem::replace(&mut status.phase, phase) != phase);
        if is_new {
            self.tell(after);
        }
    }

    async fn upgrade(&mut self) -> Result<Phase, Over> {
        self.tell(None);
        let mut pair = self.prepare().await.map_err(Over::withdrawn)?;
        let handed_over = match self.try_out(&mut pair).await {
            Ok(()) => {
                self.enter(Phase::HandingOver, None);
                self.hand_over(&pair, Side::New).await
            }
            Err(over) => Err(over),
        };
        match handed_over {
            Ok(after) => {
                self.change(|status| status.handed_over_after_ms = Some(after.as_ms()));
                self.enter(Phase::HandedOver, Some(after));
                self.keep_old(pair, after).await
            }
            // The old run still shows results.
            Err(over) => {
                pair.comparing.end(&self.shared.job);
                self.end_new(pair.new).await;
                Err(over)
            }
        }
    }

    /// Runs the new run beside the old one until it is to take the job over.
    async fn try_out(&mut self, pair: &mut Pair) -> Result<(), Over> {
        let mut changes = pair.comparing.tallies.changes();
        let clock = self.shared.job.env.clock.clone();
        let mut has_ended = None;
        loop {
            let facts = Facts { ended: has_ended.take(), ..self.look(pair) };
            match decide(&self.options, &facts) {
                Decision::Withdraw(reason) => {
                    let message = format!("{reason}; the old run goes on");
                    let error = Error::new(ErrorKind::Plugin, message);
                    return Err(Over::withdrawn(
                        error.help("see the report for what was compared; mend the plugin, and upgrade again"),
                    ));
                }
                Decision::WarmUp => self.enter(Phase::WarmingUp, None),
                Decision::Compare => self.enter(Phase::Comparing, None),
                Decision::Ready => {
                    self.enter(Phase::Ready, None);
                    if self.options.auto {
                        return Ok(());
                    }
                }
            }
            tokio::select! {
                biased;
                request = self.requests.recv() => match request {
                    // The request was taken because the phase allowed it, and holds if the phase has changed since.
                    Some(Request::Commit) => return Ok(()),
                    Some(Request::Abort) | None => return Err(Over { phase: Phase::Aborted, reason: None }),
                    Some(Request::Rollback) => {}
                },
                ended = pair.new.await_termination() => {
                    let Err(error) = ended else {
                        let error = Error::new(ErrorKind::Unavailable, "the job has ended");
                        let reason = error.help("start the job again, and upgrade again");
                        return Err(Over { phase: Phase::Aborted, reason: Some(reason) });
                    };
                    has_ended = Some(error.message);
                }
                _ = changes.changed() => {}
                () = clock.sleep(LOOK) => {}
            }
        }
    }

    fn phase(&self) -> Phase {
        lock(&self.shared.state).status.as_ref().map_or(Phase::Preparing, |status| status.phase)
    }

    /// Brings the status up to date, and returns the facts for the next decision.
    fn look(&self, pair: &Pair) -> Facts {
        let Comparing { tallies, comparison, .. } = &pair.comparing;
        let interval = self.shared.job.settings.job.batch_interval;
        let (old, new) = (tallies.of(Side::Old), tallies.of(Side::New));
        let outputs = comparison.results();
        let differences: u64 = outputs.iter().map(comparing::differences).sum();
        let with_full_windows = pair.comparing.with_full_windows();
        let compared = comparing::compared(&outputs).map_or(with_full_windows, |most| most.min(with_full_windows));
        let slowdown = tallies.slowdown();
        let mut old_report = old.report(interval);
        let mut new_report = new.report(interval);
        old_report.memory_bytes = Some(pair.old.storage.memory_bytes() as u64);
        new_report.memory_bytes = Some(pair.new.run.storage.memory_bytes() as u64);
        let waiting = new_report.waiting;
        self.change(|status| {
            (status.compared, status.differences, status.slowdown) = (compared, differences, slowdown);
            (status.old, status.new, status.outputs) = (old_report, new_report, outputs);
        });
        Facts {
            last: new.last,
            full_from: pair.full_from,
            waiting,
            in_pace: tallies.in_pace(),
            compared,
            differences,
            slowdown,
            failure: tallies.failure(),
            ended: None,
        }
    }

    /// Keeps the old run for some batches, then ends it. Hands back if a user asks for that.
    async fn keep_old(&mut self, mut pair: Pair, after: Time) -> Result<Phase, Over> {
        let interval = self.shared.job.settings.job.batch_interval;
        let mut changes = pair.comparing.tallies.changes();
        let clock = self.shared.job.env.clock.clone();
        loop {
            self.look(&pair);
            let kept = times_in(pair.new.run.done.borrow().since(after), interval);
            let left = self.options.keep.saturating_sub(kept);
            self.change(|status| status.kept_for = left);
            let old_ended = pair.old.done.has_changed().is_err();
            if left == 0 || old_ended {
                break;
            }
            tokio::select! {
                biased;
                request = self.requests.recv() => {
                    if request == Some(Request::Rollback) {
                        self.enter(Phase::HandingBack, None);
                        match self.hand_over(&pair, Side::Old).await {
                            Ok(after) => {
                                self.change(|status| status.handed_back_after_ms = Some(after.as_ms()));
                                pair.comparing.end(&self.shared.job);
                                self.end_new(pair.new).await;
                                return Ok(Phase::RolledBack);
                            }
                            Err(over) => {
                                let message = over.reason.map(|error| error.message).unwrap_or_default();
                                tracing::warn!("the job cannot be handed back: {message}");
                                self.enter(Phase::HandedOver, None);
                            }
                        }
                    }
                }
                _ = pair.new.await_termination() => break,
                _ = changes.changed() => {}
                () = clock.sleep(LOOK) => {}
            }
        }
        self.end_old(pair).await;
        Ok(Phase::Done)
    }
}
