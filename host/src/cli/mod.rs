//! The command line: its arguments, and how each command ends.
//!
//! Owns argument types, output, the printed form of errors, and exit codes. Each command has a file of its own, and
//! `job` finds the job that a command is about. The rest of the program does not know that it has a command line.

mod check;
mod checkpoint;
mod dev;
mod error_stream;
mod explain;
mod generate;
mod job;
mod json_lines;
mod list;
mod log_filter;
mod log_form;
mod new;
mod page;
mod place;
mod progress;
mod recovery;
mod reports;
mod restarts;
mod run;
mod service;
mod set;
mod state;
mod status;
mod status_line;
mod stop;
mod stopper;
mod supervise;
mod ui;
mod upgrade;
mod upgrade_text;
mod wishes;

use crate::env::catch_panic_of;
use crate::error::{Error, ErrorKind};
use crate::receiver::Receivers;
use crate::shown::{self, counted};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use error_stream::ErrorStream;
use log_form::{LogArg, LogForm, coloured};
use status_line::StatusLine;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::debug_fn;

const EXIT_CODES: &str = "Exit codes:
  0    done, or stopped gracefully
  2    the command line, the job file or a file they name is wrong
  3    plugin code failed
  4    something outside did not answer, a task failed too often, or there is no job to ask or stop
  5    data written earlier cannot be read
  70   a defect of the host
  130  stopped at once, by a later signal or `host stop --now`";

/// Runs stream-processing jobs whose code is a sandboxed WebAssembly plugin.
#[derive(Parser)]
#[command(name = "host", after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a job until it is stopped. The first SIGINT, SIGTERM or SIGHUP stops it after the received data is
    /// processed; a second one, a second or more later, stops it at once.
    #[command(after_help = EXIT_CODES)]
    Run(run::RunArgs),
    /// Stop a running job gracefully, and wait until it has ended. The job file identifies the job.
    #[command(after_help = EXIT_CODES)]
    Stop(stop::StopArgs),
    /// Show the status of a running job. The job file identifies the job.
    #[command(after_help = EXIT_CODES)]
    Status(status::StatusArgs),
    /// List the jobs that run here: those whose job files are in a directory, or in the directories directly below it.
    #[command(after_help = EXIT_CODES)]
    List(list::ListArgs),
    /// Check a job file and its plugin without starting anything.
    #[command(after_help = EXIT_CODES)]
    Check(check::CheckArgs),
    /// Show the graph of a plugin and its stages, and what another plugin would change.
    #[command(after_help = EXIT_CODES)]
    Explain(explain::ExplainArgs),
    /// Look at a checkpoint directory, without the plugin and without disturbing a host that uses it.
    #[command(after_help = EXIT_CODES)]
    Checkpoint(checkpoint::CheckpointArgs),
    /// Look at the state that a job keeps for its keys: that of a running job, or that of the last snapshot in a
    /// checkpoint directory, without the plugin.
    #[command(after_help = EXIT_CODES)]
    State(state::StateArgs),
    /// Upgrade a running job to a new plugin: run the new plugin beside the old one, compare their results, and hand over
    /// between two batches.
    #[command(after_help = EXIT_CODES)]
    Upgrade(upgrade::UpgradeArgs),
    /// Give a job that was upgraded back to its old plugin, as long as the old plugin is kept.
    #[command(after_help = EXIT_CODES)]
    Rollback(upgrade::RollbackArgs),
    /// Set a key of the job file for a running job, until its host ends. Keys that need a restart or an upgrade are
    /// refused, with the way to change them.
    #[command(after_help = EXIT_CODES)]
    Set(set::SetKeyArgs),
    /// Serve the page of a job that has ended, from its checkpoint directory.
    #[command(after_help = EXIT_CODES)]
    Ui(ui::UiArgs),
    /// Make a plugin crate with a job file, which build and run at once.
    #[command(after_help = EXIT_CODES)]
    New(new::NewArgs),
    /// Develop a plugin: build its crate, check the job, run the tests of the crate and then the job, and do all this
    /// again whenever a file of the crate or the job file changes. Ends with SIGINT, SIGTERM or SIGHUP.
    #[command(after_help = EXIT_CODES)]
    Dev(dev::DevArgs),
    /// Print the script that completes this program's commands and options in a shell.
    Completions(generate::CompletionsArgs),
    /// Print the manual page of this program, or of one of its commands.
    Man(generate::ManArgs),
}

impl Command {
    /// Whether errors are told as JSON.
    fn json(&self) -> bool {
        match self {
            Self::Run(args) => args.json,
            Self::Status(args) => args.json,
            Self::List(args) => args.json,
            Self::Check(args) => args.json,
            Self::Explain(args) => args.json,
            Self::Checkpoint(args) => args.json(),
            Self::State(args) => args.json(),
            Self::Upgrade(args) => args.json(),
            Self::Rollback(args) => args.json,
            Self::Set(args) => args.json,
            Self::Stop(_) | Self::Ui(_) | Self::New(_) | Self::Dev(_) | Self::Completions(_) | Self::Man(_) => false,
        }
    }

    /// The form of the log that the user asks for.
    fn log(&self) -> LogArg {
        match self {
            Self::Run(args) => args.log,
            _ => LogArg::default(),
        }
    }

    /// The default level of the log, if the environment does not set one.
    fn log_level(&self) -> &'static str {
        match self {
            // The events of receivers say what this library would say of its connections.
            Self::Run(args) if args.quiet => "warn,async_nats=off",
            _ => "info,async_nats=off",
        }
    }
}

/// Runs the program `host` and returns its exit code. `commit` is the commit of the source that the program was built
/// from; `None` if that is not known.
pub fn main(commit: Option<&str>) -> ExitCode {
    run_program(commit, &Receivers::default())
}

/// Runs `host` with receivers of your own, and returns the exit code. The `main` of a program that embeds the host has
/// to call only this function. Such a program has the same commands as `host`, and its jobs may have sources of type
/// `custom`.
pub fn main_with(receivers: &Receivers) -> ExitCode {
    // A child that compiles a plugin for a parent has no command line.
    crate::plugin::serve_compilation().unwrap_or_else(|| run_program(None, receivers))
}

/// The name by which this program was called: `host`, `millstream`, or that of a program that embeds the host.
fn called_name() -> String {
    let called = std::env::args_os().next().map(PathBuf::from);
    let name = called.as_ref().and_then(|path| path.file_name()).and_then(|name| name.to_str());
    name.unwrap_or("host").to_owned()
}

/// The definition of the command line, under the name by which this program was called.
fn command(commit: Option<&str>) -> clap::Command {
    let version = format!("{} (commit {})", env!("CARGO_PKG_VERSION"), commit.unwrap_or("unknown"));
    // Both texts are made once and are needed until the process ends.
    let (name, version): (&'static str, &'static str) = (called_name().leak(), version.leak());
    Cli::command().name(name).version(version)
}

fn run_program(commit: Option<&str>, receivers: &Receivers) -> ExitCode {
    let command = command(commit);
    let cli = match command.clone().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(refused) => return refuse(&refused),
    };
    let given = std::env::var_os(log_filter::VARIABLE).map(|value| value.to_string_lossy().into_owned());
    let filter = log_filter::filter(given.as_deref(), cli.command.log_level());
    let (filter, refused) = match filter {
        Ok(filter) => (filter, None),
        Err(error) => (tracing_subscriber::EnvFilter::new("off"), Some(error)),
    };
    let line = StatusLine::new(Box::new(std::io::stderr()));
    let stream = ErrorStream::start(line.clone());
    let log = stream.clone();
    // An empty NO_COLOR counts as none: https://no-color.org
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let (is_coloured, form) = (is_terminal && !no_color, LogForm::new(cli.command.log(), is_terminal));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || log.clone())
        .fmt_fields(debug_fn(|out, field, value| write_field(out, field.name(), &format!("{value:?}"))).delimited(" "))
        // When nobody reads the log, the program continues, and writes no complaint to the log.
        .log_internal_errors(false)
        .with_ansi(is_coloured)
        .event_format(form)
        .init();
    if let Err(error) = crate::env::outlive_file_size_limit() {
        tracing::warn!("a write beyond the system's limit for the size of a file will end the host: {error}");
    }
    let json = cli.command.json() || form == LogForm::Json;
    let run = || match &cli.command {
        Command::Run(args) => run::run(args, &line, &stream, receivers),
        Command::Stop(args) => stop::stop(args, &line),
        Command::Status(args) => status::status(args),
        Command::List(args) => list::list(args),
        Command::Check(args) => check::check(args, receivers),
        Command::Explain(args) => explain::explain(args),
        Command::Checkpoint(args) => checkpoint::checkpoint(args),
        Command::State(args) => state::state(args),
        Command::Upgrade(args) => upgrade::upgrade(args, &line),
        Command::Rollback(args) => upgrade::rollback(args, &line),
        Command::Set(args) => set::set(args),
        Command::Ui(args) => ui::ui(args),
        Command::New(args) => new::new(args, commit),
        Command::Dev(args) => dev::dev(args),
        Command::Completions(args) => generate::completions(args, command),
        Command::Man(args) => generate::man(args, command),
    };
    let outcome = match refused {
        Some(error) => Err(error),
        None => catch_panic_of("the command", run).unwrap_or_else(|panic| Err(Error::from(&panic))),
    };
    let (code, last_words) = match outcome {
        Ok(code) => (code, String::new()),
        Err(error) => (ExitCode::from(error.kind.exit_code()), words(&error, json)),
    };
    let last_words = if is_coloured && !json { coloured(&last_words) } else { last_words };
    stream.finish(&last_words);
    code
}

/// Writes a field of a log line, whose text may come from outside.
fn write_field(out: &mut impl std::fmt::Write, name: &str, value: &str) -> std::fmt::Result {
    let value = shown::lines(value);
    if name == "message" { out.write_str(&value) } else { write!(out, "{name}={value}") }
}

/// Prints the errors of the arguments, or the help that was asked for.
fn refuse(refused: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if json && refused.use_stderr() {
        let text = refused.to_string();
        // The text is the message, then the usage of the program, then where to read more.
        let (message, help) = text.trim_end().split_once("\n\n").unwrap_or((&text, ""));
        let mut error = Error::new(ErrorKind::User, message.trim_start_matches("error: "));
        error.help = Some(help.replace("\n\n", "\n"));
        // Nobody reads it: the exit code says it too.
        let _ = std::io::stderr().write_all(words(&error, true).as_bytes());
    } else {
        // Nobody reads it: the exit code says it too.
        let _ = refused.print();
    }
    ExitCode::from(u8::try_from(refused.exit_code()).unwrap_or(ErrorKind::User.exit_code()))
}

/// The text of an error on standard error, for a person or as JSON for a script, with its line end.
fn words(error: &Error, json: bool) -> String {
    if json {
        let Error { kind, message, help, .. } = error;
        let object = serde_json::json!({ "error": { "kind": kind.name(), "message": message, "help": help } });
        format!("{}\n", shown::json(&object.to_string()))
    } else {
        format!("error: {error}\n")
    }
}

/// Prints the result of a command.
fn print(text: &str) -> Result<ExitCode, Error> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| {
        Error::new(ErrorKind::Unavailable, format!("cannot print to standard output: {error}"))
            .help("is the program that reads the output still there?")
    })?;
    Ok(ExitCode::SUCCESS)
}

/// `1 node`, `2 nodes`.
fn count(number: usize, one: &str) -> String {
    counted(number as u64, one)
}
