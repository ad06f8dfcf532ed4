//! The form of the lines, compared with the document, and a disk that is full for a while.

use super::super::*;
use super::*;
use crate::env::Simulation;
use crate::ids::{NodeId, RunId, StageId, TaskId};
use crate::time::Duration;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

fn time(ms: u64) -> Time {
    Time::from_ms(ms)
}

fn output() -> OutputOperationInfo {
    OutputOperationInfo {
        batch_time: time(2000),
        id: 1,
        name: "counts".to_owned(),
        description: "`counts` (print, node 4)".to_owned(),
        start_time: Some(time(2003)),
        end_time: Some(time(2004)),
        duration: Some(Duration::from_micros(1250)),
        driver: PluginUse { time: Duration::from_micros(300), calls: 1, memory_bytes: 65_536 },
        failure_reason: Some("a \"reason\"\n".to_owned()),
    }
}

fn batch() -> BatchInfo {
    let input = StreamInputInfo {
        stream_id: 0,
        name: "lines".to_owned(),
        num_records: 7,
        description: Some("/in/a".to_owned()),
    };
    BatchInfo {
        batch_time: time(2000),
        inputs: [(0, input)].into(),
        submission_time: time(2001),
        processing_start_time: Some(time(2002)),
        processing_end_time: None,
        scheduling_delay: Some(Duration::from_micros(1500)),
        processing_delay: None,
        output_operations: [(1, output())].into(),
    }
}

fn receiver() -> ReceiverInfo {
    ReceiverInfo {
        stream_id: 0,
        name: "lines".to_owned(),
        active: false,
        location: "driver".to_owned(),
        last_error_message: Some("refused".to_owned()),
        last_error_time: Some(time(1500)),
    }
}

fn stage() -> StageInfo {
    StageInfo {
        batch_time: time(2000),
        stage_id: StageId(1),
        operators: vec![StageOperator { node: NodeId(3), name: None, kind: "map".to_owned(), role: "apply" }],
        inputs: vec![StageRows { kind: "source", node: NodeId(0), rows: 7 }],
        output: StageRows { kind: "shuffle", node: NodeId(4), rows: 5 },
        bytes_read: 120,
        bytes_written: 80,
        shuffle_bytes_written: 80,
        num_tasks: 2,
        submission_time: time(2002),
        completion_time: time(2003),
        duration: Duration::from_millis(1),
        task_time: Duration::from_millis(2),
        plugin: PluginUse { time: Duration::from_micros(1500), calls: 6, memory_bytes: 65_536 },
        failure_reason: None,
        tasks: vec![TaskInfo {
            partition: 3,
            attempts: 2,
            start_time: time(2002),
            duration: Duration::from_micros(900),
            task_time: Duration::from_micros(800),
            rows_read: 7,
            rows_written: 5,
            bytes_read: 120,
            bytes_written: 80,
            plugin: PluginUse { time: Duration::from_micros(700), calls: 3, memory_bytes: 65_536 },
            failure_reason: None,
        }],
    }
}

fn lag() -> LagInfo {
    LagInfo {
        batch_time: time(2000),
        scheduling_delay: Duration::from_millis(3000),
        growth: Duration::from_millis(100),
        processing_delay_average: Duration::from_micros(1_100_500),
        batch_interval: Duration::from_millis(1000),
    }
}

fn lines() -> LinesInfo {
    LinesInfo { lines: 2, file: Some("in/a".to_owned()), first_line: 7, after_byte: None }
}

fn accumulators() -> Vec<AccumulatorInfo> {
    let accumulator = |name: &str, value| AccumulatorInfo { name: name.to_owned(), value };
    let values = AccumulatorValue::Collection { count: 11, first: vec!["a".to_owned()] };
    vec![
        accumulator("dropped", AccumulatorValue::long(7, 2)),
        accumulator("ratio", AccumulatorValue::double(0.25, 1)),
        accumulator("bad lines", values),
    ]
}

/// One event of each kind.
fn events() -> Vec<Event> {
    let name = || "lines".to_owned();
    let task = TaskId { run: RunId::FIRST, batch: time(2000), stage: StageId(1), partition: 3 };
    vec![
        Event::StreamingStarted { job: name(), time: time(1000), batch_interval: Duration::from_millis(500) },
        Event::ReceiverStarted(receiver()),
        Event::ReceiverError { receiver: receiver(), retry_in: Some(Duration::from_secs(2)) },
        Event::ReceiverListens { source: name(), url: "http://127.0.0.1:8080/".to_owned() },
        Event::ReceiverStopped(receiver()),
        Event::InputError { source: name(), error: name() },
        Event::DataLost { source: name(), partition: name(), position: 7, problem: name() },
        Event::LinesDropped { source: name(), lines: lines() },
        Event::TextReplaced { source: Some(name()), encoding: "UTF-8".to_owned(), lines: lines() },
        Event::LineCutOff { source: name() },
        Event::RecordsDropped { source: name(), records: 8 },
        Event::MessagesGivenUp(GivenUpInfo {
            source: name(),
            stream: name(),
            messages: 2,
            first_sequence: 7,
            problem: name(),
        }),
        Event::BatchSubmitted(batch()),
        Event::BatchStarted(batch()),
        Event::BatchCompleted(batch()),
        Event::OutputOperationStarted(output()),
        Event::OutputOperationCompleted(output()),
        Event::StageCompleted(stage()),
        Event::OperatorsSampled(SampleInfo {
            batch_time: time(2000),
            partition: 3,
            rows: 7,
            operators: vec![OperatorSample { node: NodeId(3), role: "apply", time: Duration::from_micros(5) }],
        }),
        Event::TaskRetried { task, reason: name(), retry_in: Duration::from_millis(800) },
        Event::AccumulatorsUpdated { batch: time(2000), accumulators: accumulators() },
        Event::DataSpilled { batch: time(2000), bytes: 9 },
        Event::FallingBehind(lag()),
        Event::CaughtUp(lag()),
        Event::EventsDropped { count: 3 },
        Event::StreamingStopped { time: time(9000), error: None },
    ]
}

fn parsed(event: &Event) -> Value {
    let line = json_line(time(5000), RunId::FIRST, event);
    assert_eq!(line.matches('\n').count(), 1, "{line}");
    serde_json::from_str(&line).unwrap()
}

#[test]
fn a_line_has_the_fields_of_its_event() {
    let output = json!({
        "batch_time_ms": 2000, "id": 1, "name": "counts", "description": "`counts` (print, node 4)",
        "start_time_ms": 2003, "end_time_ms": 2004, "duration_ms": 1.25, "driver_time_ms": 0.3, "failure_reason": "a \"reason\"\n",
    });
    let batch_line = json!({
        "time_ms": 5000, "event": "BatchStarted",
        "batch": {
            "batch_time_ms": 2000, "num_records": 7,
            "inputs": [{ "stream_id": 0, "name": "lines", "num_records": 7, "description": "/in/a" }],
            "submission_time_ms": 2001, "processing_start_time_ms": 2002, "processing_end_time_ms": null,
            "scheduling_delay_ms": 1.5, "processing_time_ms": null, "total_delay_ms": null,
            "output_operations": [output],
        },
    });
    assert_eq!(parsed(&Event::BatchStarted(batch())), batch_line);
    let stage_line = json!({
        "time_ms": 5000, "event": "StageCompleted",
        "stage": {
            "batch_time_ms": 2000, "stage_id": 1,
            "operators": [{ "node": 3, "name": null, "kind": "map", "role": "apply" }],
            "inputs": [{ "kind": "source", "node": 0, "rows": 7 }],
            "output": { "kind": "shuffle", "node": 4, "rows": 5 },
            "rows_read": 7, "rows_written": 5, "bytes_read": 120, "bytes_written": 80, "shuffle_bytes_written": 80, "num_tasks": 2,
            "submission_time_ms": 2002, "completion_time_ms": 2003, "duration_ms": 1.0, "task_time_ms": 2.0,
            "plugin_time_ms": 1.5, "plugin_calls": 6, "plugin_memory_bytes": 65536,
            "failure_reason": null,
            "tasks": [{
                "partition": 3, "attempts": 2, "start_time_ms": 2002, "duration_ms": 0.9, "task_time_ms": 0.8,
                "plugin_time_ms": 0.7, "rows_read": 7, "rows_written": 5, "bytes_read": 120, "bytes_written": 80,
                "failure_reason": null,
            }],
        },
    });
    assert_eq!(parsed(&Event::StageCompleted(stage())), stage_line);
    let error_line = json!({
        "time_ms": 5000, "event": "ReceiverError", "retry_in_ms": 2000,
        "receiver": {
            "stream_id": 0, "name": "lines", "active": false, "location": "driver", "last_error_message": "refused",
            "last_error_time_ms": 1500,
        },
    });
    assert_eq!(parsed(&events()[2]), error_line);
}

/// All names of members, at any depth.
fn members(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| {
            names.insert(name.clone());
            members(value, names);
        }),
        Value::Array(values) => values.iter().for_each(|value| members(value, names)),
        _ => {}
    }
}

/// The document names every event and every member, so that no event or member is added without documentation.
#[test]
fn every_event_and_every_member_is_documented() {
    let document = include_str!("../../../../docs/events.md");
    let mut names = BTreeSet::new();
    for event in events() {
        let line = parsed(&event);
        names.insert(line["event"].as_str().unwrap().to_owned());
        assert!(event.to_string().starts_with(line["event"].as_str().unwrap()), "{event}");
        members(&line, &mut names);
    }
    let missing: Vec<&String> = names.iter().filter(|name| !document.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/events.md does not tell of {missing:?}");
}

/// A file that takes only a limited number of bytes until it is given more room.
#[derive(Clone)]
struct Small(Arc<Mutex<(Vec<u8>, usize)>>);

impl io::Write for Small {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self.0.lock().unwrap();
        let count = bytes.len().min(file.1);
        file.1 -= count;
        file.0.extend_from_slice(&bytes[..count]);
        if count == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(count) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_full_disk_does_not_take_is_counted_when_there_is_room_again() {
    let file = Small(Arc::new(Mutex::new((Vec::new(), 1000))));
    let mut log =
        EventLog { name: "events".to_owned(), file: Box::new(file.clone()), lines: Vec::new(), count: 0, lost: 0 };
    let done = Event::BatchCompleted(batch());
    for at in 0..4 {
        log.on_event(time(at), RunId::FIRST, &Event::LineCutOff { source: "lines".to_owned() });
        log.on_event(time(at), RunId::FIRST, &done);
        if at == 2 {
            file.0.lock().unwrap().1 = 10_000;
        }
    }
    let text = String::from_utf8(file.0.lock().unwrap().0.clone()).unwrap();
    let lines: Vec<Option<Value>> = text.lines().map(|line| serde_json::from_str(line).ok()).collect();
    let at = |line: &Option<Value>| Some((line.as_ref()?["time_ms"].as_u64()?, line.as_ref()?["count"].as_u64()));
    // The second batch was cut off at some point. The third batch was not written at all.
    let told: Vec<_> = lines.iter().filter_map(at).filter(|(time, count)| *time != 1 || count.is_some()).collect();
    assert_eq!(told, [(0, None), (0, None), (3, Some(4)), (3, None), (3, None)]);
}

/// The events of the first run do not name it.
#[test]
fn a_line_names_the_run_beside_the_first_one() {
    let run_id = |run| {
        let line = json_line(time(5000), run, &Event::LineCutOff { source: "lines".to_owned() });
        let line: Value = serde_json::from_str(&line).unwrap();
        line.get("run_id").cloned()
    };
    assert_eq!(run_id(RunId::FIRST), None);
    assert_eq!(run_id(RunId(2)), Some(json!(2)));
}

#[test]
fn a_file_is_written_when_a_batch_is_done() {
    let simulation = Simulation::new(0, time(0));
    simulation.file("/logs/old", "old");
    let env = simulation.env();
    let mut log = EventLog::create(&*env.disk, Path::new("/logs/old")).unwrap();
    let lines = || simulation.files()[Path::new("/logs/old")].iter().filter(|byte| **byte == b'\n').count();
    let steps: Vec<usize> = events()
        .iter()
        .map(|event| {
            log.on_event(time(0), RunId::FIRST, event);
            lines()
        })
        .collect();
    assert_eq!(steps, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 25, 26]);
    assert_eq!(
        EventLog::create(&*env.disk, Path::new("/nowhere/file")).err().map(|e| e.kind()),
        Some(io::ErrorKind::NotFound)
    );
}
