//! Standard output and standard error: who reads them, and which characters they must not contain.

use super::super::support::binary::{Directory, Running, Said, without_times};
use super::super::support::terminal::OnTerminal;
use super::{job, require_error};
use std::process::{Command, Stdio};

/// A pipe that nobody reads.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe can be made");
    drop(reader);
    writer.into()
}

fn with_closed_stdout(mut command: Command) -> Said {
    command.stdout(closed_pipe()).stderr(Stdio::piped());
    Running::start_as_it_is(command).finish()
}

fn with_closed_stderr(mut command: Command) -> Said {
    command.stdout(Stdio::piped()).stderr(closed_pipe());
    Running::start_as_it_is(command).finish()
}

/// As in `host run job.toml | head -1`.
#[test]
fn a_reader_of_the_output_that_goes_away_ends_the_run() {
    let directory = Directory::with_job("network_word_count");
    let said = with_closed_stdout(directory.host(&["run", "job.toml"]));
    assert_eq!(
        without_times(said.error()),
        "error: cannot print batch T to standard output: Broken pipe (os error 32)\n\
         help: is the program that reads the output still there?\n"
    );
    assert_eq!(said.code, Some(4));
}

#[test]
fn checking_into_a_closed_pipe_is_an_error() {
    let directory = Directory::with_job("network_word_count");
    let expected = "error: cannot print to standard output: Broken pipe (os error 32)\n\
                    help: is the program that reads the output still there?";
    require_error(&with_closed_stdout(directory.host(&["check", "job.toml"])), 4, expected);
}

/// A job continues if nobody reads its log.
#[test]
fn a_job_runs_on_without_its_log() {
    let directory = Directory::with_job("network_word_count");
    let said = with_closed_stderr(directory.host(&["run", "job.toml", "--stop-when-idle"]));
    assert_eq!(said.code, Some(0));
    assert!(said.out.contains("(to,2)\n") && said.out.contains("(hello,1)\n"), "{}", said.out);
}

#[test]
fn an_error_that_nobody_reads_keeps_its_exit_code() {
    let said = with_closed_stderr(Directory::new().host(&["run", "nope.toml"]));
    assert_eq!(said.code, Some(2));
}

/// This is true even if the terminal from which the host was started has colours.
#[test]
fn what_is_not_a_terminal_gets_no_colours() {
    let directory = Directory::with_job("network_word_count");
    let cases: [&[&str]; 6] = [
        &["--help"],
        &["frobnicate"],
        &["run", "job.toml", "--set", "nonsense"],
        &["run", "job.toml", "--set", "job.paralelism=4"],
        &["check", "job.toml", "--set", "job.plugin=nope.wasm"],
        &["run", "job.toml", "--stop-when-idle"],
    ];
    for args in cases {
        let mut command = directory.host(args);
        command.env("TERM", "xterm-256color").env("COLORTERM", "truecolor");
        let said = Running::start(command).finish();
        assert!(!said.out.contains('\u{1b}') && !said.err.contains('\u{1b}'), "{args:?}: {said:?}");
    }
}

/// Text of a plugin does not reach the terminal unescaped either, because it could move the cursor.
#[test]
fn a_plugin_puts_no_control_characters_into_an_error() {
    let directory = Directory::with_job("hostile");
    directory.write("queue.jsonl", "[\"boom\"]\n");
    let said = job(&directory, "run", &["--set", r#"job.args.does="\u001b[31mX""#]);
    assert_eq!(said.code, Some(3));
    assert!(said.error().contains("unknown behaviour") && said.error().contains("[31mX"), "{}", said.err);
    assert!(!said.err.contains('\u{1b}'), "{:?}", said.err);
}

/// A record does not reach the terminal unescaped either: characters that could move the cursor or change a colour are
/// shown as escapes. A file gets the record unchanged.
#[test]
fn a_record_puts_no_control_characters_onto_a_terminal() {
    let directory = Directory::with_job("hostile");
    directory.write("queue.jsonl", "[\"\\u001b[31mred\\u0007\"]\n");
    let args = ["run", "job.toml", "--stop-when-idle", "--quiet"];
    let seen = OnTerminal::start(directory.host(&args)).finish();
    assert_eq!(seen.code, Some(0), "{}", seen.written);
    assert!(seen.written.contains("[31mred") && !seen.written.contains(['\u{1b}', '\u{7}']), "{:?}", seen.written);
    let said = directory.run(&args);
    assert!(said.out.contains("\u{1b}[31mred\u{7}\n"), "{:?}", said.out);
}
