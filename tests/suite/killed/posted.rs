//! A job over HTTP with the write-ahead log, killed again and again. Its clients send each record with a key until the
//! record is answered.

use super::*;
use millstream_tests::http_client::post;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// The number of clients that send at the same time.
const CLIENTS: u64 = 3;
/// The numbers of a client begin at its own multiple of this number.
const NUMBERS: u64 = 1_000_000;

/// What the clients and the test share.
#[derive(Default)]
struct Shared {
    /// Where the host takes requests. `None` while it is not known.
    address: Mutex<Option<String>>,
    /// A client ends when its current record is answered.
    is_over: AtomicBool,
}

/// Sends records one after the other, each again and again until the host says that it has the record. Returns how many
/// were answered.
fn send(client: u64, shared: &Shared) -> u64 {
    let mut sent = 0;
    while !shared.is_over.load(Ordering::Relaxed) {
        let number = client * NUMBERS + sent;
        let record = format!("n{number} w{}", sent % 5);
        let key = format!("Idempotency-Key: \"{number}\"");
        loop {
            let address = shared.address.lock().expect("nobody panics").clone();
            let answer = address.map(|address| post(&address, "/lines", &[&key], &record));
            match answer {
                Some(Ok((200, _))) => break,
                Some(Ok((status @ (400..=428 | 430..500), body))) => panic!("{record}: {status} {body}"),
                // No host, an end in the middle of the answer, or a host that has no room now.
                _ => {}
            }
            sleep(Duration::from_millis(5));
        }
        sent += 1;
        sleep(Duration::from_millis(20));
    }
    sent
}

/// The address at which a host takes requests, once the host has said it.
fn address(host: &mut Running) -> String {
    host.wait_for_err("ReceiverListens lines: http://");
    let rest = host.err().split_once("ReceiverListens lines: http://").expect("it listens").1.to_owned();
    rest.split_once("/lines").expect("it says its path").0.to_owned()
}

/// S2.46, S12.13, S16.21: each record that was answered is saved once, and windows and state hold each once.
#[test]
fn a_job_over_http_saves_each_record_once() {
    programs::host();
    let source = "type = \"http\"\naddress = \"127.0.0.1:0\"\npath = \"/lines\"\nrestart_delay = \"20ms\"\n\n\
                  [receiver]\nblock_interval = \"50ms\"\nwrite_ahead_log = true\n";
    let directory = with_interval(LONG_INTERVAL_MS, source, ", states = \"all\"");
    let shared = Arc::new(Shared::default());
    let client = |number: u64| {
        let shared = shared.clone();
        std::thread::spawn(move || send(number, &shared))
    };
    let clients: Vec<_> = (0..CLIENTS).map(client).collect();
    let mut numbers = Numbers(seed());
    for _ in 0..kills().div_ceil(2) {
        let mut host = Running::start(directory.host(&["run", "job.toml", "--json"]));
        if numbers.below(4) > 0 {
            *shared.address.lock().expect("nobody panics") = Some(address(&mut host));
        }
        sleep(Duration::from_millis(numbers.below(2 * LONG_INTERVAL_MS)));
        host.signal("KILL");
        let ended = host.finish();
        assert_eq!((ended.code, ended.error()), (None, ""), "{}", ended.err);
        assert!(!ended.out.contains("RecordsLost"), "{}", ended.out);
    }
    let mut host = Running::start(directory.host(&["run", "job.toml", "--json"]));
    *shared.address.lock().expect("nobody panics") = Some(address(&mut host));
    host.wait_for_more_out("\"event\":\"BatchCompleted\"", 4);
    shared.is_over.store(true, Ordering::Relaxed);
    let sent: Vec<u64> = clients.into_iter().map(|client| client.join().expect("a client is served")).collect();
    host.signal("TERM");
    let ended = host.finish();
    assert_eq!((ended.code, ended.error()), (Some(0), ""), "{}", ended.err);
    let received = received(&directory);
    println!("so many records of each client were answered: {sent:?}");
    let of_client = |(client, sent): (u64, &u64)| (client * NUMBERS..client * NUMBERS + sent).map(|number| (number, 1));
    let expected: BTreeMap<u64, u64> = (0..).zip(&sent).flat_map(of_client).collect();
    assert_eq!(received.numbers(), expected);
    received.check_windows_and_state("");
}
