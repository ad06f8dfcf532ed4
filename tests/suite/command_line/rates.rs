//! The rate of a receiver, as the commands and the events file show and set it.

use super::super::support::binary::Directory;
use super::signals::connected;
use serde_json::{Value, json};
use std::io::Write as _;

fn rate(directory: &Directory) -> Value {
    let said = directory.run(&["status", "--json"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    let status: Value = serde_json::from_str(&said.out).expect("a status is JSON");
    status["receivers"][0]["rate_limit"].clone()
}

/// S12.18: `host status` and the events file say which limit holds and why. `host set` raises it, so that a receiver that
/// waits goes on.
#[test]
fn the_rate_is_shown_and_can_be_set() {
    let directory = Directory::with_job("network_word_count");
    let (mut host, mut connection) = connected(&directory, |set| {
        directory.host(&["run", "job.toml", "--set", set, "--set", "receiver.max_rate=1", "--events", "events.jsonl"])
    });
    host.wait_for_socket(&directory);
    host.wait_for_err("ReceiverStarted lines");
    // At a record a second, the last of these lines would come in after an hour.
    let lines = "word\n".repeat(3600) + "last\n";
    connection.write_all(lines.as_bytes()).expect("the host is there");
    let limited = |rate: u64, records: &str| {
        json!({
            "records_per_second": rate,
            "reason": "max_rate",
            "description": format!("at most {rate} {records} a second: receiver.max_rate"),
        })
    };
    assert_eq!(rate(&directory), limited(1, "record"));
    let said = directory.run(&["status"]);
    assert!(said.out.contains("\nrate of lines: at most 1 record a second: receiver.max_rate\n"), "{}", said.out);
    let said = directory.run(&["set", "job.toml", "receiver.max_rate=1000000000"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    host.wait_for_out("(last,1)\n");
    assert_eq!(rate(&directory), limited(1_000_000_000, "records"));
    let said = directory.run(&["set", "job.toml", "backpressure.proportional=2"]);
    assert_eq!(said.code, Some(2));
    assert_eq!(directory.run(&["stop"]).code, Some(0));
    assert_eq!(host.finish().code, Some(0));
    let events = std::fs::read_to_string(directory.path("events.jsonl")).expect("the events file is there");
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).expect("an event is JSON"));
    let told: Vec<Value> = events
        .filter(|event| event["event"] == "RateLimitChanged")
        .map(|mut event| {
            event["time_ms"].take();
            event
        })
        .collect();
    let event = |rate: u64| {
        json!({
            "time_ms": null, "event": "RateLimitChanged", "stream_id": 0, "source": "lines",
            "records_per_second": rate, "reason": "max_rate", "measured": null,
        })
    };
    assert_eq!(told, [event(1), event(1_000_000_000)]);
}
