//! `host checkpoint`: inspects a checkpoint directory without the plugin, also while a host uses the directory.
//!
//! Never writes to the directory and takes no lock. Texts from the files are not trusted: they are escaped before they
//! reach a terminal.

mod show;
mod state;
mod verify;

use super::job::{JOB_FILE, SetArgs, start_threads};
use super::place::Place;
use crate::env::real;
use crate::error::Error;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// The arguments of `host checkpoint`.
#[derive(Args)]
pub struct CheckpointArgs {
    #[command(subcommand)]
    command: CheckpointCommand,
}

#[derive(Subcommand)]
enum CheckpointCommand {
    /// Show what is in a checkpoint directory: who owns it, how far its runs are, and what batches read.
    Show(ShowArgs),
    /// Read everything in a checkpoint directory and tell what is whole, torn or damaged. Exit code 5 if anything is
    /// damaged, or contradicts the rest.
    Verify(VerifyArgs),
}

#[derive(Args)]
struct ShowArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Show the graph of each run and its stages as well.
    #[arg(long)]
    graph: bool,
}

#[derive(Args)]
struct VerifyArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

/// Which directory.
#[derive(Args)]
struct PlaceArgs {
    /// The checkpoint directory, or the file of a job that has one.
    #[arg(value_name = "DIR", default_value = JOB_FILE)]
    place: PathBuf,
    /// Print one JSON object. An error is one too, on standard error: `{"error": {"kind", "message", "help"}}`.
    #[arg(long)]
    json: bool,
}

impl CheckpointArgs {
    fn place(&self) -> &PlaceArgs {
        match &self.command {
            CheckpointCommand::Show(args) => &args.place,
            CheckpointCommand::Verify(args) => &args.place,
        }
    }

    /// Whether errors are told as JSON.
    pub fn json(&self) -> bool {
        self.place().json
    }
}

/// Looks at the directory.
pub fn checkpoint(args: &CheckpointArgs) -> Result<ExitCode, Error> {
    let executors = start_threads(1)?;
    let env = real(&executors);
    let place = args.place();
    let none = SetArgs { overrides: Vec::new() };
    let store = Place::find(&place.place, &none, &env)?.checkpoint(&env)?;
    let code = match &args.command {
        CheckpointCommand::Show(args) => show::show(&*store, &env, args.graph, place.json),
        CheckpointCommand::Verify(_) => verify::verify(&*store, place.json),
    };
    executors.shutdown();
    code
}
