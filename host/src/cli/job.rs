//! The job that a command is about: reads its file, sets the keys of the command line, and starts its threads.

use crate::config::{self, Facts, Settings};
use crate::context::read_job_file;
use crate::env::{Env, RealExecutors, real};
use crate::error::{Error, ErrorKind};
use clap::Args;
use std::path::{Path, PathBuf};

/// The name of the job file in the current directory, which commands take by default.
pub const JOB_FILE: &str = "job.toml";

/// A job file, and what replaces its keys.
#[derive(Args)]
pub struct JobArgs {
    /// The job file.
    #[arg(value_name = "JOB.TOML", default_value = JOB_FILE)]
    pub job: PathBuf,
    #[command(flatten)]
    pub set: SetArgs,
}

/// What replaces keys of a job file.
#[derive(Args)]
pub struct SetArgs {
    /// Set a key of the job file, as in `--set sources.lines.address=127.0.0.1:9999`. A string needs no quotes. Can be
    /// repeated.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_override)]
    pub overrides: Vec<(String, String)>,
}

pub(super) fn parse_override(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it has no `=`; write KEY=VALUE")?;
    if key.trim().is_empty() {
        return Err("it has no key before the `=`; write KEY=VALUE".to_owned());
    }
    Ok((key.trim().to_owned(), value.to_owned()))
}

/// The settings of the job in the file at `job`.
pub fn load(job: &Path, set: &SetArgs, env: &Env) -> Result<Settings, Error> {
    let bytes = read_job_file(env, job)?;
    let settings = config::load_bytes(bytes, job, &set.overrides, &facts())?;
    settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(settings)
}

/// The settings of a job that has no file, only a plugin, and no sources.
pub fn of_plugin(plugin: &Path, set: &SetArgs) -> Result<Settings, Error> {
    const JOB: &str = "[job]\nname = \"plugin\"\nplugin = \"plugin.wasm\"\n";
    let mut settings = config::load(JOB, plugin, &set.overrides, &facts())?;
    plugin.clone_into(&mut settings.job.plugin);
    Ok(settings)
}

fn facts() -> Facts {
    Facts { cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get) }
}

/// The settings of a job, and its thread pools, whose sizes the settings say.
pub fn prepare(args: &JobArgs) -> Result<(RealExecutors, Env, Settings), Error> {
    let small = start_threads(1)?;
    let settings = load(&args.job, &args.set, &real(&small))?;
    small.shutdown();
    let executors = start_threads(settings.engine.threads as usize)?;
    let env = real(&executors);
    Ok((executors, env, settings))
}

/// Thread pools with this many threads for tasks.
pub fn start_threads(engine_threads: usize) -> Result<RealExecutors, Error> {
    let no_threads = |error| Error::new(ErrorKind::Unavailable, format!("cannot start threads: {error}"));
    RealExecutors::start(engine_threads).map_err(no_threads)
}
