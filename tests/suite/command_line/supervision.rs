//! `host run --supervise`: a supervisor starts the process of a job again when it fails, as a user meets it.
//!
//! The pauses of the tests are short, so that no test waits for one.

use super::super::support::binary::{Directory, Running, Said};
use super::recovery::{directory as recoverable, lines_saved};
use super::signals::{all_words, counting, send_late, totals};
use super::{job, require_error};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

/// The options of a supervisor that starts its job again at once.
const AT_ONCE: [&str; 5] = ["--supervise", "--restart-pause", "1ms", "--restart-pause-max", "1ms"];

/// `host run job.toml` with a supervisor and these further arguments.
fn supervised(directory: &Directory, args: &[&str]) -> Command {
    let args: Vec<&str> = ["run", "job.toml"].iter().chain(&AT_ONCE).chain(args).copied().collect();
    directory.host(&args)
}

/// The processes that ran the job, as the log of the supervisor names them.
fn processes(log: &str) -> Vec<u32> {
    let named = log.lines().filter_map(|line| line.split_once(" process ")?.1.strip_suffix(" runs the job"));
    named.map(|process| process.parse().expect("a process is a number")).collect()
}

fn kill(process: u32) {
    let status = Command::new("sh").args(["-c", &format!("kill -KILL {process}")]).status();
    assert!(status.expect("a shell can be started").success(), "process {process} is gone");
}

/// The state of a process, such as `Z`. `None` if there is no such process.
fn state(process: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Waits until a process runs no longer. Nobody may be there to reap it.
fn wait_for_end(process: u32) {
    while state(process).is_some_and(|state| state != 'Z') {
        thread::yield_now();
    }
}

/// S10.16, S12.05, S12.06, S12.07, S12.09: a job whose process is killed goes on from its checkpoint, and each record
/// is saved once.
#[test]
fn a_job_that_is_killed_goes_on() {
    const KILLS: usize = 4;
    let directory = recoverable();
    let lines: Vec<String> = (0..200).map(|number| format!("line {number}")).collect();
    directory.write("queue.jsonl", lines.iter().map(|line| format!("[{line:?}]\n")).collect::<String>());
    let mut host = Running::start(supervised(&directory, &["--stop-when-idle"]));
    for killed in 0..KILLS {
        host.wait_for_err(" runs the job");
        host.wait_for_more_err("BatchCompleted", 2);
        let processes = processes(host.err());
        assert_eq!(processes.len(), killed + 1, "{}", host.err());
        kill(processes[killed]);
        host.wait_for_more_err(" runs the job", 1);
    }
    let said = host.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    for restart in 1..=KILLS {
        let words = format!(
            "was ended by signal 9: the job starts again in 0.001 s (restart {restart} of at most 20 within 3600 s)"
        );
        assert!(said.err.contains(&words), "{words}: {}", said.err);
    }
    assert_eq!(said.err.matches("RecoveryStarted").count(), KILLS, "{}", said.err);
    assert_eq!(lines_saved(&directory), lines);
}

/// `host status` and `host stop` reach the process that runs the job. The supervisor ends with it.
#[test]
fn commands_reach_the_job_and_a_stop_is_final() {
    let directory = Directory::with_job("network_word_count");
    let mut host = Running::start(supervised(&directory, &[]));
    host.wait_for_err("BatchCompleted");
    host.wait_for_socket(&directory);
    let status = directory.run(&["status", "--json"]);
    let status: Value = serde_json::from_str(&status.out).expect("a status is JSON");
    assert_eq!(status["pid"].as_u64().map(|pid| vec![u32::try_from(pid).unwrap()]), Some(processes(host.err())));
    let stopped = directory.run(&["stop"]);
    assert_eq!((stopped.code, stopped.err.as_str()), (Some(0), ""));
    let said = host.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    let mut host = Running::start(supervised(&directory, &[]));
    host.wait_for_err("BatchCompleted");
    host.wait_for_socket(&directory);
    assert_eq!(directory.run(&["stop", "--now"]).code, Some(0));
    let said = host.finish();
    assert_eq!((said.code, said.error()), (Some(130), ""), "{}", said.err);
    assert_eq!(processes(&said.err).len(), 1);
}

/// S1.27: what was received is processed, and then both processes end.
#[test]
fn a_signal_stops_the_job_gracefully() {
    for signal in ["TERM", "INT"] {
        let directory = Directory::with_job("network_word_count");
        let (mut host, mut connection) = counting(&directory, |set| supervised(&directory, &["--set", set]));
        send_late(&mut host, &mut connection);
        host.signal(signal);
        let said = host.finish();
        assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
        assert!(
            said.err.contains("stopping, as a signal wants it: what was received is processed first"),
            "{}",
            said.err
        );
        assert_eq!(totals(&said.out), all_words());
        assert_eq!(processes(&said.err).iter().filter_map(|process| state(*process)).count(), 0);
    }
}

/// A later signal stops the job whatever the plugin does.
#[test]
fn a_later_signal_stops_at_once() {
    let directory = Directory::with_job("hostile");
    directory.write("queue.jsonl", "[\"boom\"]\n");
    let args = ["--set", "job.args.does=loop", "--set", "limits.task_time=1h"];
    let mut command = supervised(&directory, &args);
    command.env("MILLSTREAM_LOG", "debug");
    let mut host = Running::start(command);
    host.wait_for_err("OutputOperationStarted");
    host.signal("INT");
    host.wait_for_err("a signal after 1 s or more stops at once");
    host.signal_until_it_ends("TERM");
    let said = host.finish();
    assert_eq!((said.code, said.out.as_str(), said.error()), (Some(130), "", ""), "{}", said.err);
    assert_eq!(processes(&said.err).len(), 1);
}

/// Whether a signal comes before or after the job handles signals, the supervisor ends, and starts nothing.
#[test]
fn a_signal_during_the_start_is_final() {
    let directory = Directory::with_job("hostile");
    let args = ["--set", "job.args.does=describe-loop", "--set", "limits.task_time=10s"];
    let mut command = supervised(&directory, &args);
    command.env("MILLSTREAM_LOG", "debug");
    let mut host = Running::start(command);
    // After this line, the host asks the plugin for its graph.
    host.wait_for_err("compiled");
    host.signal("TERM");
    let said = host.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    assert_eq!(processes(&said.err).len(), 1);
}

/// A restart cannot help: the error and the code are those of the job without a supervisor.
#[test]
fn an_end_that_a_restart_cannot_mend_is_final() {
    let directory = Directory::with_job("hostile");
    let cases: [(&[&str], i32); 4] = [
        (&["--set", "job.batch_interval=soon"], 2),
        (&["--set", "job.plugin=nowhere.wasm"], 2),
        (&["--from-checkpoint"], 2),
        (&["--set", "job.args.does=describe-panic"], 3),
    ];
    for (args, code) in cases {
        for json in [&[][..], &["--json"]] {
            let args = [args, &["--quiet"], json].concat();
            let alone = job(&directory, "run", &args);
            assert_eq!((alone.code, alone.err.is_empty()), (Some(code), false), "{args:?}");
            let Said { code, out, err } = Running::start(supervised(&directory, &args)).finish();
            assert_eq!((code, out, err), (alone.code, alone.out, alone.err), "{args:?}");
        }
    }
    let said = job(&directory, "run", &["--supervise", "--max-restarts", "many"]);
    let refused = "error: invalid value 'many' for '--max-restarts <RESTARTS>': it is not a whole number\n\n\
                   For more information, try '--help'.";
    require_error(&said, 2, refused);
    let said = job(&directory, "run", &["--max-restarts", "3"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("--supervise"), "{}", said.err);
}

/// After too many restarts the supervisor gives up, with the code of the last failure.
#[test]
fn after_too_many_failures_the_supervisor_gives_up() {
    let directory = Directory::with_job("hostile");
    directory.write("queue.jsonl", "[\"boom\"]\n");
    let args = ["--set", "job.args.does=panic", "--max-restarts", "2"];
    let said = Running::start(supervised(&directory, &args)).finish();
    assert_eq!(said.code, Some(3), "{}", said.err);
    for restart in ["restart 1 of at most 2 within 3600 s", "restart 2 of at most 2 within 3600 s"] {
        assert!(
            said.err.contains(&format!("ended with exit code 3: the job starts again in 0.001 s ({restart})")),
            "{}",
            said.err
        );
    }
    assert_eq!((processes(&said.err).len(), said.err.matches("error: ").count()), (3, 4), "{}", said.err);
    let expected = "error: the job failed again after 2 restarts within 3600 s, and is not started again\n\
                    help: see why its processes ended; --max-restarts and --restart-window say when a supervisor gives up\n";
    assert!(said.err.ends_with(expected), "{}", said.err);
    // Scripts find the error in the last line.
    let said = Running::start(supervised(&directory, &[&args[..], &["--json", "--quiet"]].concat())).finish();
    let last: Value = serde_json::from_str(said.err.lines().last().unwrap_or_default()).expect("it is JSON");
    assert_eq!((said.code, last["error"]["kind"].as_str()), (Some(3), Some("plugin")), "{}", said.err);
    let starts = said.out.lines().filter(|line| line.contains("\"event\":\"StreamingStarted\"")).count();
    assert_eq!(starts, 3, "{}", said.out);
}

/// In a pause, there is no process to stop. Whoever stops the job learns that it has failed.
#[test]
fn a_signal_ends_a_pause() {
    let directory = Directory::with_job("hostile");
    directory.write("queue.jsonl", "[\"boom\"]\n");
    let args = [
        "run",
        "job.toml",
        "--supervise",
        "--restart-pause",
        "1h",
        "--restart-pause-max",
        "1h",
        "--set",
        "job.args.does=panic",
    ];
    let mut host = Running::start(directory.host(&args));
    host.wait_for_err("the job starts again in 3600 s");
    host.signal("TERM");
    let said = host.finish();
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(said.err.contains("stopping, as a signal wants it: no process runs the job"), "{}", said.err);
}

/// A new run is begun once. The processes that follow go on with that run.
#[test]
fn a_restart_goes_on_with_the_new_run() {
    let directory = recoverable();
    directory.write("queue.jsonl", (0..100).map(|number| format!("[\"line {number}\"]\n")).collect::<String>());
    let said = job(&directory, "run", &["--stop-after", "2"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let mut host = Running::start(supervised(&directory, &["--fresh"]));
    host.wait_for_more_err("BatchCompleted", 2);
    kill(processes(host.err())[0]);
    host.wait_for_more_err("BatchCompleted", 2);
    host.signal("TERM");
    let said = host.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    let named = said.err.lines().filter_map(|line| line.split_once("RecoveryStarted ")?.1.split_once(':'));
    let runs: Vec<&str> = named.map(|(run, _)| run).collect();
    assert_eq!(runs.len(), 2, "{}", said.err);
    assert_eq!(runs[0], runs[1], "{}", said.err);
    assert!(runs[0].ends_with("-2"), "{}", said.err);
}

/// A supervisor that is killed leaves no process behind that holds the checkpoint directory.
#[test]
fn the_job_ends_with_its_supervisor() {
    let directory = recoverable();
    let mut host = Running::start(supervised(&directory, &[]));
    host.wait_for_err("BatchCompleted");
    let processes = processes(host.err());
    host.signal("KILL");
    wait_for_end(processes[0]);
    assert_eq!(host.finish().code, None);
    let said = job(&directory, "run", &["--stop-when-idle"]);
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    assert_eq!(lines_saved(&directory), ["a b", "c", "d", "e f g", "h"]);
}

/// The processes whose parent this is.
fn children(process: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").expect("processes can be listed").filter_map(Result::ok);
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    all.filter(|one| {
        let stat = fs::read_to_string(format!("/proc/{one}/stat")).unwrap_or_default();
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        parent == Some(process)
    })
    .collect()
}

/// Process 1 of a container inherits the processes of others, and has to reap them.
#[test]
fn a_supervisor_reaps_processes_that_it_did_not_start() {
    let directory = Directory::with_job("network_word_count");
    let host = supervised(&directory, &[]);
    let script = "true & sleep 0.1 & exec \"$@\"";
    let mut command = directory.program(Path::new("sh"), &["-c", script, "sh"]);
    command.arg(host.get_program()).args(host.get_args());
    let mut host = Running::start(command);
    host.wait_for_err("BatchCompleted");
    let processes = processes(host.err());
    while children(host.id()) != processes {
        thread::yield_now();
    }
    host.signal("TERM");
    assert_eq!(host.finish().code, Some(0));
}

/// The command that the container file gives to the host.
fn command_of_container() -> Vec<String> {
    let file = millstream_tests::repository::file("docs/container/Containerfile").expect("it can be read");
    let command = file.text.lines().find_map(|line| line.strip_prefix("CMD ")).expect("it has a command");
    serde_json::from_str(command).expect("the command is a list")
}

/// The system drops signals that process 1 does not handle. The namespace of processes ends with its process 1.
#[test]
fn the_host_is_process_1_of_a_container() {
    let namespace = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let tried = Command::new("unshare").args(namespace).arg("true").output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        println!("skipped: this machine lets nobody make a namespace of processes");
        return;
    }
    let of_container = command_of_container();
    let of_container: Vec<&str> = of_container.iter().map(String::as_str).collect();
    for args in [&["run", "job.toml"][..], &of_container] {
        let directory = Directory::with_job("network_word_count");
        let mut command = directory.program(Path::new("unshare"), &namespace);
        command.arg(millstream_tests::programs::host()).args(args).env("MILLSTREAM_LOG", "info");
        let mut host = Running::start(command);
        host.wait_for_err("BatchCompleted");
        let first = children(host.id());
        assert_eq!(first.len(), 1, "{first:?}");
        let kill = Command::new("sh").args(["-c", &format!("kill -TERM {}", first[0])]).status();
        assert!(kill.expect("a shell can be started").success());
        let said = host.finish();
        assert_eq!((said.code, said.error()), (Some(0), ""), "{args:?}: {}", said.err);
        assert!(
            said.err.contains("stopping, as a signal wants it: what was received is processed first"),
            "{}",
            said.err
        );
    }
    // Before the job handles signals, process 1 ends as well.
    let directory = Directory::with_job("hostile");
    let mut command = directory.program(Path::new("unshare"), &namespace);
    command.arg(millstream_tests::programs::host());
    command.args(["run", "job.toml", "--set", "job.args.does=describe-loop", "--set", "limits.task_time=1h"]);
    command.env("MILLSTREAM_LOG", "debug");
    let mut host = Running::start(command);
    host.wait_for_err("compiled");
    let first = children(host.id());
    let kill = Command::new("sh").args(["-c", &format!("kill -TERM {}", first[0])]).status();
    assert!(kill.expect("a shell can be started").success());
    let said = host.finish();
    assert_eq!((said.code, said.error()), (Some(143), ""), "{}", said.err);
}
