//! `host checkpoint`: inspects a checkpoint directory without the plugin, also while a host uses the directory.
//!
//! Owns how the directory is found. Never writes to the directory and takes no lock. Texts from the files are not trusted:
//! they are escaped before they reach a terminal.

mod show;
mod verify;

use super::job::{SetArgs, load, start_threads};
use crate::checkpoint::RunsError;
use crate::config::Location;
use crate::context::{checkpoint_store, open_store};
use crate::env::{DiskStore, Env, Store, real};
use crate::error::{Error, ErrorKind};
use crate::shown::Shown as _;
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

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
    #[arg(value_name = "DIR")]
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
    let store = open(&place.place, &env)?;
    let code = match &args.command {
        CheckpointCommand::Show(args) => show::show(&*store, &env, args.graph, place.json),
        CheckpointCommand::Verify(_) => verify::verify(&*store, place.json),
    };
    executors.shutdown();
    code
}

/// The store at a path: a directory with anything of a checkpoint in it, or the file of a job with such a directory.
fn open(place: &Path, env: &Env) -> Result<Arc<dyn Store>, Error> {
    let shown = place.shown();
    let url = place.to_str().filter(|place| place.starts_with("s3://"));
    let store: Arc<dyn Store> = match env.disk.size(place) {
        _ if url.is_some() => open_store(env, &Location::Objects(url.unwrap_or_default().to_owned()))?,
        Ok(_) => checkpoint_store(env, &load(place, &SetArgs { overrides: Vec::new() }, env)?)?,
        Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => {
            Arc::new(DiskStore::new(env.disk.clone(), place.to_path_buf()))
        }
        Err(error) => {
            let message = format!("cannot look for a checkpoint in {shown}: {error}");
            return Err(Error::new(ErrorKind::User, message)
                .help("name the directory in job.checkpoint, or the job file that names it"));
        }
    };
    let unreadable = |error| {
        let name = "the directory".to_owned();
        Error::from(RunsError { name, place: store.describe(), error })
    };
    let parts = ["owner", "runs", "ingest"];
    let directories = store.directories("").map_err(unreadable)?;
    if !parts.iter().any(|part| directories.iter().any(|name| name == part)) {
        let message = format!("there is no checkpoint in {}", store.describe());
        return Err(Error::new(ErrorKind::User, message)
            .help("name the directory in job.checkpoint; a job writes there once it runs"));
    }
    Ok(store)
}
