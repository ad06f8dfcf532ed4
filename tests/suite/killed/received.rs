//! A job over a plain socket with the write-ahead log, killed again and again. Its server never sends a line twice.

use super::*;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A server that sends numbered lines to whoever connects, and goes on with the next number after a connection breaks.
struct Server {
    address: String,
    /// The first number of each connection.
    first: Arc<Mutex<Vec<u64>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a server has an address").to_string();
        let first: Arc<Mutex<Vec<u64>>> = Arc::default();
        let begun = first.clone();
        // The thread ends with the process of the tests.
        std::thread::spawn(move || {
            let mut next = 0;
            for connection in listener.incoming() {
                begun.lock().expect("nobody panics").push(next);
                next = send(connection.expect("a host connects"), next);
            }
        });
        Self { address, first }
    }
}

/// Sends lines until the connection breaks. Returns the number of the next line. All words stay in the state of the job, so
/// that a few lines have to do.
fn send(mut connection: TcpStream, mut next: u64) -> u64 {
    loop {
        let line = format!("n{next:0DIGITS$} w{}\n", next % 5);
        next += 1;
        if connection.write_all(line.as_bytes()).is_err() {
            return next;
        }
        sleep(Duration::from_millis(10));
    }
}

/// The digits of a number, so that the text of a line is in the log as it is.
const DIGITS: usize = 10;

/// The files of the write-ahead log below a directory.
fn segments(directory: &Directory, below: &str) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(directory.path(below).join("ingest")) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    paths.filter(|path| path.to_string_lossy().contains("/received-")).collect()
}

/// The largest number in the write-ahead log below a directory. `None` if there is none.
fn last_logged(directory: &Directory, below: &str) -> Option<u64> {
    let numbers = |path: &std::path::PathBuf| {
        let bytes = fs::read(path).expect("nobody removes the file");
        let numbers = bytes.windows(DIGITS + 2).filter_map(|window| {
            let digits = window.strip_prefix(b"n")?.strip_suffix(b" ")?;
            std::str::from_utf8(digits).ok()?.parse::<u64>().ok()
        });
        numbers.max()
    };
    segments(directory, below).iter().filter_map(numbers).max()
}

fn job(tables: &str, address: &str) -> Directory {
    let source = format!(
        "type = \"socket\"\naddress = \"{address}\"\nreconnect_delay = \"20ms\"\n\n[receiver]\n\
         block_interval = \"50ms\"\nwrite_ahead_log = true\n{tables}"
    );
    with_interval(LONG_INTERVAL_MS, &source, ", states = \"all\"")
}

/// Kills a job again and again, and stops it in the end. `after_kill` gets the directory of the job after each kill, and a
/// random number.
fn check(tables: &str, kills: u64, after_kill: impl Fn(&Directory, u64)) {
    programs::host();
    let server = Server::start();
    let directory = job(tables, &server.address);
    let mut numbers = Numbers(seed());
    let (mut logged, mut said) = (Vec::new(), String::new());
    for _ in 0..kills {
        let mut host = Running::start(directory.host(&["run", "job.toml", "--json"]));
        if numbers.below(4) > 0 {
            host.wait_for_out("StreamingStarted");
        }
        sleep(Duration::from_millis(numbers.below(2 * LONG_INTERVAL_MS)));
        host.signal("KILL");
        let ended = host.finish();
        assert_eq!((ended.code, ended.error()), (None, ""), "{}", ended.err);
        said += &(ended.out + &ended.err);
        logged.extend(last_logged(&directory, "checkpoint"));
        after_kill(&directory, numbers.below(u64::MAX));
    }
    let mut host = Running::start(directory.host(&["run", "job.toml", "--json"]));
    host.wait_for_err("ReceiverStarted");
    host.wait_for_more_out("\"event\":\"BatchCompleted\"", 4);
    host.signal("TERM");
    let ended = host.finish();
    assert_eq!((ended.code, ended.error()), (Some(0), ""), "{}", ended.err);
    said += &(ended.out + &ended.err);
    assert!(!said.contains("RecordsLost"), "{said}");
    assert!(said.contains("RecordsRecovered"), "{said}");
    let received = received(&directory);
    received.check_windows_and_state("");
    check_gaps(&received.numbers(), &server.first.lock().expect("nobody panics"), &logged, &said);
}

/// Requires that no number is there twice, and that each connection lacks at most its last numbers, none of which was in
/// the log when the host was killed.
fn check_gaps(numbers: &BTreeMap<u64, u64>, first: &[u64], logged: &[u64], said: &str) {
    assert!(numbers.values().all(|count| *count == 1), "some are there twice");
    let ends = first.iter().skip(1).copied().chain([u64::MAX]);
    let (mut gaps, mut kept_in_all) = (Vec::new(), 0);
    for (begin, end) in first.iter().zip(ends) {
        let kept = numbers.range(begin..&end).count() as u64;
        kept_in_all += kept;
        let last = numbers.range(begin..&end).next_back().map_or(*begin, |(number, _)| number + 1);
        assert_eq!(last - begin, kept, "of {begin}..{end}, the first ones are there");
        if end < u64::MAX {
            gaps.push(end - last);
        }
        // A document that the kill has cut off was not in the log.
        let is_torn = said.contains("were never finished and are cut off");
        let lost: Vec<&u64> = logged.iter().filter(|logged| (last..end).contains(logged)).collect();
        assert!(lost.is_empty() || is_torn, "{lost:?} were in the log; {last}..{end} are not there");
    }
    println!("{kept_in_all} lines were kept; at the ends of connections, so many were lost: {gaps:?}");
    assert!(logged.len() > 1 && kept_in_all > 0, "{logged:?}");
}

/// S12.13, S16.21: what was in the log survives each kill.
#[test]
fn a_job_over_a_socket_loses_only_what_was_not_logged() {
    check("", kills().div_ceil(2), |_, _| {});
}

/// S16.04: whatever happens to the files of the first place, a restart reads those of the second one.
#[test]
fn a_copy_of_the_log_replaces_files_that_are_gone() {
    check("write_ahead_log_copy = \"copy\"\n", kills().div_ceil(3), |directory, random| {
        for segment in segments(directory, "checkpoint") {
            let mut bytes = fs::read(&segment).expect("the file is there");
            match random % 4 {
                0 => fs::remove_file(&segment).expect("the file can be removed"),
                1 => fs::write(&segment, &bytes[..(random / 4) as usize % (bytes.len() + 1)]).expect("it can be cut"),
                2 if !bytes.is_empty() => {
                    let at = (random / 4) as usize % bytes.len();
                    bytes[at] ^= 0x55;
                    fs::write(&segment, bytes).expect("it can be damaged");
                }
                _ => fs::write(&segment, "").expect("it can be emptied"),
            }
        }
    });
}
