//! The command line: what it takes, and what each command does.
//!
//! Owns argument types, output and exit codes. The rest of the program does not know that it has a command line.

use crate::config::{self, Facts, Settings};
use crate::context::{RunOptions, StreamingContext};
use crate::env::{Env, RealExecutors, StopSignals, real};
use crate::error::{Error, ErrorKind};
use crate::listener::{ListenerBus, LogListener};
use crate::scheduler::StopRequest;
use clap::{Args, Parser, Subcommand};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// The largest job file that is read.
const JOB_FILE_BYTES_MAX: u64 = 1 << 20;

const EXIT_CODES: &str = "Exit codes:
  0    done, or stopped gracefully
  2    the command line, the job file or a file they name is wrong
  3    plugin code failed
  4    something outside did not answer, or a task failed too often
  5    data written earlier cannot be read
  70   a defect of the host
  130  stopped at once by a second signal";

/// Runs stream-processing jobs whose code is a sandboxed WebAssembly plugin.
#[derive(Parser)]
#[command(name = "host", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a job until it is stopped. The first SIGINT or SIGTERM processes what was received, a second stops at once.
    #[command(after_help = EXIT_CODES)]
    Run(RunArgs),
    /// Check a job file and its plugin without starting anything.
    #[command(after_help = EXIT_CODES)]
    Check(JobArgs),
}

#[derive(Args)]
struct JobArgs {
    /// The job file.
    #[arg(value_name = "JOB.TOML")]
    job: PathBuf,
    /// Set a key of the job file, as in `--set sources.lines.address=127.0.0.1:9999`. Can be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_override)]
    overrides: Vec<(String, String)>,
}

#[derive(Args)]
struct RunArgs {
    #[command(flatten)]
    job: JobArgs,
    /// Stop gracefully after this many batches.
    #[arg(long, value_name = "BATCHES", value_parser = parse_count)]
    stop_after: Option<u64>,
    /// Stop gracefully when no source can bring more data, as when all queues are used up.
    #[arg(long)]
    stop_when_idle: bool,
}

fn parse_override(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it has no `=`; write KEY=VALUE")?;
    if key.trim().is_empty() {
        return Err("it has no key before the `=`; write KEY=VALUE".to_owned());
    }
    Ok((key.trim().to_owned(), value.to_owned()))
}

fn parse_count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "it is not a whole number".to_owned())
}

/// Runs the program and says how it ended.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("MILLSTREAM_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A log that nobody reads is no reason to stop, nor to complain about it in the log.
        .log_internal_errors(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let outcome = match cli.command {
        Command::Run(args) => run(&args),
        Command::Check(args) => check(&args),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            // Nobody reads it: the exit code says it too.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(error.kind.exit_code())
        }
    }
}

fn load(args: &JobArgs, env: &Env, facts: &Facts) -> Result<Settings, Error> {
    let path = args.job.display();
    let unreadable =
        |why: &dyn std::fmt::Display| Error::new(ErrorKind::User, format!("cannot read job file {path}: {why}"));
    let bytes = env.disk.read(&args.job, JOB_FILE_BYTES_MAX).map_err(|error| {
        let unreadable = match error.kind() {
            std::io::ErrorKind::FileTooLarge => unreadable(&"it is larger than 1MiB"),
            _ => unreadable(&error),
        };
        unreadable.help("name a job file, such as examples/network_word_count/job.toml")
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        unreadable(&format!("line {line} is not UTF-8 text")).help("save it as UTF-8")
    })?;
    let settings = config::load(&text, &args.job, &args.overrides, facts)?;
    settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(settings)
}

fn facts() -> Facts {
    Facts { cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get) }
}

/// The thread pools, and the settings that say how large they are.
fn prepare(args: &JobArgs) -> Result<(RealExecutors, Env, Settings), Error> {
    let no_threads = |error| Error::new(ErrorKind::Unavailable, format!("cannot start threads: {error}"));
    let small = RealExecutors::start(1).map_err(no_threads)?;
    let settings = load(args, &real(&small), &facts())?;
    small.shutdown();
    let executors = RealExecutors::start(settings.engine.threads as usize).map_err(no_threads)?;
    let env = real(&executors);
    Ok((executors, env, settings))
}

fn run(args: &RunArgs) -> Result<ExitCode, Error> {
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

fn check(args: &JobArgs) -> Result<ExitCode, Error> {
    let (executors, env, settings) = prepare(args)?;
    let name = settings.job.name.clone();
    let console = env.console.clone();
    let context = StreamingContext::new(env, settings)?;
    let graph = context.graph();
    let outputs = graph.outputs().count();
    let plural = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let sources: Vec<String> = graph
        .sources()
        .map(|(source, node)| format!("`{source}` ({})", node.rows.as_ref().map_or(String::new(), ToString::to_string)))
        .collect();
    let line = format!(
        "{name}: ok, {}, {}, source{} {}\n",
        plural(graph.nodes().len(), "node"),
        plural(outputs, "output"),
        if sources.len() == 1 { "" } else { "s" },
        sources.join(", ")
    );
    console.write(&line).map_err(|error| {
        Error::new(ErrorKind::Unavailable, format!("cannot print to standard output: {error}"))
            .help("is the program that reads the output still there?")
    })?;
    drop(context);
    executors.shutdown();
    Ok(ExitCode::SUCCESS)
}
