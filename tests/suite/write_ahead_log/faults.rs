//! Failures around the write-ahead log while the host lives: receivers and tasks that fail, errors of the disk, and files
//! of the log that somebody removes.

use super::*;
use host::engine::{FaultInjector, FaultPoint};
use host::env::Disk;
use host::ids::TaskId;
use host::listener::Event;
use std::path::Path;

/// The first two attempts at one task in three fail.
struct FailingTasks;

impl FaultInjector for FailingTasks {
    fn fails(&self, task: TaskId, attempt: u32, point: FaultPoint) -> bool {
        let picked = task.batch.as_ms() / 1000 + u64::from(task.partition);
        attempt < 2 && point == FaultPoint::BeforeCommit && picked.is_multiple_of(3)
    }
}

/// A receiver like [`Reliable`] that fails around some numbers, once around each: before it stores the number, or before
/// it acknowledges the number. It fails with an error, or panics.
struct Failing {
    source: Arc<Mutex<Source>>,
    failed_at: Arc<Mutex<BTreeSet<(u64, bool)>>>,
}

impl Failing {
    fn fails(&self, number: u64, is_stored: bool) -> Result<(), ReceiverError> {
        let is_first = self.failed_at.lock().unwrap_or_else(PoisonError::into_inner).insert((number, is_stored));
        let (panics_at, errs_at) = if is_stored { (1, 5) } else { (3, 7) };
        assert!(!is_first || number % 8 != panics_at, "on purpose");
        if is_first && number % 8 == errs_at { Err(ReceiverError::new("lost")) } else { Ok(()) }
    }
}

#[async_trait]
impl Receiver for Failing {
    async fn run(&mut self, context: &ReceiverContext) -> Result<(), ReceiverError> {
        let source = || self.source.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let (acknowledged, numbers) = {
                let source = source();
                (source.acknowledged, source.numbers)
            };
            if acknowledged == numbers {
                context.stopped().await;
            }
            if context.is_stopped() {
                return Ok(());
            }
            let next = acknowledged + 1;
            context.sleep(Duration::from_millis(70)).await;
            self.fails(next, false)?;
            context.store_lines(&[format!("n{next} w{}", next % 5)]).await?;
            self.fails(next, true)?;
            source().acknowledged = next;
        }
    }
}

/// Tasks and receivers fail all the time. Each number is there, and only those are there twice that were stored and could
/// not be acknowledged.
fn check_failing_workers(tables: &str) {
    const NUMBERS: u64 = 60;
    for seed in 0..4 {
        let (mut job, source) = reliable_job(NUMBERS);
        job.job_file = job.job_file.replace(LOG, tables);
        let failed_at: Arc<Mutex<BTreeSet<(u64, bool)>>> = Arc::default();
        let (of_receiver, failed) = (source.clone(), failed_at.clone());
        job.receivers = Receivers::default().with("reliable", move |_| {
            Ok(Box::new(Failing { source: of_receiver.clone(), failed_at: failed.clone() }))
        });
        job.stop_after = Some(24);
        let outcome = job.with_seed(seed).with_faults(FailingTasks).run();
        assert_eq!((&outcome.result, lost(&outcome)), (&Ok(()), vec![]), "seed {seed}: {:#?}", outcome.log);
        assert!(outcome.retries > 10, "{}", outcome.retries);
        let panics = outcome.log.iter().filter(|line| line.contains("the receiver panicked: on purpose")).count();
        assert!(panics > 0, "{:#?}", outcome.log);
        check_windows_and_state(&outcome);
        assert_eq!(source.lock().unwrap_or_else(PoisonError::into_inner).acknowledged, NUMBERS);
        let expected = (1..=NUMBERS).map(|number| (number, if matches!(number % 8, 1 | 5) { 2 } else { 1 }));
        assert_eq!(numbers(&outcome), expected.collect(), "seed {seed}");
    }
}

/// S16.18: without the log, failing tasks and receivers lose nothing that a reliable receiver brings.
#[test]
fn without_the_log_failing_workers_lose_nothing() {
    check_failing_workers("");
}

/// S16.20: the same with the log.
#[test]
fn with_the_log_failing_workers_lose_nothing() {
    check_failing_workers(LOG);
}

/// Whichever operation on the log fails, in the middle of a segment or between two, the block is written again to another
/// segment. Nothing is lost or doubled, also if the machine then loses what a failed sync has left.
#[test]
fn an_error_of_the_disk_in_the_middle_of_a_segment_loses_nothing() {
    let failing = |number| {
        let (mut job, source) = reliable_job(60);
        (job.fails_in, job.fails_at, job.restarts) = ("ingest", number, true);
        (job, source)
    };
    let plain = failing(None).0.run();
    assert_eq!(plain.result, Ok(()));
    assert!(plain.counted_operations > 100, "{}", plain.counted_operations);
    let mut segments = BTreeSet::new();
    for number in (1..=plain.counted_operations).step_by(9) {
        let outcome = failing(Some(number)).0.run();
        assert_eq!((&outcome.result, lost(&outcome)), (&Ok(()), vec![]), "operation {number}: {:#?}", outcome.log);
        check_windows_and_state(&outcome);
        assert!(numbers(&outcome).into_iter().eq((1..=60).map(|number| (number, 1))), "operation {number}");
        segments.insert(outcome.checkpoint.keys().filter(|path| path.contains("/ingest/received-")).count());
        let (job, source) = failing(Some(number));
        let write = plain.writes / 2 + number;
        let outcome = job.run_through(&[Death::AtWrite { write, seed: number }]);
        assert_eq!((&outcome.result, lost(&outcome)), (&Ok(()), vec![]), "operation {number}: {:#?}", outcome.log);
        check_windows_and_state(&outcome);
        let (acknowledged, numbers) = (source.lock().expect("nobody panics").acknowledged, numbers(&outcome));
        assert!((1..=acknowledged).all(|number| numbers.contains_key(&number)), "operation {number}: {numbers:?}");
    }
    assert!(segments.len() > 1, "some segments were given up: {segments:?}");
}

/// Removes a directory after each fourth batch.
fn remove_after_each_fourth(disk: &dyn Disk, event: &Event, directory: &str) {
    if let Event::BatchCompleted(batch) = event
        && (batch.batch_time.as_ms() / 1000).is_multiple_of(4)
    {
        let _ = disk.remove(Path::new(directory));
    }
}

/// The directory of the log is removed under a running job. The job notices this the next time that it writes to the log,
/// and goes on in new files. A host that is killed after that loses none of the records that were received since then.
#[test]
fn a_log_that_is_removed_is_begun_anew() {
    for deaths in [vec![], vec![Death::AfterBatch(7)]] {
        let (mut job, source) = reliable_job(60);
        job.meddles = Some(|disk, event| remove_after_each_fourth(disk, event, "/jobs/checkpoint/ingest"));
        let outcome = job.run_through(&deaths);
        assert_eq!(outcome.result, Ok(()), "{:#?}", outcome.log);
        let is_told = |line: &String| {
            line.contains("CheckpointFailed: cannot write the write-ahead log") && line.contains("was removed")
        };
        assert!(outcome.log.iter().any(is_told), "{:#?}", outcome.log);
        let (acknowledged, numbers) = (source.lock().expect("nobody panics").acknowledged, numbers(&outcome));
        assert!((1..=acknowledged).all(|number| numbers.contains_key(&number)), "{numbers:?} {:#?}", outcome.log);
        if deaths.is_empty() {
            check_windows_and_state(&outcome);
            assert!(numbers.into_values().all(|count| count == 1), "{:#?}", outcome.log);
        }
    }
}

/// If the whole checkpoint directory is removed, nothing is acknowledged any more, and the job ends.
#[test]
fn a_checkpoint_directory_that_is_removed_ends_the_job() {
    let (mut job, source) = reliable_job(60);
    job.meddles = Some(|disk, event| remove_after_each_fourth(disk, event, "/jobs/checkpoint"));
    let outcome = job.run();
    assert!(outcome.error().contains("checkpoint directory"), "{}", outcome.error());
    assert!(source.lock().expect("nobody panics").acknowledged < 60);
}
