//! `host run --supervise`: starts the job in a child process, and starts it again when it fails.
//!
//! Owns the arguments of the child, and the wait for whatever happens next. `restarts` decides what follows. The child
//! writes to the same standard output and standard error as this process, and gets its signals.

use super::reports::{ALIVE, OWNS_CHECKPOINTS, READY, STOPPING, manager, status, tell};
use super::restarts::{Decision, Policy, Restarts};
use crate::env::{ChildProcess, Ended, Happening, NotifySocket, watchdog_interval};
use crate::error::{Error, ErrorKind};
use crate::shown::counted;
use crate::time::Duration;
use clap::Args;
use std::ffi::OsString;
use std::process::ExitCode;

/// The option that asks for supervision.
const SUPERVISE: &str = "--supervise";
/// The option that names the process of the supervisor to the child.
const SUPERVISED_BY: &str = "--supervised-by";
/// The options of the supervisor that have a value.
const WITH_VALUES: [&str; 4] = ["--max-restarts", "--restart-window", "--restart-pause", "--restart-pause-max"];
/// The option that starts a new run. A process that goes on with that run must not have the option.
const FRESH: &str = "--fresh";

/// The options of `host run` about supervision.
#[derive(Args)]
#[command(next_help_heading = "Supervision")]
pub struct SuperviseArgs {
    /// Run the job in a child process, and start the process again when it fails. With `job.checkpoint` the job then
    /// goes on where it was. The end is final with exit codes 0, 2, 5 and 130, and with 3 before the job runs.
    #[arg(long, conflicts_with = "dry_run_recovery")]
    pub supervise: bool,
    /// Give up when there were this many restarts within `--restart-window`. The exit code is then that of the last
    /// failure.
    #[arg(long, value_name = "RESTARTS", default_value_t = 20, requires = "supervise", value_parser = parse_restarts)]
    max_restarts: u32,
    /// The span in which restarts are counted.
    #[arg(long, value_name = "DURATION", default_value = "1h", requires = "supervise", value_parser = parse_duration)]
    restart_window: Duration,
    /// The pause before the first restart. Each further pause is twice as long.
    #[arg(long, value_name = "DURATION", default_value = "1s", requires = "supervise", value_parser = parse_duration)]
    restart_pause: Duration,
    /// The longest pause before a restart. A job that has run for this long begins with the first pause again.
    #[arg(long, value_name = "DURATION", default_value = "1m", requires = "supervise", value_parser = parse_duration)]
    restart_pause_max: Duration,
    /// The process of the supervisor, which has started this process.
    #[arg(long, hide = true, value_name = "PROCESS", conflicts_with = "supervise")]
    pub supervised_by: Option<u32>,
    /// The process of `host dev`, which has started this process.
    #[arg(long, hide = true, value_name = "PROCESS", conflicts_with_all = ["supervise", "supervised_by"])]
    developed_by: Option<u32>,
}

impl SuperviseArgs {
    /// The process that has started this one, and without which this one ends. `None` if there is none.
    pub fn parent(&self) -> Option<u32> {
        self.supervised_by.or(self.developed_by)
    }
}

/// The option that names the process of `host dev` to the job.
pub(super) const DEVELOPED_BY: &str = "--developed-by";

fn parse_restarts(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "it is not a whole number".to_owned())
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = crate::config::duration(text).filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| "it is not a duration above 0; write a duration such as 30s".to_owned())
}

/// Runs the job in child processes, one after the other. Returns the exit code of the last one, if its end is final.
///
/// # Errors
/// If no child can be started, or if there were too many restarts.
pub fn supervise(args: &SuperviseArgs) -> Result<ExitCode, Error> {
    let no_child = |error| Error::new(ErrorKind::Unavailable, format!("cannot supervise a child process: {error}"));
    let policy = Policy {
        restarts_max: args.max_restarts,
        window: args.restart_window,
        pause_min: args.restart_pause.min(args.restart_pause_max),
        pause_max: args.restart_pause_max,
    };
    let mut supervisor = Supervisor {
        process: ChildProcess::new().map_err(no_child)?,
        restarts: Restarts::new(policy.clone()),
        policy,
        manager: manager(NotifySocket::of_environment()),
        is_fresh: true,
        number: 0,
    };
    supervisor.start().map_err(no_child)?;
    supervisor.run().map(ExitCode::from)
}

struct Supervisor {
    process: ChildProcess,
    restarts: Restarts,
    policy: Policy,
    manager: Option<NotifySocket>,
    /// Whether the next child may have the option [`FRESH`].
    is_fresh: bool,
    /// The number of the last child's process.
    number: u32,
}

impl Supervisor {
    fn start(&mut self) -> std::io::Result<()> {
        let arguments = arguments_of_child(std::env::args_os().skip(1), std::process::id(), self.is_fresh);
        self.number = self.process.start(&arguments)?;
        self.restarts.started(self.process.now());
        tracing::info!("process {} runs the job", self.number);
        Ok(())
    }

    /// Waits for what happens, until an end is final.
    fn run(&mut self) -> Result<u8, Error> {
        let ping_every = watchdog_interval().map(|interval| interval / 2);
        let mut next_ping = ping_every.map(|every| self.process.now() + every);
        let mut next_start: Option<Duration> = None;
        loop {
            let happening = self.process.next([next_ping, next_start].into_iter().flatten().min());
            let now = self.process.now();
            if let Some((ping, every)) = next_ping.as_mut().zip(ping_every)
                && *ping <= now
            {
                *ping = now + every;
                if self.restarts.answers_for_the_job(now) {
                    tell(self.manager.as_ref(), ALIVE);
                }
            }
            let decision = match happening {
                Happening::Signal(signal) => match self.restarts.signal(signal) {
                    Some(code) => {
                        tracing::info!("stopping, as a signal wants it: no process runs the job");
                        Some(Decision::End(code))
                    }
                    None => {
                        self.process.pass_on(signal);
                        None
                    }
                },
                Happening::Told(text) => {
                    self.told(&text);
                    None
                }
                Happening::Ended(how) => {
                    let decision = self.restarts.ended(now, how);
                    self.tell_end(how, decision);
                    Some(decision)
                }
                Happening::TimePassed if next_start.is_some_and(|start| start <= now) => {
                    next_start = None;
                    self.start_again()
                }
                Happening::TimePassed => None,
            };
            match decision {
                None => {}
                Some(Decision::Restart { pause, .. }) => next_start = Some(self.process.now() + pause),
                Some(Decision::End(code)) => return Ok(code),
                Some(Decision::GiveUp(kind)) => return Err(self.too_many(kind)),
            }
        }
    }

    /// Starts a further child. A system that refuses it is a failure of that child.
    fn start_again(&mut self) -> Option<Decision> {
        let error = self.start().err()?;
        tracing::warn!("cannot start a process for the job: {error}");
        let how = Ended::Code(i32::from(ErrorKind::Unavailable.exit_code()));
        Some(self.restarts.ended(self.process.now(), how))
    }

    /// Handles a report of the child, and passes it on.
    fn told(&mut self, text: &str) {
        for line in text.lines() {
            match line {
                OWNS_CHECKPOINTS => self.is_fresh = false,
                READY => self.restarts.ready(self.process.now()),
                STOPPING => self.restarts.stopping(),
                _ => {}
            }
        }
        let for_manager: Vec<&str> = text.lines().filter(|line| *line != OWNS_CHECKPOINTS).collect();
        if !for_manager.is_empty() {
            tell(self.manager.as_ref(), &for_manager.join("\n"));
        }
    }

    fn tell_end(&self, how: Ended, decision: Decision) {
        let Self { number: process, .. } = self;
        if let Decision::Restart { pause, number } = decision {
            let (max, window) = (self.policy.restarts_max, self.policy.window.as_secs_f64());
            let pause = pause.as_secs_f64();
            tracing::warn!(
                "process {process} {how}: the job starts again in {pause} s (restart {number} of at most {max} within \
                 {window} s)"
            );
            tell(
                self.manager.as_ref(),
                &status(&format!("process {process} {how}; the job starts again in {pause} s")),
            );
        } else {
            tracing::debug!("process {process} {how}");
        }
    }

    fn too_many(&self, kind: ErrorKind) -> Error {
        let (restarts, window) =
            (counted(self.policy.restarts_max.into(), "restart"), self.policy.window.as_secs_f64());
        Error::new(kind, format!("the job failed again after {restarts} within {window} s, and is not started again"))
            .help("see why its processes ended; --max-restarts and --restart-window say when a supervisor gives up")
    }
}

/// The arguments of a child of `supervisor` that does what these arguments of `host run` ask for.
fn arguments_of_child(ours: impl Iterator<Item = OsString>, supervisor: u32, is_fresh: bool) -> Vec<OsString> {
    let mut arguments = Vec::new();
    let mut ours = ours;
    while let Some(argument) = ours.next() {
        let text = argument.to_string_lossy();
        let name = text.split_once('=').map_or(&*text, |(name, _)| name);
        if text == "--" {
            arguments.push(argument);
            // All others are names of files.
            arguments.extend(ours.by_ref());
        } else if text == SUPERVISE {
            arguments.push(format!("{SUPERVISED_BY}={supervisor}").into());
        } else if WITH_VALUES.contains(&name) {
            if name == text {
                ours.next();
            }
        } else if text != FRESH || is_fresh {
            arguments.push(argument);
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_child(ours: &[&str], is_fresh: bool) -> Vec<String> {
        let arguments = arguments_of_child(ours.iter().map(OsString::from), 7, is_fresh);
        arguments.into_iter().map(|argument| argument.into_string().unwrap()).collect()
    }

    #[test]
    fn a_child_gets_the_arguments_that_are_not_for_the_supervisor() {
        let ours = [
            "run",
            "--max-restarts",
            "3",
            "job.toml",
            "--supervise",
            "--restart-pause=2s",
            "--set",
            "a.b=--fresh",
            "-q",
        ];
        assert_eq!(of_child(&ours, true), ["run", "job.toml", "--supervised-by=7", "--set", "a.b=--fresh", "-q"]);
        assert_eq!(
            of_child(&["run", "--supervise", "--", "--supervise"], true),
            ["run", "--supervised-by=7", "--", "--supervise"]
        );
    }

    #[test]
    fn a_new_run_is_begun_once() {
        let ours = ["run", "--supervise", "--fresh", "job.toml"];
        assert_eq!(of_child(&ours, true), ["run", "--supervised-by=7", "--fresh", "job.toml"]);
        assert_eq!(of_child(&ours, false), ["run", "--supervised-by=7", "job.toml"]);
    }
}
