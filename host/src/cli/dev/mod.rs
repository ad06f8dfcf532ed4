//! `host dev`: builds, checks, tests and runs a plugin, and does so again whenever one of its files changes.
//!
//! Owns the order of these steps, and what follows when one of them fails or a file changes. Each step is a child
//! process, one at a time. A job is stopped gracefully before the next round, so that its checkpoint stays valid.

mod build;
mod watched;

use self::build::{Build, crate_of, typed};
use self::watched::{Snapshot, Watched};
use super::job::{JobArgs, load, start_threads};
use super::supervise::DEVELOPED_BY;
use crate::config::{Settings, SourceSettings};
use crate::env::{ChildCommand, ChildProcess, Ended, Env, Happening, StopSignal, real};
use crate::error::{Error, ErrorKind};
use crate::shown::Shown as _;
use crate::time::Duration;
use clap::Args;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How often the files are looked at.
const LOOKED_EVERY: Duration = Duration::from_millis(300);
/// The exit code after a signal that came while no job ran.
const STOPPED: u8 = 130;

/// The arguments of `host dev`.
#[derive(Args)]
pub struct DevArgs {
    #[command(flatten)]
    job: JobArgs,
    /// Arguments for `host run`, as in `host dev -- --stop-when-idle`.
    #[arg(last = true, value_name = "ARGUMENTS")]
    run: Vec<OsString>,
}

/// How a step ended.
enum Step {
    /// By itself.
    Ended(Ended),
    /// Because a file had changed.
    Changed,
    /// Because a signal wants `host dev` to end. The process of the step ended like this; `None` if there was none.
    Stopped(Option<Ended>),
}

/// What follows a round.
enum Round {
    /// The next round, at once.
    Changed,
    /// The next round, as soon as a file has changed.
    Wait,
    /// The end, with this exit code.
    Stopped(u8),
}

/// Builds and runs the plugin of a job until a signal comes.
pub fn dev(args: &DevArgs) -> Result<ExitCode, Error> {
    let executors = start_threads(1)?;
    let env = real(&executors);
    let process = ChildProcess::new()
        .map_err(|error| Error::new(ErrorKind::Unavailable, format!("cannot watch over child processes: {error}")))?;
    // A job file that is not there at the start is a mistake, and not one that the next change corrects.
    env.disk.entry(&args.job.job).map(drop).or_else(|_| load(&args.job.job, &args.job.set, &env).map(drop))?;
    let outcome = Session { args, env: &env, process, seen: Snapshot::default(), watched: Watched::default() }.run();
    executors.shutdown();
    outcome.map(ExitCode::from)
}

struct Session<'a> {
    args: &'a DevArgs,
    env: &'a Env,
    process: ChildProcess,
    watched: Watched,
    /// The files at the begin of the round.
    seen: Snapshot,
}

impl Session<'_> {
    fn run(&mut self) -> Result<u8, Error> {
        loop {
            let after = match self.round()? {
                Round::Wait => {
                    tracing::info!("waiting for a change of the crate or of the job file");
                    self.wait()
                }
                Round::Changed => Step::Changed,
                Round::Stopped(code) => return Ok(code),
            };
            if let Step::Stopped(_) = after {
                return Ok(0);
            }
        }
    }

    /// Does everything once. A step that fails is told, and is no error of this command.
    fn round(&mut self) -> Result<Round, Error> {
        let file = &self.args.job.job;
        let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let directory = self.env.disk.canonicalize(directory).map_err(|error| cannot_find(directory, &error))?;
        let Some(crate_directory) = crate_of(&directory, &*self.env.disk) else {
            let message = format!("there is no crate in {} or in a directory above it", directory.shown());
            return Err(Error::new(ErrorKind::User, message)
                .help("`host dev` takes the job file of a crate; `host new NAME` makes a crate with a job file"));
        };
        self.watched = Watched { crate_directory: Some(crate_directory.to_owned()), files: vec![file.clone()] };
        self.seen = self.watched.look(&*self.env.disk);
        let settings = match load(file, &self.args.job.set, self.env) {
            Ok(settings) => settings,
            Err(error) => {
                tracing::error!("{error}");
                return Ok(Round::Wait);
            }
        };
        self.watched.files.extend(queues(&settings));
        self.seen = self.watched.look(&*self.env.disk);
        let plugin =
            std::path::absolute(&settings.job.plugin).map_err(|error| cannot_find(&settings.job.plugin, &error))?;
        let Some(build) = Build::of(&plugin, crate_directory.to_owned()) else {
            let message = format!("cargo does not build the plugin {}", settings.job.plugin.shown());
            return Err(Error::new(ErrorKind::User, message)
                .help("name it in job.plugin as cargo does: target/wasm32-wasip2/release/NAME.wasm"));
        };
        let check = self.of_job("check", &[]);
        for (command, what) in [(build.build(), "build"), (check, "check"), (build.test(), "test")] {
            tracing::info!("`{}`", typed(&command));
            match self.step(&command)? {
                Step::Ended(Ended::Code(0)) => {}
                Step::Ended(ended) => {
                    if what == "build" && !self.is_installed(&build) {
                        tracing::error!(
                            "the target {target} is not installed for Rust\nhelp: install it with `rustup target add {target}`",
                            target = build.target
                        );
                    }
                    tracing::error!("`{}` {ended}", typed(&command));
                    return Ok(Round::Wait);
                }
                Step::Changed => return Ok(Round::Changed),
                Step::Stopped(_) => return Ok(Round::Stopped(STOPPED)),
            }
        }
        self.run_job(&settings)
    }

    /// Runs the job until it ends, a file changes or a signal comes.
    fn run_job(&mut self, settings: &Settings) -> Result<Round, Error> {
        let mut options = self.args.run.clone();
        if settings.job.checkpoint.is_some() {
            let recovery = ChildCommand { is_quiet: true, ..self.of_job("run", &["--dry-run-recovery".into()]) };
            match self.step(&recovery)? {
                Step::Ended(Ended::Code(code)) if code == i32::from(ErrorKind::User.exit_code()) => {
                    tracing::info!(
                        "the checkpoint is that of another plugin or of another job file: the job starts fresh, with empty \
                         windows and without state"
                    );
                    options.push("--fresh".into());
                }
                Step::Ended(_) => {}
                Step::Changed => return Ok(Round::Changed),
                Step::Stopped(_) => return Ok(Round::Stopped(STOPPED)),
            }
        }
        options.push(format!("{DEVELOPED_BY}={}", std::process::id()).into());
        let run = self.of_job("run", &options);
        tracing::info!("running the job");
        self.process.start(&run.arguments).map_err(|error| cannot_start(&run, &error))?;
        Ok(match self.wait() {
            Step::Ended(Ended::Code(0)) => {
                tracing::info!("the job has ended");
                Round::Wait
            }
            Step::Ended(ended) => {
                tracing::error!("the job {ended}");
                Round::Wait
            }
            Step::Changed => Round::Changed,
            Step::Stopped(Some(Ended::Code(code))) => Round::Stopped(u8::try_from(code).unwrap_or(STOPPED)),
            Step::Stopped(_) => Round::Stopped(STOPPED),
        })
    }

    /// A command of this program, about the job.
    fn of_job(&self, command: &str, options: &[OsString]) -> ChildCommand {
        let JobArgs { job, set } = &self.args.job;
        let mut arguments: Vec<OsString> = vec![command.into(), job.into()];
        for (key, value) in &set.overrides {
            arguments.push("--set".into());
            arguments.push(format!("{key}={value}").into());
        }
        arguments.extend(options.iter().cloned());
        ChildCommand { arguments, ..ChildCommand::default() }
    }

    /// Whether Rust has a standard library for the target. If that is not known, it is assumed.
    fn is_installed(&self, build: &Build) -> bool {
        let printed = self.process.output_of(&build.library()).unwrap_or_default();
        let library = Path::new(printed.trim_end());
        library.as_os_str().is_empty() || self.env.disk.entry(library).is_ok()
    }

    fn step(&mut self, command: &ChildCommand) -> Result<Step, Error> {
        self.process.start_command(command).map_err(|error| cannot_start(command, &error))?;
        Ok(self.wait())
    }

    /// Waits until the child ends by itself, or ends because a file has changed or a signal came. If there is no child, waits
    /// until a file changes or a signal comes.
    fn wait(&mut self) -> Step {
        // A file counts as changed when it was the same in two looks. So an editor has time to write it.
        let mut before: Option<Snapshot> = None;
        let (mut is_stopped, mut is_changed) = (false, false);
        loop {
            match self.process.next(Some(self.process.now() + LOOKED_EVERY)) {
                Happening::Signal(_) if !self.process.has_child() => return Step::Stopped(None),
                Happening::Signal(signal) => {
                    self.process.pass_on(signal);
                    is_stopped = true;
                }
                Happening::Ended(ended) if is_stopped => return Step::Stopped(Some(ended)),
                Happening::Ended(_) if is_changed => return Step::Changed,
                Happening::Ended(ended) => return Step::Ended(ended),
                Happening::TimePassed if !is_stopped && !is_changed => {
                    let now = self.watched.look(&*self.env.disk);
                    if let (Some(changed), true) = (self.seen.changed(&now), before.as_ref() == Some(&now)) {
                        tracing::info!("{} has changed", changed.shown());
                        if !self.process.has_child() {
                            return Step::Changed;
                        }
                        self.process.pass_on(StopSignal::Terminate);
                        is_changed = true;
                    }
                    before = Some(now);
                }
                Happening::TimePassed | Happening::Told(_) => {}
            }
        }
    }
}

/// The files of the queues of a job.
fn queues(settings: &Settings) -> impl Iterator<Item = PathBuf> {
    settings.sources.values().filter_map(|source| match source {
        SourceSettings::Queue { path, .. } => Some(path.clone()),
        _ => None,
    })
}

fn cannot_find(path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorKind::User, format!("cannot find {}: {error}", path.shown()))
        .help("name the job file of the plugin's crate")
}

fn cannot_start(command: &ChildCommand, error: &io::Error) -> Error {
    let program = command.program.unwrap_or("host");
    let cannot = Error::new(ErrorKind::User, format!("cannot start `{program}`: {error}"));
    match (error.kind(), command.program) {
        (io::ErrorKind::NotFound, Some(_)) => cannot.help(
            "install Rust as https://rustup.rs says; if it is installed, put its directory ~/.cargo/bin into PATH",
        ),
        _ => cannot,
    }
}
