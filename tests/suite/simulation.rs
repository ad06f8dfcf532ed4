//! The whole host in a simulated world: connections break, time jumps ahead, and schedules change.

use super::support::simulated::{Job, Outcome, START};
use host::env::Connection;
use std::collections::BTreeMap;
use std::time::Duration;

/// Makes a job that counts the words of the connections of two servers.
fn socket_job(connections: Vec<Connection>) -> Job {
    let mut job = Job::on_queue("network_word_count", "");
    job.job_file = "[job]\nname = \"sockets\"\nbatch_interval = \"1s\"\n\n[sources.lines]\ntype = \"socket\"\naddress = \"server:9999\"\n".to_owned();
    job.servers = vec![("server:9999".to_owned(), connections)];
    job.stop_after = Some(8);
    job
}

fn sends(parts: &[(u64, &str)]) -> Vec<(Duration, Vec<u8>)> {
    parts.iter().map(|(delay_ms, text)| (Duration::from_millis(*delay_ms), text.as_bytes().to_vec())).collect()
}

fn expected(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect()
}

/// S2.07: each record is a line. A line may come in pieces, and belongs to the batch in which its end comes.
#[test]
fn lines_that_come_in_pieces_are_whole() {
    let pieces = sends(&[(100, "a b\nfirst ha"), (900, "lf b\n"), (1000, "last without end")]);
    let outcome = socket_job(vec![Connection { sends: pieces, stays_open: false }]).run();
    assert_eq!(outcome.result, Ok(()));
    let words = [("a", 1), ("b", 2), ("first", 1), ("half", 1), ("last", 1), ("without", 1), ("end", 1)];
    assert_eq!(outcome.totals(), expected(&words));
}

/// If a server closes the connection, the host connects again after two seconds. Lines that were sent before count.
#[test]
fn a_lost_connection_is_made_again_after_two_seconds() {
    let first = Connection { sends: sends(&[(100, "one\n")]), stays_open: false };
    let second = Connection { sends: sends(&[(100, "two\n")]), stays_open: true };
    let outcome = socket_job(vec![first, second]).run();
    assert_eq!(outcome.totals(), expected(&[("one", 1), ("two", 1)]));
    let at = |event: &str| -> Vec<u64> {
        let times = outcome.log.iter().filter(|line| line.contains(event));
        times
            .map(|line| line.split(' ').next().and_then(|ms| ms.parse().ok()).expect("a log line begins with a time"))
            .collect()
    };
    let (started, lost) = (at("ReceiverStarted"), at("ReceiverError"));
    assert_eq!((started.len(), lost.len()), (2, 1));
    assert_eq!(started[1] - lost[0], 2000);
}

/// S1.27: a graceful stop processes received records. Half a line is not a record: it is dropped, and this is reported.
#[test]
fn a_graceful_stop_processes_what_was_received() {
    let late = Connection { sends: sends(&[(7450, "late line\nand half a")]), stays_open: true };
    let outcome = socket_job(vec![late]).run();
    assert_eq!(outcome.result, Ok(()));
    assert_eq!(outcome.totals(), expected(&[("late", 1), ("line", 1)]));
    assert!(outcome.log.iter().any(|line| line.contains("LineCutOff lines")));
    assert_eq!(outcome.log.last().map(|line| line.split(' ').nth(2)), Some(Some("StreamingStopped")));
}

/// Batch times are multiples of the interval, in order and without gaps.
#[test]
fn batch_times_are_consecutive_multiples_of_the_interval() {
    let outcome = socket_job(vec![Connection::default()]).run();
    let times: Vec<u64> = outcome
        .printed
        .lines()
        .filter_map(|line| line.strip_prefix("Time: ")?.strip_suffix(" ms")?.parse().ok())
        .collect();
    let first = START.next_multiple(Duration::from_secs(1)).as_ms();
    assert_eq!(times, (0..8).map(|batch| first + batch * 1000).collect::<Vec<_>>());
}

/// Two runs with the same seed have the same log. Other seeds have other schedules and the same totals.
#[test]
fn a_seed_repeats_the_whole_run() {
    let connection =
        |text: &str| Connection { sends: sends(&[(300, text), (700, text), (5, text)]), stays_open: false };
    let job = socket_job(vec![connection("x y\nz\n"), connection("x x\n")]);
    let first = job.clone().with_seed(1).run();
    assert_eq!(first, job.clone().with_seed(1).run());
    let logs: Vec<Outcome> = (2..12).map(|seed| job.clone().with_seed(seed).run()).collect();
    assert!(logs.iter().all(|outcome| outcome.totals() == first.totals()));
    assert!(logs.iter().any(|outcome| outcome.log != first.log), "ten seeds took the same way");
}

/// The host tries again and again to reach a source that cannot be reached, and batches continue.
#[test]
fn a_refused_connection_is_tried_again() {
    let outcome = socket_job(Vec::new()).run();
    assert_eq!(outcome.result, Ok(()));
    let errors =
        outcome.log.iter().filter(|line| line.contains("ReceiverError lines: cannot connect to server:9999")).count();
    assert!((4..=5).contains(&errors), "{errors} tries in 8 s");
}

/// A receiver that waits for room in the block store is stopped gracefully, too: batches continue, and make room.
#[test]
fn a_graceful_stop_does_not_wait_for_a_full_store() {
    let line = format!("{}\n", "x".repeat(99_999));
    let parts = (0..60).map(|_| (Duration::from_millis(10), line.clone().into_bytes())).collect();
    let mut job = socket_job(vec![Connection { sends: parts, stays_open: true }]);
    job.job_file = job
        .job_file
        .replace("1s", "5s")
        .replace("[sources", "[engine]\nthreads = 1\nmemory = \"65MiB\"\n[limits]\nmemory = \"32MiB\"\n[sources");
    for batches in 1..4 {
        job.stop_after = Some(batches);
        let outcome = job.run();
        assert_eq!(outcome.result, Ok(()));
        assert!(outcome.totals().into_values().sum::<u64>() > 0);
    }
}

/// Records of a receiver that waits for room are not lost, however far away the next batch is. At the stop, the store
/// takes them.
#[test]
fn a_graceful_stop_takes_what_waits_for_room() {
    let line = format!("{}\n", "x".repeat(9_999));
    let parts = (0..600).map(|_| (Duration::from_millis(10), line.clone().into_bytes())).collect();
    let mut job = socket_job(vec![Connection { sends: parts, stays_open: true }]);
    job.job_file = job.job_file.replace("1s", "60s") + "\n[receiver]\nstore_limit = \"1MiB\"\n";
    job.stop_after = None;
    job.stop_at = vec![START + Duration::from_millis(20_000)];
    let outcome = job.run();
    assert_eq!(outcome.result, Ok(()));
    assert!(!outcome.log.iter().any(|line| line.contains("ReceiverError")), "{:#?}", outcome.log);
    // These are all lines that were read from the connection. There are more than the store has room for.
    assert!(outcome.totals().into_values().sum::<u64>() > 105, "{:?}", outcome.log);
}

/// The last batch takes all received records, so that no further batch is needed.
#[test]
fn stop_after_makes_exactly_so_many_batches() {
    for batches in 0..4 {
        for seed in 0..5 {
            let parts = (0..3000).map(|_| (Duration::from_millis(3), b"word\n".to_vec())).collect();
            let mut job = socket_job(vec![Connection { sends: parts, stays_open: true }]).with_seed(seed);
            job.stop_after = Some(batches);
            let outcome = job.run();
            assert_eq!(outcome.result, Ok(()));
            let completed = outcome.log.iter().filter(|line| line.contains("BatchCompleted")).count() as u64;
            assert_eq!(completed, batches, "{:#?}", outcome.log);
        }
    }
}

/// A run that fails while its receiver waits for room ends without waiting for the receiver.
#[test]
fn a_failure_does_not_wait_for_a_full_store() {
    let lines = format!("{}boom\n", "x\n".repeat(50_000));
    let parts = (0..60).map(|_| (Duration::from_millis(10), lines.clone().into_bytes())).collect();
    let mut job = socket_job(vec![Connection { sends: parts, stays_open: true }]);
    job.plugin = "hostile".to_owned();
    job.job_file = job.job_file.replace(
        "[sources",
        "args = { does = \"panic\" }\n[engine]\nthreads = 1\nmemory = \"65MiB\"\n[limits]\nmemory = \"32MiB\"\n[sources",
    );
    assert!(job.run().error().contains("the plugin does not like this line"));
}

/// Makes a job whose server sends a line shortly after a batch, and that is asked to stop some time after its start.
fn stopped_job(keys: &str, stops_ms: &[u64]) -> Outcome {
    let late = Connection { sends: sends(&[(2050, "late\n")]), stays_open: true };
    let mut job = socket_job(vec![late]).with_job_keys(keys);
    job.stop_after = None;
    job.stop_at = stops_ms.iter().map(|at| START + Duration::from_millis(*at)).collect();
    job.run()
}

/// S1.27: a graceful stop may take the time that the job sets. If records are left unprocessed, the run ends with an
/// error.
#[test]
fn a_graceful_stop_that_takes_too_long_ends_with_an_error() {
    let in_time = stopped_job("stop_timeout = \"1s\"", &[2100]);
    assert_eq!((in_time.result.clone(), in_time.totals()), (Ok(()), expected(&[("late", 1)])));
    let overdue = stopped_job("stop_timeout = \"300ms\"", &[2100]);
    assert_eq!(
        overdue.error(),
        "the graceful stop took longer than job.stop_timeout = 0.3 s: what was not processed yet is lost\n\
         help: raise job.stop_timeout, or make batches cheaper"
    );
    assert_eq!(overdue.totals(), expected(&[]));
    let ended = overdue.log.last().expect("there is a log");
    assert!(ended.starts_with(&format!("{} ms StreamingStopped", START.as_ms() + 2400)), "{ended}");
}

/// S1.21: the second request stops the job at once, and this is not an error.
#[test]
fn a_second_request_to_stop_stops_at_once() {
    let outcome = stopped_job("", &[2100, 2200]);
    assert_eq!((outcome.result.clone(), outcome.totals()), (Ok(()), expected(&[])));
    let ended = outcome.log.last().expect("there is a log");
    assert!(ended.starts_with(&format!("{} ms StreamingStopped", START.as_ms() + 2200)), "{ended}");
}

/// S1.21: a job that is stopped before its first batch ends without a batch.
#[test]
fn a_stop_before_the_first_batch_makes_none() {
    let outcome = stopped_job("", &[100]);
    assert_eq!((outcome.result.clone(), outcome.printed.as_str()), (Ok(()), ""));
    assert!(outcome.log.iter().all(|line| !line.contains("Batch")), "{:#?}", outcome.log);
}
