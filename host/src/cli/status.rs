//! `host status`: prints the status of a running job.

use super::job::{load, start_threads};
use super::print;
use super::stop::{RunningJobArgs, connect, told};
use crate::control::{Answer, Client, ClientError, Request};
use crate::env::real;
use crate::error::Error;
use crate::listener::{Delay, RunState, Status};
use crate::shown::{counted, escape_control};
use crate::time::Time;
use clap::Args;
use std::fmt::Write as _;
use std::process::ExitCode;

/// The arguments of `host status`.
#[derive(Args)]
pub struct StatusArgs {
    #[command(flatten)]
    job: RunningJobArgs,
    /// Print one JSON object. An error is also one JSON object, on standard error: `{"error": {"kind", "message",
    /// "help"}}`.
    #[arg(long)]
    pub json: bool,
}

/// Asks the host for the status and prints it.
pub fn status(args: &StatusArgs) -> Result<ExitCode, Error> {
    let executors = start_threads(1)?;
    let env = real(&executors);
    let settings = load(&args.job.job, &args.job.set, &env)?;
    let job = &settings.job.name;
    let status = executors.block_on(async {
        let client = connect(&env, &settings).await?;
        ask(client).await.map_err(|error| told(job, &error))
    })?;
    let code = if args.json {
        print(&format!("{status}\n"))
    } else {
        let status: Status =
            serde_json::from_value(status).map_err(|error| told(job, &ClientError::Strange(error.to_string())))?;
        print(&as_text(&status, env.clock.now()))
    };
    executors.shutdown();
    code
}

/// Asks a host for its status, in the form in which it is sent.
pub(super) async fn ask(mut client: Client) -> Result<serde_json::Value, ClientError> {
    client.send(&Request::Status).await?;
    match client.next().await? {
        Some(Answer::Status { status }) => Ok(status),
        Some(_) => Err(ClientError::Strange("that is no status".to_owned())),
        // The job has just ended.
        None => Err(ClientError::NotRunning),
    }
}

pub(super) const fn state(state: RunState) -> &'static str {
    match state {
        RunState::Starting => "starting",
        RunState::Recovering => "recovering",
        RunState::Running => "running",
        RunState::Stopping => "stopping",
        RunState::Stopped => "stopped",
    }
}

fn as_text(status: &Status, now: Time) -> String {
    let at = |ms: u64| {
        let time = Time::from_ms(ms);
        format!("{time} ({:.1} s ago)", now.since(time).as_secs_f64())
    };
    let mut text = String::new();
    let mut line = |what: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{what}: {}", escape_control(value));
    };
    let process = status.pid.map_or_else(String::new, |pid| format!(", process {pid}"));
    let behind = if status.is_behind { ", falling behind" } else { "" };
    line(&format!("job {}", escape_control(&status.job)), &format!("{}{behind}{process}", state(status.state)));
    line("since", &at(status.since_ms));
    if let (Some(run), Some(epoch)) = (&status.run, status.epoch) {
        line("run", &format!("{run}, owner {epoch}"));
    }
    if let Some(interval) = status.batch_interval_ms {
        line("batch interval", &format!("{interval} ms"));
    }
    line("batches done", &status.batches_completed.to_string());
    line("last batch", &status.last_batch_ms.map_or_else(|| "none".to_owned(), &at));
    let first: Vec<String> = status.pending_ms.iter().map(|ms| Time::from_ms(*ms).to_string()).collect();
    let more = status.pending.saturating_sub(first.len() as u64);
    let listed = match (first.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => format!(": {}", first.join(", ")),
        (false, more) => format!(": {} and {more} more", first.join(", ")),
    };
    line("batches pending", &format!("{}{listed}", status.pending));
    let delay = |delay: &Delay| format!("{:.1} ms, {:.1} ms on average", delay.last_ms, delay.average_ms);
    status.scheduling_delay.iter().for_each(|told| line("scheduling delay", &delay(told)));
    status.processing_time.iter().for_each(|told| line("processing time", &delay(told)));
    for (source, records) in &status.records {
        line(&format!("records of {}", escape_control(source)), &records.to_string());
    }
    for (name, value) in &status.accumulators {
        line(&format!("accumulator {}", escape_control(name)), &value.details());
    }
    for operator in &status.operators {
        let what = format!("state of {}", escape_control(&operator.label()));
        line(&what, &format!("{}, {} bytes", counted(operator.keys, "key"), operator.bytes));
    }
    for (source, files) in &status.files {
        let source = escape_control(source);
        for told in files.passed_over.values() {
            line(
                &format!("files of {source} not read"),
                &format!("{} {}, such as {}", told.files, told.what, told.example),
            );
        }
        let counts = [
            (files.changed, "changed after they were read, and not read again"),
            (files.missing, "gone when their batches ran, which went on without them"),
            (files.left, "not needed any more, and still there"),
        ];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            line(&format!("files of {source}"), &format!("{count} {what}"));
        }
    }
    for receiver in &status.receivers {
        let active = if receiver.active { "active" } else { "not active" };
        let when = receiver.last_error_ms.map_or_else(String::new, |ms| format!(" at {}", at(ms)));
        let error = receiver.last_error.as_ref();
        let error = error.map_or_else(String::new, |error| format!("; last error{when}: {error}"));
        let name = escape_control(&receiver.name);
        line(&format!("receiver of {name}"), &format!("{active}{error}"));
        receiver.rate_limit.iter().for_each(|limit| line(&format!("rate of {name}"), &limit.description));
    }
    if let Some(checkpoint) = &status.checkpoint {
        if let Some(snapshot) = &checkpoint.snapshot {
            let s = if snapshot.keys == 1 { "" } else { "s" };
            let told =
                format!("{} key{s} after batch {}, {} bytes", snapshot.keys, at(snapshot.batch_ms), snapshot.bytes);
            line("last snapshot", &told);
        }
        line("last checkpoint", &checkpoint.written_ms.map_or_else(|| "none yet".to_owned(), &at));
        for trouble in checkpoint.failing.values() {
            line("checkpoints fail", &format!("since {}: {}", at(trouble.since_ms), trouble.error));
        }
    }
    line("outputs failed", &status.outputs_failed.to_string());
    line("tasks retried", &status.tasks_retried.to_string());
    line("records lost", &status.records_lost.to_string());
    line("spilled", &format!("{} bytes", status.spilled_bytes));
    status.error.iter().for_each(|error| line("error", error));
    text
}
