//! The command line as users meet it: each test runs the real binary as a process, in a directory of its own.
//!
//! Texts that a user reads are compared word for word, except for times and for texts that only a compiler knows.

mod arguments;
mod checkpoint_files;
mod containment;
mod control;
mod dev;
mod driver_files;
mod encoded_files;
mod explain;
mod failures;
mod files;
mod job_files;
mod log_files;
mod monitoring;
mod new;
mod outputs;
mod plugin_log;
mod plugins;
mod queues;
mod rates;
mod recovery;
mod runs;
mod service_reports;
mod signals;
mod sources;
mod stateful;
mod states;
mod stops;
mod streams;
mod supervision;
mod system_limits;
mod upgrades;
mod upgrades_killed;
mod values;

use super::support::binary::{Directory, Said};

/// Runs `host COMMAND job.toml` with these further arguments.
fn job(directory: &Directory, command: &str, args: &[&str]) -> Said {
    let args: Vec<&str> = [command, "job.toml"].iter().chain(args).copied().collect();
    directory.run(&args)
}

/// Makes a job that calls one driver function of the plugin `driver_functions` for each batch of the queue `batches`.
/// The function may use the job's own directory.
fn job_of_function(function: &str, batches: &str) -> Directory {
    let directory = Directory::with_job("driver_functions");
    directory.write("queue.jsonl", batches);
    directory.write(
        "job.toml",
        format!(
            "[job]\nname = \"files\"\nplugin = \"driver_functions.wasm\"\nbatch_interval = \"20ms\"\nparallelism = 1\n\
             directories = {{ out = \".\" }}\n\
             args = {{ function = \"{function}\" }}\n\n[sources.lines]\ntype = \"queue\"\npath = \"queue.jsonl\"\n"
        ),
    );
    directory
}

/// Requires that both `run` and `check` refuse a job with exit code 2, and print this text and nothing else to standard
/// error.
fn require_refusal(directory: &Directory, args: &[&str], expected: &str) {
    for command in ["run", "check"] {
        require_error(&job(directory, command, args), 2, expected);
    }
}

/// Requires that a program printed only this error.
fn require_error(said: &Said, code: i32, expected: &str) {
    assert_eq!(said.err, format!("{expected}\n"));
    assert_eq!(said.out, "");
    assert_eq!(said.code, Some(code));
}
