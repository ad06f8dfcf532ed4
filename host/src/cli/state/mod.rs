//! `host state`: looks at the state that a job keeps for its keys.
//!
//! Owns where the state comes from: from the host of the job, if the job runs and is named by its file, else from the
//! last snapshot in the checkpoint directory. Texts from the files are not trusted: they are escaped before they reach
//! a terminal.

mod export;
mod get;
mod list;

use super::job::{JOB_FILE, SetArgs, start_threads};
use super::place::Place;
use super::stop::told;
use crate::control::{Answer, Client, ClientError, Request};
use crate::env::{Env, RealExecutors, real};
use crate::error::{Error, ErrorKind};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

/// The arguments of `host state`.
#[derive(Args)]
pub struct StateArgs {
    #[command(subcommand)]
    command: StateCommand,
}

#[derive(Subcommand)]
enum StateCommand {
    /// List the operators with state: the numbers of their keys, their bytes, and the types of keys and states.
    List(ListArgs),
    /// Show the state of one key.
    Get(GetArgs),
    /// Write all keys of an operator and their states, as the last snapshot has them.
    Export(ExportArgs),
}

#[derive(Args)]
struct ListArgs {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    form: FormArgs,
}

#[derive(Args)]
struct GetArgs {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    operator: OperatorArgs,
    /// The key. A text as it is, bytes as hexadecimal digits, all other keys as JSON: `7`, `["a",7]`, `{"name":"a"}`.
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    key: String,
    #[command(flatten)]
    form: FormArgs,
}

#[derive(Args)]
struct ExportArgs {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    operator: OperatorArgs,
    /// The format: one JSON object a line, CSV, or Parquet. The columns are `key` and `state`.
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    format: FormatArg,
    /// Write to this file, replacing it. By default the rows are written to standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Where the state is.
#[derive(Args)]
struct PlaceArgs {
    /// The checkpoint directory or its URL, or the file of a job. If the job of the file runs, its host is asked.
    #[arg(value_name = "DIR|JOB.TOML", default_value = JOB_FILE)]
    place: PathBuf,
    #[command(flatten)]
    set: SetArgs,
}

/// Which operator.
#[derive(Args)]
struct OperatorArgs {
    /// The operator: its name, or its kind or number if that is clear. May be left out if there is one operator with
    /// state.
    #[arg(long, value_name = "NAME")]
    operator: Option<String>,
}

/// In which form a command answers.
#[derive(Args)]
struct FormArgs {
    /// Print one JSON object. An error is also one JSON object, on standard error: `{"error": {"kind", "message", "help"}}`.
    #[arg(long)]
    json: bool,
}

/// The format of exported rows.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    Json,
    Csv,
    Parquet,
}

impl StateArgs {
    /// Whether errors are told as JSON.
    pub fn json(&self) -> bool {
        match &self.command {
            StateCommand::List(args) => args.form.json,
            StateCommand::Get(args) => args.form.json,
            StateCommand::Export(_) => false,
        }
    }
}

/// Looks at state.
pub fn state(args: &StateArgs) -> Result<ExitCode, Error> {
    let executors = start_threads(1)?;
    let env = real(&executors);
    let find =
        |args: &PlaceArgs| Ok::<_, Error>(Looked { place: Place::find(&args.place, &args.set, &env)?, env: &env });
    let code = match &args.command {
        StateCommand::List(args) => list::list(&find(&args.place)?, &executors, args),
        StateCommand::Get(args) => get::get(&find(&args.place)?, &executors, args),
        StateCommand::Export(args) => export::export(&find(&args.place)?, args),
    };
    executors.shutdown();
    code
}

/// Where state comes from.
#[derive(Clone, Copy)]
enum Origin {
    Job,
    Snapshot,
}

impl Origin {
    /// The origin in words.
    fn words(self) -> &'static str {
        match self {
            Self::Job => "the running job",
            Self::Snapshot => "the last snapshot",
        }
    }

    /// The origin in JSON.
    fn name(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Snapshot => "snapshot",
        }
    }
}

/// The place that is looked at.
struct Looked<'a> {
    place: Place,
    env: &'a Env,
}

impl Looked<'_> {
    /// Asks the host of the job. `None` if the place is no job, or if the job does not run.
    fn ask(&self, executors: &RealExecutors, request: &Request) -> Result<Option<Answer>, Error> {
        let Place::Job(settings) = &self.place else { return Ok(None) };
        let job = &settings.job.name;
        let answer = executors.block_on(async {
            let mut client = Client::connect(self.env, &settings.job.directory, job).await?;
            client.send(request).await?;
            client.next().await
        });
        match answer {
            Ok(Some(Answer::Failed { error, help, is_temporary })) => {
                let kind = if is_temporary { ErrorKind::Unavailable } else { ErrorKind::User };
                Err(Error::new(kind, error).help(help))
            }
            Ok(answer) => Ok(answer),
            Err(ClientError::NotRunning) => Ok(None),
            Err(error) => Err(told(job, &error)),
        }
    }

    /// The error of an answer that does not belong to the question.
    fn strange(&self) -> Error {
        let job = match &self.place {
            Place::Job(settings) => settings.job.name.as_str(),
            Place::Directory(_) => "",
        };
        told(job, &ClientError::Strange("that is no answer to the question".to_owned()))
    }
}
