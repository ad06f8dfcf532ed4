//! The real binary, run as a user runs it.

use super::programs;
use millstream_tests::repository;
use std::path::Path;
use std::process::{Command, Output};

/// `host` with these arguments, in the repository's directory.
pub fn host(args: &[&str]) -> Command {
    let mut command = Command::new(programs::host());
    command.args(args).current_dir(repository::root()).env_remove("MILLSTREAM_LOG").env("NO_COLOR", "1");
    command
}

/// What a finished program said.
pub struct Said {
    /// Its exit code; nothing if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs `host` to its end.
pub fn run(args: &[&str]) -> Said {
    host(args).output().expect("the host can be started").into()
}

/// Writes a job file with these lines into `directory` and returns its path.
pub fn job_file(directory: &Path, text: &str) -> String {
    let path = directory.join("job.toml");
    std::fs::write(&path, text).expect("a temporary directory can be written to");
    path.display().to_string()
}
