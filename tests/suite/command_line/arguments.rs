//! The arguments of `host`, and the help about them.

use super::super::support::binary::{Directory, Running};
use super::require_error;

/// The text of `--help` about the exit codes.
const EXIT_CODES: &str = "Exit codes:
  0    done, or stopped gracefully
  2    the command line, the job file or a file they name is wrong
  3    plugin code failed
  4    something outside did not answer, a task failed too often, or there is no job to ask or stop
  5    data written earlier cannot be read
  70   a defect of the host
  130  stopped at once, by a later signal or `host stop --now`
";

fn help(args: &[&str]) -> String {
    let said = Directory::new().run(args);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{args:?}");
    said.out
}

#[test]
fn help_names_the_commands_and_the_exit_codes() {
    let help = help(&["--help"]);
    assert!(help.starts_with("Runs stream-processing jobs whose code is a sandboxed WebAssembly plugin\n"), "{help}");
    assert!(help.contains("\nUsage: host <COMMAND>\n"), "{help}");
    assert!(
        ["run", "stop", "status", "check", "checkpoint"].iter().all(|name| help.contains(&format!("\n  {name} "))),
        "{help}"
    );
    assert!(help.ends_with(EXIT_CODES), "{help}");
}

/// The help on `run` and `check` has the exit codes, because readers look for them there.
#[test]
fn help_on_a_command_names_its_options_and_the_exit_codes() {
    let run = help(&["run", "--help"]);
    for option in ["[JOB.TOML]", "--set <KEY=VALUE>", "--stop-after <BATCHES>", "--stop-when-idle", "--help"] {
        assert!(run.contains(option), "{option}: {run}");
    }
    assert!(run.contains("SIGINT") && run.contains("SIGTERM"), "{run}");
    assert!(run.ends_with(EXIT_CODES), "{run}");
    let check = help(&["check", "--help"]);
    assert!(check.contains("--set <KEY=VALUE>") && !check.contains("--stop-after"), "{check}");
    assert!(check.contains("Exit codes:\n"), "{check}");
}

#[test]
fn the_version_is_that_of_the_package() {
    // The host was built in the same environment as these tests, or by a command in it.
    let commit = std::env::var("MILLSTREAM_COMMIT").unwrap_or_else(|_| "unknown".to_owned());
    for args in [["--version"], ["-V"]] {
        assert_eq!(help(&args), format!("host {} (commit {commit})\n", env!("CARGO_PKG_VERSION")));
    }
}

/// Other packages also install a program `host`. The same program has a name that no other package has.
#[test]
fn the_program_has_two_names() {
    let directory = Directory::with_job("network_word_count");
    let program = millstream_tests::programs::program("millstream", "host");
    let run = |args: &[&str]| Running::start(directory.program(&program, args)).finish();
    let version = run(&["--version"]);
    assert!(version.out.starts_with(concat!("millstream ", env!("CARGO_PKG_VERSION"), " (commit ")), "{}", version.out);
    let help = run(&["run", "--help"]);
    assert!(help.out.contains("\nUsage: millstream run [OPTIONS] [JOB.TOML]\n"), "{}", help.out);
    assert!(run(&["completions", "fish"]).out.contains("complete -c millstream "));
    // The program compiles plugins in a child process of the same program.
    let ran = run(&["run", "--stop-when-idle"]);
    assert_eq!((ran.code, ran.error()), (Some(0), ""), "{}", ran.err);
    assert!(ran.out.contains("\n(hello,1)\n"), "{}", ran.out);
}

#[test]
fn an_unknown_command_is_refused() {
    let expected = "error: unrecognized subcommand 'frobnicate'\n\nUsage: host <COMMAND>\n\n\
                    For more information, try '--help'.";
    require_error(&Directory::new().run(&["frobnicate"]), 2, expected);
}

#[test]
fn without_a_command_help_is_shown_as_an_error() {
    let said = Directory::new().run(&[]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(said.err.contains("\nUsage: host <COMMAND>\n") && said.err.ends_with(EXIT_CODES), "{}", said.err);
}

/// Commands without a job file take `job.toml` of the working directory. If that is not there, the error says so.
#[test]
fn the_job_file_is_that_of_the_working_directory() {
    let expected = "error: cannot read job file job.toml: No such file or directory (os error 2)\n\
                    help: name a job file; without a name, it is job.toml in the current directory";
    let nowhere = Directory::new();
    for command in ["run", "check", "explain", "stop", "status", "upgrade", "rollback"] {
        require_error(&nowhere.run(&[command]), 2, expected);
    }
    require_error(&nowhere.run(&["set", "receiver.max_rate=7"]), 2, expected);
    for command in [["state", "list"], ["checkpoint", "show"], ["checkpoint", "verify"]] {
        let expected = "error: cannot look for a checkpoint in job.toml: No such file or directory (os error 2)\n\
                        help: name the directory in job.checkpoint, or the job file that names it";
        require_error(&nowhere.run(&command), 2, expected);
    }
    let directory = Directory::with_job("network_word_count");
    assert!(directory.run(&["check"]).out.starts_with("word-count: ok, "));
    assert!(directory.run(&["explain"]).out.starts_with("job word-count in job.toml: "));
    let said = directory.run(&["set", "receiver.max_rate=7"]);
    assert!(said.err.starts_with("error: cannot reach the host of job word-count: it does not run\n"), "{}", said.err);
}

#[test]
fn a_misspelt_option_is_corrected() {
    let said = Directory::new().run(&["run", "job.toml", "--stop-wen-idle"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.starts_with("error: unexpected argument '--stop-wen-idle' found\n"), "{}", said.err);
    assert!(said.err.contains("a similar argument exists: '--stop-when-idle'"), "{}", said.err);
}

/// The error does not use the words of Rust's number parser.
#[test]
fn a_number_of_batches_that_is_none_is_refused() {
    let said = Directory::new().run(&["run", "job.toml", "--stop-after", "many"]);
    let expected = "error: invalid value 'many' for '--stop-after <BATCHES>': it is not a whole number\n\n\
                    For more information, try '--help'.";
    require_error(&said, 2, expected);
}

#[test]
fn an_override_needs_a_key_and_a_value() {
    let refused = |value: &str, problem: &str| {
        let said = Directory::new().run(&["run", "job.toml", "--set", value]);
        let expected = format!(
            "error: invalid value '{value}' for '--set <KEY=VALUE>': {problem}; write KEY=VALUE\n\n\
             For more information, try '--help'."
        );
        require_error(&said, 2, &expected);
    };
    refused("job.parallelism", "it has no `=`");
    refused("=4", "it has no key before the `=`");
}

/// The library of the log would take the word for the name of a module, and the log would be empty.
#[test]
fn a_level_of_the_log_that_does_not_exist_is_an_error() {
    let directory = Directory::with_job("network_word_count");
    let check = |level: &str| {
        let mut command = directory.host(&["check", "job.toml"]);
        command.env("MILLSTREAM_LOG", level);
        Running::start(command).finish()
    };
    let expected = "error: MILLSTREAM_LOG has the directive `warning`, which is no level\n\
                    help: write one of `error`, `warn`, `info`, `debug`, `trace`, `off`, or a module and a level, as in \
                    `info,host::plugin=debug`";
    require_error(&check("warning"), 2, expected);
    assert_eq!(check("warn").code, Some(0));
}

#[test]
fn an_argument_that_the_plugin_does_not_read_is_a_warning() {
    let directory = Directory::with_job("network_word_count");
    let check = |args: &[&str]| {
        let job = ["check", "job.toml", "--set", "job.args={lenght=\"3\"}"];
        directory.run(&[&job, args].concat())
    };
    let warning = "the plugin does not read the argument `lenght` of job.args: is its name right?";
    let said = check(&[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("WARN") && said.err.contains(warning), "{}", said.err);
    let json: serde_json::Value = serde_json::from_str(&check(&["--json"]).out).expect("it is JSON");
    assert_eq!(json["warnings"], serde_json::json!([warning]));
}
