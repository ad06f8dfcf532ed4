//! `host run`: a job until it ends or is stopped.

use super::job::{JobArgs, prepare};
use crate::context::{RunOptions, StreamingContext};
use crate::env::StopSignals;
use crate::error::{Error, ErrorKind};
use crate::listener::{ListenerBus, LogListener};
use crate::scheduler::StopRequest;
use clap::Args;
use std::process::ExitCode;
use std::sync::Arc;

/// The arguments of `host run`.
#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    job: JobArgs,
    /// Stop gracefully after this many batches.
    #[arg(long, value_name = "BATCHES", value_parser = parse_count)]
    stop_after: Option<u64>,
    /// Stop gracefully when no source can bring more data, as when all queues are used up.
    #[arg(long)]
    stop_when_idle: bool,
    /// Tell an error as one JSON object, in the last line of standard error.
    #[arg(long)]
    pub json: bool,
}

fn parse_count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "it is not a whole number".to_owned())
}

/// Runs the job.
pub fn run(args: &RunArgs) -> Result<ExitCode, Error> {
    let (executors, env, settings) = prepare(&args.job)?;
    let outcome = executors.block_on(async {
        let context = StreamingContext::new(env, settings)?;
        // Until here a signal ends the program as it ends any other: nothing was received yet.
        let mut signals = StopSignals::listen()
            .map_err(|error| Error::new(ErrorKind::Unavailable, format!("cannot listen to signals: {error}")))?;
        let options = RunOptions {
            stop_after: args.stop_after,
            stop_when_idle: args.stop_when_idle,
            listeners: ListenerBus::new(vec![Arc::new(LogListener)]),
            ..RunOptions::default()
        };
        let mut running = context.start(options)?;
        let mut signals_seen = 0;
        loop {
            tokio::select! {
                biased;
                outcome = running.await_termination() => {
                    return match signals_seen {
                        0 | 1 => outcome.map(|()| ExitCode::SUCCESS),
                        _ => Ok(ExitCode::from(130)),
                    };
                }
                () = signals.next() => {
                    signals_seen += 1;
                    match signals_seen {
                        1 => {
                            tracing::info!("stopping: what was received is processed first; a second signal stops at once");
                            running.stop(StopRequest::Graceful);
                        }
                        2 => running.stop(StopRequest::Now),
                        _ => return Ok(ExitCode::from(130)),
                    }
                }
            }
        }
    });
    executors.shutdown();
    outcome
}
