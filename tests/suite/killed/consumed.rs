//! A job over a stream of NATS JetStream with the write-ahead log, killed again and again, and now and then its server too.
//! A client puts each record into the stream once.

use super::super::support::nats_server::Server;
use super::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// How long the server waits for an acknowledgement: shorter than a life of the host, so that much is delivered again.
const ACK_WAIT: &str = "1s";

/// Puts records into the stream one after the other. Returns how many there are. If the server does not answer, the number of
/// messages in the stream says whether it has the record.
fn publish(server: &Mutex<Server>, is_over: &AtomicBool) -> u64 {
    let connected = || server.lock().expect("nobody panics").client();
    let (mut client, mut sent) = (connected(), 0);
    while !is_over.load(Ordering::Relaxed) {
        if client.publish("events.a", &format!("n{sent} w{}", sent % 5)).is_ok() {
            sent += 1;
        } else {
            // While the server is away, its lock is held.
            client = connected();
            sent = client.messages("EVENTS");
        }
        sleep(Duration::from_millis(4));
    }
    sent
}

/// S2.46, S12.13, S16.21: each message of the stream is saved once, whatever is killed, and windows and state hold each once.
#[test]
fn a_job_over_a_stream_saves_each_message_once() {
    let Some(server) = Server::start() else { return };
    programs::host();
    server.client().make_stream("EVENTS", "events.>");
    let source = format!(
        "type = \"nats\"\nservers = \"{}\"\nstream = \"EVENTS\"\nack_wait = \"{ACK_WAIT}\"\nrestart_delay = \"20ms\"\n\n\
         [receiver]\nblock_interval = \"50ms\"\nwrite_ahead_log = true\n",
        server.address()
    );
    let directory = with_interval(LONG_INTERVAL_MS, &source, ", states = \"all\"");
    let (server, is_over) = (Arc::new(Mutex::new(server)), Arc::new(AtomicBool::new(false)));
    let client = std::thread::spawn({
        let (server, is_over) = (server.clone(), is_over.clone());
        move || publish(&server, &is_over)
    });
    let mut numbers = Numbers(seed());
    for _ in 0..kills().div_ceil(2) {
        let mut host = Running::start(directory.host(&["run", "job.toml", "--json"]));
        if numbers.below(4) > 0 {
            host.wait_for_err("ReceiverStarted");
        }
        sleep(Duration::from_millis(numbers.below(LONG_INTERVAL_MS)));
        if numbers.below(4) == 0 {
            let mut server = server.lock().expect("nobody panics");
            server.kill();
            sleep(Duration::from_millis(numbers.below(100)));
            server.resume();
        }
        sleep(Duration::from_millis(numbers.below(LONG_INTERVAL_MS)));
        host.signal("KILL");
        let ended = host.finish();
        assert_eq!((ended.code, ended.error()), (None, ""), "{}", ended.err);
        assert!(!ended.out.contains("RecordsLost"), "{}", ended.out);
    }
    let mut host = Running::start(directory.host(&["run", "job.toml", "--json"]));
    host.wait_for_err("ReceiverStarted");
    is_over.store(true, Ordering::Relaxed);
    let sent = client.join().expect("the server answers");
    let mut client = server.lock().expect("nobody panics").client();
    // Whatever the kills left unacknowledged is delivered again.
    while client.consumer("EVENTS", "millstream=killed=lines")["ack_floor"]["stream_seq"] != sent {
        host.wait_for_more_out("\"event\":\"BatchCompleted\"", 1);
    }
    host.wait_for_more_out("\"event\":\"BatchCompleted\"", 4);
    host.signal("TERM");
    let ended = host.finish();
    assert_eq!((ended.code, ended.error()), (Some(0), ""), "{}", ended.err);
    println!("{sent} messages were published");
    let received = received(&directory);
    assert_eq!(received.numbers(), (0..sent).map(|number| (number, 1)).collect());
    received.check_windows_and_state("");
}
