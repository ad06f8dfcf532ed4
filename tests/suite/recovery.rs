//! Jobs that die and resume, in a simulated world: machines crash at any write, and disks lose data that was not
//! synced.

use super::support::numbers::{Numbers, given};
use super::support::simulated::{CHECKPOINT, Death, Job, Outcome, START};
use host::context::{CatchUpMode, StartFrom};
use host::engine::{FaultInjector, FaultPoint};
use host::env::Connection;
use host::ids::TaskId;
use host::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::time::Duration;

/// Batches end at whole seconds after this.
const SECOND_0: u64 = 1_000_000_000_000;

/// How many seeds are run, unless `MILLSTREAM_SEEDS` says otherwise.
const SEEDS: u64 = 200;

/// The errors of a disk that cannot be written.
const TROUBLES: [ErrorKind; 4] =
    [ErrorKind::TimedOut, ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem, ErrorKind::PermissionDenied];

/// The lines of a batch.
fn lines(batch: u64) -> Vec<String> {
    (0..batch % 4).map(|line| format!("a{} b{} c", batch % 3, line)).collect()
}

/// Makes a job over a queue of this many batches, the last of them empty. The job runs until all windows have passed.
fn queue_job(batches: u64) -> Job {
    let line = |batch: u64| {
        let lines = if batch + 8 < batches { lines(batch) } else { Vec::new() };
        format!("{lines:?}\n")
    };
    let queue: String = (0..batches).map(line).collect();
    Job::on_queue("recoverable", &queue).with_checkpoint()
}

/// Makes a job over files, each of which was modified in the middle of a batch. The files appear together before the
/// job starts, so that no host has to run when they appear.
fn files_job(batches: u64) -> Job {
    let mut job = Job::on_queue("recoverable", "");
    job.job_file = "[job]\nname = \"files\"\n[sources.lines]\ntype = \"text-files\"\npath = \"in\"\n".to_owned();
    job.files = vec![("in/.keep".to_owned(), String::new())];
    let file = |batch: u64| {
        let text: String = lines(batch).into_iter().map(|line| line + "\n").collect();
        let modified = Time::from_ms(SECOND_0 + batch * 1000 + 600);
        (Time::from_ms(0), modified, format!("in/{batch:03}"), text)
    };
    job.appearing = (0..batches - 8).map(file).collect();
    job.stop_after = Some(batches);
    job.with_checkpoint()
}

/// Fails random attempts at tasks, but no task for good.
struct Unlucky {
    seed: u64,
}

impl FaultInjector for Unlucky {
    fn fails(&self, task: TaskId, attempt: u32, point: FaultPoint) -> bool {
        let late = u64::from(point == FaultPoint::BeforeCommit);
        let place = task.batch.as_ms() ^ u64::from(task.stage.0) << 40 ^ u64::from(task.partition) << 50;
        attempt == 0 && Numbers(self.seed ^ place ^ late).below(8) == 0
    }
}

fn recoveries(outcome: &Outcome) -> Vec<&str> {
    let told = outcome.log.iter().filter_map(|line| line.split_once(" RecoveryStarted "));
    told.filter_map(|(_, told)| told.split_once(": ")).map(|(_, told)| told).collect()
}

/// S10.01 to S10.04, S10.11, S10.12: batches that were not done run again with the same inputs. Windows are filled
/// again from the inputs of batches that were done, and the outputs of these batches do not run again.
#[test]
fn a_job_goes_on_where_it_was() {
    let job = queue_job(14);
    let plain = job.run();
    assert_eq!(plain.result, Ok(()));
    let outcome = job.run_through(&[Death::AfterBatch(7), Death::AfterBatch(1)]);
    assert_eq!((&outcome.result, &outcome.bytes), (&Ok(()), &plain.bytes));
    let told = recoveries(&outcome);
    assert_eq!(told.len(), 2, "{told:?}");
    // The next window of windows needs the inputs of the last four or five batches that are done. One or two batches
    // were not known to be done.
    assert!(told[0].contains("4 batches restored") || told[0].contains("5 batches restored"), "{told:?}");
    let completed = |batch: u64| {
        let line = format!("BatchCompleted {}", Time::from_ms(SECOND_0 + batch * 1000));
        outcome.log.iter().filter(|logged| logged.ends_with(&line)).count()
    };
    assert!((1..=5).all(|batch| completed(batch) == 1), "{:#?}", outcome.log);
}

/// S16.03, S16.08, S16.15, S16.23: the files are the same, whatever dies at any time, and whatever the disk loses.
#[test]
fn outputs_of_a_queue_are_those_of_an_uninterrupted_run() {
    same_under_all_seeds(&queue_job(20), (2, 0));
}

/// S16.15: the same, for a job over files.
#[test]
fn outputs_of_files_are_those_of_an_uninterrupted_run() {
    same_under_all_seeds(&files_job(20), (2, 1));
}

/// The same, for files of any age that exist before the job, and that are removed when nothing needs them any more. A
/// file that is removed too early could not be read again.
#[test]
fn outputs_of_files_that_go_are_those_of_an_uninterrupted_run() {
    let mut job = files_job(20);
    job.job_file.push_str("existing_files = \"read\"\nwhen_done = \"delete\"\n");
    let old = |age: u64| {
        let modified = Time::from_ms(SECOND_0 - age * 50_000);
        (Time::from_ms(0), modified, format!("in/old-{age}"), format!("old{age}\n"))
    };
    job.appearing.extend((0..5).map(old));
    same_under_all_seeds(&job, (10, 4));
}

/// S4.21, S10.05, S10.06, S10.21: the same with state. Snapshots are written after the batches whose state they hold,
/// and the host may die at any of their writes.
#[test]
fn outputs_of_state_are_those_of_an_uninterrupted_run() {
    let args = |job: Job| job.with_job_keys("args = { states = \"all\" }");
    // A run that ends late makes more batches, and saves state in each of them.
    let last = Time::from_ms(SECOND_0 + 20_000);
    same_through(last, &args(queue_job(20)), (4, 1));
    same_through(last, &args(files_job(20)), (4, 2));
}

/// Runs the seeds with this remainder after division by this number. `MILLSTREAM_SEED` chooses one seed.
/// `MILLSTREAM_SEEDS` is the number of seeds, from that seed on or from 0.
fn same_under_all_seeds(job: &Job, seeds: (u64, u64)) {
    same_through(Time::from_ms(u64::MAX), job, seeds);
}

/// The same, for the batches through `last`.
fn same_through(last: Time, job: &Job, (divisor, remainder): (u64, u64)) {
    let through_last = |mut outcome: Outcome| {
        let time = |path: &str| path.split_once('-')?.1.split_once('.')?.0.parse::<u64>().ok();
        outcome.saved.retain(|path, _| time(path).is_none_or(|time| time <= last.as_ms()));
        outcome
    };
    let seed: Option<u64> = given("MILLSTREAM_SEED");
    let count = given("MILLSTREAM_SEEDS").unwrap_or(if seed.is_some() { 1 } else { SEEDS });
    let first = seed.unwrap_or(0);
    let plain = through_last(job.run());
    assert_eq!(plain.result, Ok(()));
    assert!(plain.saved.len() > 30, "{:?}", plain.saved.keys());
    let mut recovered = 0;
    for seed in (first..first + count).filter(|seed| seed % divisor == remainder) {
        let mut numbers = Numbers(seed);
        let deaths: Vec<Death> = (0..numbers.below(6))
            .map(|_| match numbers.below(3) {
                0 => Death::AfterBatch(1 + numbers.below(6) as usize),
                _ => Death::AtWrite { write: 1 + numbers.below(plain.writes), seed: numbers.below(u64::MAX) },
            })
            .collect();
        let mut job = job.clone().with_seed(seed).with_faults(Unlucky { seed });
        if numbers.below(3) == 0 {
            let from = START + Duration::from_millis(numbers.below(15_000));
            let until = from + Duration::from_millis(numbers.below(5000));
            job.unreachable = Some((from, until, TROUBLES[numbers.below(TROUBLES.len() as u64) as usize]));
            job.restarts = true;
        }
        if job.stop_after.take().is_some() {
            // Each life would make this many batches. The last life is asked to stop when all files are done.
            job.stop_at = vec![Time::from_ms(SECOND_0 + 20_100)];
        }
        let outcome = through_last(job.run_through(&deaths));
        let life = format!("MILLSTREAM_SEED={seed} MILLSTREAM_SEEDS=1: {deaths:?}, {:?}", job.unreachable);
        assert_eq!(outcome.result, Ok(()), "{life}\n{:#?}", outcome.log);
        assert_same(&outcome, &plain, &life);
        recovered += recoveries(&outcome).len() as u64;
    }
    assert!(recovered >= count / divisor / 2 || count < SEEDS, "only {recovered} recoveries");
}

/// Requires the same directories with the same files. Late batches without work have no directories. The lock files,
/// which say who writes to a place, may come back if the power fails after the end.
fn assert_same(outcome: &Outcome, plain: &Outcome, life: &str) {
    let with_rows = |outcome: &Outcome| {
        let directory = |path: &str| path.rsplit_once('/').map(|(directory, _)| directory.to_owned());
        let full: Vec<String> =
            outcome.saved.iter().filter(|(_, text)| !text.is_empty()).filter_map(|(path, _)| directory(path)).collect();
        let is_full = |path: &str| {
            !path.contains("/.millstream-owner-") && directory(path).is_some_and(|directory| full.contains(&directory))
        };
        let files: BTreeMap<String, String> =
            outcome.saved.iter().filter(|(path, _)| is_full(path)).map(|(p, t)| (p.clone(), t.clone())).collect();
        files
    };
    assert_eq!(with_rows(outcome), with_rows(plain), "{life}\n{:#?}", outcome.log);
}

/// D13, S10.04: batches whose times passed while no host ran are made. Batches without work cost nothing.
#[test]
fn missed_batches_are_made_up_for() {
    let mut job = files_job(30);
    job.catch_up = CatchUpMode::Limited;
    job.stop_after = None;
    job.stop_at = vec![Time::from_ms(SECOND_0 + 30_100)];
    let plain = job.run();
    job.pause = Some(Duration::from_secs(9));
    let outcome = job.run_through(&[Death::AfterBatch(4)]);
    assert_eq!(outcome.result, Ok(()));
    assert_same(&outcome, &plain, "nine seconds of nobody");
    assert!(recoveries(&outcome)[0].ends_with(" 9 missed"), "{:?}", recoveries(&outcome));
    // No data comes for a long time.
    job.pause = Some(Duration::from_secs(9000));
    job.stop_at = vec![Time::from_ms(SECOND_0 + 9_030_100)];
    let outcome = job.run_through(&[Death::AfterBatch(29)]);
    assert_eq!(outcome.result, Ok(()));
    assert_same(&outcome, &plain, "hours of nobody");
    let skipped = outcome.log.iter().filter(|line| line.contains("BatchesWithoutData")).count();
    let completed = outcome.log.iter().filter(|line| line.contains("BatchCompleted")).count();
    assert!(skipped > 0 && completed < 80, "{skipped} {completed}");
    // A host that goes down right after that does not run these batches one by one either.
    job.pause = Some(Duration::from_secs(4500));
    for write in 1..=8 {
        let outcome = job.run_through(&[Death::AfterBatch(29), Death::AtWrite { write, seed: write }]);
        assert_eq!(outcome.result, Ok(()));
        assert_same(&outcome, &plain, &format!("hours of nobody, and a death at write {write}"));
        let completed = outcome.log.iter().filter(|line| line.contains("BatchCompleted")).count();
        assert!(completed < 120, "{completed}");
    }
}

/// A host that dies while it makes late batches may have recorded that batches without work are passed over, and not have run
/// those before. Windows of batches after them read them as empty.
#[test]
fn batches_that_were_passed_over_are_empty_for_later_windows() {
    let mut job = files_job(38);
    // Lines, nothing for longer than windows reach, and lines again.
    job.appearing.retain(|(_, modified, ..)| {
        let batch = (modified.as_ms() - SECOND_0) / 1000;
        !(4..=20).contains(&batch)
    });
    job.catch_up = CatchUpMode::Limited;
    job.stop_after = None;
    job.stop_at = vec![Time::from_ms(SECOND_0 + 60_100)];
    let plain = job.run();
    job.pause = Some(Duration::from_secs(25));
    job.stop_at = vec![Time::from_ms(SECOND_0 + 120_100)];
    let mut passed = 0;
    let deaths = (1..=3).map(Death::AfterBatch).chain((1..=40).map(|write| Death::AtWrite { write, seed: write }));
    for death in deaths {
        let outcome = job.run_through(&[Death::AfterBatch(1), death, Death::AfterBatch(1)]);
        assert_eq!(outcome.result, Ok(()), "{death:?}");
        assert_same(&outcome, &plain, &format!("{death:?}"));
        let told = outcome.log.iter().filter(|line| line.contains("BatchesWithoutData")).count();
        passed += usize::from(told > 1);
    }
    assert!(passed > 0, "nothing was passed over before a death");
}

/// Late batches count as other batches do: a run that stops after a number of batches makes no more late batches.
#[test]
fn late_batches_are_counted() {
    let mut job = files_job(30);
    job.stop_after = Some(3);
    job.catch_up = CatchUpMode::Limited;
    job.pause = Some(Duration::from_secs(9));
    let outcome = job.run_through(&[Death::AfterBatch(2)]);
    assert_eq!(outcome.result, Ok(()));
    let lives: Vec<&[String]> = outcome.log.split(|line| line.contains("StreamingStarted")).collect();
    let completed = |life: &[String]| -> BTreeSet<String> {
        let told = life.iter().filter_map(|line| line.split_once("BatchCompleted "));
        told.map(|(_, batch)| batch.to_owned()).collect()
    };
    let rerun = lives[2].iter().filter_map(|line| line.split_once("RecoveryStarted")).count();
    assert_eq!((lives.len(), rerun), (3, 1), "{:#?}", outcome.log);
    // A batch that was not known to be done runs again, and does not count.
    let new = &completed(lives[2]) - &completed(lives[1]);
    assert_eq!(new.len(), 3, "{:#?}", outcome.log);
}

/// D13: if too many batches were missed, the host asks what to do, and each answer works.
#[test]
fn too_many_missed_batches_are_a_question() {
    let mut job = files_job(30).with_job_keys("max_catch_up = 100");
    job.pause = Some(Duration::from_secs(1000));
    job.stop_after = Some(3);
    let asked = job.run_through(&[Death::AfterBatch(2)]);
    assert_eq!(
        asked.error(),
        "1000 batches were missed while the job did not run, which is more than job.max_catch_up = 100\n\
         help: --catch-up all makes them all; --catch-up none leaves out those from 2001-09-09T01:46:43Z to 2001-09-09T02:03:22Z"
    );
    job.catch_up = CatchUpMode::None;
    let left_out = job.run_through(&[Death::AfterBatch(2)]);
    assert_eq!(left_out.result, Ok(()));
    let batches: Vec<&String> = left_out.log.iter().filter(|line| line.contains("BatchCompleted")).collect();
    assert!(batches.iter().any(|line| line.contains("BatchCompleted 2001-09-09T02:03:23Z")), "{batches:#?}");
    job.catch_up = CatchUpMode::All;
    assert_eq!(job.run_through(&[Death::AfterBatch(2)]).result, Ok(()));
}

/// S10.13: a start from a checkpoint can be required, and is an error if there is no checkpoint.
#[test]
fn a_checkpoint_that_is_not_there_is_told() {
    let mut job = queue_job(10);
    job.start_from = StartFrom::Checkpoint;
    assert_eq!(
        job.run().error(),
        "there is no checkpoint in /jobs/checkpoint\n\
         help: leave out --from-checkpoint to start the job for the first time"
    );
}

/// S13.05, S13.06: a fresh run begins with the next batch, and does not change the directory of the old run.
#[test]
fn a_fresh_run_goes_on_with_the_next_batch() {
    let mut job = queue_job(14);
    let first = job.run_through(&[Death::AfterBatch(5)]);
    assert_eq!(first.result, Ok(()));
    job.after_first = Some(|job| job.start_from = StartFrom::Fresh);
    let fresh = job.run_through(&[Death::AfterBatch(5)]);
    assert_eq!(fresh.result, Ok(()));
    // Each batch read the same data, and the data was read once. The windows of the fresh run began empty.
    let of = |outcome: &Outcome, prefix: &str| -> BTreeMap<String, String> {
        outcome.saved.iter().filter(|(path, _)| path.starts_with(prefix)).map(|(p, t)| (p.clone(), t.clone())).collect()
    };
    assert_eq!(of(&fresh, "out/lines"), of(&first, "out/lines"));
    assert_ne!(of(&fresh, "out/counts"), of(&first, "out/counts"));
    let runs: Vec<&String> = fresh.checkpoint.keys().filter(|path| path.contains("/runs/")).collect();
    assert!(runs.iter().any(|path| path.contains("-1/")) && runs.iter().any(|path| path.contains("-2/")), "{runs:?}");
}

/// S16.17, S16.19: records of a plain socket that no log holds are lost with the host, and this is reported.
#[test]
fn received_records_that_were_not_logged_are_told_as_lost() {
    let mut job = Job::on_queue("recoverable", "");
    job.job_file = "[job]\nname = \"sockets\"\n[sources.lines]\ntype = \"socket\"\naddress = \"server:1\"\n".to_owned();
    let sends =
        |at: u64| vec![(Duration::from_millis(at), b"one\ntwo\n".to_vec()), (Duration::from_secs(2), b"x\n".to_vec())];
    job.servers = vec![(
        "server:1".to_owned(),
        vec![Connection { sends: sends(100), stays_open: true }, Connection { sends: sends(100), stays_open: true }],
    )];
    job.stop_after = Some(6);
    let job = job.with_checkpoint();
    let writes = job.run().writes;
    // The machine goes down at each write, until a batch with records was made and is not done.
    let lost = (1..writes).map(|write| job.run_through(&[Death::AtWrite { write, seed: write }])).find(|outcome| {
        assert_eq!(outcome.result, Ok(()));
        outcome.log.iter().any(|line| line.contains("RecordsLost lines: 2 records of batch"))
    });
    assert!(lost.is_some(), "no death lost anything");
}

/// S16.17: records of a socket that came after the last snapshot are missing in the state, and this is reported. A
/// graceful stop takes a snapshot.
#[test]
fn state_lacks_the_lost_records_of_a_socket() {
    let mut job = Job::on_queue("stateful_network_word_count", "");
    job.job_file = "[job]\nname = \"sockets\"\n[sources.lines]\ntype = \"socket\"\naddress = \"server:1\"\n".to_owned();
    let hello = || (Duration::from_secs(1), b"hello\n".to_vec());
    let connection = |sends: usize| Connection { sends: (0..sends).map(|_| hello()).collect(), stays_open: true };
    job.servers = vec![("server:1".to_owned(), vec![connection(3), connection(1)])];
    job.stop_after = Some(5);
    let job = job.with_checkpoint();
    let last_count = |outcome: &Outcome| {
        let rows: Vec<String> = outcome.batches().into_iter().flat_map(|(_, rows)| rows).collect();
        rows.last().cloned().unwrap_or_default()
    };
    let lost = |outcome: &Outcome| outcome.log.iter().filter(|line| line.contains(" RecordsLost lines: ")).count();
    // The initial state has one hello, and the first connection has sent three.
    let plain = job.run();
    assert_eq!((&plain.result, last_count(&plain).as_str(), lost(&plain)), (&Ok(()), "(hello,4)", 0));
    let crashed = job.run_through(&[Death::AfterBatch(4)]);
    assert_eq!((&crashed.result, last_count(&crashed).as_str(), lost(&crashed)), (&Ok(()), "(hello,2)", 3));
}

/// The checkpoint directory is on a full or unreachable disk: outputs wait, or the job stops. No data is lost.
#[test]
fn a_checkpoint_directory_that_cannot_be_written_is_waited_for() {
    let mut job = queue_job(14);
    let plain = job.run();
    let at = |second: u64| Time::from_ms(SECOND_0 + second * 1000 + 500);
    for kind in TROUBLES {
        job.unreachable = Some((at(3), at(9), kind));
        let waited = job.run();
        assert_eq!((waited.result.clone(), &waited.bytes), (Ok(()), &plain.bytes), "{kind}");
        let told = |what: &str| waited.log.iter().filter(|line| line.contains(what)).count();
        assert!((1..=2).contains(&told("CheckpointFailed")), "{:#?}", waited.log);
        assert_eq!(told("CheckpointFailed"), told("CheckpointResumed"));
    }
    let stopped = job.clone().with_job_keys("on_checkpoint_error = \"stop\"");
    assert!(stopped.run().error().contains("in checkpoint directory /jobs/checkpoint: "), "{}", stopped.run().error());
}

/// S10.06, S10.21: each operation on the files of snapshots fails once. The snapshot is written again, and a host that dies
/// later begins with the right state.
#[test]
fn a_snapshot_is_written_whichever_operation_fails() {
    let mut job = queue_job(12).with_job_keys("args = { states = \"all\" }");
    // A start that cannot read a snapshot ends, and the next start reads it.
    job.restarts = true;
    let plain = job.run_through(&[Death::AfterBatch(5)]);
    assert_eq!(plain.result, Ok(()));
    assert!(plain.counted_operations > 40, "{}", plain.counted_operations);
    let mut told = 0;
    for number in 1..=plain.counted_operations {
        job.fails_at = Some(number);
        let outcome = job.run_through(&[Death::AfterBatch(5)]);
        assert_eq!((&outcome.result, &outcome.bytes), (&Ok(()), &plain.bytes), "operation {number}");
        told += outcome.log.iter().filter(|line| line.contains("CheckpointFailed")).count();
    }
    assert!(told as u64 > plain.counted_operations / 4, "{told} of {}", plain.counted_operations);
}

/// S16.15: a directory that cannot be read for a while is reported. Its files are read later, once, whichever host dies
/// in the meantime.
#[test]
fn a_source_that_is_away_loses_nothing() {
    let mut job = files_job(24);
    job.source_away = Some((Time::from_ms(SECOND_0 + 4_500), Time::from_ms(SECOND_0 + 9_500)));
    job.stop_after = None;
    job.stop_at = vec![Time::from_ms(SECOND_0 + 24_100)];
    let mut expected: Vec<String> = (0..16).flat_map(lines).collect();
    expected.sort();
    for deaths in [vec![], vec![Death::AfterBatch(2)], vec![Death::AfterBatch(3), Death::AfterBatch(9)]] {
        let outcome = job.run_through(&deaths);
        assert_eq!(outcome.result, Ok(()), "{deaths:?}");
        assert!(outcome.log.iter().any(|line| line.contains("InputError lines")), "{:#?}", outcome.log);
        let saved = outcome.saved.iter().filter(|(path, _)| path.contains("/lines-"));
        let mut saved: Vec<String> = saved.flat_map(|(_, text)| text.lines().map(str::to_owned)).collect();
        saved.sort();
        assert_eq!(saved, expected, "{deaths:?}");
    }
}

/// Batch times never go back. If the clock is set ahead, the batches in between are made.
#[test]
fn a_clock_that_is_set_loses_nothing() {
    for (to, stop) in [(SECOND_0 + 2_000, 40), (SECOND_0 + 60_000, 90)] {
        let mut job = files_job(20);
        job.stop_after = None;
        job.stop_at = vec![Time::from_ms(SECOND_0 + stop * 1000 + 100)];
        let plain = job.run();
        job.clock_jump = Some((Time::from_ms(SECOND_0 + 5_300), Time::from_ms(to)));
        for deaths in [vec![], vec![Death::AfterBatch(4)], vec![Death::AfterBatch(6)]] {
            let outcome = job.run_through(&deaths);
            assert_eq!(outcome.result, Ok(()));
            assert_same(&outcome, &plain, &format!("clock set to {to}, {deaths:?}"));
            // The event comes once, from the host that waits at that time.
            let told = outcome.log.iter().filter(|line| line.contains("ClockSetBack")).count();
            let is_back = to < SECOND_0 + 5_300;
            assert!(told == usize::from(is_back) || (is_back && !deaths.is_empty()), "{told}: {:#?}", outcome.log);
        }
    }
}

/// A damaged newest checkpoint is skipped. A log that is damaged in the middle is an error, which names the place and
/// the choices.
#[test]
fn damage_is_told() {
    let mut job = queue_job(14);
    let plain = job.run();
    job.damage = Some(|path, bytes| {
        if path.contains("/runs/") && path.ends_with('7') {
            bytes[30] ^= 1;
        }
    });
    let outcome = job.run_through(&[Death::AfterBatch(6)]);
    assert_eq!((outcome.result, &outcome.bytes), (Ok(()), &plain.bytes));
    job.damage = Some(|path, bytes| {
        if path.contains("/ingest/") {
            bytes[30] ^= 1;
        }
    });
    assert_eq!(
        job.run_through(&[Death::AfterBatch(6)]).error(),
        "the allocation log in checkpoint directory /jobs/checkpoint cannot be used: \
         ingest/log-00000001-00000000 is damaged at byte 0: its checksum is wrong\n\
         help: bring the file back from a backup, or start anew with --fresh, which reads sources as at a first start and \
         may read data again that was processed; `host checkpoint verify` says more"
    );
    assert!(CHECKPOINT.len() > 3);
}
