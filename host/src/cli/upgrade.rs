//! `host upgrade` and `host rollback`: upgrades of a running job, through its control socket.

use super::job::{load, start_threads};
use super::print;
use super::status_line::{StatusLine, is_shown_to_a_person};
use super::stop::{RunningJobArgs, connect, told};
use super::upgrade_text::{as_text, differences, progress, summary};
use crate::control::{Answer, Client, ClientError, Request};
use crate::env::{Env, real};
use crate::error::{Error, ErrorKind, Persistence};
use crate::shown::Shown as _;
use crate::time::Duration;
use crate::upgrade::{Phase, UpgradeOptions, UpgradeStatus};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// How often a host is asked how far an upgrade has come.
const ASKED_EVERY: Duration = Duration::from_millis(250);

/// The arguments of `host upgrade`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct UpgradeArgs {
    #[command(subcommand)]
    command: Option<UpgradeCommand>,
    #[command(flatten)]
    begin: BeginArgs,
}

#[derive(Subcommand)]
enum UpgradeCommand {
    /// Show how far the upgrade has come, with the comparison of each output.
    Status(AskArgs),
    /// Let the new plugin take the job over, between two batches, and wait until it has.
    Commit(CommitArgs),
    /// End the new plugin. The old one goes on as if nothing had been.
    Abort(AskArgs),
}

/// The arguments of `host upgrade JOB.TOML`.
#[derive(Args)]
struct BeginArgs {
    #[command(flatten)]
    job: RunningJobArgs,
    /// The new plugin. Without this option, it is the plugin that the job file names now.
    #[arg(long, value_name = "PLUGIN.WASM")]
    plugin: Option<PathBuf>,
    /// How many batches are compared, and must keep pace, before the new plugin is ready.
    #[arg(long, value_name = "BATCHES", default_value_t = 10)]
    batches: u64,
    /// Let the new plugin take the job over as soon as it is ready, without `host upgrade commit`.
    #[arg(long)]
    auto: bool,
    /// Withdraw the new plugin if there are more differences than this: rows that only one plugin has, keys with other
    /// values, batches whose rows have another order, and batches that could not be compared.
    #[arg(long, value_name = "DIFFERENCES")]
    max_diff: Option<u64>,
    /// The new plugin is not ready if its batches take more than this many times as long. With --auto, it is withdrawn.
    #[arg(long, value_name = "TIMES", value_parser = parse_times)]
    max_slowdown: Option<f64>,
    /// Withdraw the new plugin if more batches than this wait for it.
    #[arg(long, value_name = "BATCHES", default_value_t = 100)]
    max_lag: u64,
    /// For how many batches the old plugin is kept after the hand-over, so that `host rollback` can give the job back.
    #[arg(long, value_name = "BATCHES", default_value_t = 10)]
    keep: u64,
    /// Keep the checkpoints of the old plugin's run after its end.
    #[arg(long)]
    keep_old_run: bool,
    /// Begin with the state of the old plugin, for each operator whose id and types agree. Without this option, the
    /// new plugin begins without state.
    #[arg(long)]
    carry_state: bool,
    /// The memory of the new plugin's run, beside that of the old one. [default: engine.memory]
    #[arg(long, value_name = "SIZE", value_parser = parse_memory)]
    memory: Option<u64>,
    /// Do not wait until the new plugin is ready, or, with --auto, has taken the job over.
    #[arg(long)]
    no_wait: bool,
    /// Print the status as one JSON object, and an error as one JSON object on standard error.
    #[arg(long)]
    json: bool,
}

/// The arguments of questions about an upgrade.
#[derive(Args)]
struct AskArgs {
    #[command(flatten)]
    job: RunningJobArgs,
    /// Print the status as one JSON object, and an error as one JSON object on standard error.
    #[arg(long)]
    json: bool,
}

/// The arguments of `host upgrade commit`.
#[derive(Args)]
struct CommitArgs {
    #[command(flatten)]
    ask: AskArgs,
    /// Hand over even if the new plugin is not ready.
    #[arg(long)]
    force: bool,
}

/// The arguments of `host rollback`.
#[derive(Args)]
pub struct RollbackArgs {
    #[command(flatten)]
    job: RunningJobArgs,
    /// Print the status as one JSON object, and an error as one JSON object on standard error.
    #[arg(long)]
    pub json: bool,
}

impl UpgradeArgs {
    /// Whether the result and errors are told as JSON.
    pub fn json(&self) -> bool {
        match &self.command {
            None => self.begin.json,
            Some(UpgradeCommand::Status(ask) | UpgradeCommand::Abort(ask)) => ask.json,
            Some(UpgradeCommand::Commit(commit)) => commit.ask.json,
        }
    }
}

fn parse_times(text: &str) -> Result<f64, String> {
    let times: f64 = text.parse().map_err(|_| "it is not a number; write a number such as 1.2".to_owned())?;
    if times.is_finite() && times > 0.0 { Ok(times) } else { Err("write a number above 0, such as 1.2".to_owned()) }
}

fn parse_memory(text: &str) -> Result<u64, String> {
    crate::config::size(text).ok_or_else(|| "it is not a size; write a size such as 512MiB".to_owned())
}

impl BeginArgs {
    fn options(&self) -> Result<UpgradeOptions, Error> {
        let absolute = |path: &PathBuf| {
            std::path::absolute(path).map_err(|error| {
                Error::new(ErrorKind::User, format!("cannot find plugin {}: {error}", path.shown()))
                    .help("name the .wasm file of the new plugin")
            })
        };
        Ok(UpgradeOptions {
            plugin: self.plugin.as_ref().map(absolute).transpose()?,
            set: self.job.set.overrides.clone(),
            batches: self.batches,
            auto: self.auto,
            max_diff: self.max_diff,
            max_slowdown: self.max_slowdown,
            max_lag: self.max_lag,
            keep: self.keep,
            keep_old_run: self.keep_old_run,
            carry_state: self.carry_state,
            memory_bytes: self.memory,
        })
    }
}

/// What a command waits for.
#[derive(Clone, Copy)]
enum Until {
    /// Nothing.
    Asked,
    /// The new plugin is ready.
    Ready,
    /// The new plugin shows results.
    HandedOver,
    /// The upgrade has ended, in this way.
    Over(Phase),
}

impl Until {
    fn is_reached(self, phase: Phase) -> bool {
        match self {
            Self::Asked => true,
            Self::Ready => phase == Phase::Ready || phase == Phase::HandedOver || phase.is_over(),
            Self::HandedOver => phase == Phase::HandedOver || phase.is_over(),
            Self::Over(_) => phase.is_over(),
        }
    }

    /// Whether the upgrade has ended in another way than the command waits for.
    fn is_failed(self, phase: Phase) -> bool {
        match self {
            Self::Asked => false,
            Self::Ready | Self::HandedOver => matches!(phase, Phase::Withdrawn | Phase::Aborted),
            Self::Over(wanted) => phase != wanted,
        }
    }
}

/// Begins an upgrade, or asks something of the one that goes on.
pub fn upgrade(args: &UpgradeArgs, line: &StatusLine) -> Result<ExitCode, Error> {
    let (job, request, until) = match &args.command {
        None => {
            let options = Box::new(args.begin.options()?);
            let until = match (args.begin.no_wait, args.begin.auto) {
                (true, _) => Until::Asked,
                (false, false) => Until::Ready,
                (false, true) => Until::HandedOver,
            };
            (&args.begin.job, Request::Upgrade { options }, until)
        }
        Some(UpgradeCommand::Status(ask)) => (&ask.job, Request::UpgradeStatus, Until::Asked),
        Some(UpgradeCommand::Abort(ask)) => (&ask.job, Request::UpgradeAbort, Until::Over(Phase::Aborted)),
        Some(UpgradeCommand::Commit(commit)) => {
            (&commit.ask.job, Request::UpgradeCommit { force: commit.force }, Until::HandedOver)
        }
    };
    let is_status = matches!(request, Request::UpgradeStatus);
    let status = ask(job, &request, until, args.json(), line)?;
    finish(&status, args.json(), until, is_status)
}

/// Gives a job back to its old plugin.
pub fn rollback(args: &RollbackArgs, line: &StatusLine) -> Result<ExitCode, Error> {
    let until = Until::Over(Phase::RolledBack);
    let status = ask(&args.job, &Request::Rollback, until, args.json, line)?;
    finish(&status, args.json, until, false)
}

/// Prints the status, and decides how the command ends.
fn finish(status: &UpgradeStatus, json: bool, until: Until, is_status: bool) -> Result<ExitCode, Error> {
    if json {
        let text = serde_json::to_string(status).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        print(&format!("{text}\n"))?;
    } else {
        print(&if is_status { as_text(status) } else { summary(status) })?;
    }
    // The status of an upgrade that was withdrawn is an answer, not a failure of the question.
    if is_status || !until.is_failed(status.phase) {
        return Ok(ExitCode::SUCCESS);
    }
    let plugin = status.plugin.shown();
    match &status.reason {
        Some(reason) => {
            let kind = status.reason_kind.as_deref().and_then(ErrorKind::named).unwrap_or(ErrorKind::Plugin);
            let help = status.help.clone().unwrap_or_else(|| "look at `host upgrade status`".to_owned());
            Err(Error::new(kind, format!("the upgrade to {plugin} was withdrawn: {reason}")).help(help))
        }
        None => {
            let message = format!("the upgrade to {plugin} did not come to this end: it is {}", status.phase);
            Err(Error::new(ErrorKind::User, message).help("look at `host upgrade status`"))
        }
    }
}

/// Sends a request, and asks for the status until the upgrade has come as far as the command waits for. Shows the
/// progress in `line` if a person can see the line.
fn ask(
    job: &RunningJobArgs,
    request: &Request,
    until: Until,
    json: bool,
    line: &StatusLine,
) -> Result<UpgradeStatus, Error> {
    let executors = start_threads(1)?;
    let env = real(&executors);
    let settings = load(&job.job, &job.set, &env)?;
    let shows = is_shown_to_a_person() && !json;
    let outcome = executors.block_on(async {
        let mut client = connect(&env, &settings).await?;
        let mut status = asked(&mut client, request, &settings.job.name).await?;
        let mut tells_differences = !json && matches!(request, Request::Upgrade { .. });
        loop {
            if tells_differences && status.phase != Phase::Preparing {
                tells_differences = false;
                print(&differences(&status))?;
            }
            if until.is_reached(status.phase) {
                return Ok(status);
            }
            if shows {
                line.set(&progress(&status));
            }
            pause(&env).await;
            status = asked(&mut client, &Request::UpgradeStatus, &settings.job.name).await?;
        }
    });
    line.clear();
    executors.shutdown();
    outcome
}

async fn pause(env: &Env) {
    env.clock.sleep_until(env.clock.now() + ASKED_EVERY).await;
}

/// Sends a request about an upgrade and returns the status.
async fn asked(client: &mut Client, request: &Request, job: &str) -> Result<UpgradeStatus, Error> {
    let failed = |error: ClientError| told(job, &error);
    client.send(request).await.map_err(failed)?;
    match client.next().await.map_err(failed)? {
        Some(Answer::Upgrade { status }) => Ok(*status),
        Some(Answer::Failed { error, help, is_temporary }) => {
            let kind = if is_temporary { ErrorKind::Unavailable } else { ErrorKind::User };
            let lasts = if is_temporary { Persistence::Transient } else { Persistence::Permanent };
            Err(Error::new(kind, error).help(help).lasting(lasts))
        }
        Some(_) => Err(failed(ClientError::Strange("that is no status of an upgrade".to_owned()))),
        // The job has just ended.
        None => Err(failed(ClientError::NotRunning)),
    }
}
