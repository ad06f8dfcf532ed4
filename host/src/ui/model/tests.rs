//! Models of jobs whose events come in the order of a run, and of jobs whose events are partly lost.

use super::*;
use crate::ids::{StageId, TaskId};
use crate::listener::{
    LagInfo, OperatorSample, OutputOperationInfo, PluginUse, ReceiverInfo, RunState, SampleInfo, StageInfo,
    StageOperator, StageRows, StreamInputInfo, TaskInfo,
};
use crate::time::Duration;
use proptest::prelude::*;

fn batch(number: u64, failure: Option<&str>) -> BatchInfo {
    let time = Time::from_ms(number * 1000);
    let input = |id: u32, records| {
        let name = format!("source-{id}");
        (id, StreamInputInfo { stream_id: id, name, num_records: records, description: None })
    };
    let output = OutputOperationInfo {
        batch_time: time,
        id: 0,
        name: "counts".to_owned(),
        description: "print".to_owned(),
        start_time: Some(time),
        end_time: Some(time),
        duration: Some(Duration::from_millis(7)),
        driver: PluginUse { time: Duration::from_millis(2), ..PluginUse::default() },
        failure_reason: failure.map(str::to_owned),
    };
    BatchInfo {
        batch_time: time,
        inputs: [input(0, number), input(1, 3)].into(),
        submission_time: time,
        processing_start_time: Some(time),
        processing_end_time: Some(time),
        scheduling_delay: Some(Duration::from_millis(2)),
        processing_delay: Some(Duration::from_millis(7)),
        output_operations: [(0, output)].into(),
    }
}

fn waiting(number: u64) -> BatchInfo {
    let whole = batch(number, None);
    BatchInfo {
        processing_start_time: None,
        processing_end_time: None,
        scheduling_delay: None,
        processing_delay: None,
        output_operations: [].into(),
        ..whole
    }
}

fn stage(number: u64) -> StageInfo {
    let operator = StageOperator {
        node: crate::ids::NodeId(4),
        name: Some("parse".to_owned()),
        kind: "flat_map".to_owned(),
        role: "apply",
    };
    let rows = |kind, rows| StageRows { kind, node: crate::ids::NodeId(1), rows };
    StageInfo {
        batch_time: Time::from_ms(number * 1000),
        stage_id: StageId(0),
        operators: vec![operator],
        inputs: vec![rows("source", 5)],
        output: rows("shuffle", 9),
        bytes_read: 50,
        bytes_written: 100,
        shuffle_bytes_written: 100,
        num_tasks: 2,
        submission_time: Time::from_ms(number * 1000),
        completion_time: Time::from_ms(number * 1000 + 4),
        duration: Duration::from_millis(4),
        task_time: Duration::from_millis(6),
        plugin: PluginUse { time: Duration::from_millis(3), calls: 8, memory_bytes: 1000 + number },
        failure_reason: None,
        tasks: vec![task(number, 0), task(number, 1)],
    }
}

fn task(number: u64, partition: u32) -> TaskInfo {
    TaskInfo {
        partition,
        attempts: 1 + partition,
        start_time: Time::from_ms(number * 1000 + 1),
        duration: Duration::from_millis(4),
        task_time: Duration::from_millis(3),
        rows_read: 2,
        rows_written: 4,
        bytes_read: 25,
        bytes_written: 50,
        plugin: PluginUse { time: Duration::from_micros(1500), calls: 4, memory_bytes: 1000 },
        failure_reason: None,
    }
}

fn sample(node: u32, role: &'static str, us: u64) -> Event {
    let time = Duration::from_micros(us);
    let operators = vec![OperatorSample { node: crate::ids::NodeId(node), role, time }];
    Event::OperatorsSampled(SampleInfo { batch_time: Time::from_ms(1000), partition: 0, rows: 10, operators })
}

fn model() -> Model {
    let mut model = Model::new(Time::from_ms(500), "job", Some(7));
    let (job, time, batch_interval) = ("job".to_owned(), Time::from_ms(600), Duration::from_secs(1));
    hear(&mut model, &Event::StreamingStarted { job, time, batch_interval });
    model
}

fn hear(model: &mut Model, event: &Event) {
    model.hear(Time::from_ms(5000), RunId::FIRST, event);
}

#[test]
fn a_batch_is_shown_from_its_submission_to_its_end() {
    let mut model = model();
    hear(&mut model, &Event::BatchSubmitted(waiting(1)));
    let status = |model: &Model| model.batches.find(1000).map(Batch::status);
    assert_eq!(status(&model), Some(BatchStatus::Queued));
    hear(&mut model, &Event::BatchStarted(BatchInfo { processing_delay: None, ..batch(1, None) }));
    assert_eq!(status(&model), Some(BatchStatus::Processing));
    hear(&mut model, &Event::StageCompleted(stage(1)));
    let task = TaskId { run: RunId::FIRST, batch: Time::from_ms(1000), stage: StageId(0), partition: 1 };
    let retry_in = Duration::ZERO;
    hear(&mut model, &Event::TaskRetried { task, reason: "the server is away".to_owned(), retry_in });
    hear(&mut model, &Event::DataSpilled { batch: Time::from_ms(1000), bytes: 77 });
    hear(&mut model, &Event::BatchCompleted(batch(1, Some("a trap"))));
    assert_eq!(status(&model), Some(BatchStatus::Completed));
    let found = model.batches.find(1000).unwrap();
    assert_eq!((found.records(), found.spilled_bytes, found.total_us()), (4, 77, Some(9000)));
    assert_eq!((found.stages.len(), found.retries.len(), found.failed().count()), (1, 1, 1));
    let known = model.stages.find(0, 0).unwrap();
    assert_eq!((known.label().as_str(), known.rows_read(), known.output.rows, known.retries), ("parse", 5, 9, 1));
    assert_eq!((known.plugin_us, known.plugin_calls, known.plugin_memory_bytes), (3000, 8, 1001));
    assert_eq!(found.stages[0].work.plugin_us, 3000);
    let tasks: Vec<_> =
        found.tasks.iter().map(|task| (task.stage, task.partition, task.attempts, task.work.plugin_us)).collect();
    assert_eq!(tasks, [(0, 0, 1, 1500), (0, 1, 2, 1500)]);
    assert_eq!((found.outputs[0].driver_us, model.outputs[&0].driver_us), (2000, 2000));
    assert_eq!((model.totals.batches_done, model.totals.batches_failed, model.totals.records_processed), (1, 1, 4));
    let notes: Vec<_> = model.notes.newest().map(|note| note.text.as_str()).collect();
    assert!(notes[0].ends_with("output counts failed: a trap"), "{notes:?}");
}

/// Half of the time in tasks is that of the plugin, and operators share that half by their samples.
#[test]
fn the_time_of_a_stage_is_divided_by_samples() {
    let mut model = model();
    // The sample of the first task comes before the end of its stage.
    hear(&mut model, &sample(4, "apply", 40));
    let mut info = stage(1);
    let second = StageOperator { node: crate::ids::NodeId(5), name: None, kind: "map".to_owned(), role: "apply" };
    info.operators.push(second);
    hear(&mut model, &Event::StageCompleted(info));
    let known = |model: &Model| model.stages.find(0, 0).unwrap().clone();
    assert_eq!(known(&model).parts(1000), [((4, "parse".to_owned()), 500), ((5, "map".to_owned()), 0)]);
    let mut other = self::model();
    hear(&mut other, &Event::StageCompleted(stage(2)));
    let other = known(&other);
    assert_eq!((other.share(&other.operators[0]), other.parts(1000)), (None, vec![((4, "parse".to_owned()), 1000)]));
    for told in [sample(4, "apply", 50), sample(5, "apply", 10), sample(5, "reduce", 1000)] {
        hear(&mut model, &told);
    }
    assert_eq!(known(&model).parts(1000), [((4, "parse".to_owned()), 450), ((5, "map".to_owned()), 50)]);
    assert_eq!(known(&model).operators[0].sampled_rows, 20);
}

#[test]
fn the_job_is_behind_until_it_has_caught_up() {
    let mut model = model();
    let lag = LagInfo {
        batch_time: Time::from_ms(1000),
        scheduling_delay: Duration::from_secs(2),
        growth: Duration::ZERO,
        processing_delay_average: Duration::from_secs(1),
        batch_interval: Duration::from_secs(1),
    };
    hear(&mut model, &Event::FallingBehind(lag.clone()));
    assert_eq!(model.behind_since_ms, Some(5000));
    hear(&mut model, &Event::CaughtUp(lag));
    assert_eq!(model.behind_since_ms, None);
}

#[test]
fn errors_of_receivers_are_counted() {
    let mut model = model();
    let receiver = ReceiverInfo {
        stream_id: 0,
        name: "source-0".to_owned(),
        active: false,
        location: "driver".to_owned(),
        last_error_message: Some("gone".to_owned()),
        last_error_time: Some(Time::from_ms(5)),
    };
    for _ in 0..3 {
        hear(&mut model, &Event::ReceiverError { receiver: receiver.clone(), retry_in: Some(Duration::from_secs(2)) });
    }
    assert_eq!(model.sources[&0].errors, 3);
    assert_eq!(model.notes.newest().next().map(|note| note.count), Some(3));
    assert_eq!(model.summary.told(false).receivers.len(), 1);
    hear(&mut model, &Event::StreamingStopped { time: Time::from_ms(9), error: Some("no more".to_owned()) });
    assert_eq!((model.ended_ms, model.summary.told(false).state), (Some(9), RunState::Stopped));
}

proptest! {
    /// Whichever events are lost: the totals are the sums of the batches that were heard of, and no batch that is done is
    /// still shown as waiting.
    #[test]
    fn totals_are_the_sums_of_what_was_heard(heard in prop::collection::vec(any::<(bool, bool, bool, bool)>(), 1..200)) {
        let mut model = model();
        let (mut done, mut records, mut last) = (0, 0, 0);
        for (number, (submitted, started, staged, completed)) in heard.iter().enumerate() {
            let number = number as u64 + 1;
            let events = [
                (submitted, Event::BatchSubmitted(waiting(number))),
                (started, Event::BatchStarted(BatchInfo { processing_delay: None, ..batch(number, None) })),
                (staged, Event::StageCompleted(stage(number))),
                (completed, Event::BatchCompleted(batch(number, None))),
            ];
            events.iter().filter(|(is_heard, _)| **is_heard).for_each(|(_, event)| hear(&mut model, event));
            if *completed {
                (done, records, last) = (done + 1, records + number + 3, number * 1000);
            }
        }
        prop_assert_eq!((model.totals.batches_done, model.totals.records_processed), (done, records));
        prop_assert_eq!(model.sources.values().map(|source| source.processed).sum::<u64>(), records);
        prop_assert!(model.batches.undone().all(|batch| batch.time_ms > last));
        prop_assert_eq!(model.batches.done().len() as u64, done);
        prop_assert_eq!(model.totals.total.counts.iter().sum::<u64>(), done);
        prop_assert_eq!(model.history.newest(0).map(|slot| slot.batches).sum::<u64>(), done);
    }
}
