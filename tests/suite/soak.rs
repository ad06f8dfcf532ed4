//! A job that runs for days, in a simulated world: a socket, files and requests, a window, three states and their join, two outputs,
//! the write-ahead log and checkpoints. `tests/src/bin/soak` runs the same job for minutes of real time.

use super::support::simulated::{Job, Outcome, START};
use host::env::{Connection, Env};
use millstream_tests::http_client::{parsed, request};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The batch interval.
const BATCH_MS: u64 = 3_600_000;
/// The number of batches of a day.
const DAY: u64 = 86_400_000 / BATCH_MS;
/// The number of lines that the socket sends for each batch. The time between two of them divides no batch evenly, so
/// that no line comes in the instant in which a batch ends.
const LINES: u64 = 7;
/// The number of lines of each file. There is one file for each batch.
const FILE_LINES: u64 = 10;
/// The number of lines of each request. There is one request for each batch.
const POST_LINES: u64 = 15;
/// The number of keys.
const KEYS: u64 = 5;
/// The number of batches in a window, as in the plugin.
const WINDOW_BATCHES: u64 = 10;
/// The rows of the job fit into this much memory, whichever day it is. All rows of two days do not.
const ROOM_BYTES: u64 = 400 << 10;
/// The allocation log is begun anew when it has about this many bytes.
const ALLOCATIONS_BYTES: usize = 300 << 10;

fn line(number: u64) -> String {
    format!("{} {number}\n", number % KEYS)
}

/// Sends requests, one in each batch interval.
async fn send_requests(env: Env, requests: u64) {
    env.clock.sleep(Duration::from_millis(BATCH_MS / 3)).await;
    for number in 0..requests {
        let lines: String = (number * POST_LINES..(number + 1) * POST_LINES).map(line).collect();
        let mut connection = env.network.connect("127.0.0.1:8080").await.expect("the job listens");
        connection.write_all(&request("/", &[], &lines)).await.expect("the job reads");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.expect("the job answers");
        assert_eq!(parsed(&answer).0, 200, "{answer}");
        env.clock.sleep(Duration::from_millis(BATCH_MS)).await;
    }
}

/// The job for some days.
fn job(days: u64) -> Job {
    let batches = days * DAY;
    let mut job = Job::on_queue("benchmarks", "");
    // Memory for the instances of one thread and the driver. Rows may take three quarters of the rest.
    let memory = 2 * (256 << 20) + ROOM_BYTES * 4 / 3;
    job.job_file = format!(
        "[job]\nname = \"soak\"\nbatch_interval = \"{BATCH_MS}ms\"\nargs = {{ program = \"soak\", \
         batch_ms = \"{BATCH_MS}\", out = \"out:out/\" }}\n\n\
         [sources.lines]\ntype = \"socket\"\naddress = \"server:1\"\n\n\
         [sources.files]\ntype = \"text-files\"\npath = \"in\"\nwhen_done = \"delete\"\n\n\
         [sources.posts]\ntype = \"http\"\naddress = \"127.0.0.1:8080\"\n\n\
         [receiver]\nwrite_ahead_log = true\n\n[engine]\nthreads = 1\nmemory = \"{memory}B\"\n"
    );
    job.files = vec![("in/.keep".to_owned(), String::new())];
    let pause = Duration::from_millis(BATCH_MS / LINES);
    let sends = (0..batches * LINES).map(|number| (pause, line(number).into_bytes())).collect();
    job.servers = vec![("server:1".to_owned(), vec![Connection { sends, stays_open: true }])];
    let file = |batch: u64| {
        let text: String = (batch * FILE_LINES..(batch + 1) * FILE_LINES).map(line).collect();
        let written = START + Duration::from_millis(batch * BATCH_MS + 1234);
        (written, written, format!("in/{batch:05}"), text)
    };
    job.appearing = (0..batches - 1).map(file).collect();
    job.clients = Some(Arc::new(move |env: &Env| {
        env.control.spawn("client", Box::pin(send_requests(env.clone(), batches - 1)));
    }));
    job.stop_after = Some(batches);
    job.with_checkpoint()
}

/// The numbers that an output has saved: the time of each batch in ms, and its rows.
fn saved(outcome: &Outcome, output: &str) -> Vec<(u64, Vec<Vec<u64>>)> {
    let mut batches: Vec<(u64, Vec<Vec<u64>>)> = Vec::new();
    for (path, text) in &outcome.saved {
        let time = path.strip_prefix(&format!("out/{output}-")).and_then(|rest| rest.split_once(".txt"));
        let Some(time) = time.and_then(|(time, _)| time.parse().ok()) else { continue };
        let numbers =
            |row: &str| row.trim_matches(['(', ')']).split(',').map(|n| n.parse().expect("a number")).collect();
        let rows = text.lines().map(numbers);
        match batches.last_mut().filter(|(last, _)| *last == time) {
            Some((_, of_batch)) => of_batch.extend(rows),
            None => batches.push((time, rows.collect())),
        }
    }
    batches
}

/// The number and the bytes of the files below a directory of the checkpoint directory.
fn size(outcome: &Outcome, below: &str) -> (usize, usize) {
    let files = outcome.checkpoint.iter().filter(|(path, _)| path.contains(below));
    files.fold((0, 0), |(count, bytes), (_, content)| (count + 1, bytes + content.len()))
}

/// S9.16: after seven days a job has as many files, bytes and data sets as after two, and its totals are exact.
#[test]
fn a_job_of_seven_days_does_not_grow() {
    let [two, seven] = [2, 7].map(|days| {
        let outcome = job(days).run();
        assert_eq!(outcome.result, Ok(()));
        // What is not forgotten does not fit.
        assert_eq!(outcome.spilled_bytes, 0, "{days} days");
        let counts = saved(&outcome, "counts");
        assert_eq!(counts.len() as u64, days * DAY);
        let of = |rows: &[Vec<u64>], kind: u64| rows.iter().find(|row| row[0] == kind).map_or(0, |row| row[1]);
        let lines: Vec<u64> = counts.iter().map(|(_, rows)| of(rows, 0)).collect();
        for (at, (time, rows)) in counts.iter().enumerate() {
            let first = (at + 1).saturating_sub(WINDOW_BATCHES as usize);
            assert_eq!(of(rows, 1), lines[first..=at].iter().sum::<u64>(), "the window of {time}");
        }
        let (sent, written) = (lines.iter().sum::<u64>(), (days * DAY - 1) * FILE_LINES);
        let posted = (days * DAY - 1) * POST_LINES;
        assert!(sent + LINES >= days * DAY * LINES, "{sent}");
        let totals = saved(&outcome, "totals").pop().expect("the last batch").1;
        let sum = |count: u64| (0..count).sum::<u64>();
        assert_eq!(totals, [[sent, sum(sent), written, sum(written), posted, sum(posted)]]);
        outcome
    });
    for (below, limit) in [("/ingest/received-", 0), ("/ingest/", ALLOCATIONS_BYTES), ("/runs/", 0)] {
        let ((files, bytes), (later_files, later_bytes)) = (size(&two, below), size(&seven, below));
        assert!(later_files <= files + 1, "{below}: {files} files, then {later_files}");
        // Numbers get longer.
        let limit = (bytes + bytes / 10 + 200).max(limit);
        assert!(later_bytes <= limit, "{below}: {bytes} bytes, then {later_bytes}");
    }
    for outcome in [&two, &seven] {
        let unread: Vec<&String> = outcome.bytes.keys().filter(|path| path.starts_with("in/")).collect();
        assert!(unread.len() <= 2, "files that were read are removed: {unread:?}");
    }
}
