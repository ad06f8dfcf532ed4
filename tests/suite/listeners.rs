//! Listeners of a Rust program that embeds the host.

use super::support::simulated::{Job, START};
use host::env::Connection;
use host::listener::{Event, StreamingListener};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Sums up the events that it gets, as a program would.
#[derive(Default)]
struct Totals {
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    events: Vec<Event>,
    records: BTreeMap<String, u64>,
    is_active: bool,
    errors: Vec<String>,
}

impl StreamingListener for Totals {
    fn on_event(&self, event: &Event) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::BatchCompleted(info) => {
                for input in info.inputs.values() {
                    *heard.records.entry(input.name.clone()).or_default() += input.num_records;
                }
            }
            Event::ReceiverStarted(receiver) | Event::ReceiverStopped(receiver) => heard.is_active = receiver.active,
            Event::ReceiverError { receiver, .. } => {
                heard.is_active = receiver.active;
                heard.errors.extend(receiver.last_error_message.clone());
            }
            _ => {}
        }
        heard.events.push(event.clone());
    }
}

/// S14.07: a program's own listener gets the states and errors of receivers, and the records and delays of batches.
#[test]
fn a_listener_hears_of_receivers_and_batches() {
    let line = |delay_ms, text: &str| (Duration::from_millis(delay_ms), text.as_bytes().to_vec());
    let first = Connection { sends: vec![line(100, "a b\nb\n")], stays_open: false };
    let second = Connection { sends: vec![line(100, "c\n")], stays_open: true };
    let mut job = Job::on_queue("network_word_count", "");
    job.job_file = "[job]\nname = \"sockets\"\nbatch_interval = \"1s\"\n\n[sources.lines]\ntype = \"socket\"\naddress = \"server:9999\"\n".to_owned();
    job.servers = vec![("server:9999".to_owned(), vec![first, second])];
    job.stop_after = Some(6);
    let totals = Arc::new(Totals::default());
    job.listeners = vec![totals.clone()];
    let outcome = job.run();
    assert_eq!(outcome.result, Ok(()));
    let heard = totals.heard.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(heard.records, [("lines".to_owned(), 3)].into());
    assert_eq!(
        (heard.is_active, heard.errors.as_slice()),
        (false, &["server:9999 closed the connection".to_owned()][..])
    );
    let names: Vec<String> =
        heard.events.iter().map(|e| e.to_string().split([' ', ':']).next().unwrap_or_default().to_owned()).collect();
    let count = |name: &str| names.iter().filter(|other| *other == name).count();
    let per_batch =
        ["BatchSubmitted", "BatchStarted", "OutputOperationStarted", "OutputOperationCompleted", "BatchCompleted"];
    assert_eq!(per_batch.map(count), [6; 5]);
    assert_eq!(
        ["StreamingStarted", "ReceiverStarted", "ReceiverError", "ReceiverStopped", "StreamingStopped"].map(count),
        [1, 2, 1, 1, 1]
    );
    assert_eq!(count("StageCompleted"), 12);
    let Some(Event::StreamingStarted { job, time, .. }) = heard.events.first() else { panic!("{names:?}") };
    assert_eq!((job.as_str(), *time), ("sockets", START));
    assert!(matches!(heard.events.last(), Some(Event::StreamingStopped { error: None, .. })));
}

/// The number of records of files comes with the batch that read the files. The paths of the files come earlier.
#[test]
fn a_listener_hears_of_files() {
    let mut job = Job::on_queue("network_word_count", "");
    job.job_file =
        "[job]\nname = \"files\"\nbatch_interval = \"1s\"\n\n[sources.lines]\ntype = \"text-files\"\npath = \"in\"\n"
            .to_owned();
    let at = |ms| START + Duration::from_millis(ms);
    job.files = vec![("in/.hidden".to_owned(), String::new())];
    job.appearing = vec![(at(100), at(100), "in/a".to_owned(), "one\ntwo\n".to_owned())];
    job.stop_after = Some(2);
    let totals = Arc::new(Totals::default());
    job.listeners = vec![totals.clone()];
    assert_eq!(job.run().result, Ok(()));
    let heard = totals.heard.lock().unwrap_or_else(PoisonError::into_inner);
    let inputs = |is: &dyn Fn(&Event) -> Option<host::listener::BatchInfo>| -> Vec<(u64, Option<String>)> {
        let batches = heard.events.iter().filter_map(is);
        batches.map(|batch| (batch.inputs[&0].num_records, batch.inputs[&0].description.clone())).collect()
    };
    let path = Some("/jobs/in/a".to_owned());
    let submitted = inputs(&|event| if let Event::BatchSubmitted(info) = event { Some(info.clone()) } else { None });
    assert_eq!(submitted, [(0, path.clone()), (0, None)]);
    let completed = inputs(&|event| if let Event::BatchCompleted(info) = event { Some(info.clone()) } else { None });
    assert_eq!(completed, [(2, path), (0, None)]);
}
