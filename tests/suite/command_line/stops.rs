//! The end of a job that hangs: whatever the host does, `host stop --now`, a later signal and `job.stop_timeout` end
//! the job.
//!
//! The jobs here would hang for hours. The tests wait for the end of the process, and use no time limits of their own.

use super::super::support::binary::{Directory, Running, Said};
use std::fs::File;
use std::io::{PipeReader, Read as _, pipe};
use std::process::{Command, Stdio};

/// How a job is stopped.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// By `host stop --now`.
    Client,
    /// By signals, until the job has ended.
    Signals,
    /// By one signal, and by the end of `job.stop_timeout`.
    Timeout,
}

const STOPS: [Stop; 3] = [Stop::Client, Stop::Signals, Stop::Timeout];

const OVERDUE: &str = "error: the graceful stop took longer than job.stop_timeout = 0.1 s: what was not processed yet is lost\n\
                       help: raise job.stop_timeout, or make batches cheaper\n";

impl Stop {
    /// The arguments with which the job is started.
    fn keys(self) -> [&'static str; 2] {
        ["--set", if matches!(self, Self::Timeout) { "job.stop_timeout=100ms" } else { "job.stop_timeout=24h" }]
    }

    /// Stops the job, and returns everything that the host has printed.
    fn stop(self, directory: &Directory, mut host: Running) -> Said {
        match self {
            Self::Client => {
                let said = directory.run(&["stop", "--now"]);
                assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
            }
            Self::Signals => host.signal_until_it_ends("TERM"),
            Self::Timeout => host.signal("TERM"),
        }
        let said = host.finish();
        match self {
            Self::Timeout => assert_eq!(said.code, Some(4), "{self:?}: {}", said.err),
            _ => assert_eq!((said.code, said.error()), (Some(130), ""), "{self:?}: {}", said.err),
        }
        said
    }
}

/// Starts a job whose log has every event, with these further arguments.
fn told(directory: &Directory, args: &[&str]) -> Command {
    let args: Vec<&str> = ["run", "job.toml"].iter().chain(args).copied().collect();
    let mut command = directory.host(&args);
    command.env("MILLSTREAM_LOG", "debug");
    command
}

/// A stream that nobody reads as long as the returned reader exists.
fn unread(stream: impl FnOnce(Stdio)) -> PipeReader {
    let (reader, writer) = pipe().expect("a pipe can be made");
    stream(writer.into());
    reader
}

/// The host computes a join of a key that has very many values on both sides.
#[test]
fn a_long_join_is_ended() {
    for stop in STOPS {
        let directory = Directory::with_job("operators");
        let zeros = vec!["0"; 400_000].join(",");
        directory.write("queue.jsonl", format!("[{zeros}]\n"));
        let args = ["--set", "job.args.operator=join_of_itself"];
        let mut host = Running::start(told(&directory, &[&args[..], &stop.keys()].concat()));
        host.wait_for_err("StageCompleted");
        host.wait_for_socket(&directory);
        let said = stop.stop(&directory, host);
        if matches!(stop, Stop::Timeout) {
            assert_eq!(said.error(), OVERDUE);
        }
    }
}

/// The host waits in a write to a full pipe.
#[test]
fn a_print_that_nobody_reads_is_ended() {
    for stop in STOPS {
        let directory = Directory::with_job("network_word_count");
        directory.write("queue.jsonl", format!("[\"{}\"]\n", "x".repeat(300_000)));
        let mut command = told(&directory, &stop.keys());
        let _unread = unread(|stdout| {
            command.stdout(stdout);
        });
        command.stderr(Stdio::piped());
        let mut host = Running::start_as_it_is(command);
        host.wait_for_more_err("StageCompleted", 2);
        host.wait_for_socket(&directory);
        let said = stop.stop(&directory, host);
        if matches!(stop, Stop::Timeout) {
            assert_eq!(said.error(), OVERDUE);
        }
    }
}

/// A driver function calls one action after the other.
#[test]
fn a_driver_function_that_never_ends_is_ended() {
    for stop in STOPS {
        let directory = Directory::with_job("hostile");
        directory.write("queue.jsonl", "[\"boom\"]\n");
        let args = ["--set", "job.args.does=driver-asks-for-ever", "--set", "limits.task_time=1h"];
        let mut host = Running::start(told(&directory, &[&args[..], &stop.keys()].concat()));
        host.wait_for_more_err("StageCompleted", 20);
        host.wait_for_socket(&directory);
        stop.stop(&directory, host);
    }
}

/// The time in which the function waits for its actions counts. Its own code hardly runs.
#[test]
fn a_driver_function_has_a_time_limit_over_all_that_it_does() {
    let directory = Directory::with_job("hostile");
    directory.write("queue.jsonl", "[\"boom\"]\n");
    let args = ["run", "job.toml", "--set", "job.args.does=driver-asks-for-ever", "--set", "limits.driver_time=200ms"];
    let said = directory.run(&args);
    assert_eq!(said.code, Some(3));
    let error = said.error();
    assert!(error.starts_with("error: driver function of `rude` (foreach_rdd, node 1) failed on batch "), "{error}");
    assert!(
        error.ends_with(
            "it took longer than limits.driver_time = 200ms, with its actions and files\n\
             help: let it run fewer actions, or raise limits.driver_time\n"
        ),
        "{error}"
    );
}

/// Makes a job whose log is larger than any pipe and is not read. The batches go to standard output.
fn with_unread_log(does: &str, batches: usize, stop: Stop) -> (Directory, Running, PipeReader) {
    let directory = Directory::with_job("hostile");
    directory.write("queue.jsonl", "[\"boom\"]\n".repeat(batches));
    let does = format!("job.args.does={does}");
    let mut command = told(&directory, &[&["--json", "--set", &does][..], &stop.keys()].concat());
    let reader = unread(|stderr| {
        command.stderr(stderr);
    });
    command.stdout(Stdio::piped());
    let mut host = Running::start_as_it_is(command);
    host.wait_for_more_out("\"event\":\"BatchCompleted\"", batches);
    host.wait_for_socket(&directory);
    (directory, host, reader)
}

/// The log goes to a pipe that nobody reads. This delays neither a batch nor the end.
#[test]
fn a_log_that_nobody_reads_holds_up_nothing() {
    let (directory, host, _unread) = with_unread_log("log-flood", 3, Stop::Client);
    let said = directory.run(&["stop"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_eq!(host.finish().code, Some(0));
    for stop in [Stop::Client, Stop::Signals] {
        let (directory, host, _unread) = with_unread_log("log-flood", 3, stop);
        stop.stop(&directory, host);
    }
}

/// Lines that do not fit into the queue of the log are dropped and counted. The count is in the log when somebody reads
/// the log.
#[test]
fn log_lines_that_are_dropped_are_told() {
    let (_directory, host, mut reader) = with_unread_log("log-long", 1, Stop::Client);
    host.signal("TERM");
    let mut log = String::new();
    reader.read_to_string(&mut log).expect("the log is text");
    assert_eq!(host.finish().code, Some(0));
    let told: Vec<&str> = log.lines().filter(|line| line.contains(" log lines were dropped here")).collect();
    let dropped = |line: &&str| -> usize {
        let (before, _) = line.split_once(" log lines were dropped").expect("it says how many");
        before.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("it is a number")
    };
    let dropped: usize = told.iter().map(dropped).sum();
    let written = log.lines().filter(|line| line.contains(" plugin: ")).count();
    assert!(dropped > 0 && written > 100 && written + dropped >= 900, "{dropped} {written}");
}

/// A full pipe for events delays neither the job nor its end.
#[test]
fn events_that_nobody_reads_hold_up_nothing() {
    let directory = Directory::with_job("network_word_count");
    let events = directory.path("events");
    let made = Command::new("mkfifo").arg(&events).status();
    assert!(made.expect("mkfifo can be started").success());
    let mut host = Running::start(told(&directory, &["--events", "events"]));
    let _unread = File::open(events).expect("the pipe is there");
    // These are far more events than a pipe can hold.
    host.wait_for_more_err("BatchCompleted", 100);
    host.signal("TERM");
    let said = host.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""));
}
