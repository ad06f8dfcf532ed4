//! `host set`: sets a key of a running job.

use super::job::{JOB_FILE, SetArgs, load, start_threads};
use super::print;
use super::stop::{connect, told};
use crate::control::{Answer, ClientError, Request};
use crate::env::real;
use crate::error::{Error, ErrorKind};
use crate::shown::escape_control;
use crate::upgrade::SetKey;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// The arguments of `host set`.
#[derive(Args)]
#[command(allow_missing_positional = true)]
pub struct SetKeyArgs {
    /// The job file.
    #[arg(value_name = "JOB.TOML", default_value = JOB_FILE)]
    job: PathBuf,
    /// The key and its new value, as in `job.on_error=continue`.
    #[arg(value_name = "KEY=VALUE", value_parser = super::job::parse_override)]
    key: (String, String),
    /// Print one JSON object. An error is also one JSON object, on standard error.
    #[arg(long)]
    pub json: bool,
}

/// Sets the key, and prints what it was before.
pub fn set(args: &SetKeyArgs) -> Result<ExitCode, Error> {
    let executors = start_threads(1)?;
    let env = real(&executors);
    let settings = load(&args.job, &SetArgs { overrides: Vec::new() }, &env)?;
    let job = &settings.job.name;
    let answered = executors.block_on(async {
        let mut client = connect(&env, &settings).await?;
        let failed = |error: ClientError| told(job, &error);
        let (key, value) = args.key.clone();
        client.send(&Request::Set { key, value }).await.map_err(failed)?;
        match client.next().await.map_err(failed)? {
            Some(Answer::Set { set }) => Ok(set),
            Some(Answer::Failed { error, help, .. }) => Err(Error::new(ErrorKind::User, error).help(help)),
            Some(_) => Err(failed(ClientError::Strange("that says nothing of a key".to_owned()))),
            // The job has just ended.
            None => Err(failed(ClientError::NotRunning)),
        }
    });
    let SetKey { key, before, after } = answered?;
    let code = if args.json {
        let told = serde_json::json!({ "key": key, "before": before, "after": after });
        print(&format!("{told}\n"))
    } else {
        let before = before.unwrap_or_else(|| "not given".to_owned());
        let told = format!("{key}: {before} -> {after}, until the host ends; write it in the job file to keep it");
        print(&format!("{}\n", escape_control(&told)))
    };
    executors.shutdown();
    code
}
