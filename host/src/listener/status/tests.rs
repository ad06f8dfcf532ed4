//! The status of a job, from events in the order of a run.

use super::super::{AccumulatorInfo, RecoveryInfo, StreamInputInfo};
use super::*;
use crate::env::Simulation;

fn batch(at: u64, delay_ms: u64) -> BatchInfo {
    let input = StreamInputInfo { stream_id: 0, name: "lines".to_owned(), num_records: 10, description: None };
    BatchInfo {
        batch_time: Time::from_ms(at),
        inputs: [(0, input)].into(),
        submission_time: Time::from_ms(at),
        processing_start_time: None,
        processing_end_time: None,
        scheduling_delay: Some(Duration::from_millis(delay_ms)),
        processing_delay: Some(Duration::from_millis(delay_ms * 2)),
        output_operations: [].into(),
    }
}

fn listener() -> StatusListener {
    let simulation = Simulation::new(0, Time::from_ms(77));
    StatusListener::new(simulation.env().clock, "job", Some(5))
}

fn started() -> Event {
    Event::StreamingStarted { job: "job".to_owned(), time: Time::from_ms(80), batch_interval: Duration::from_secs(1) }
}

/// S14.02 to S14.05
#[test]
fn batches_and_receivers_are_summed_up() {
    let listener = listener();
    assert_eq!((listener.status().state, listener.status().since_ms), (RunState::Starting, 77));
    listener.on_event(&started());
    [1, 2, 3].iter().for_each(|at| listener.on_event(&Event::BatchSubmitted(batch(at * 1000, 0))));
    listener.on_event(&Event::BatchCompleted(batch(1000, 10)));
    listener.on_event(&Event::BatchCompleted(batch(2000, 30)));
    for value in [3, 7] {
        let value = AccumulatorValue::long(value, 2);
        let accumulators = vec![AccumulatorInfo { name: "n".to_owned(), value }];
        listener.on_event(&Event::AccumulatorsUpdated { batch: Time::from_ms(2000), accumulators });
    }
    let info = ReceiverInfo {
        stream_id: 0,
        name: "lines".to_owned(),
        active: false,
        location: "driver".to_owned(),
        last_error_message: Some("gone".to_owned()),
        last_error_time: Some(Time::from_ms(5)),
    };
    listener.on_event(&Event::ReceiverError { receiver: info.clone(), retry_in: None });
    let status = listener.status();
    assert_eq!((status.state, status.batch_interval_ms), (RunState::Running, Some(1000)));
    assert_eq!((status.batches_completed, status.last_batch_ms, status.pending), (2, Some(2000), 1));
    assert_eq!(status.pending_ms, [3000]);
    assert_eq!(status.scheduling_delay, Some(Delay { last_ms: 30.0, average_ms: 20.0 }));
    assert_eq!(status.processing_time, Some(Delay { last_ms: 60.0, average_ms: 40.0 }));
    assert_eq!(status.accumulators, BTreeMap::from([("n".to_owned(), AccumulatorValue::long(7, 2))]));
    assert_eq!(status.records, BTreeMap::from([("lines".to_owned(), 20)]));
    assert_eq!(status.receivers[0].last_error.as_deref(), Some("gone"));
    assert!(!status.receivers[0].active && status.checkpoint.is_none());
    listener.stopping();
    assert_eq!(listener.status().state, RunState::Stopping);
    listener.on_event(&Event::StreamingStopped { time: Time::from_ms(9), error: None });
    assert_eq!(listener.status().state, RunState::Stopped);
    // The status that is written is the status that is read.
    let text = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
    assert_eq!(serde_json::from_str::<Status>("{\"novel\": 1}").unwrap(), Status::default());
}

#[test]
fn a_job_recovers_until_all_has_run_again() {
    let listener = listener();
    listener.on_event(&started());
    listener.on_event(&Event::CheckpointOpened { run: "ab-1".to_owned(), epoch: 3 });
    let rerun = vec![Time::from_ms(1000), Time::from_ms(2000)];
    let info = RecoveryInfo { run: "ab-1".to_owned(), zero: Time::default(), restored: 1, rerun, missed: 0 };
    listener.on_event(&Event::RecoveryStarted(info));
    for (at, state) in [(1000, RunState::Recovering), (2000, RunState::Running)] {
        listener.on_event(&Event::BatchSubmitted(batch(at, 0)));
        assert_eq!(listener.status().state, RunState::Recovering);
        listener.on_event(&Event::BatchCompleted(batch(at, 0)));
        assert_eq!(listener.status().state, state);
    }
    assert_eq!((listener.status().run.as_deref(), listener.status().epoch), (Some("ab-1"), Some(3)));
}

#[test]
fn trouble_with_checkpoints_is_told_until_it_is_over() {
    let listener = listener();
    let what = "a checkpoint".to_owned();
    listener.on_event(&Event::CheckpointWritten { time: Time::from_ms(9) });
    listener.on_event(&Event::CheckpointFailed { what: what.clone(), error: "full".to_owned() });
    let told = listener.status().checkpoint.unwrap();
    assert_eq!(told.written_ms, Some(9));
    assert_eq!(told.failing[&what], CheckpointTrouble { since_ms: 77, error: "full".to_owned() });
    listener.on_event(&Event::CheckpointResumed { what });
    assert_eq!(listener.status().checkpoint.unwrap().failing, BTreeMap::new());
}
