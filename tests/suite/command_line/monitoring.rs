//! The reports of a run: the events file, JSON on standard output, the log, and the line on a terminal.

use super::super::support::binary::{Directory, Running, Said, without_times};
use super::super::support::terminal::{OnTerminal, Seen};
use super::{job, require_error};
use serde_json::{Value, json};

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Runs a job until it is idle. Also returns the lines of its events file.
fn run_with_events(directory: &Directory, args: &[&str]) -> (Said, Vec<Value>) {
    let said = job(directory, "run", &[&["--stop-when-idle", "--events", "events.jsonl"], args].concat());
    let text = std::fs::read_to_string(directory.path("events.jsonl")).expect("the events file is there");
    (said, json_lines(&text))
}

/// The values of `member` in the events with this name.
fn told<'a>(events: &'a [Value], name: &str, member: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).map(|event| &event[member]).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// S14.07, S14.08: every event of a run, in order, and the delays and records of its batches.
#[test]
fn the_events_file_tells_of_the_whole_run() {
    let directory = Directory::with_job("network_word_count");
    directory.write("events.jsonl", "what another run left\n");
    let (said, events) = run_with_events(&directory, &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let names: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!((names.first(), names.last()), (Some(&"StreamingStarted"), Some(&"StreamingStopped")));
    assert_eq!(events[0]["job"], "word-count");
    assert_eq!(events[0]["batch_interval_ms"], 20);
    assert_eq!(events.last().map(|event| &event["error"]), Some(&Value::Null));
    assert!(events.iter().all(|event| number(&event["time_ms"]) >= number(&events[0]["start_time_ms"])));

    let batches = told(&events, "BatchCompleted", "batch");
    let records: Vec<_> = batches.iter().map(|batch| &batch["num_records"]).collect();
    assert_eq!(records, [2, 1, 0]);
    assert_eq!(
        batches[0]["inputs"],
        json!([{ "stream_id": 0, "name": "lines", "num_records": 2, "description": null }])
    );
    for batch in &batches {
        let sum = number(&batch["scheduling_delay_ms"]) + number(&batch["processing_time_ms"]);
        assert!((number(&batch["total_delay_ms"]) - sum).abs() < 0.002, "{batch}");
        let [batch_time, submitted, started, ended] =
            ["batch_time_ms", "submission_time_ms", "processing_start_time_ms", "processing_end_time_ms"]
                .map(|name| number(&batch[name]));
        assert!(batch_time <= submitted && submitted <= started && started <= ended, "{batch}");
        assert_eq!(batch["output_operations"][0]["name"], "print-0");
        assert_eq!(batch["output_operations"][0]["failure_reason"], Value::Null);
    }
    // Another batch may be submitted at any point, so only the events of the first batch have a fixed order.
    let is_of_first = |event: &&Value| {
        let members = ["batch", "output_operation", "stage"].map(|member| &event[member]["batch_time_ms"]);
        members.contains(&&batches[0]["batch_time_ms"])
    };
    let of_first: Vec<&str> = events.iter().filter(is_of_first).filter_map(|event| event["event"].as_str()).collect();
    let expected = [
        "BatchSubmitted",
        "BatchStarted",
        "OutputOperationStarted",
        "StageCompleted",
        "StageCompleted",
        "OutputOperationCompleted",
        "BatchCompleted",
    ];
    assert_eq!(of_first, expected);
}

/// The events have the rows and the time of each stage, and its operators.
#[test]
fn the_events_file_tells_what_each_stage_read_and_wrote() {
    let (_, events) = run_with_events(&Directory::with_job("network_word_count"), &[]);
    let stages = told(&events, "StageCompleted", "stage");
    assert_eq!(stages.len(), 6, "two stages in three batches");
    let (map, reduce) = (stages[0], stages[1]);
    // The input is two lines with six different words, in two partitions that have no word in common.
    let counts = ["rows_read", "rows_written"];
    assert_eq!(
        (counts.map(|name| &map[name]), counts.map(|name| &reduce[name])),
        ([&json!(2), &json!(6)], [&json!(6); 2])
    );
    assert_eq!(map["inputs"], json!([{ "kind": "source", "node": 0, "rows": 2 }]));
    assert_eq!(map["output"], json!({ "kind": "shuffle", "node": 3, "rows": 6 }));
    assert_eq!(reduce["inputs"], json!([{ "kind": "shuffle", "node": 3, "rows": 6 }]));
    assert_eq!(reduce["output"], json!({ "kind": "output", "node": 4, "rows": 6 }));
    let operators = |stage: &Value| -> Vec<String> {
        let operators = stage["operators"].as_array().expect("operators are a list").iter();
        operators.map(|one| format!("{} {}", one["role"], one["kind"]).replace('"', "")).collect()
    };
    assert_eq!(operators(map), ["apply flat_map", "apply map", "combine reduce_by_key"]);
    assert_eq!(operators(reduce), ["reduce reduce_by_key"]);
    // Sixteen characters of words, and numbers of eight bytes.
    assert!(number(&map["shuffle_bytes_written"]) >= 64.0, "{map}");
    assert_eq!(reduce["shuffle_bytes_written"], 0);
    assert!(number(&map["task_time_ms"]) > 0.0 && number(&map["duration_ms"]) > 0.0, "{map}");
    // Code of the plugin runs within the time of its tasks, in one instance for each of them: opened, fed and finished.
    for stage in [map, reduce] {
        assert!(number(&stage["plugin_time_ms"]) <= number(&stage["task_time_ms"]), "{stage}");
        assert!(number(&stage["plugin_calls"]) >= 3.0 && number(&stage["plugin_memory_bytes"]) >= 65_536.0, "{stage}");
    }
    // An empty batch has stages too, and no rows.
    assert_eq!((&stages[4]["rows_read"], &stages[5]["rows_written"]), (&json!(0), &json!(0)));
}

#[test]
fn the_events_file_tells_of_failures() {
    let directory = Directory::with_job("hostile");
    directory.write("queue.jsonl", "[\"boom\"]\n");
    let (said, events) = run_with_events(&directory, &["--set", "job.args.does=panic"]);
    assert_eq!(said.code, Some(3));
    let error = said.error().strip_prefix("error: ").and_then(|error| error.split("\nhelp: ").next());
    let error = error.expect("it ended with an error");
    for (event, member, field) in [
        ("OutputOperationCompleted", "output_operation", "failure_reason"),
        ("StageCompleted", "stage", "failure_reason"),
    ] {
        assert_eq!(told(&events, event, member)[0][field], error, "{event}");
    }
    assert_eq!(told(&events, "StreamingStopped", "error"), [error]);
    assert_eq!(told(&events, "TaskRetried", "stage_id"), [0]);
}

/// Runs a job whose receiver has no server, until the receiver has reported that.
fn run_without_server(directory: &Directory, args: &[&str]) -> Said {
    let socket = "sources.lines={ type = \"socket\", address = \"127.0.0.1:1\" }";
    let args: Vec<&str> = ["run", "job.toml", "--set", socket].iter().chain(args).copied().collect();
    let mut running = Running::start(directory.host(&args));
    running.wait_for_err("ReceiverError lines");
    running.signal("INT");
    running.finish()
}

/// S14.02: a receiver's state and its last error.
#[test]
fn the_events_file_tells_of_receivers() {
    let directory = Directory::with_job("network_word_count");
    let said = run_without_server(&directory, &["--events", "events.jsonl"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let text = std::fs::read_to_string(directory.path("events.jsonl")).expect("the events file is there");
    let events = json_lines(&text);
    let receiver = told(&events, "ReceiverError", "receiver")[0];
    assert_eq!(
        (&receiver["stream_id"], &receiver["name"], &receiver["active"]),
        (&json!(0), &json!("lines"), &json!(false))
    );
    let message = receiver["last_error_message"].as_str().expect("there was an error");
    assert!(message.starts_with("cannot connect to 127.0.0.1:1: "), "{message}");
    assert!(number(&receiver["last_error_time_ms"]) >= number(&events[0]["start_time_ms"]));
    assert_eq!(told(&events, "ReceiverStopped", "receiver").len(), 1);
}

#[test]
fn an_events_file_that_cannot_be_made_is_an_error_at_the_start() {
    let directory = Directory::with_job("network_word_count");
    let said = job(&directory, "run", &["--stop-when-idle", "--events", "nowhere/events.jsonl"]);
    let expected = "error: cannot write the events file nowhere/events.jsonl: No such file or directory (os error 2)\n\
                    help: give --events a file in a directory that is there and that you may write to";
    require_error(&said, 2, expected);
}

/// The disk refuses events. The job continues without them, and says so once.
#[test]
fn a_full_disk_under_the_events_file_does_not_stop_the_job() {
    let said = job(&Directory::with_job("network_word_count"), "run", &["--stop-when-idle", "--events", "/dev/full"]);
    assert_eq!(said.code, Some(0));
    assert_eq!(said.out.matches("Time: ").count(), 3);
    assert_eq!(said.err.matches("cannot write events to /dev/full: No space left").count(), 1, "{}", said.err);
}

#[test]
fn json_on_standard_output_has_outputs_and_batches() {
    let said = job(&Directory::with_job("network_word_count"), "run", &["--stop-when-idle", "--json"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let lines = json_lines(&said.out);
    let printed: Vec<(&Value, &Value)> =
        lines.iter().filter(|line| line["event"] == "Printed").map(|line| (&line["rows"], &line["more"])).collect();
    let first = json!([["to", 2], ["be", 2], ["that", 1], ["or", 1], ["not", 1], ["is", 1]]);
    let no = json!(false);
    assert_eq!(printed, [(&first, &no), (&json!([["hello", 1], ["world", 1]]), &no), (&json!([]), &no)]);
    let rest: Vec<&str> =
        lines.iter().filter_map(|line| line["event"].as_str()).filter(|name| *name != "Printed").collect();
    let done = "BatchCompleted";
    assert_eq!(rest, ["StreamingStarted", done, done, done, "StreamingStopped"]);
    for batch in told(&lines, done, "batch") {
        let at = |is: &dyn Fn(&Value) -> bool| lines.iter().position(is);
        let printed = at(&|line| line["event"] == "Printed" && line["batch_time_ms"] == batch["batch_time_ms"]);
        let completed = at(&|line| line["event"] == done && line["batch"] == *batch);
        assert!(printed.is_some() && printed < completed, "{batch}");
    }
}

#[test]
fn quiet_is_quiet_unless_something_is_wrong() {
    let directory = Directory::with_job("network_word_count");
    let said = job(&directory, "run", &["--stop-when-idle", "--quiet"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_eq!(said.out.matches("Time: ").count(), 3);
    let said = run_without_server(&directory, &["-q"]);
    assert!(
        said.err.lines().all(|line| line.contains(" WARN ") && line.contains("ReceiverError lines")),
        "{}",
        said.err
    );
}

/// S14.08: the log has a line for each batch; at the debug level, it has one for each stage too.
#[test]
fn the_log_has_a_line_for_each_batch_and_stage() {
    let directory = Directory::with_job("network_word_count");
    let mut command = directory.host(&["run", "job.toml", "--stop-when-idle"]);
    command.env("MILLSTREAM_LOG", "host=debug");
    let said = Running::start(command).finish();
    let has = |parts: &[&str]| said.err.lines().filter(|line| parts.iter().all(|part| line.contains(part))).count();
    assert_eq!(
        has(&["INFO", "BatchCompleted", ": 2 records, scheduling delay ", "ms, total delay "]),
        1,
        "{}",
        said.err
    );
    assert_eq!(has(&["INFO", "BatchCompleted", "processing time "]), 3, "{}", said.err);
    let stage = [
        "DEBUG",
        "StageCompleted",
        ": stage 0, ",
        " 2 rows read, 6 rows written, ",
        "(apply flat_map, apply map, combine reduce_by_key)",
    ];
    assert_eq!(has(&stage), 1, "{}", said.err);
    assert_eq!(has(&["DEBUG", "StageCompleted"]), 6, "{}", said.err);
}

/// Runs a job on a terminal of this kind.
fn on_terminal(kind: &str, args: &[&str]) -> Seen {
    let directory = Directory::with_job("network_word_count");
    let args: Vec<&str> = ["run", "job.toml", "--stop-when-idle"].iter().chain(args).copied().collect();
    let mut command = directory.host(&args);
    command.env("TERM", kind).env("NO_COLOR", "1");
    let seen = OnTerminal::start(command).finish();
    assert_eq!(seen.code, Some(0), "{}", seen.written);
    seen
}

/// Whether a line on a terminal is one of the log. Such a line begins with the time of day.
fn is_log(line: &str) -> bool {
    let shape: String = line.chars().take(9).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "00:00:00 "
}

/// The text on the screen, without the log.
fn output(seen: &Seen) -> String {
    let lines: Vec<&str> = seen.screen.iter().map(String::as_str).filter(|line| !is_log(line)).collect();
    without_times(&lines.join("\n"))
}

#[test]
fn a_terminal_shows_progress_that_garbles_nothing() {
    let seen = on_terminal("xterm", &[]);
    assert!(seen.written.contains("0 batches done, 0 queued, 0 records/s, total delay 0.0 s"), "{:?}", seen.written);
    assert!(!seen.screen.iter().any(|line| line.contains("queued")), "it is gone in the end: {:#?}", seen.screen);
    let piped = job(&Directory::with_job("network_word_count"), "run", &["--stop-when-idle"]);
    // A program gets the time as Spark prints it, and a person in a readable form.
    assert_eq!(output(&seen), without_times(&piped.out).replace("Time: T ms", "Time: T"));
    let is_bare = |line: &String| !["INFO", "host::"].iter().any(|word| line.contains(word));
    assert!(seen.screen.iter().all(is_bare), "{:#?}", seen.screen);
    let log = |lines: &mut dyn Iterator<Item = &str>| lines.filter(|line| line.contains("BatchCompleted")).count();
    assert_eq!(log(&mut seen.screen.iter().map(String::as_str)), log(&mut piped.err.lines()));
    assert!(!seen.written.contains("\u{1b}[3"), "NO_COLOR: no colours");
}

/// On a terminal, an error is seen at once.
#[test]
fn an_error_on_a_terminal_is_coloured() {
    let directory = Directory::new();
    let mut command = directory.host(&["check"]);
    command.env("TERM", "xterm");
    let seen = OnTerminal::start(command).finish();
    let expected = "\u{1b}[1;31merror:\u{1b}[0m cannot read job file job.toml: ";
    assert!(seen.written.starts_with(expected), "{:?}", seen.written);
    let mut command = directory.host(&["check"]);
    command.env("TERM", "xterm").env("NO_COLOR", "1");
    assert!(OnTerminal::start(command).finish().written.starts_with("error: cannot read job file"));
}

/// The log is JSON to the last line, which is the error of the run.
#[test]
fn the_log_can_be_json() {
    let directory = Directory::with_job("hostile");
    directory.write("queue.jsonl", "[\"boom\"]\n");
    let said = job(&directory, "run", &["--log", "json", "--set", "job.args.does=panic"]);
    assert_eq!(said.code, Some(3));
    let lines = json_lines(&said.err);
    let (last, lines) = lines.split_last().expect("there is a log");
    assert_eq!(last["error"]["kind"], "plugin", "{last}");
    let is_start = |line: &&Value| line["message"] == "StreamingStarted word-count";
    let start = lines.iter().find(is_start).expect("the job has started");
    assert_eq!((&start["level"], &start["module"]), (&json!("info"), &json!("host::listener::log")));
    assert!(number(&start["time_ms"]) > 1.7e12, "{start}");
}

#[test]
fn progress_is_for_people_at_terminals_that_can_show_it() {
    for (kind, args) in [("dumb", &[][..]), ("xterm", &["--quiet"]), ("xterm", &["--json"])] {
        let seen = on_terminal(kind, args);
        assert!(!seen.written.contains('\u{1b}'), "TERM={kind} {args:?}: {:?}", seen.written);
        assert!(!seen.written.contains("queued"), "TERM={kind} {args:?}: {:?}", seen.written);
    }
}
