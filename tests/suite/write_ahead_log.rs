//! Received data under the write-ahead log, in a simulated world: hosts that die at any write, disks that lose data that
//! was not synced, damaged copies, disks that are away.

mod faults;
mod promises;

use super::support::numbers::Numbers;
use super::support::received::Received;
use super::support::simulated::{CHECKPOINT, Death, Job, Outcome, START};
use async_trait::async_trait;
use host::env::Connection;
use host::receiver::{Receiver, ReceiverContext, ReceiverError, Receivers};
use host::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// How many seeds are run, unless `MILLSTREAM_SEEDS` says otherwise.
const SEEDS: u64 = 24;

/// A source that sends numbers, and sends those again that were not acknowledged.
#[derive(Default)]
struct Source {
    numbers: u64,
    acknowledged: u64,
}

/// A reliable receiver: it acknowledges numbers that the host has stored.
struct Reliable(Arc<Mutex<Source>>);

#[async_trait]
impl Receiver for Reliable {
    async fn run(&mut self, context: &ReceiverContext) -> Result<(), ReceiverError> {
        let source = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let (next, numbers) = {
                let source = source();
                (source.acknowledged + 1, source.numbers)
            };
            if next > numbers {
                context.stopped().await;
            }
            if context.is_stopped() {
                return Ok(());
            }
            context.sleep(Duration::from_millis(130)).await;
            let last = numbers.min(next + next % 3);
            let lines: Vec<String> = (next..=last).map(|number| format!("n{number} w{}", number % 5)).collect();
            context.store_lines(&lines).await?;
            source().acknowledged = last;
        }
    }
}

/// The table of a job file that turns the log on.
const LOG: &str = "\n[receiver]\nwrite_ahead_log = true\n";

/// A job that reads numbers from a reliable source, for 14 batches.
fn reliable_job(numbers: u64) -> (Job, Arc<Mutex<Source>>) {
    let source = Arc::new(Mutex::new(Source { numbers, acknowledged: 0 }));
    let mut job = Job::on_queue("recoverable", "");
    job.job_file = "[job]\nname = \"reliable\"\nargs = { states = \"all\" }\n\n[sources.lines]\ntype = \"custom\"\n\
                    receiver = \"reliable\"\nrestart_delay = \"300ms\"\n"
        .to_owned();
    let of_receiver = source.clone();
    job.receivers = Receivers::default().with("reliable", move |_| Ok(Box::new(Reliable(of_receiver.clone()))));
    job.stop_after = Some(14);
    (job.with_checkpoint().with_tables(LOG), source)
}

/// A job that reads lines from a socket for `batches` batches. Each connection sends numbered lines, and the numbers go on
/// where the connection before ended.
fn socket_job(connections: &[u64], batches: u64) -> Job {
    let mut job = Job::on_queue("recoverable", "");
    job.job_file = "[job]\nname = \"socket\"\nargs = { states = \"all\" }\n\n[sources.lines]\ntype = \"socket\"\n\
                    address = \"server:1\"\n"
        .to_owned();
    let mut next = 0;
    let mut connection = |lines: &u64| {
        let numbers = next..next + lines;
        next = numbers.end;
        let line = |number| (Duration::from_millis(90), format!("n{number} w{}\n", number % 5).into_bytes());
        Connection { sends: numbers.map(line).collect(), stays_open: true }
    };
    job.servers = vec![("server:1".to_owned(), connections.iter().map(&mut connection).collect())];
    job.stop_after = Some(batches);
    job.with_checkpoint().with_tables(LOG)
}

/// The saved rows of a job.
fn received(outcome: &Outcome) -> Received {
    Received::new(1000, |output| {
        let mut saved: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for (path, text) in &outcome.saved {
            let time = path.strip_prefix(&format!("out/{output}-")).and_then(|rest| rest.split_once(".txt"));
            if let Some(time) = time.and_then(|(time, _)| time.parse().ok()) {
                saved.entry(time).or_default().extend(text.lines().map(str::to_owned));
            }
        }
        saved
    })
}

/// Checks that windows and state hold exactly the words of the lines that the batches have saved.
fn check_windows_and_state(outcome: &Outcome) {
    received(outcome).check_windows_and_state(&format!("{:#?}", outcome.log));
}

/// How often each number was saved.
fn numbers(outcome: &Outcome) -> BTreeMap<u64, u64> {
    received(outcome).numbers()
}

fn lost(outcome: &Outcome) -> Vec<&String> {
    outcome.log.iter().filter(|line| line.contains(" RecordsLost ")).collect()
}

/// S12.13, S16.20, S16.21: whatever dies at any time, and whatever the disk loses, each acknowledged number is processed,
/// and windows and state are those of the numbers that were processed. Only a number whose acknowledgement a death has
/// prevented may be there twice.
#[test]
fn nothing_that_was_acknowledged_is_lost() {
    let (job, _) = reliable_job(60);
    let plain = job.run();
    assert_eq!(plain.result, Ok(()));
    check_windows_and_state(&plain);
    assert!(numbers(&plain).into_iter().eq((1..=60).map(|number| (number, 1))), "{:?}", numbers(&plain));
    let writes = plain.writes;
    let seeds = std::env::var("MILLSTREAM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    for seed in 0..seeds {
        let mut random = Numbers(seed);
        let deaths: Vec<Death> = (0..=random.below(3))
            .map(|at| match random.below(4) {
                0 => Death::AfterBatch(1 + random.below(5) as usize),
                _ => Death::AtWrite { write: 1 + random.below(writes), seed: seed ^ at },
            })
            .collect();
        let (mut job, source) = reliable_job(60);
        job.restarts = true;
        let outcome = job.with_seed(seed).run_through(&deaths);
        assert_eq!((&outcome.result, lost(&outcome)), (&Ok(()), vec![]), "seed {seed}");
        check_windows_and_state(&outcome);
        let numbers = numbers(&outcome);
        let acknowledged = source.lock().expect("nobody panics").acknowledged;
        assert!((1..=acknowledged).all(|number| numbers.contains_key(&number)), "seed {seed}: {:#?}", outcome.log);
        let twice = numbers.values().filter(|count| **count > 1).count();
        // A call of the receiver stores at most three numbers.
        assert!(twice <= 3 * deaths.len(), "seed {seed}, {deaths:?}: {numbers:?}");
    }
}

/// S12.13, S16.21: no line of a socket is processed twice. A line that was not processed was not logged when a host died.
#[test]
fn a_socket_loses_only_what_was_not_logged() {
    let plain = socket_job(&[80], 12).run();
    assert_eq!(plain.result, Ok(()));
    assert!(numbers(&plain).into_iter().eq((0..80).map(|number| (number, 1))), "{:?}", numbers(&plain));
    for seed in 0..SEEDS {
        let death = Death::AtWrite { write: 1 + Numbers(seed).below(plain.writes), seed };
        let mut job = socket_job(&[120, 80], 20);
        job.restarts = true;
        let outcome = job.with_seed(seed).run_through(&[death]);
        assert_eq!((&outcome.result, lost(&outcome)), (&Ok(()), vec![]), "seed {seed}");
        check_windows_and_state(&outcome);
        let numbers = numbers(&outcome);
        assert!(numbers.values().all(|count| *count == 1), "seed {seed}: {numbers:?}");
        // The first connection was cut off once. What came before was logged at the latest with the block after it.
        let gaps: Vec<u64> = (0..200).filter(|number| !numbers.contains_key(number)).collect();
        assert!(gaps.windows(2).all(|pair| pair[1] == pair[0] + 1), "seed {seed}: one gap, at the death: {gaps:?}");
        // If the host died before it connected or after its last batch, there was only one connection.
        let is_second_whole = (120..200).all(|number| numbers.contains_key(&number));
        assert!(is_second_whole || gaps.iter().copied().eq(120..200), "seed {seed}: {gaps:?}");
    }
}

/// S12.12, S16.19: what the log changes for a state over a socket.
#[test]
fn a_state_over_a_socket_lacks_nothing() {
    let job = socket_job(&[30, 10], 8);
    let outcome = job.run_through(&[Death::AfterBatch(4)]);
    assert_eq!((&outcome.result, lost(&outcome)), (&Ok(()), vec![]));
    check_windows_and_state(&outcome);
    let recovered = outcome.log.iter().filter(|line| line.contains(" RecordsRecovered lines: ")).count();
    assert_eq!(recovered, 1, "{:#?}", outcome.log);
    let mut without = job;
    without.job_file = without.job_file.replace(LOG, "");
    let outcome = without.run_through(&[Death::AfterBatch(4)]);
    assert_eq!(outcome.result, Ok(()));
    assert!(!lost(&outcome).is_empty());
}

/// The log is turned off after a death: the job reads what is in the log, adds nothing, and removes the log when nothing needs
/// it any more.
#[test]
fn a_log_that_was_turned_off_is_used_up() {
    let mut job = socket_job(&[30, 120], 20);
    job.after_first = Some(|job| job.job_file = job.job_file.replace(LOG, ""));
    let outcome = job.run_through(&[Death::AfterBatch(4)]);
    assert_eq!((&outcome.result, lost(&outcome)), (&Ok(()), vec![]));
    check_windows_and_state(&outcome);
    let recovered = outcome.log.iter().filter(|line| line.contains(" RecordsRecovered lines: ")).count();
    assert_eq!(recovered, 1, "{:#?}", outcome.log);
    let left: Vec<_> = outcome.checkpoint.keys().filter(|path| path.contains("/ingest/received-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// S16.04, S16.06: a log in two places is read from either of them.
#[test]
fn a_damaged_log_is_read_from_its_copy() {
    let damage: fn(&str, &mut Vec<u8>) = |path, bytes| {
        if path.contains("/ingest/received-") && !path.contains("/copy/") {
            // The first of several documents.
            bytes.iter_mut().skip(40).take(1).for_each(|byte| *byte ^= 0x55);
        }
    };
    let (mut job, source) = reliable_job(60);
    job.damage = Some(damage);
    let refused = job.run_through(&[Death::AfterBatch(5)]);
    assert!(refused.error().contains("the write-ahead log in checkpoint directory"), "{}", refused.error());
    source.lock().expect("nobody panics").acknowledged = 0;
    let (mut job, _) = reliable_job(60);
    job.damage = Some(damage);
    let outcome = job.with_tables("write_ahead_log_copy = \"checkpoint/copy\"\n").run_through(&[Death::AfterBatch(5)]);
    assert_eq!((&outcome.result, lost(&outcome)), (&Ok(()), vec![]));
    check_windows_and_state(&outcome);
    assert!(numbers(&outcome).into_iter().eq((1..=60).map(|number| (number, 1))));
}

/// A disk that is full or away is waited for, and nothing is acknowledged meanwhile.
#[test]
fn a_log_that_cannot_be_written_is_waited_for() {
    for kind in [std::io::ErrorKind::StorageFull, std::io::ErrorKind::TimedOut] {
        let (mut job, _) = reliable_job(60);
        job.unreachable = Some((START + Duration::from_secs(3), START + Duration::from_secs(6), kind));
        let outcome = job.run();
        assert_eq!(outcome.result, Ok(()), "{kind}");
        check_windows_and_state(&outcome);
        assert!(numbers(&outcome).into_iter().eq((1..=60).map(|number| (number, 1))), "{kind}");
        let failed = outcome.log.iter().any(|line| line.contains("CheckpointFailed: cannot write the write-ahead log"));
        assert!(failed, "{:#?}", outcome.log);
        let (mut job, _) = reliable_job(60);
        job.unreachable = Some((START + Duration::from_secs(3), START + Duration::from_secs(6), kind));
        let outcome = job.with_job_keys("on_checkpoint_error = \"stop\"").run();
        assert!(outcome.error().contains("in checkpoint directory"), "{}", outcome.error());
    }
}

/// S12.16: each group has a file of its own.
#[test]
fn files_are_closed_after_each_write_on_request() {
    let (job, _) = reliable_job(60);
    let job = job.with_tables("close_file_after_write = true\n");
    let outcome = job.run_through(&[Death::AfterBatch(6)]);
    assert_eq!((&outcome.result, lost(&outcome)), (&Ok(()), vec![]));
    check_windows_and_state(&outcome);
}

/// Segments are removed when no batch and no snapshot of state needs them.
#[test]
fn the_log_of_a_long_job_stays_short() {
    let segments = |batches| {
        let mut job = socket_job(&[10 * batches], batches);
        job.job_file = job.job_file.replace("args = { states = \"all\" }\n", "");
        let outcome = job.run();
        assert_eq!(outcome.result, Ok(()));
        outcome.checkpoint.into_keys().filter(|path| path.contains("/ingest/received-")).collect::<Vec<_>>()
    };
    // A segment is closed after a minute.
    assert_eq!(segments(30).len(), 1);
    let of_long = segments(310);
    assert!(of_long.len() <= 1, "{of_long:?}");
}

/// S12.12: the log needs a checkpoint directory.
#[test]
fn a_log_without_a_checkpoint_directory_is_refused() {
    let mut job = socket_job(&[1], 1);
    job.job_file = job.job_file.replace(&format!("checkpoint = \"{CHECKPOINT}\"\n"), "");
    let message = job.run().error();
    assert!(message.contains("the log needs a checkpoint directory, and the job has none"), "{message}");
    assert!(message.contains("add `checkpoint = "), "{message}");
}
