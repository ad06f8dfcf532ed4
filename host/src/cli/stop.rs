//! `host stop`, and the code that it shares with `host status`: requests to the host that runs a job.

use super::job::{JOB_FILE, SetArgs, load, start_threads};
use super::status_line::{StatusLine, is_shown_to_a_person};
use crate::config::Settings;
use crate::control::{Answer, Client, ClientError, Request};
use crate::env::{Env, real};
use crate::error::{Error, ErrorKind};
use crate::listener::Status;
use crate::shown::counted;
use crate::time::Duration;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// How often a stopping host is asked for its status.
const ASKED_EVERY: Duration = Duration::from_millis(250);

/// The job whose host is asked.
#[derive(Args)]
pub struct RunningJobArgs {
    /// The job file.
    #[arg(value_name = "JOB.TOML", default_value = JOB_FILE)]
    pub job: PathBuf,
    #[command(flatten)]
    pub set: SetArgs,
}

/// The arguments of `host stop`.
#[derive(Args)]
pub struct StopArgs {
    #[command(flatten)]
    job: RunningJobArgs,
    /// Stop at once, without processing what was received.
    #[arg(long)]
    now: bool,
}

/// Stops the job and waits for its end. Shows the progress in `line` if a person can see the line.
pub fn stop(args: &StopArgs, line: &StatusLine) -> Result<ExitCode, Error> {
    let executors = start_threads(1)?;
    let env = real(&executors);
    let settings = load(&args.job.job, &args.job.set, &env)?;
    let outcome = executors.block_on(async {
        let client = connect(&env, &settings).await?;
        wait_for_end(client, &env, &settings.job.name, args.now, line).await
    });
    line.clear();
    executors.shutdown();
    outcome
}

/// Connects to the host of a job.
pub(super) async fn connect(env: &Env, settings: &Settings) -> Result<Client, Error> {
    let connected = Client::connect(env, &settings.job.directory, &settings.job.name).await;
    connected.map_err(|error| told(&settings.job.name, &error))
}

/// An error of the connection to the host of a job, with advice what to do.
pub(super) fn told(job: &str, error: &ClientError) -> Error {
    let (kind, help) = match error {
        ClientError::NotRunning => (
            ErrorKind::Unavailable,
            "a host is found by the directory of its job file and the name of the job; one that could not listen there \
             can be stopped with a signal",
        ),
        ClientError::NotAllowed(_) => (ErrorKind::Unavailable, "only the user who started the host can ask it"),
        ClientError::Silent | ClientError::Broken(_) => {
            (ErrorKind::Unavailable, "look at the host's own log; it can be stopped with a signal")
        }
        ClientError::Refused(_) | ClientError::Strange(_) => {
            (ErrorKind::Unavailable, "use the program `host` that runs the job")
        }
    };
    Error::new(kind, format!("cannot reach the host of job {job}: {error}")).help(help)
}

async fn wait_for_end(
    mut client: Client,
    env: &Env,
    job: &str,
    now: bool,
    line: &StatusLine,
) -> Result<ExitCode, Error> {
    let is_shown = is_shown_to_a_person();
    let failed = |error: ClientError| told(job, &error);
    client.send(&Request::Stop { now }).await.map_err(failed)?;
    let mut answer_is_due = true;
    loop {
        let answer = tokio::select! {
            biased;
            answer = client.next() => answer.map_err(failed)?,
            () = env.clock.sleep_until(env.clock.now() + ASKED_EVERY), if !answer_is_due => {
                client.send(&Request::Status).await.map_err(failed)?;
                answer_is_due = true;
                continue;
            }
        };
        answer_is_due = false;
        match answer {
            Some(Answer::Status { status }) if is_shown => {
                let status: Status = serde_json::from_value(status).unwrap_or_default();
                line.set(&format!("stopping job {job}: {} pending", counted(status.pending, "batch")));
            }
            Some(Answer::Stopping) if is_shown => line.set(&format!("stopping job {job}")),
            Some(Answer::Ended { error }) => {
                client.gone().await;
                return match error.filter(|_| !now) {
                    None => Ok(ExitCode::SUCCESS),
                    Some(error) => {
                        let message = format!("job {job} was not stopped gracefully: {error}");
                        Err(Error::new(ErrorKind::Unavailable, message).help("the host's own log says more"))
                    }
                };
            }
            Some(_) => {}
            // The host may end before it can send its answer.
            None if now => return Ok(ExitCode::SUCCESS),
            None => {
                let message = format!("the host of job {job} is gone and did not say how the job ended");
                return Err(Error::new(ErrorKind::Unavailable, message).help("the host's own log says more"));
            }
        }
    }
}
