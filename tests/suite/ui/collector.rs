//! A collector of OpenTelemetry gets the metrics and traces of a job, and the job does not wait for one that is away.

use super::{batches_of, number};
use crate::support::binary::{Directory, Running};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// How many requests may wait to be looked at.
const REQUESTS_MAX: usize = 1000;

/// A collector that takes everything, and passes on the path, the authorization and the body of each request.
fn collector() -> (String, Receiver<(String, String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address").to_string();
    let (send, requests) = sync_channel(REQUESTS_MAX);
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = BufReader::new(connection.expect("a client connects"));
            let (mut head, mut length, mut known) = (String::new(), 0, String::new());
            loop {
                let mut line = String::new();
                connection.read_line(&mut line).expect("the head comes");
                let (name, value) = line.trim().split_once(": ").unwrap_or((line.trim(), ""));
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.parse().expect("it is a number"),
                    "authorization" => known = value.to_owned(),
                    "" => break,
                    _ if head.is_empty() => head = line.clone(),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            connection.read_exact(&mut body).expect("the body comes");
            connection.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").expect("it reads");
            let path = head.split(' ').nth(1).expect("the head has a path").to_owned();
            if send.send((path, known, serde_json::from_slice(&body).expect("the body is JSON"))).is_err() {
                return;
            }
        }
    });
    (address, requests)
}

fn job(directory: &Directory, address: &str, more: &[&str]) -> Running {
    let endpoint = format!("otlp.endpoint=http://{address}/base");
    let args = ["run", "job.toml", "--stop-when-idle", "--events", "events.jsonl", "--set", &endpoint];
    Running::start(directory.host(&[&args, more].concat()))
}

fn events(directory: &Directory) -> Vec<Value> {
    let text = std::fs::read_to_string(directory.path("events.jsonl")).expect("the events file is there");
    text.lines().map(|line| serde_json::from_str(line).expect("an event is JSON")).collect()
}

/// The value of an attribute of a span.
fn attribute(span: &Value, name: &str) -> u64 {
    let all = span["attributes"].as_array().expect("a span has attributes");
    let found = all.iter().find(|attribute| attribute["key"] == name).expect("the attribute is there");
    found["value"]["intValue"].as_str().expect("it is a text").parse().expect("it is a number")
}

#[test]
fn a_collector_gets_metrics_and_a_trace_of_each_batch() {
    let directory = Directory::with_job("network_word_count");
    directory.write("token.txt", "c0llector\n");
    let (address, requests) = collector();
    let said = job(&directory, &address, &["--set", "otlp.token=file:token.txt"]).finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    let sent: Vec<_> = requests.try_iter().collect();
    assert!(sent.iter().all(|(_, known, _)| known == "Bearer c0llector"), "{sent:?}");
    let spans: Vec<Value> = sent
        .iter()
        .filter(|(path, ..)| path == "/base/v1/traces")
        .flat_map(|(.., body)| {
            body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().cloned().expect("it has spans")
        })
        .collect();
    let batches = batches_of(&events(&directory));
    let roots: BTreeMap<u64, &Value> = spans
        .iter()
        .filter(|span| span["parentSpanId"] == "")
        .map(|span| (attribute(span, "millstream.batch_time_ms"), span))
        .collect();
    assert_eq!(roots.keys().collect::<Vec<_>>(), batches.keys().collect::<Vec<_>>());
    for (time, root) in &roots {
        let batch = &batches[time];
        assert_eq!(attribute(root, "millstream.records"), batch["num_records"]);
        let ns = |name: &str| root[name].as_str().expect("it is a text").parse::<u128>().expect("it is a number");
        let took = (ns("endTimeUnixNano") - ns("startTimeUnixNano")) as f64 / 1e6;
        assert!((took - number(&batch["total_delay_ms"])).abs() < 0.003, "{root} {batch}");
        let parts = spans.iter().filter(|span| span["parentSpanId"] == root["spanId"]);
        let names: Vec<_> =
            parts.inspect(|part| assert_eq!(part["traceId"], root["traceId"])).map(|part| &part["name"]).collect();
        assert!(
            names.contains(&&Value::from("output print-0")) && names.contains(&&Value::from("stage 0")),
            "{names:?}"
        );
        let stages = spans.iter().filter(|span| {
            span["parentSpanId"] == root["spanId"]
                && span["name"].as_str().is_some_and(|name| name.starts_with("stage "))
        });
        for stage in stages {
            let tasks: Vec<_> = spans.iter().filter(|span| span["parentSpanId"] == stage["spanId"]).collect();
            assert!(tasks.iter().all(|task| task["traceId"] == root["traceId"]), "{tasks:?}");
            for name in ["millstream.rows_read", "millstream.rows_written", "millstream.plugin_time_us"] {
                let sum: u64 = tasks.iter().map(|task| attribute(task, name)).sum();
                // Each task rounds its time down.
                let rounded = if name.ends_with("_us") { tasks.len() as u64 } else { 0 };
                let whole = attribute(stage, name);
                assert!(sum <= whole && whole <= sum + rounded, "{name}: {stage} {tasks:?}");
            }
        }
    }
    let metrics = sent.iter().rev().find(|(path, ..)| path == "/base/v1/metrics").expect("metrics were sent");
    let metrics = metrics.2["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().expect("it has metrics");
    let metric = |name: &str| metrics.iter().find(|metric| metric["name"] == name).expect("the metric is there");
    assert_eq!(metric("millstream_records_processed")["sum"]["dataPoints"][0]["asDouble"], 3.0);
    let done = batches.len().to_string();
    assert_eq!(metric("millstream_batch_processing_seconds")["histogram"]["dataPoints"][0]["count"], done);
}

/// The log complains of a collector that is away, once; and the job ends in time.
#[test]
fn a_job_does_not_wait_for_a_collector_that_is_away() {
    let directory = Directory::with_job("network_word_count");
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port is free").local_addr().expect("it has an address");
    let said = job(&directory, &closed.to_string(), &["--set", "otlp.interval=100ms"]).finish();
    assert_eq!((said.code, said.error()), (Some(0), ""), "{}", said.err);
    assert_eq!(said.err.matches("the collector at").count(), 1, "{}", said.err);
    let said = directory.run(&["check", "job.toml", "--set", "otlp.endpoint=https://collector:4318"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("has TLS, which the host does not speak to collectors"), "{}", said.err);
}
