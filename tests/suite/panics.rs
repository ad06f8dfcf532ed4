//! Defects of the host: a panic at any place ends the run, is reported once, and loses no data.

use super::support::simulated::{Death, Job, Outcome};
use host::engine::{FaultInjector, FaultPoint};
use host::ids::TaskId;
use host::listener::{Event, StreamingListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Makes a job that gives up batches that fail. The batch of a defect is not given up.
fn job() -> Job {
    let queue: String = (0..6).map(|batch| format!("[\"a{batch} b\", \"c\"]\n")).collect();
    let job = Job::on_queue("recoverable", &(queue + &"[]\n".repeat(8)));
    job.with_checkpoint().with_job_keys("on_error = \"continue\"")
}

type IsHit = fn(&Event) -> bool;

/// Panics at the n-th of its calls that match.
struct Careless {
    calls_left: AtomicUsize,
    is_hit: IsHit,
}

impl Careless {
    fn count_down(&self) {
        let left = self.calls_left.load(Ordering::Relaxed);
        if left > 0 {
            self.calls_left.store(left - 1, Ordering::Relaxed);
            assert!(left > 1, "on purpose");
        }
    }
}

impl StreamingListener for Careless {
    fn on_event(&self, event: &Event) {
        if (self.is_hit)(event) {
            self.count_down();
        }
    }
}

/// The attempt at a task panics.
impl FaultInjector for Careless {
    fn fails(&self, _: TaskId, _: u32, point: FaultPoint) -> bool {
        if point == FaultPoint::BeforeCommit {
            self.count_down();
        }
        false
    }
}

fn told(outcome: &Outcome) -> Vec<&str> {
    let lines = outcome.log.iter().filter_map(|line| line.split_once(" HostPanicked"));
    lines.map(|(_, told)| told.trim_start()).collect()
}

/// Requires that every file is the same as without the panic, and that the panic was reported once.
fn nothing_is_lost(job: &Job, what: &str) {
    let plain = self::job().run();
    assert_eq!(plain.result, Ok(()));
    let outcome = job.run_through(&[Death::ByPanic]);
    assert_eq!((&outcome.result, &outcome.saved), (&Ok(()), &plain.saved), "{what}: {:#?}", outcome.log);
    let told = told(&outcome);
    assert_eq!(told.len(), 1, "{what}: {told:?}");
    let (batch, rest) = told[0].split_once(": ").expect("it names a batch");
    assert!(batch.ends_with('Z'), "{what}: {}", told[0]);
    assert!(rest.contains(" panicked at tests/suite/panics.rs:") && rest.ends_with(": on purpose"), "{what}: {rest}");
}

/// A task that panics is not treated as a task that fails: its batch runs again.
#[test]
fn the_batch_of_a_task_that_panics_runs_again() {
    for calls in [1, 4, 9] {
        let careless = Careless { calls_left: AtomicUsize::new(calls), is_hit: |_| false };
        let job = job().with_faults(careless);
        nothing_is_lost(&job, &format!("call {calls}"));
        let careless = Careless { calls_left: AtomicUsize::new(calls), is_hit: |_| false };
        let ended = self::job().with_faults(careless).run().result.expect_err("it panics");
        assert!(ended.message.starts_with("defect of the host, at batch "), "{ended}");
        assert!(ended.message.contains("Z: the task of stage "), "{ended}");
        assert!(ended.help.is_some_and(|help| help.contains("does not count as done: start the job again")));
    }
}

/// Listeners are called where events happen: in each actor, on the engine, and in the background.
#[test]
fn a_panic_of_any_actor_ends_the_run_and_loses_nothing() {
    let hits: [(&str, IsHit); 6] = [
        ("the batch clock", |event| matches!(event, Event::BatchSubmitted(_))),
        ("the scheduler", |event| matches!(event, Event::BatchStarted(_))),
        ("an output", |event| matches!(event, Event::OutputOperationCompleted(_))),
        ("a stage", |event| matches!(event, Event::StageCompleted(_))),
        ("the end of a batch", |event| matches!(event, Event::BatchCompleted(_))),
        ("the checkpoint writer", |event| matches!(event, Event::CheckpointWritten { .. })),
    ];
    for (what, is_hit) in hits {
        for calls in [2, 5] {
            let mut job = job();
            job.listeners = vec![Arc::new(Careless { calls_left: AtomicUsize::new(calls), is_hit })];
            nothing_is_lost(&job, &format!("{what}, call {calls}"));
        }
    }
}
