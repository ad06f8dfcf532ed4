//! `host stop`, `host status` and `host list`: another process sends requests to a running job.

use super::super::support::binary::{Directory, Running, Said};
use super::require_error;
use super::signals::{all_words, connected, counting, send_late, totals};
use host::time::Time;
use serde_json::{Value, json};
use std::io::Write as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

const SOCKET: &str = ".millstream/word-count.sock";

/// Starts a job that reads a queue and continues when the queue is used up. Waits until the job answers requests.
fn started(directory: &Directory, args: &[&str]) -> Running {
    let args: Vec<&str> = ["run", "job.toml"].iter().chain(args).copied().collect();
    let mut host = Running::start(directory.host(&args));
    host.wait_for_err("BatchCompleted");
    wait_for_socket(directory, &host);
    host
}

/// Waits for the socket, which exists when a batch is done, or soon after.
fn wait_for_socket(directory: &Directory, host: &Running) {
    host.wait_for_socket(directory);
}

fn status(directory: &Directory) -> Value {
    let said = directory.run(&["status", "--json"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    serde_json::from_str(&said.out).expect("a status is JSON")
}

fn require_success(said: &Said) {
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "", ""));
}

/// S1.21, S1.27: as with a signal, received records are processed first.
#[test]
fn stop_processes_what_was_received_and_waits_for_the_end() {
    let directory = Directory::with_job("network_word_count");
    let (mut host, mut connection) = counting(&directory, |set| directory.host(&["run", "job.toml", "--set", set]));
    send_late(&mut host, &mut connection);
    require_success(&directory.run(&["stop"]));
    assert!(!directory.path(SOCKET).exists());
    let said = host.finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    assert!(said.err.contains("stopping, as `host stop` wants it: what was received is processed first"));
    assert_eq!(totals(&said.out), all_words());
}

/// S10.04: with `on_error = "continue"`, a batch that fails is given up. A batch that a stop interrupts is not given
/// up.
#[test]
fn a_batch_that_a_stop_interrupts_is_not_given_up() {
    let directory = Directory::with_job("hostile");
    directory.write("queue.jsonl", "[\"boom\"]\n");
    let kept = ["--set", "job.checkpoint=checkpoint", "--set", "job.on_error=continue"];
    let args =
        [&["run", "job.toml", "--set", "job.args.does=loop", "--set", "limits.task_time=1h"], &kept[..]].concat();
    let mut command = directory.host(&args);
    command.env("MILLSTREAM_LOG", "debug");
    let mut host = Running::start(command);
    host.wait_for_err("OutputOperationStarted");
    wait_for_socket(&directory, &host);
    require_success(&directory.run(&["stop", "--now"]));
    let stopped = host.finish();
    assert_eq!(stopped.code, Some(130));
    let (_, started) = stopped.err.split_once("BatchStarted ").expect("a batch has started");
    let said = directory.run(&[&args[..], &["--dry-run-recovery", "--json"]].concat());
    let told: Value = serde_json::from_str(&said.out).expect("a plan is JSON");
    let first = told["rerun_ms"][0].as_u64().expect("a batch runs again");
    assert!(started.starts_with(&Time::from_ms(first).to_string()), "{told}");
}

/// S1.21. A second graceful request changes nothing. `--now` stops the job at once, and ends all waiting clients.
#[test]
fn stop_now_interrupts_plugin_code() {
    let directory = Directory::with_job("hostile");
    directory.write("queue.jsonl", "[\"boom\"]\n");
    let args = ["run", "job.toml", "--set", "job.args.does=loop", "--set", "limits.task_time=1h"];
    let mut command = directory.host(&args);
    command.env("MILLSTREAM_LOG", "debug");
    let mut host = Running::start(command);
    host.wait_for_err("OutputOperationStarted");
    wait_for_socket(&directory, &host);
    let waiting = Running::start(directory.host(&["stop", "job.toml"]));
    host.wait_for_err("stopping, as `host stop` wants it");
    let told = status(&directory);
    assert_eq!((&told["state"], &told["batches_completed"]), (&json!("stopping"), &json!(0)));
    let also_waiting = Running::start(directory.host(&["stop"]));
    assert!(status(&directory)["pending"].as_u64() >= Some(1));
    require_success(&directory.run(&["stop", "--now"]));
    // A client that expects a graceful end is told that the end was not graceful.
    let message =
        "job word-count was not stopped gracefully: it was stopped at once, and what was received is not processed";
    require_error(&waiting.finish(), 4, &format!("error: {message}\nhelp: the host's own log says more"));
    // The request may come when the job has ended already. Then the message says so instead.
    assert_eq!(also_waiting.finish().code, Some(4));
    assert_eq!(host.finish().code, Some(130));
}

/// The client that stopped the job gets the error that ended the job.
#[test]
fn stop_tells_the_error_with_which_the_job_ended() {
    let directory = Directory::with_job("hostile");
    directory.write("queue.jsonl", "[\"boom\"]\n");
    let args = [
        "run",
        "job.toml",
        "--set",
        "job.args.does=loop",
        "--set",
        "limits.task_time=1h",
        "--set",
        "job.stop_timeout=1ms",
    ];
    let mut command = directory.host(&args);
    command.env("MILLSTREAM_LOG", "debug");
    let mut host = Running::start(command);
    host.wait_for_err("OutputOperationStarted");
    wait_for_socket(&directory, &host);
    let said = directory.run(&["stop"]);
    assert_eq!(said.code, Some(4));
    assert!(said.err.starts_with("error: job word-count was not stopped gracefully: the graceful stop took longer"));
    assert_eq!(host.finish().code, Some(4));
}

/// S14.03 to S14.05: batches and their delays.
#[test]
fn status_tells_how_the_job_is() {
    let directory = Directory::with_job("network_word_count");
    let host = started(&directory, &["--set", "job.checkpoint=state"]);
    let mut told = status(&directory);
    while told["batches_completed"].as_u64() < Some(3) {
        told = status(&directory);
    }
    assert_eq!(
        (&told["job"], &told["state"], &told["pid"], &told["batch_interval_ms"]),
        (&json!("word-count"), &json!("running"), &json!(host.id()), &json!(20))
    );
    assert_eq!(
        (&told["records"], &told["epoch"], &told["outputs_failed"]),
        (&json!({"lines": 3}), &json!(1), &json!(0))
    );
    assert!(told["run"].as_str().is_some_and(|run| run.ends_with("-1")), "{told}");
    for delay in ["scheduling_delay", "processing_time"] {
        assert!(told[delay]["last_ms"].is_f64() && told[delay]["average_ms"].is_f64(), "{told}");
    }
    assert!(told["last_batch_ms"].as_u64() > told["since_ms"].as_u64());
    assert_eq!(told["checkpoint"]["failing"], json!({}));
    let mut said = directory.run(&["status", "job.toml"]);
    while !said.out.contains("last checkpoint: 20") {
        said = directory.run(&["status", "job.toml"]);
    }
    assert!(said.out.starts_with(&format!("job word-count: running, process {}\nsince: ", host.id())), "{}", said.out);
    assert!(
        said.out.contains("\nbatch interval: 20 ms\n") && said.out.contains("\nrecords of lines: 3\n"),
        "{}",
        said.out
    );
    require_success(&directory.run(&["stop"]));
    assert_eq!(host.finish().code, Some(0));
}

/// S14.02: whether a receiver is active, the number of records that came, and its last error.
#[test]
fn status_tells_of_receivers() {
    let directory = Directory::with_job("network_word_count");
    let (mut host, mut connection) = connected(&directory, |set| directory.host(&["run", "job.toml", "--set", set]));
    let address = connection.local_addr().expect("a connection has an address");
    connection.write_all(b"first line\nsecond line\n").expect("the host is there");
    host.wait_for_out("(line,2)\n");
    wait_for_socket(&directory, &host);
    let mut told = status(&directory);
    // The batch is done after its output.
    while told["batches_completed"] == json!(0) || told["records"]["lines"] == json!(0) {
        told = status(&directory);
    }
    let receiver = &told["receivers"][0];
    assert_eq!(
        (&receiver["name"], &receiver["active"], &receiver["last_error"], &told["records"]),
        (&json!("lines"), &json!(true), &Value::Null, &json!({"lines": 2}))
    );
    assert_eq!((&told["run"], &told["checkpoint"]), (&Value::Null, &Value::Null));
    assert!(directory.run(&["status"]).out.contains("\nrecords of lines: 2\nreceiver of lines: active\n"));
    drop(connection);
    host.wait_for_err("ReceiverError lines");
    let mut told = status(&directory);
    // The log and the status get the event one after the other.
    while told["receivers"][0]["active"] == json!(true) {
        told = status(&directory);
    }
    assert_eq!(told["receivers"][0]["last_error"], json!(format!("{address} closed the connection")));
    let said = directory.run(&["status"]);
    assert!(said.out.contains("\nreceiver of lines: not active; last error at "), "{}", said.out);
    require_success(&directory.run(&["stop"]));
    assert_eq!(host.finish().code, Some(0));
}

/// S11.02: the values of accumulators, in the status and in the events file.
#[test]
fn status_and_events_tell_of_accumulators() {
    let directory = Directory::with_job("driver_functions");
    directory.write("queue.jsonl", "[1, 2, 3, 4, 5]\n[6, 7, 1]\n");
    let args = ["--set", "job.args.function=counters", "--set", "job.parallelism=2", "--events", "events.jsonl"];
    let host = started(&directory, &args);
    let mut told = status(&directory);
    while told["accumulators"]["mapped"] != json!({"type": "long", "value": 8, "count": 8, "avg": 1.0}) {
        told = status(&directory);
    }
    let keys = json!({"type": "collection", "count": 5, "first": ["1", "2", "0", "1", "0"]});
    assert_eq!((&told["accumulators"]["keys"], &told["accumulators"]["reduced"]["value"]), (&keys, &json!(5)));
    let said = directory.run(&["status"]).out;
    let lines = "\naccumulator keys: 5 values: 1, 2, 0, 1, 0\n\
                 accumulator mapped: 8 (8 values, 1.0 on average)\naccumulator reduced: 5 (5 values, 1.0 on average)\n";
    assert!(said.contains(lines), "{said}");
    require_success(&directory.run(&["stop"]));
    assert_eq!(host.finish().code, Some(0));
    let events = std::fs::read_to_string(directory.path("events.jsonl")).expect("the events file is there");
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).expect("an event is JSON"));
    let updated = events.filter(|event| event["event"] == "AccumulatorsUpdated");
    let named = |event: &Value, name: &str| {
        event["accumulators"].as_array().into_iter().flatten().find(|told| told["name"] == name).cloned()
    };
    let mapped: Vec<Value> = updated.filter_map(|event| named(&event, "mapped")).collect();
    let expected =
        [5, 8].map(|value| json!({"name": "mapped", "type": "long", "value": value, "count": value, "avg": 1.0}));
    assert_eq!(mapped, expected);
}

#[test]
fn a_job_that_does_not_run_cannot_be_asked() {
    let directory = Directory::with_job("network_word_count");
    let message = "cannot reach the host of job word-count: it does not run";
    let help = "a host is found by the directory of its job file and the name of the job; one that could not listen there \
                can be stopped with a signal";
    for command in ["stop", "status"] {
        require_error(&directory.run(&[command]), 4, &format!("error: {message}\nhelp: {help}"));
    }
    let said = directory.run(&["status", "--json"]);
    let error: Value = serde_json::from_str(&said.err).expect("an error is JSON");
    assert_eq!(error, json!({"error": {"kind": "unavailable", "message": message, "help": help}}));
}

#[test]
fn the_socket_is_the_owners_alone_and_that_of_a_dead_host_is_replaced() {
    let directory = Directory::with_job("network_word_count");
    let host = started(&directory, &[]);
    let socket = std::fs::symlink_metadata(directory.path(SOCKET)).expect("the socket is there");
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.mode() & 0o777, 0o600);
    host.signal("KILL");
    assert_eq!(host.finish().code, None);
    assert!(directory.path(SOCKET).exists(), "nobody could remove it");
    assert_eq!(directory.run(&["status"]).code, Some(4));
    let host = started(&directory, &[]);
    assert_eq!(status(&directory)["pid"], json!(host.id()));
    require_success(&directory.run(&["stop"]));
    assert_eq!(host.finish().code, Some(0));
    assert!(!directory.path(SOCKET).exists());
}

#[test]
fn two_jobs_of_one_directory_are_told_apart() {
    let directory = Directory::with_job("network_word_count");
    let job = std::fs::read_to_string(directory.path("job.toml")).expect("the job file is there");
    directory.write("other.toml", job.replace("word-count", "other"));
    let first = started(&directory, &[]);
    let mut other = Running::start(directory.host(&["run", "other.toml"]));
    other.wait_for_err("BatchCompleted");
    while !directory.path(".millstream/other.sock").exists() {
        std::thread::yield_now();
    }
    require_success(&directory.run(&["stop", "other.toml"]));
    assert_eq!(other.finish().code, Some(0));
    assert_eq!(status(&directory)["pid"], json!(first.id()));
    require_success(&directory.run(&["stop"]));
    assert_eq!(first.finish().code, Some(0));
}

/// Jobs are found by their sockets. A socket that a killed job left behind is no running job.
#[test]
fn the_jobs_that_run_here_are_listed() {
    let above = Directory::new();
    let list = |directory: &Directory, args: &[&str]| {
        let said = directory.run(&[&["list"], args].concat());
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
        said.out
    };
    assert_eq!(list(&above, &[]), "no job runs in .\n");
    assert_eq!(list(&above, &["--json"]), "{\"jobs\":[]}\n");
    let directory = Directory::with_job("network_word_count");
    std::os::unix::fs::symlink(directory.path(""), above.path("words")).expect("a link can be made");
    let host = started(&directory, &[]);
    let told = list(&directory, &[]);
    assert!(told.starts_with("word-count: running for ") && told.ends_with(" pending, in .\n"), "{told}");
    assert!(told.contains(&format!(" s, process {}, ", host.id())), "{told}");
    let told = list(&above, &[]);
    assert!(told.starts_with("word-count: running for ") && told.ends_with(" pending, in ./words\n"), "{told}");
    let told: Value = serde_json::from_str(&list(&above, &["--json"])).expect("it is JSON");
    let (job, process) = (&told["jobs"][0], json!(host.id()));
    assert_eq!((&job["job"], &job["status"]["pid"], &job["problem"]), (&json!("word-count"), &process, &Value::Null));
    assert_eq!(told["jobs"].as_array().map(Vec::len), Some(1));

    host.signal("KILL");
    assert_eq!(host.finish().code, None);
    let left = ".millstream/word-count.sock";
    let expected = format!("word-count: not running, in .: its host was killed, and left the socket ./{left}\n");
    assert_eq!(list(&directory, &[]), expected);
    let told: Value = serde_json::from_str(&list(&directory, &["--json"])).expect("it is JSON");
    let expected = json!({"jobs": [{"job": "word-count", "directory": ".", "socket": format!("./{left}"), "status": null,
                                    "problem": "it does not run"}]});
    assert_eq!(told, expected);
    let expected = "error: cannot look for jobs in nowhere: No such file or directory (os error 2)\n\
                    help: name directories that hold job files, or the directory that holds these directories";
    require_error(&above.run(&["list", "nowhere"]), 2, expected);
}

/// A job without a checkpoint directory may run twice.
#[test]
fn the_second_host_of_a_job_runs_without_control() {
    let directory = Directory::with_job("network_word_count");
    let first = started(&directory, &[]);
    let second = directory.run(&["run", "job.toml", "--stop-when-idle"]);
    assert_eq!(second.code, Some(0));
    assert!(second.err.contains("another host runs job word-count of this directory"), "{}", second.err);
    assert_eq!(status(&directory)["pid"], json!(first.id()));
    require_success(&directory.run(&["stop"]));
    assert_eq!(first.finish().code, Some(0));
}

#[test]
fn a_long_path_is_no_obstacle() {
    let directory = Directory::with_job("network_word_count");
    let long = format!("{}/{}", "d".repeat(100), "e".repeat(100));
    std::fs::create_dir_all(directory.path(&long)).expect("a directory can be made");
    for file in ["job.toml", "queue.jsonl", "network_word_count.wasm"] {
        std::fs::rename(directory.path(file), directory.path(&format!("{long}/{file}"))).expect("the file is there");
    }
    let job = directory.path(&format!("{long}/job.toml"));
    let job = job.to_str().expect("the path is text");
    let mut host = Running::start(directory.host(&["run", job]));
    host.wait_for_err("BatchCompleted");
    while !directory.path(&format!("{long}/{SOCKET}")).exists() {
        std::thread::yield_now();
    }
    require_success(&directory.run(&["stop", job]));
    let said = host.finish();
    assert_eq!((said.code, said.err.contains("cannot listen")), (Some(0), false), "{}", said.err);
}
