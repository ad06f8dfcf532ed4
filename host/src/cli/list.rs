//! `host list`: the jobs that run here, by their control sockets.
//!
//! Owns which directories are looked at, and the words about a socket that no host serves. Never removes anything.

use super::job::start_threads;
use super::{print, status};
use crate::control::{Client, ClientError, sockets};
use crate::env::{Env, real};
use crate::error::{Error, ErrorKind};
use crate::listener::Status;
use crate::shown::{self, Shown as _, counted};
use crate::time::Time;
use clap::Args;
use futures::future::join_all;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The arguments of `host list`.
#[derive(Args)]
pub struct ListArgs {
    /// Look for jobs whose job files are in these directories, or in a directory directly below one of them.
    #[arg(value_name = "DIR", default_value = ".")]
    directories: Vec<PathBuf>,
    /// Print one JSON object. An error is also one JSON object, on standard error: `{"error": {"kind", "message",
    /// "help"}}`.
    #[arg(long)]
    pub json: bool,
}

/// A control socket.
struct Socket {
    /// The directory of the job file.
    job_directory: PathBuf,
    directory: PathBuf,
    name: String,
}

impl Socket {
    fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    /// The name of the job, as far as the name of the socket tells it.
    fn job(&self) -> &str {
        Path::new(&self.name).file_stem().and_then(|stem| stem.to_str()).unwrap_or(&self.name)
    }
}

/// What is behind a socket: the status of a job, in the form in which it was sent, or why there is none.
type Found = Result<serde_json::Value, ClientError>;

/// Lists the jobs that run, and the sockets that killed jobs left behind.
pub fn list(args: &ListArgs) -> Result<ExitCode, Error> {
    let executors = start_threads(1)?;
    let env = real(&executors);
    let mut sockets = Vec::new();
    for directory in &args.directories {
        sockets.extend(sockets_below(&env, directory)?);
    }
    sockets.sort_by_key(Socket::path);
    sockets.dedup_by_key(|socket| socket.path());
    let found: Vec<Found> = executors.block_on(join_all(sockets.iter().map(|socket| ask(&env, socket))));
    let found: Vec<(Socket, Found)> = sockets.into_iter().zip(found).collect();
    let code = if args.json {
        let jobs: Vec<serde_json::Value> = found.iter().map(|(socket, found)| as_json(socket, found)).collect();
        print(&format!("{}\n", shown::json(&serde_json::json!({ "jobs": jobs }).to_string())))
    } else if found.is_empty() {
        let places: Vec<_> = args.directories.iter().map(|directory| directory.shown()).collect();
        print(&format!("no job runs in {}\n", places.join(", ")))
    } else {
        let now = env.clock.now();
        let lines: Vec<String> = found.iter().map(|(socket, found)| as_text(socket, found, now)).collect();
        print(&lines.concat())
    };
    executors.shutdown();
    code
}

/// The sockets of a directory, and of the directories directly below it.
fn sockets_below(env: &Env, directory: &Path) -> Result<Vec<Socket>, Error> {
    let cannot = |path: &Path, error: &io::Error| {
        Error::new(ErrorKind::User, format!("cannot look for jobs in {}: {error}", path.shown()))
            .help("name directories that hold job files, or the directory that holds these directories")
    };
    let entries = env.disk.list(directory).map_err(|error| cannot(directory, &error))?;
    let below = entries.into_iter().filter(|entry| entry.is_directory && !entry.name.starts_with('.'));
    let below = below.map(|entry| entry.path);
    let mut found = Vec::new();
    for job_directory in [directory.to_owned()].into_iter().chain(below) {
        match sockets(env, &job_directory) {
            Ok((place, names)) => found.extend(names.into_iter().map(|name| Socket {
                job_directory: job_directory.clone(),
                directory: place.clone(),
                name,
            })),
            // Jobs of other users are not ours to list.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                tracing::warn!("the jobs in {} are those of another user", job_directory.shown());
            }
            Err(error) => return Err(cannot(&job_directory, &error)),
        }
    }
    Ok(found)
}

async fn ask(env: &Env, socket: &Socket) -> Found {
    status::ask(Client::connect_to(env, &socket.directory, &socket.name).await?).await
}

fn as_json(socket: &Socket, found: &Found) -> serde_json::Value {
    let told = found.as_ref().ok();
    let job = told.and_then(|status| status.get("job")).and_then(|job| job.as_str()).unwrap_or(socket.job());
    serde_json::json!({
        "job": job,
        "directory": socket.job_directory.to_string_lossy(),
        "socket": socket.path().to_string_lossy(),
        "status": told,
        "problem": found.as_ref().err().map(ToString::to_string),
    })
}

fn as_text(socket: &Socket, found: &Found, now: Time) -> String {
    let (name, place) = (socket.job().shown(), socket.job_directory.shown());
    let problem = |error: &ClientError| format!("{name}: {error}, in {place}\n");
    let status = match found {
        Ok(status) => serde_json::from_value::<Status>(status.clone()),
        Err(ClientError::NotRunning) => {
            let left = socket.path();
            return format!(
                "{name}: not running, in {place}: its host was killed, and left the socket {}\n",
                left.shown()
            );
        }
        Err(error) => return problem(error),
    };
    let status = match status {
        Ok(status) => status,
        Err(error) => return problem(&ClientError::Strange(error.to_string())),
    };
    let process = status.pid.map_or_else(String::new, |pid| format!(", process {pid}"));
    let behind = if status.is_behind { ", falling behind" } else { "" };
    format!(
        "{}: {}{behind} for {:.0} s{process}, {} done, {} pending, in {place}\n",
        status.job.shown(),
        status::state(status.state),
        now.since(Time::from_ms(status.since_ms)).as_secs_f64(),
        counted(status.batches_completed, "batch"),
        status.pending,
    )
}
